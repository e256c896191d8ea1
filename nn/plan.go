package nn

import (
	"cmp"
	"slices"

	"ninvk/ops"
)

// The memory plan. Time runs over the steps of one training pass: forward of node i is step i, the losses are step n,
// backward of node i is step 2n-i. An activation or gradient lives from the first step that writes it to the last that
// reads it; storages whose lives don't overlap share memory.

// storage is one planned piece of memory; in-place layers and joins let several activations share one.
type storage struct {
	size     uint64
	from, to int
	at       []int  // the steps that touch it, in no order, each once
	buffer   int    // index into plan.buffers
	offset   uint64 // in the buffer
}

// home is where an activation or gradient lies.
type home struct {
	storage int // -1: nowhere
	channel int // of an activation that fills the storage, from which on it lies there; a multiple of four
}

var nowhere = home{storage: -1}

type plan struct {
	storages []*storage
	act      []home   // of each node's output
	again    []home   // of the output as backward reads it, where that is computed once more
	grad     []home   // of each node's gradient
	aux      []home   // of what each node keeps
	spare    int      // storage for a second gradient before it is added to the first, and for copies; -1 for none
	buffers  []uint64 // sizes
}

// planner makes a plan for a batch of n images.
type planner struct {
	*plan
	g         *Graph
	n         int
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

// recomputeFrom is the size of a plan in bytes from which on outputs of normalisations that backward reads are computed
// once more rather than kept, where that saves at least an eighth. It costs a few percent of a step's time.
var recomputeFrom uint64 = 2 << 30

// makePlan plans a batch of n images for the losses of ends, the first of which are the logits; the outputs of the nodes
// in keep stay to the end. l is what training changes; nil: nothing is trained.
func (g *Graph) makePlan(n int, ends []*Node, l *learning, keep ...*Node) *plan {
	p := g.plan(n, ends, l, false, keep)
	if l != nil && p.bytes() >= recomputeFrom {
		if q := g.plan(n, ends, l, true, keep); q.bytes() <= p.bytes()/8*7 {
			return q
		}
	}
	return p
}

func (g *Graph) plan(n int, ends []*Node, l *learning, recompute bool, keep []*Node) *plan {
	count := len(g.nodes)
	p := &planner{
		plan: &plan{act: homes(count), again: homes(count), grad: homes(count), aux: homes(count), spare: -1},
		g:    g, n: n, learning: l, used: g.leadingTo(append(slices.Clone(ends), keep...)...),
		keep: keep, alias: make([]*Node, count), joined: make([]join, count),
	}
	p.consumers = g.consumersAmong(p.used)
	p.overwrite()
	p.join()
	p.forward(ends, recompute)
	if l != nil {
		p.backward()
	}
	p.assign()
	return p.plan
}

func homes(n int) []home { return slices.Repeat([]home{nowhere}, n) }

// back is the step of a node's backward pass.
func (p *planner) back(x *Node) int { return 2*len(p.g.nodes) - x.id }

// overwrite finds the layers that work in place.
func (p *planner) overwrite() {
	for _, x := range p.g.nodes {
		if !p.used[x.id] || !x.traits.inPlace {
			continue
		}
		in := x.inputs[0]
		if p.consumers[in.id] == 1 && !slices.Contains(p.keep, in) && !(x.traits.overwrites && in.traits.needsOutput) {
			p.alias[x.id] = in
		}
	}
}

// origin is the node whose memory x's output lies in, following layers that work in place.
func (p *planner) origin(x *Node) *Node {
	for p.alias[x.id] != nil {
		x = p.alias[x.id]
	}
	return x
}

// root is the node to whose output the memory of x's belongs.
func (p *planner) root(x *Node) *Node {
	x = p.origin(x)
	for p.joined[x.id].by != nil {
		x = p.origin(p.joined[x.id].by)
	}
	return x
}

// join finds the outputs that are written straight into a range of a join's. No layer may read and write one buffer: an
// output that would make one do so is copied.
func (p *planner) join() {
	for _, x := range slices.Backward(p.g.nodes) {
		if !p.used[x.id] || x.traits.joins == nil {
			continue
		}
		root := p.root(x)
		for i, in := range x.inputs {
			from := p.origin(in)
			channel, ok := x.traits.joins(i)
			if !ok || p.joined[from.id].by != nil || from.id == 0 {
				continue
			}
			reads := false // a layer that writes to this memory reads what lies in the same buffer
			for y := in; y != nil; y = p.alias[y.id] {
				reads = reads || y.traits.joins == nil &&
					slices.ContainsFunc(y.inputs, func(z *Node) bool { return z != p.alias[y.id] && p.root(z) == root })
			}
			written := slices.ContainsFunc(p.g.nodes[from.id+1:x.id], func(y *Node) bool {
				return p.used[y.id] && y.traits.joins == nil && p.alias[y.id] == nil && p.root(y) == root &&
					slices.ContainsFunc(y.inputs, func(z *Node) bool { return p.origin(z) == from })
			})
			if !reads && !written {
				p.joined[from.id] = join{x, channel}
			}
		}
	}
}

// output is the home of x's output, whose storage comes to be where it is not there yet.
func (p *planner) output(x *Node, at int) home {
	x = p.origin(x)
	if p.act[x.id] == nowhere {
		if j := p.joined[x.id]; j.by != nil {
			whole := p.output(j.by, at)
			p.act[x.id] = home{whole.storage, whole.channel + j.channel}
		} else {
			p.act[x.id] = home{storage: p.add(x.batch(p.n).Bytes(), at)}
		}
	}
	return p.act[x.id]
}

// forward plans what is written and read before the losses, and what backward reads of it.
func (p *planner) forward(ends []*Node, recompute bool) {
	marked := map[*Node]bool{} // the layer after it keeps where the output is 0
	for _, x := range p.g.nodes {
		if p.used[x.id] && x.traits.marksReLU && x.soleAfterReLU(p.consumers) {
			marked[x.inputs[0]] = true
		}
	}
	for _, x := range p.g.nodes {
		if !p.used[x.id] {
			continue
		}
		p.act[x.id] = p.output(x, x.id)
		p.use(p.act[x.id], x.id)
		for i, in := range x.inputs {
			p.use(p.act[in.id], x.id)
			if x.traits.joins != nil {
				channel, _ := x.traits.joins(i)
				if whole, own := p.act[x.id], p.act[in.id]; own.storage == whole.storage && own.channel != whole.channel+channel {
					p.takeSpare(in, x.id) // to copy within one buffer
				}
			}
			if p.learning == nil || !p.learning.readsInputs(x) {
				continue
			}
			if recompute && p.recomputes(in) {
				if p.again[in.id] == nowhere {
					p.again[in.id] = home{storage: p.add(in.batch(p.n).Bytes(), p.back(x))}
				}
				p.use(p.again[in.id], p.back(x))
				continue
			}
			p.use(p.act[in.id], p.back(x))
		}
		if p.learning != nil && p.learning.readsOutput(x) && !marked[x] {
			p.use(p.act[x.id], p.back(x))
		}
		if x.traits.aux != nil {
			p.aux[x.id] = home{storage: p.add(x.traits.aux(x.batch(p.n)), x.id)}
			if p.learning != nil && p.learning.reached[x.id] {
				p.use(p.aux[x.id], p.back(x))
			}
		}
	}
	if p.learning != nil {
		p.readAgain()
	}
	count := len(p.g.nodes)
	for _, x := range p.keep {
		p.use(p.act[x.id], 2*count+1)
	}
	for _, x := range ends {
		p.use(p.act[x.id], count)
		p.grad[x.id] = home{storage: p.add(x.batch(p.n).Bytes(), count)}
	}
}

// recomputes says whether the output of x, which backward reads, can be computed once more: in memory of its own, from
// what is kept anyway.
func (p *planner) recomputes(x *Node) bool {
	if x.traits.again == nil || !x.traits.needsInput || p.origin(x) != x || p.joined[x.id].by != nil || slices.Contains(p.keep, x) {
		return false
	}
	return !slices.ContainsFunc(p.alias, func(a *Node) bool { return a == x })
}

// readAgain has what recomputes read where it does so: before the backward pass of the last reader, the first in time.
func (p *planner) readAgain() {
	for _, x := range p.g.nodes {
		if p.again[x.id] == nowhere {
			continue
		}
		at := p.storages[p.again[x.id].storage].from
		for _, in := range x.inputs {
			p.use(p.act[in.id], at)
		}
		if p.aux[x.id] != nowhere {
			p.use(p.aux[x.id], at)
		}
	}
}

// backward plans the gradients: the losses write those of the ends; each node's backward writes those of its inputs, the
// last consumer first.
func (p *planner) backward() {
	for _, x := range slices.Backward(p.g.nodes) {
		if p.grad[x.id] == nowhere || !p.learning.reached[x.id] {
			continue
		}
		at := p.back(x)
		p.use(p.grad[x.id], at)
		for i, in := range x.inputs {
			if !p.learning.reached[in.id] {
				continue
			}
			inside := nowhere // the part of x's gradient that becomes the input's
			if x.traits.gradAt != nil {
				if channel, ok := x.traits.gradAt(i); ok {
					inside = home{p.grad[x.id].storage, p.grad[x.id].channel + channel}
				}
			}
			switch grad := p.grad[in.id]; {
			case grad == nowhere && inside != nowhere:
				p.grad[in.id] = inside
			case grad == nowhere:
				p.grad[in.id] = home{storage: p.add(in.batch(p.n).Bytes(), at)}
			case inside == nowhere || inside.storage == grad.storage:
				p.takeSpare(in, at)
			}
			if p.grad[in.id] != nowhere {
				p.use(p.grad[in.id], at)
			}
		}
	}
}

// takeSpare has the spare storage hold an output of x's shape in a step.
func (p *planner) takeSpare(x *Node, at int) {
	if p.spare < 0 {
		p.spare = p.add(0, at)
	}
	s := p.storages[p.spare]
	s.size = max(s.size, x.batch(p.n).Bytes())
	p.use(home{storage: p.spare}, at)
}

func (x *Node) batch(n int) ops.Shape {
	s := x.Shape
	s.N = n
	return s
}

func (p *plan) add(size uint64, at int) int {
	p.storages = append(p.storages, &storage{size: (size + 255) &^ 255, from: at, to: at, at: []int{at}})
	return len(p.storages) - 1
}

func (p *plan) use(h home, at int) {
	x := p.storages[h.storage]
	x.from, x.to = min(x.from, at), max(x.to, at)
	if !slices.Contains(x.at, at) {
		x.at = append(x.at, at)
	}
}

// assign gives every storage a place in a buffer, the largest storages first: the first place that is free for its whole
// life, in a buffer which holds nothing that is touched in the same step, as adapters allow no reading and writing of one
// buffer in one dispatch.
func (p *plan) assign() {
	order := slices.Clone(p.storages)
	slices.SortStableFunc(order, func(a, b *storage) int { return cmp.Compare(b.size, a.size) })
	var users [][]*storage
	for _, s := range order {
		s.buffer = -1
		for b, u := range users {
			if offset, ok := free(s, u, p.buffers[b]); ok {
				s.buffer, s.offset = b, offset
				break
			}
		}
		if s.buffer < 0 {
			s.buffer = len(users)
			users = append(users, nil)
			p.buffers = append(p.buffers, s.size)
		}
		users[s.buffer] = append(users[s.buffer], s)
	}
}

// free is the lowest place in a buffer of size bytes with these users where s fits.
func free(s *storage, users []*storage, size uint64) (uint64, bool) {
	var alive []*storage // while s is
	for _, u := range users {
		if s.from > u.to || u.from > s.to {
			continue
		}
		if slices.ContainsFunc(s.at, func(t int) bool { return slices.Contains(u.at, t) }) {
			return 0, false
		}
		alive = append(alive, u)
	}
	slices.SortFunc(alive, func(a, b *storage) int { return cmp.Compare(a.offset, b.offset) })
	var at uint64
	for _, u := range alive {
		if at+s.size <= u.offset {
			break
		}
		at = max(at, u.offset+u.size)
	}
	return at, at+s.size <= size
}

// bytes is the memory of all buffers of the plan.
func (p *plan) bytes() uint64 {
	var sum uint64
	for _, b := range p.buffers {
		sum += b
	}
	return sum
}
