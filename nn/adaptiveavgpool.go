package nn

import (
	"fmt"

	"ninvk/ops"
)

// AdaptiveAvgPool is average pooling to the given size, whatever that of the input. An input of that size already is
// returned as it is, without a layer.
func (g *Graph) AdaptiveAvgPool(name string, x *Node, o ops.AdaptiveAvgPool) *Node {
	if g.err == nil && x.Shape.H == o.H && x.Shape.W == o.W {
		return x
	}
	return g.add(name, adaptiveAvgPool{operator: o}, x)
}

type adaptiveAvgPool struct {
	plain
	operator ops.AdaptiveAvgPool
}

func (l adaptiveAvgPool) out(in []ops.Shape) (ops.Shape, error) { return l.operator.Out(in[0]) }
func (l adaptiveAvgPool) op() any                               { return l.operator }
func (l adaptiveAvgPool) title() string {
	return fmt.Sprintf("average pool to %d×%d", l.operator.H, l.operator.W)
}
func (l adaptiveAvgPool) visit(n *Node, v Visitor) error { return v.AdaptiveAvgPool(n, l.operator) }

func (l adaptiveAvgPool) forward(r *recorder, b *bound, _ bool) error {
	r.pass(b, forwardPass, float64(b.in[0].Elements()), b.in[0], b.out)
	return l.operator.Forward(r.Recorder, b.in[0], b.out)
}

func (l adaptiveAvgPool) backward(r *recorder, b *bound) error {
	if b.dIn[0].Buf == nil {
		return nil
	}
	r.pass(b, inputGradPass, float64(b.in[0].Elements()), b.dOut, b.dIn[0])
	return l.operator.Grad(r.Recorder, b.dOut, b.dIn[0])
}
