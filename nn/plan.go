package nn

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"

	"ninvk/ops"
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
// GB, less an eighth for what a plan leaves unused and kernels take beside. Above it such outputs are too, as long as those
// products are no more than recomputeMost of the forward pass's: a sixteenth of a step's.
var (
	roomy         uint64 = 7e9
	recomputeMost        = 3. / 16
)

// makePlan plans a batch of n images for the losses of ends, the first of which are the logits; the outputs of the nodes
// in keep stay to the end. l is what training changes; nil: nothing is trained.
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

func homes(n int) []home { return slices.Repeat([]home{nowhere}, n) }

// back is the step of a phase of a node's backward pass.
func (p *planner) back(x *Node, f phase) int { return back(len(p.g.nodes), x.id, f) }

// overwrite finds the layers that work in place.
func (p *planner) overwrite() {
	for _, x := range p.g.nodes {
		if !p.used[x.id] || !x.traits.inPlace {
			continue
		}
		in := x.inputs[0]
		if p.consumers[in.id] == 1 && !slices.Contains(p.keep, in) && !(x.traits.overwrites && in.traits.relu) {
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
func (p *planner) forward(ends []*Node) {
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
		p.use(p.act[x.id], x.id, writes)
		for i, in := range x.inputs {
			p.use(p.act[in.id], x.id, reads)
			if x.traits.joins != nil {
				channel, _ := x.traits.joins(i)
				if whole, own := p.act[x.id], p.act[in.id]; own.storage == whole.storage && own.channel != whole.channel+channel {
					p.takeSpare(in, x.id) // to copy within one buffer
				}
			}
		}
		if x.traits.aux != nil {
			p.aux[x.id] = home{storage: p.add(x.traits.aux(x.batch(p.n)), x.id)}
			if p.learning != nil && p.learning.reached[x.id] {
				p.use(p.aux[x.id], p.back(x, weighing), writes)
				p.use(p.aux[x.id], p.back(x, spreading), writes)
			}
		}
	}
	count := len(p.g.nodes)
	for _, x := range p.keep {
		p.use(p.act[x.id], back(count, 0, phases), reads)
	}
	for _, x := range ends {
		p.use(p.act[x.id], count, writes)
		p.grad[x.id] = home{storage: p.add(x.batch(p.n).Bytes(), count)}
	}
	if p.learning == nil {
		return
	}
	for _, x := range p.g.nodes {
		if !p.used[x.id] {
			continue
		}
		if p.learning.masks(x) && !marked[x] {
			p.read(x, p.back(x, masking), p.back(x, masking))
		}
		if p.learning.readsInputs(x) {
			for _, in := range x.inputs {
				p.read(in, p.back(x, remaking), p.back(x, weighing))
			}
		}
	}
}

// read has backward read the output of x in a step: where it is, or else, computed once more in an earlier step, in
// memory for that while. What is made of an output that was itself made for this, and for nothing else as all these
// layers have one input, may take its place.
func (p *planner) read(x *Node, made, at int) home {
	if !p.remade[x.id] {
		p.use(p.act[x.id], at, reads)
		return p.act[x.id]
	}
	r := reading{x.id, at}
	if _, ok := p.again[r]; !ok {
		in := x.inputs[0]
		from := p.read(in, made, made)
		if x.traits.againInPlace && p.remade[in.id] {
			p.again[r] = from
		} else {
			p.again[r] = home{storage: p.add(x.batch(p.n).Bytes(), made)}
		}
		p.use(p.again[r], at, reads)
		if p.aux[x.id] != nowhere {
			p.use(p.aux[x.id], made, writes)
		}
	}
	return p.again[r]
}

// mayRemake says whether the output of x can be computed once more where backward reads it: in memory of its own, from
// what backward reads anyway.
func (p *planner) mayRemake(x *Node) bool {
	if x.traits.again == nil || !x.traits.needsInput || p.remade[x.id] || p.origin(x) != x || p.joined[x.id].by != nil ||
		slices.Contains(p.keep, x) {
		return false
	}
	return !slices.Contains(p.alias, x)
}

// backward plans the gradients: the losses write those of the ends; each node's backward writes those of its inputs, the
// last consumer first.
func (p *planner) backward() {
	for _, x := range slices.Backward(p.g.nodes) {
		if p.grad[x.id] == nowhere || !p.learning.reached[x.id] {
			continue
		}
		own := reads // what the layer does with its gradient
		if x.traits.gradAt != nil {
			own = writes
		}
		p.use(p.grad[x.id], p.back(x, masking), writes)
		p.use(p.grad[x.id], p.back(x, weighing), own)
		at := p.back(x, spreading)
		p.use(p.grad[x.id], at, own)
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
				p.use(p.grad[in.id], at, writes)
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
	p.use(home{storage: p.spare}, at, writes)
}

func (x *Node) batch(n int) ops.Shape {
	s := x.Shape
	s.N = n
	return s
}

// add adds a storage that a step writes.
func (p *plan) add(size uint64, at int) int {
	p.storages = append(p.storages, &storage{size: (size + 255) &^ 255, from: at, to: at, at: map[int]access{at: writes}})
	return len(p.storages) - 1
}

func (p *plan) use(h home, at int, a access) {
	x := p.storages[h.storage]
	x.from, x.to = min(x.from, at), max(x.to, at)
	x.at[at] = max(x.at[at], a)
}

// clash says whether a step writes to one of two storages and touches the other: they must not lie in one buffer, as
// adapters allow no reading and writing of a buffer in one dispatch.
func (s *storage) clash(u *storage) bool {
	if len(s.at) > len(u.at) {
		s, u = u, s
	}
	for at, a := range s.at {
		if b, ok := u.at[at]; ok && (a == writes || b == writes) {
			return true
		}
	}
	return false
}

// packMoves bounds the work of finding a better order: so many storages are placed in each of so many beginnings.
const packMoves, packBeginnings = 4000, 16

// assign gives every storage a place in a buffer, the largest storages first. Where that takes more than roomy, other
// orders are tried, each the best so far with one storage moved; from time to time it begins anew, for what is best
// depends on chance.
func (p *plan) assign() {
	order := slices.Clone(p.storages)
	slices.SortStableFunc(order, func(a, b *storage) int { return cmp.Compare(b.size, a.size) })
	p.buffers = pack(order)
	best := order
	r := rand.New(rand.NewPCG(0, 0)) // the same plan every time
	for range packBeginnings {
		now, least := order, uint64(math.MaxUint64)
		for range packMoves / len(order) {
			if p.bytes() <= roomy {
				break
			}
			from, to := r.IntN(len(order)), r.IntN(len(order))
			next := slices.Insert(slices.Delete(slices.Clone(now), from, from+1), to, now[from])
			buffers := pack(next)
			if bytes := total(buffers); bytes <= least {
				now, least = next, bytes
			}
			if least < p.bytes() {
				best, p.buffers = now, buffers
			}
		}
	}
	pack(best)
}

// pack gives storages a place one after the other: the first that is free for its whole life, in a buffer which holds
// nothing that it clashes with. It gives the sizes of the buffers.
func pack(order []*storage) (buffers []uint64) {
	var users [][]*storage
	for _, s := range order {
		s.buffer = -1
		for b, u := range users {
			if offset, ok := free(s, u, buffers[b]); ok {
				s.buffer, s.offset = b, offset
				break
			}
		}
		if s.buffer < 0 {
			s.buffer, s.offset = len(users), 0
			users = append(users, nil)
			buffers = append(buffers, s.size)
		}
		users[s.buffer] = append(users[s.buffer], s)
	}
	return buffers
}

// free is the lowest place in a buffer of size bytes with these users where s fits.
func free(s *storage, users []*storage, size uint64) (uint64, bool) {
	var alive []*storage // while s is
	for _, u := range users {
		if s.from > u.to || u.from > s.to {
			continue
		}
		if s.clash(u) {
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
func (p *plan) bytes() uint64 { return total(p.buffers) }

func total(sizes []uint64) uint64 {
	var sum uint64
	for _, b := range sizes {
		sum += b
	}
	return sum
}
