package nn

import "ninvk/ops"

// ReLU is max(x, 0).
func (g *Graph) ReLU(name string, x *Node) *Node { return g.add(name, relu{}, x) }

// relu is a ReLU of its own, where it is not fused into the layer before.
type relu struct{ plain }

func (relu) out(in []ops.Shape) (ops.Shape, error) { return in[0], nil }
func (relu) traits([]ops.Shape) traits {
	return traits{inPlace: true, gradAt: first, relu: true}
}
func (relu) op() any                        { return ops.ReLU{} }
func (relu) title() string                  { return "relu" }
func (relu) visit(n *Node, v Visitor) error { return v.ReLU(n) }

func (relu) forward(r *recorder, b *bound, _ bool) error {
	r.pass(b, forwardPass, float64(b.out.Elements()), b.out, b.out)
	return ops.ReLU{}.Forward(r.Recorder, b.out)
}

// backward has nothing left to do to the gradient, which has gone through the ReLU.
func (relu) backward(*recorder, *bound) error { return nil }
