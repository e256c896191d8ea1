package nn

import "ninvk/ops"

// Subsample takes every pixel at a distance and puts channels of zeros around: a shortcut without parameters (He et
// al., 2015, option A).
func (g *Graph) Subsample(name string, x *Node, o ops.Subsample) *Node {
	return g.add(name, subsample{operator: o}, x)
}

type subsample struct {
	plain
	operator ops.Subsample
}

func (l subsample) out(in []ops.Shape) (ops.Shape, error) { return l.operator.Out(in[0]) }
func (l subsample) op() any                               { return l.operator }
func (l subsample) title() string                         { return "subsample" }
func (l subsample) visit(n *Node, v Visitor) error        { return v.Subsample(n, l.operator) }

func (l subsample) forward(r *recorder, b *bound, _ bool) error {
	r.pass(b, forwardPass, 0, b.out, b.out)
	return l.operator.Forward(r.Recorder, b.in[0], b.out)
}

func (l subsample) backward(r *recorder, b *bound) error {
	if b.dIn[0].Buf == nil {
		return nil
	}
	r.pass(b, inputGradPass, 0, b.dOut, b.dIn[0])
	return l.operator.Grad(r.Recorder, b.dOut, b.dIn[0])
}
