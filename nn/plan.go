package nn

import (
	"cmp"
	"slices"

	"ninvk/ops"
)

// The memory plan. Time runs over the steps of one training pass: forward of node i is step i, backward of node i is step 2n-1-i. An
// activation or gradient lives from the first step that writes it to the last that reads it; buffers are shared by those whose lives don't overlap.

// storage is one planned piece of memory; in-place layers let several activations share one.
type storage struct {
	size     uint64
	from, to int
	buffer   int // index into plan.buffers
}

type plan struct {
	storages []*storage
	act      []int    // storage of each node's output
	grad     []int    // storage of each node's gradient, -1 for none
	aux      []int    // storage of what each node keeps, -1 for none
	spare    int      // storage for a second gradient before it is added to the first, -1 for none
	buffers  []uint64 // sizes
}

// makePlan plans a batch of n images of the graph whose last node is out; the outputs of the nodes in keep stay to the end.
func (g *Graph) makePlan(n int, out *Node, train bool, keep ...*Node) *plan {
	count := len(g.nodes)
	p := &plan{act: make([]int, count), grad: make([]int, count), aux: make([]int, count), spare: -1}
	back := func(id int) int { return 2*count - 1 - id }
	consumers := g.consumers()
	marked := map[*Node]bool{} // the layer after it keeps where the output is 0
	for _, x := range g.nodes {
		if x.layer.traits(x.inputShapes()).marksReLU && g.soleAfterReLU(x) {
			marked[x.inputs[0]] = true
		}
	}
	for _, x := range g.nodes {
		size := x.batch(n).Bytes()
		t := x.layer.traits(x.inputShapes())
		p.grad[x.id], p.aux[x.id] = -1, -1
		if t.inPlace && consumers[x.inputs[0].id] == 1 && !slices.Contains(keep, x.inputs[0]) {
			p.act[x.id] = p.act[x.inputs[0].id]
		} else {
			p.act[x.id] = p.add(size, x.id)
		}
		p.use(p.act[x.id], x.id)
		for _, in := range x.inputs {
			p.use(p.act[in.id], x.id)
			if train && t.needsInput {
				p.use(p.act[in.id], back(x.id))
			}
		}
		if train && t.needsOutput && !marked[x] {
			p.use(p.act[x.id], back(x.id))
		}
		if t.aux != nil {
			p.aux[x.id] = p.add(t.aux(x.batch(n)), x.id)
			if train {
				p.use(p.aux[x.id], back(x.id))
			}
		}
	}
	p.use(p.act[out.id], count) // the loss reads the logits
	for _, x := range keep {
		p.use(p.act[x.id], 2*count)
	}
	// Gradients: the loss writes that of out; each node's backward writes those of its inputs, the last consumer first.
	p.grad[out.id] = p.add(out.batch(n).Bytes(), count-1)
	p.use(p.grad[out.id], count)
	if train {
		for _, x := range slices.Backward(g.nodes) {
			if p.grad[x.id] < 0 {
				continue
			}
			p.use(p.grad[x.id], back(x.id))
			for _, in := range x.inputs {
				switch {
				case !in.needsGrad():
				case p.grad[in.id] < 0 && x.layer.traits(x.inputShapes()).gradInPlace:
					p.grad[in.id] = p.grad[x.id]
				case p.grad[in.id] < 0:
					p.grad[in.id] = p.add(in.batch(n).Bytes(), back(x.id))
				default:
					if p.spare < 0 {
						p.spare = p.add(0, back(x.id))
					}
					s := p.storages[p.spare]
					s.size = max(s.size, in.batch(n).Bytes())
					p.use(p.spare, back(x.id))
				}
			}
		}
	}
	p.assign()
	return p
}

// needsGrad says whether anything before or at x has parameters.
func (x *Node) needsGrad() bool {
	if slices.ContainsFunc(x.params, ParamSpec.Trained) {
		return true
	}
	return slices.ContainsFunc(x.inputs, (*Node).needsGrad)
}

func (x *Node) batch(n int) ops.Shape {
	s := x.Shape
	s.N = n
	return s
}

func (g *Graph) consumers() []int {
	c := make([]int, len(g.nodes))
	for _, n := range g.nodes {
		for _, in := range n.inputs {
			c[in.id]++
		}
	}
	return c
}

func (p *plan) add(size uint64, at int) int {
	p.storages = append(p.storages, &storage{size: size, from: at, to: at})
	return len(p.storages) - 1
}

func (p *plan) use(s, at int) {
	x := p.storages[s]
	x.from, x.to = min(x.from, at), max(x.to, at)
}

// assign gives every storage a buffer, the largest storages first: each takes the first buffer that is free for its whole life.
func (p *plan) assign() {
	order := slices.Clone(p.storages)
	slices.SortStableFunc(order, func(a, b *storage) int { return cmp.Compare(b.size, a.size) })
	var users [][]*storage
	for _, s := range order {
		s.buffer = slices.IndexFunc(users, func(u []*storage) bool {
			return !slices.ContainsFunc(u, func(o *storage) bool { return s.from <= o.to && o.from <= s.to })
		})
		if s.buffer < 0 {
			s.buffer = len(users)
			users = append(users, nil)
			p.buffers = append(p.buffers, s.size)
		}
		users[s.buffer] = append(users[s.buffer], s)
	}
}

// bytes is the memory of all buffers of the plan.
func (p *plan) bytes() uint64 {
	var sum uint64
	for _, b := range p.buffers {
		sum += b
	}
	return sum
}
