package nn

import "ninvk/ops"

// GlobalAvgPool is the mean of each channel over the image.
func (g *Graph) GlobalAvgPool(name string, x *Node) *Node { return g.add(name, globalAvgPool{}, x) }

type globalAvgPool struct{ plain }

func (globalAvgPool) out(in []ops.Shape) (ops.Shape, error) { return ops.GlobalAvgPool{}.Out(in[0]) }
func (globalAvgPool) op() any                               { return ops.GlobalAvgPool{} }
func (globalAvgPool) title() string                         { return "global average pool" }
func (globalAvgPool) visit(n *Node, v Visitor) error        { return v.GlobalAvgPool(n) }

func (globalAvgPool) forward(r *recorder, b *bound, _ bool) error {
	r.pass(b, forwardPass, float64(b.in[0].Elements()), b.in[0], b.out)
	return ops.GlobalAvgPool{}.Forward(r.Recorder, b.in[0], b.out)
}

func (globalAvgPool) backward(r *recorder, b *bound) error {
	if b.dIn[0].Buf == nil {
		return nil
	}
	r.pass(b, inputGradPass, float64(b.in[0].Elements()), b.dOut, b.dIn[0])
	return ops.GlobalAvgPool{}.Grad(r.Recorder, b.dOut, b.dIn[0])
}
