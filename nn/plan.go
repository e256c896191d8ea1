package nn

import (
	"slices"
)

// The memory plan. Time runs over the steps of one training pass: forward of node i is step i, the losses are step n,
// and backward takes the nodes from the last to the first, a step each for its phases. An activation or gradient lives
// from the first step that writes it to the last that reads it; storages whose lives don't overlap share memory.

// phase is a part of a node's backward pass.
type phase int

const (
	masking   phase = iota // the gradient goes through the node's ReLU, which reads the output
	remaking               // inputs that are not kept are computed once more
	weighing               // gradients of parameters, which read the inputs
	spreading              // gradients of the inputs
	phases
)

// back is the step of a phase of the backward pass of the node with this number out of n.
func back(n, id int, f phase) int { return n + 1 + int(phases)*(n-1-id) + int(f) }

// access is what a step does with a storage.
type access int

const (
	reads access = iota
	writes
)

// storage is one planned piece of memory; in-place layers and joins let several activations share one.
type storage struct {
	size     uint64
	from, to int
	at       map[int]access // the steps that touch it
	buffer   int            // index into plan.buffers
	offset   uint64         // in the buffer
}

// home is where an activation or gradient lies.
type home struct {
	storage int // -1: nowhere
	channel int // of an activation that fills the storage, from which on it lies there; a multiple of four
}

var nowhere = home{storage: -1}

type plan struct {
	n        int // images
	storages []*storage
	act      []home           // of each node's output
	remade   []bool           // nodes whose outputs are computed once more where backward reads them, rather than kept
	again    map[reading]home // of outputs that backward has computed once more, where it reads them
	grad     []home           // of each node's gradient
	aux      []home           // of what each node keeps
	spare    int              // storage for a second gradient before it is added to the first, and for copies; -1 for none
	buffers  []uint64         // sizes
}

// reading is that of a node's output in a step.
type reading struct{ node, at int }

// planner makes a plan for a batch of n images.
type planner struct {
	*plan
	g         *Graph
	learning  *learning // nil where nothing is trained
	used      []bool    // nodes that run
	consumers []int     // of each node, among those
	keep      []*Node

	alias  []*Node // the node whose output a layer overwrites, or nil
	joined []join  // the join that a node's output is written straight into
}

// join is a place in the output of a node that joins others.
type join struct {
	by      *Node
	channel int
}

// recomputeFrom is the memory in bytes from which on outputs of normalisations that backward reads are computed once
// more rather than kept, where that saves at least an eighth. It costs a few percent of a step's time.
var recomputeFrom uint64 = 2 << 30

// roomy is the memory in bytes up to which nothing is computed once more that takes products: that of an adapter of 8
// GB, less an eighth for what a plan leaves unused and kernels take beside. Above it such outputs are too, as long as
// those products are no more than recomputeMost of the forward pass's: a sixteenth of a step's.
var (
	roomy         uint64 = 7e9
	recomputeMost        = 3. / 16
)

// makePlan plans a batch of n images for the losses of ends, the first of which are the logits; the outputs of the
// nodes in keep stay to the end. l is what training changes; nil: nothing is trained.
func (g *Graph) makePlan(n int, ends []*Node, l *learning, keep ...*Node) *plan {
	p := g.plan(n, ends, l, make([]bool, len(g.nodes)), keep)
	if most, _ := p.peak(); l != nil && most >= recomputeFrom {
		p = p.recompute(ends)
	}
	p.assign()
	return p.plan
}

// recompute plans the same with outputs computed once more, as far as that is worth while.
func (p *planner) recompute(ends []*Node) *planner {
	most, _ := p.peak()
	with := func(remade []bool) (*planner, uint64) {
		q := p.g.plan(p.n, ends, p.learning, remade, p.keep)
		most, _ := q.peak()
		return q, most
	}
	if q, less := with(p.g.cheap()); less <= most/8*7 {
		p, most = q, less
	}
	for most > roomy {
		best := p
		for _, x := range p.atPeak() {
			if !p.mayRemake(x) {
				continue
			}
			remade := slices.Clone(p.remade)
			remade[x.id] = true
			if q, less := with(remade); less < most && q.products() <= recomputeMost*p.g.MultiplyAdds() {
				best, most = q, less
			}
		}
		if best == p {
			break
		}
		p = best
	}
	return p
}

// cheap marks the nodes whose output can be computed once more without products.
func (g *Graph) cheap() []bool {
	marked := make([]bool, len(g.nodes))
	for i, x := range g.nodes {
		marked[i] = x.traits.again != nil && x.MultiplyAdds() == 0
	}
	return marked
}

// MultiplyAdds counts those of the forward pass over one image.
func (g *Graph) MultiplyAdds() float64 {
	sum := 0.0
	for _, x := range g.nodes {
		sum += x.MultiplyAdds()
	}
	return sum
}

// products counts those over one image that are computed once more.
func (p *planner) products() float64 {
	sum := 0.0
	for r := range p.again {
		sum += p.g.nodes[r.node].MultiplyAdds()
	}
	return sum
}

// peak is the memory that is used when most is, and the step when it is.
func (p *plan) peak() (most uint64, at int) {
	begins, ends := map[int]uint64{}, map[int]uint64{}
	last := 0
	for _, s := range p.storages {
		begins[s.from] += s.size
		ends[s.to] += s.size
		last = max(last, s.to)
	}
	var used uint64
	for i := range last + 1 {
		if used += begins[i]; used > most {
			most, at = used, i
		}
		used -= ends[i]
	}
	return most, at
}

// atPeak are the nodes whose outputs take at least a sixteenth of the memory that is used when most is.
func (p *planner) atPeak() []*Node {
	most, at := p.peak()
	var nodes []*Node
	for i, h := range p.act {
		if h == nowhere {
			continue
		}
		if s := p.storages[h.storage]; s.from <= at && at <= s.to && s.size >= most/16 {
			nodes = append(nodes, p.g.nodes[i])
		}
	}
	return nodes
}

// plan plans who needs memory when, with the outputs of the nodes in remade computed once more as far as that can be.
// The places are still to be assigned.
func (g *Graph) plan(n int, ends []*Node, l *learning, remade []bool, keep []*Node) *planner {
	count := len(g.nodes)
	p := &planner{
		plan: &plan{
			n: n, act: homes(count), remade: make([]bool, count), again: map[reading]home{},
			grad: homes(count), aux: homes(count), spare: -1,
		},
		g: g, learning: l, used: g.leadingTo(append(slices.Clone(ends), keep...)...), keep: keep,
		alias: make([]*Node, count), joined: make([]join, count),
	}
	p.consumers = g.consumersAmong(p.used)
	p.overwrite()
	p.join()
	for i, x := range g.nodes {
		p.remade[i] = remade[i] && p.mayRemake(x)
	}
	p.forward(ends)
	if l != nil {
		p.backward()
	}
	return p
}
