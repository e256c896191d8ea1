package nn

import (
	"fmt"

	"ninvk/ops"
)

// Dropout drops elements with probability p while training.
func (g *Graph) Dropout(name string, x *Node, p float64) *Node {
	return g.add(name, dropout{operator: ops.Dropout{P: p, Layer: uint32(len(g.nodes))}}, x)
}

type dropout struct {
	plain
	operator ops.Dropout
}

func (l dropout) out(in []ops.Shape) (ops.Shape, error) {
	if p := l.operator.P; p < 0 || p >= 1 {
		return in[0], fmt.Errorf("dropout probability %v is not in [0, 1)", p)
	}
	return in[0], nil
}
func (dropout) traits([]ops.Shape) traits        { return traits{inPlace: true, gradAt: first} }
func (l dropout) op() any                        { return l.operator }
func (dropout) title() string                    { return "dropout" }
func (l dropout) visit(n *Node, v Visitor) error { return v.Dropout(n, l.operator) }

func (l dropout) forward(r *recorder, b *bound, train bool) error {
	if !train || l.operator.P == 0 {
		return nil
	}
	r.pass(b, forwardPass, float64(b.out.Elements()), b.out, b.out)
	return l.operator.Apply(r.Recorder, r.step, b.out)
}

func (l dropout) backward(r *recorder, b *bound) error {
	if l.operator.P == 0 {
		return nil
	}
	r.pass(b, inputGradPass, float64(b.dOut.Elements()), b.dOut, b.dOut)
	return l.operator.Apply(r.Recorder, r.step, b.dOut)
}
