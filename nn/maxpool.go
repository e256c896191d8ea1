package nn

import (
	"fmt"

	"ninvk/ops"
)

// MaxPool is max pooling.
func (g *Graph) MaxPool(name string, x *Node, o ops.MaxPool) *Node {
	return g.add(name, maxPool{operator: o}, x)
}

type maxPool struct {
	plain
	operator ops.MaxPool
}

func (l maxPool) out(in []ops.Shape) (ops.Shape, error) { return l.operator.Out(in[0]) }
func (l maxPool) traits([]ops.Shape) traits             { return traits{aux: l.operator.Places, marksReLU: true} }
func (l maxPool) op() any                               { return l.operator }
func (l maxPool) title() string                         { return fmt.Sprintf("max pool %d×%[1]d", l.operator.K) }
func (l maxPool) visit(n *Node, v Visitor) error        { return v.MaxPool(n, l.operator) }

func (l maxPool) forward(r *recorder, b *bound, _ bool) error {
	r.pass(b, forwardPass, float64(l.operator.K*l.operator.K*b.out.Elements()), b.in[0], b.out)
	o := l.operator
	o.AfterReLU = b.afterReLU
	return o.Forward(r.Recorder, b.in[0], b.out, b.aux)
}

func (l maxPool) backward(r *recorder, b *bound) error {
	if b.dIn[0].Buf == nil {
		return nil
	}
	r.pass(b, inputGradPass, float64(b.dIn[0].Elements()), b.dOut, b.dIn[0])
	return l.operator.Grad(r.Recorder, b.dOut, b.aux, b.dIn[0])
}
