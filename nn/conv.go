package nn

import (
	"fmt"

	"ninvk/ops"
)

// Conv says what a convolution is like: kernel Kernel×Kernel, the same stride and zero padding in both directions.
type Conv struct {
	Channels, Kernel, Stride, Pad int // of the output; a stride of 0 is one of 1
	ReLU                          bool
	NoBias                        bool
	Weight, Bias                  Initialiser // nil: HeFanIn and zeros
}

// Conv is a convolution.
func (g *Graph) Conv(name string, x *Node, o Conv) *Node {
	op := ops.Conv{C: x.Shape.C, M: o.Channels, K: o.Kernel, Stride: max(o.Stride, 1), Pad: o.Pad, ReLU: o.ReLU}
	return g.add(name, conv{op, o}, x)
}

type conv struct {
	operator ops.Conv
	options  Conv
}

func (l conv) out(in []ops.Shape) (ops.Shape, error) {
	if l.operator.M < 1 {
		return ops.Shape{}, fmt.Errorf("%d output channels", l.operator.M)
	}
	return l.operator.Out(in[0])
}

func (l conv) params([]ops.Shape) []ParamSpec {
	o := l.operator
	fanIn, fanOut := o.C*o.K*o.K, o.M*o.K*o.K
	weight := ParamSpec{Name: "weight", Shape: []int{o.M, o.C, o.K, o.K}, Role: Weight,
		Init: l.options.Weight.or(HeFanIn)(fanIn, fanOut)}
	if l.options.NoBias {
		return []ParamSpec{weight}
	}
	bias := ParamSpec{Name: "bias", Shape: []int{o.M}, Role: Bias, Init: l.options.Bias.or(Zero)(fanIn, fanOut)}
	return []ParamSpec{weight, bias}
}

func (l conv) traits([]ops.Shape) traits {
	o := l.operator
	return traits{
		needsInput: true, forParams: true, relu: o.ReLU, need: o.Need, masksInput: o.MasksInputGrad, again: l.again,
	}
}

func (l conv) op() any       { return l.operator }
func (l conv) title() string { return fmt.Sprintf("conv %d×%[1]d", l.operator.K) }

func (l conv) multiplyAdds(in []ops.Shape) float64 { return l.operator.Flops(in[0]) / 2 }

func (l conv) visit(n *Node, v Visitor) error { return v.Conv(n, l.operator) }

func (l conv) forward(r *recorder, b *bound, _ bool) error { return l.compute(r, b, forwardPass) }

func (l conv) again(r *recorder, b *bound) error { return l.compute(r, b, againPass) }

func (l conv) compute(r *recorder, b *bound, pass string) error {
	r.pass(b, pass, l.operator.Flops(b.in[0].Shape), b.in[0], r.weight(b.params[0]), b.out)
	var bias ops.Param // of length 0 without one
	if !l.options.NoBias {
		bias = b.params[1]
	}
	return l.operator.Forward(r.Recorder, b.in[0], b.params[0], bias, b.out)
}

func (l conv) backward(r *recorder, b *bound) error {
	flops := l.operator.Flops(b.in[0].Shape)
	weight, bias := b.grad(b.params, 0), ops.Param{}
	if !l.options.NoBias && !(b.centred && !l.operator.ReLU) { // else the bias's is 0, as gradients are from the start
		bias = b.grad(b.params, 1)
	}
	if weight.Len > 0 {
		r.pass(b, weightGradPass, flops, b.in[0], b.dOut, r.weight(b.params[0]))
	} else {
		r.pass(b, weightGradPass, float64(b.out.Elements()), b.dOut)
	}
	if err := l.operator.WeightGrad(r.Recorder, b.in[0], b.dOut, nil, weight, bias); err != nil {
		return err
	}
	if b.dIn[0].Buf == nil {
		return nil
	}
	var x *ops.Tensor
	if b.masksInput {
		x = &b.in[0]
	}
	r.pass(b, inputGradPass, flops, b.dOut, r.weight(b.params[0]), b.dIn[0])
	return l.operator.InputGrad(r.Recorder, b.dOut, b.params[0], b.dIn[0], x)
}
