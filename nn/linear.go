package nn

import (
	"fmt"

	"ninvk/ops"
)

// Linear says what a linear layer is like.
type Linear struct {
	Outputs      int
	ReLU         bool
	Weight, Bias Initialiser // nil: HeFanIn and zeros
}

// Linear is a linear layer on all values of an image, in the order of channels, rows and columns.
func (g *Graph) Linear(name string, x *Node, o Linear) *Node {
	s := x.Shape
	return g.add(name, linear{ops.Linear{In: s.C * s.H * s.W, M: o.Outputs, ReLU: o.ReLU}, o}, x)
}

type linear struct {
	operator ops.Linear
	options  Linear
}

func (l linear) out(in []ops.Shape) (ops.Shape, error) {
	if l.operator.M < 1 {
		return ops.Shape{}, fmt.Errorf("%d outputs", l.operator.M)
	}
	return l.operator.Out(in[0])
}

func (l linear) params([]ops.Shape) []ParamSpec {
	in, out := l.operator.In, l.operator.M
	return []ParamSpec{
		{Name: "weight", Shape: []int{out, in}, Role: Weight, Init: l.options.Weight.or(HeFanIn)(in, out)},
		{Name: "bias", Shape: []int{out}, Role: Bias, Init: l.options.Bias.or(Zero)(in, out)},
	}
}

func (l linear) traits([]ops.Shape) traits {
	o := l.operator
	return traits{needsInput: true, forParams: true, relu: o.ReLU, need: o.Need, cuts: true}
}

func (l linear) op() any                             { return l.operator }
func (linear) title() string                         { return "linear" }
func (l linear) multiplyAdds(in []ops.Shape) float64 { return l.operator.Flops(in[0]) / 2 }
func (l linear) visit(n *Node, v Visitor) error      { return v.Linear(n, l.operator) }

// each calls f with the operator, and where its parameters are, for every stretch of outputs whose parameters lie
// together.
func (l linear) each(r *recorder, b *bound, f func(o ops.Linear, from int, params []ops.Param,
	first bool) error) error {
	for i, p := range b.pieces {
		r.use(p.part)
		o := l.operator
		o.M = p.to - p.from
		if err := f(o, p.from, p.params, i == 0); err != nil {
			return err
		}
	}
	return nil
}

func (l linear) forward(r *recorder, b *bound, _ bool) error {
	return l.each(r, b, func(o ops.Linear, from int, params []ops.Param, _ bool) error {
		y := b.out.Range(from, o.M)
		r.pass(b, forwardPass, o.Flops(b.in[0].Shape), b.in[0], r.weight(params[0]), y)
		return o.Forward(r.Recorder, b.in[0], params[0], params[1], y)
	})
}

// backward computes the gradients of all weights before that of the input, which may take the input's place.
func (l linear) backward(r *recorder, b *bound) error {
	flops := func(o ops.Linear) float64 { return o.Flops(b.in[0].Shape) }
	err := l.each(r, b, func(o ops.Linear, from int, params []ops.Param, _ bool) error {
		dy := b.dOut.Range(from, o.M)
		weight := b.grad(params, 0)
		if weight.Len > 0 {
			r.pass(b, weightGradPass, flops(o), b.in[0], dy, r.weight(params[0]))
		} else {
			r.pass(b, weightGradPass, float64(dy.Elements()), dy)
		}
		return o.WeightGrad(r.Recorder, b.in[0], dy, nil, weight, b.grad(params, 1))
	})
	if err != nil || b.dIn[0].Buf == nil {
		return err
	}
	return l.each(r, b, func(o ops.Linear, from int, params []ops.Param, first bool) error {
		dy := b.dOut.Range(from, o.M)
		r.pass(b, inputGradPass, flops(o), dy, r.weight(params[0]), b.dIn[0])
		return o.InputGrad(r.Recorder, dy, params[0], b.dIn[0], !first)
	})
}
