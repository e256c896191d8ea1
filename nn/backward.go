package nn

import (
	"fmt"

	"ninvk/ops"
)

// backward records a backward pass, from the losses to the first layer that learns.
type backward struct {
	*recorder
	b       int
	written map[*Node]bool // whose output's gradient is there, or what some of its readers give to it
	masked  map[*Node]bool // gradients that have gone through the ReLU
	centred map[*Node]bool // see bound.centred
}

// recordBackward records the backward pass, and tells of each node when its is recorded, or there is none.
func (n *Net) recordBackward(r *recorder, b int, recorded func(*Node)) error {
	p := backward{r, b, map[*Node]bool{}, map[*Node]bool{}, map[*Node]bool{}}
	for _, x := range n.ends() {
		p.written[x] = true
	}
	for i := len(n.Graph.nodes) - 1; i >= 0; i-- {
		if x := n.Graph.nodes[i]; p.written[x] && n.learning.reached[x.id] {
			if err := p.node(x); err != nil {
				return err
			}
		}
		recorded(n.Graph.nodes[i])
	}
	return nil
}

// node records the backward pass of a node, whose output's gradient is there.
func (p *backward) node(x *Node) error {
	n := p.net
	w := n.bind(x, p.b)
	w.centred = p.centred[x]
	if n.learning.masks(x) && !p.masked[x] {
		if err := p.mask(x, w); err != nil {
			return err
		}
	}
	if n.learning.readsInputs(x) {
		for i, in := range x.inputs {
			var err error
			if w.in[i], err = p.reading(x, weighing, in); err != nil {
				return err
			}
		}
	}
	addends := p.aim(x, w)
	if len(w.pieces) > 0 {
		p.use(w.pieces[0].part)
	}
	if err := x.layer.backward(p.recorder, w); err != nil {
		return fmt.Errorf("layer %s, backward: %w", x.Name, err)
	}
	for _, a := range addends {
		if err := p.add(w, a); err != nil {
			return err
		}
	}
	return nil
}

// mask takes the gradient of a node's output through the node's ReLU.
func (p *backward) mask(x *Node, w *bound) error {
	out, err := p.reading(x, masking, x)
	if err != nil {
		return err
	}
	p.pass(w, inputGradPass, float64(w.dOut.Elements()), out, w.dOut, w.dOut)
	if err := (ops.ReLU{}).Grad(p.Recorder, out, w.dOut); err != nil {
		return fmt.Errorf("layer %s, backward: %w", x.Name, err)
	}
	return nil
}

// addend is a gradient that is added to what other readers of the same activation have given.
type addend struct{ from, to ops.Tensor }

// aim says where the gradients of a node's inputs go, and what is to be added up then.
func (p *backward) aim(x *Node, w *bound) []addend {
	n, t := p.net, x.traits
	var addends []addend
	for i, in := range x.inputs {
		if !n.learning.reached[in.id] {
			continue
		}
		grad := n.tensor(in, n.plan.grad[in.id], p.b)
		w.dIn[i] = grad
		if p.written[in] {
			spare := n.spare(in.batch(p.b))
			if t.gradAt != nil {
				if channel, ok := t.gradAt(i); ok {
					spare = w.dOut.Range(channel, in.Shape.C)
				}
			}
			w.dIn[i] = spare
			addends = append(addends, addend{spare, grad})
		}
		p.written[in] = true
		p.centred[in] = n.consumers[in.id] == 1 && t.centresGrad && !w.still
		w.masksInput = w.afterReLU && (t.marksReLU || t.masksInput != nil && !n.plan.remade[in.id] &&
			t.masksInput(p.Recorder, in.batch(p.b)))
		p.masked[in] = w.masksInput
	}
	return addends
}

func (p *backward) add(w *bound, a addend) error {
	p.begin(Phase{Layer: w.layer, Operator: "add", Pass: inputGradPass, Shape: a.to.Shape.String(),
		Flops: float64(a.to.Elements())}, a.from, a.to, a.to)
	if a.from.Buf == a.to.Buf { // one dispatch can't read and write one buffer
		spare := p.net.spare(a.to.Shape)
		p.copy(a.from, spare)
		a.from = spare
	}
	return ops.Add{}.Accumulate(p.Recorder, a.from, a.to)
}

// reading is the output of y as a phase of the backward pass of x reads it. What is not kept is recorded once more.
func (p *backward) reading(x *Node, f phase, y *Node) (ops.Tensor, error) {
	n := p.net
	if !n.plan.remade[y.id] {
		return n.tensor(y, n.plan.act[y.id], p.b), nil
	}
	made := f
	if f == weighing {
		made = remaking
	}
	in, err := p.reading(x, made, y.inputs[0])
	if err != nil {
		return in, err
	}
	w := n.bind(y, p.b)
	w.in[0] = in
	w.out = n.tensor(y, n.plan.again[reading{y.id, back(len(n.Graph.nodes), x.id, f)}], p.b)
	p.use(w.pieces[0].part)
	if err := y.traits.again(p.recorder, w); err != nil {
		return w.out, fmt.Errorf("layer %s, once more: %w", y.Name, err)
	}
	return w.out, nil
}
