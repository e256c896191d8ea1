package nn

import (
	"fmt"

	"ninvk/ops"
)

// AvgPool is average pooling; the divisor counts padding.
func (g *Graph) AvgPool(name string, x *Node, o ops.AvgPool) *Node {
	return g.add(name, avgPool{operator: o}, x)
}

type avgPool struct {
	plain
	operator ops.AvgPool
}

func (l avgPool) out(in []ops.Shape) (ops.Shape, error) { return l.operator.Out(in[0]) }
func (l avgPool) op() any                               { return l.operator }
func (l avgPool) title() string                         { return fmt.Sprintf("average pool %d×%[1]d", l.operator.K) }
func (l avgPool) visit(n *Node, v Visitor) error        { return v.AvgPool(n, l.operator) }

func (l avgPool) forward(r *recorder, b *bound, _ bool) error {
	r.pass(b, forwardPass, float64(l.operator.K*l.operator.K*b.out.Elements()), b.in[0], b.out)
	return l.operator.Forward(r.Recorder, b.in[0], b.out)
}

func (l avgPool) backward(r *recorder, b *bound) error {
	if b.dIn[0].Buf == nil {
		return nil
	}
	r.pass(b, inputGradPass, float64(l.operator.K*l.operator.K*b.out.Elements()), b.dOut, b.dIn[0])
	return l.operator.Grad(r.Recorder, b.dOut, b.dIn[0])
}
