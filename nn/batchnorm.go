package nn

import "ninvk/ops"

// BatchNorm says what a batch normalisation is like.
type BatchNorm struct {
	ReLU bool
	Eps  float64 // 0 is 1e-5
}

// BatchNorm is a batch normalisation of momentum 0.1.
func (g *Graph) BatchNorm(name string, x *Node, o BatchNorm) *Node {
	if o.Eps == 0 {
		o.Eps = 1e-5
	}
	return g.add(name, batchNorm{ops.BatchNorm{Eps: o.Eps, Momentum: 0.1, ReLU: o.ReLU}}, x)
}

type batchNorm struct{ operator ops.BatchNorm }

func (batchNorm) out(in []ops.Shape) (ops.Shape, error) { return in[0], nil }

func (batchNorm) params(in []ops.Shape) []ParamSpec {
	c := []int{in[0].C}
	one := Init{Constant: 1}
	return []ParamSpec{
		{Name: "weight", Shape: c, Role: Scale, Init: one}, {Name: "bias", Shape: c, Role: Bias},
		{Name: "running_mean", Shape: c, Role: RunningMean},
		{Name: "running_var", Shape: c, Role: RunningVariance, Init: one},
		{Name: "num_batches_tracked", Shape: []int{}, Role: BatchesTracked},
	}
}

func (l batchNorm) traits([]ops.Shape) traits {
	need := func(r *ops.Recorder, in ops.Shape, _ bool) (ops.Need, error) { return l.operator.Need(r, in), nil }
	return traits{
		centresGrad: true, needsInput: true, forParams: !l.operator.ReLU, gradAt: first, aux: l.operator.NormBytes,
		need: need, again: l.again, againInPlace: true,
	}
}

func (l batchNorm) op() any                          { return l.operator }
func (batchNorm) title() string                      { return "batch norm" }
func (batchNorm) multiplyAdds(_ []ops.Shape) float64 { return 0 }
func (l batchNorm) visit(n *Node, v Visitor) error   { return v.BatchNorm(n, l.operator) }

func (l batchNorm) where(r *recorder, b *bound) ops.BatchNormParams {
	p := b.params
	return ops.BatchNormParams{Weight: p[0], Bias: p[1], Mean: p[2], Variance: p[3], State: r.state, Norm: b.aux}
}

func (l batchNorm) forward(r *recorder, b *bound, train bool) error {
	train = train && !b.still // else it keeps its statistics, and normalises by them
	flops := 2.0
	touched := []ops.Tensor{b.in[0], b.out}
	if train { // the statistics need a pass of their own
		flops, touched = 8, append(touched, b.in[0])
	}
	r.pass(b, forwardPass, flops*float64(b.out.Elements()), touched...)
	return l.operator.Forward(r.Recorder, b.in[0], l.where(r, b), b.out, train)
}

// again normalises once more by the statistics of the forward pass.
func (l batchNorm) again(r *recorder, b *bound) error {
	r.pass(b, againPass, 2*float64(b.out.Elements()), b.in[0], b.out)
	return l.operator.Apply(r.Recorder, b.in[0], l.where(r, b), b.out)
}

func (l batchNorm) backward(r *recorder, b *bound) error {
	where, elements := l.where(r, b), float64(b.out.Elements())
	if b.still {
		r.pass(b, inputGradPass, 2*elements, b.dOut, b.dOut)
		return l.operator.RunningGrad(r.Recorder, b.in[0], where, b.dOut)
	}
	where.Weight, where.Bias = b.grad(b.params, 0), b.grad(b.params, 1)
	wantInput := b.dIn[0].Buf != nil
	if wantInput {
		r.pass(b, inputGradPass, 12*elements, b.in[0], b.dOut, b.in[0], b.dOut, b.dOut)
	} else {
		r.pass(b, weightGradPass, 6*elements, b.in[0], b.dOut)
	}
	return l.operator.Grad(r.Recorder, b.in[0], where, b.dOut, wantInput)
}
