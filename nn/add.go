package nn

import (
	"fmt"

	"ninvk/ops"
)

// Add is the sum of nodes of one shape.
func (g *Graph) Add(name string, o ops.Add, x ...*Node) *Node {
	return g.add(name, add{operator: o}, x...)
}

type add struct {
	plain
	operator ops.Add
}

func (add) out(in []ops.Shape) (ops.Shape, error) {
	if len(in) == 0 {
		return ops.Shape{}, fmt.Errorf("a sum of nothing")
	}
	for _, s := range in[1:] {
		if s != in[0] {
			return s, fmt.Errorf("can't add activations of %d×%d×%d and %d×%d×%d", in[0].C, in[0].H, in[0].W, s.C, s.H, s.W)
		}
	}
	return in[0], nil
}

func (l add) traits([]ops.Shape) traits {
	return traits{inPlace: true, overwrites: true, gradAt: first, relu: l.operator.ReLU}
}
func (l add) op() any                        { return l.operator }
func (add) title() string                    { return "add" }
func (l add) visit(n *Node, v Visitor) error { return v.Add(n, l.operator) }

func (l add) forward(r *recorder, b *bound, _ bool) error {
	r.pass(b, forwardPass, float64((len(b.in)-1)*b.out.Elements()), append([]ops.Tensor{b.out}, b.in...)...)
	return l.operator.Forward(r.Recorder, b.out, b.in...)
}

// backward gives each input the output's gradient, of which that of the first is made.
func (l add) backward(r *recorder, b *bound) error {
	for _, d := range b.dIn {
		if d.Buf != nil && d != b.dOut {
			r.pass(b, inputGradPass, 0, b.dOut, d)
			r.copy(b.dOut, d)
		}
	}
	return nil
}
