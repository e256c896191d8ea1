package nn

import (
	"slices"

	"ninvk/ops"
)

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
		if p.consumers[in.id] == 1 && !slices.Contains(p.keep, in) && !(x.traits.overwrites && p.masks(in)) {
			p.alias[x.id] = in
		}
	}
}

// masks says whether a gradient goes through a ReLU by what lies at x's output: by x, or by a layer whose output x
// overwrites.
func (p *planner) masks(x *Node) bool {
	for ; x != nil; x = p.alias[x.id] {
		if x.traits.relu {
			return true
		}
	}
	return false
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

// backward plans the gradients: the losses write those of the ends; each node's backward writes those of its inputs,
// the last consumer first.
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
