package nn

import (
	"fmt"

	"ninvk/ops"
)

// plain gives a layer without parameters and memory its defaults.
type plain struct{}

func (plain) params([]ops.Shape) []ParamSpec { return nil }
func (plain) traits([]ops.Shape) traits      { return traits{} }

// input is the batch of images that augmentation writes.
type input struct{ shape ops.Shape }

func (l input) out([]ops.Shape) (ops.Shape, error) {
	if l.shape.C < 1 || l.shape.H < 1 || l.shape.W < 1 {
		return l.shape, fmt.Errorf("impossible image size %d×%d×%d", l.shape.C, l.shape.H, l.shape.W)
	}
	return l.shape, nil
}
func (input) params([]ops.Shape) []ParamSpec        { return nil }
func (input) traits([]ops.Shape) traits             { return traits{} }
func (input) forward(*recorder, *bound, bool) error { return nil }
func (input) backward(*recorder, *bound) error      { return nil }

// conv is a convolution with bias.
type conv struct{ op ops.Conv }

func (l conv) out(in []ops.Shape) (ops.Shape, error) {
	if l.op.M < 1 {
		return ops.Shape{}, fmt.Errorf("%d output channels", l.op.M)
	}
	return l.op.Out(in[0])
}

func (l conv) params([]ops.Shape) []ParamSpec {
	return []ParamSpec{
		{Name: "weight", Shape: []int{l.op.M, l.op.C, l.op.K, l.op.K}, Role: Weight, FanIn: l.op.C * l.op.K * l.op.K},
		{Name: "bias", Shape: []int{l.op.M}, Role: Bias},
	}
}

func (l conv) operator() string { return fmt.Sprintf("conv %d×%d", l.op.K, l.op.K) }

func (l conv) traits([]ops.Shape) traits {
	return traits{needsInput: true, needsOutput: l.op.ReLU, relu: l.op.ReLU, need: l.op.Need, masksInput: l.op.MasksInputGrad}
}

func (l conv) forward(r *recorder, b *bound, _ bool) error {
	r.pass(b, l.operator(), forwardPass, l.op.Flops(b.in[0].Shape), b.in[0], r.weight(b.params[0]), b.out)
	return l.op.Forward(r.Recorder, b.in[0], b.params[0], b.params[1], b.out)
}

func (l conv) backward(r *recorder, b *bound) error {
	flops := l.op.Flops(b.in[0].Shape)
	var y *ops.Tensor
	if l.op.ReLU && !b.masked {
		y = &b.out
	}
	r.pass(b, l.operator(), weightGradPass, flops, b.in[0], b.dOut, r.weight(b.params[0]))
	bias := b.params[1]
	if b.centred && !l.op.ReLU {
		bias = ops.Param{} // its gradient is zero, as the buffer of gradients is from the start
	}
	if err := l.op.WeightGrad(r.Recorder, b.in[0], b.dOut, y, b.params[0], bias); err != nil {
		return err
	}
	if b.dIn[0].Buf == nil {
		return nil
	}
	var x *ops.Tensor
	if b.masksInput {
		x = &b.in[0]
	}
	r.pass(b, l.operator(), inputGradPass, flops, b.dOut, r.weight(b.params[0]), b.dIn[0])
	return l.op.InputGrad(r.Recorder, b.dOut, b.params[0], b.dIn[0], x)
}

// batchNorm is a batch normalisation.
type batchNorm struct{ op ops.BatchNorm }

func (batchNorm) out(in []ops.Shape) (ops.Shape, error) { return in[0], nil }

func (batchNorm) params(in []ops.Shape) []ParamSpec {
	c := []int{in[0].C}
	return []ParamSpec{
		{Name: "weight", Shape: c, Role: Scale}, {Name: "bias", Shape: c, Role: Bias},
		{Name: "running_mean", Shape: c, Role: RunningMean}, {Name: "running_var", Shape: c, Role: RunningVariance},
		{Name: "num_batches_tracked", Shape: []int{}, Role: BatchesTracked},
	}
}

func (l batchNorm) traits(in []ops.Shape) traits {
	need := func(r *ops.Recorder, in ops.Shape, _ bool) (ops.Need, error) { return l.op.Need(r, in), nil }
	return traits{gradInPlace: true, centresGrad: true, needsInput: true, aux: l.op.NormBytes, need: need}
}

func (l batchNorm) where(r *recorder, b *bound) ops.BatchNormParams {
	return ops.BatchNormParams{Weight: b.params[0], Bias: b.params[1], Mean: b.params[2], Variance: b.params[3], State: r.state, Norm: b.aux}
}

func (l batchNorm) forward(r *recorder, b *bound, train bool) error {
	flops := 2.0
	touched := []ops.Tensor{b.in[0], b.out}
	if train { // the statistics need a pass of their own
		flops, touched = 8, append(touched, b.in[0])
	}
	r.pass(b, "batch norm", forwardPass, flops*float64(b.out.Elements()), touched...)
	return l.op.Forward(r.Recorder, b.in[0], l.where(r, b), b.out, train)
}

func (l batchNorm) backward(r *recorder, b *bound) error {
	r.pass(b, "batch norm", inputGradPass, 12*float64(b.out.Elements()), b.in[0], b.dOut, b.in[0], b.dOut, b.dOut)
	return l.op.Grad(r.Recorder, b.in[0], l.where(r, b), b.dOut)
}

// relu is a ReLU of its own, where it is not fused into the layer before.
type relu struct{ plain }

func (relu) out(in []ops.Shape) (ops.Shape, error) { return in[0], nil }
func (relu) traits([]ops.Shape) traits {
	return traits{inPlace: true, gradInPlace: true, needsOutput: true}
}
func (relu) forward(r *recorder, b *bound, _ bool) error {
	r.pass(b, "relu", forwardPass, float64(b.out.Elements()), b.out, b.out)
	return ops.ReLU{}.Forward(r.Recorder, b.out)
}
func (relu) backward(r *recorder, b *bound) error {
	r.pass(b, "relu", inputGradPass, float64(b.out.Elements()), b.out, b.dOut, b.dOut)
	return ops.ReLU{}.Grad(r.Recorder, b.out, b.dOut)
}

// maxPool is max pooling.
type maxPool struct{ op ops.MaxPool }

func (maxPool) params([]ops.Shape) []ParamSpec          { return nil }
func (l maxPool) out(in []ops.Shape) (ops.Shape, error) { return l.op.Out(in[0]) }
func (l maxPool) traits(in []ops.Shape) traits          { return traits{aux: l.op.Places, marksReLU: true} }
func (l maxPool) forward(r *recorder, b *bound, _ bool) error {
	r.pass(b, "max pool", forwardPass, float64(l.op.K*l.op.K*b.out.Elements()), b.in[0], b.out)
	op := l.op
	op.AfterReLU = b.afterReLU
	return op.Forward(r.Recorder, b.in[0], b.out, b.aux)
}
func (l maxPool) backward(r *recorder, b *bound) error {
	if b.dIn[0].Buf == nil {
		return nil
	}
	r.pass(b, "max pool", inputGradPass, float64(b.dIn[0].Elements()), b.dOut, b.dIn[0])
	return l.op.Grad(r.Recorder, b.dOut, b.aux, b.dIn[0])
}

// avgPool is average pooling.
type avgPool struct {
	plain
	op ops.AvgPool
}

func (l avgPool) out(in []ops.Shape) (ops.Shape, error) { return l.op.Out(in[0]) }
func (l avgPool) forward(r *recorder, b *bound, _ bool) error {
	r.pass(b, "average pool", forwardPass, float64(l.op.K*l.op.K*b.out.Elements()), b.in[0], b.out)
	return l.op.Forward(r.Recorder, b.in[0], b.out)
}
func (l avgPool) backward(r *recorder, b *bound) error {
	if b.dIn[0].Buf == nil {
		return nil
	}
	r.pass(b, "average pool", inputGradPass, float64(l.op.K*l.op.K*b.out.Elements()), b.dOut, b.dIn[0])
	return l.op.Grad(r.Recorder, b.dOut, b.dIn[0])
}

// globalAvgPool is the mean over the image.
type globalAvgPool struct{ plain }

func (globalAvgPool) out(in []ops.Shape) (ops.Shape, error) { return ops.GlobalAvgPool{}.Out(in[0]) }
func (globalAvgPool) forward(r *recorder, b *bound, _ bool) error {
	r.pass(b, "global average pool", forwardPass, float64(b.in[0].Elements()), b.in[0], b.out)
	return ops.GlobalAvgPool{}.Forward(r.Recorder, b.in[0], b.out)
}
func (globalAvgPool) backward(r *recorder, b *bound) error {
	if b.dIn[0].Buf == nil {
		return nil
	}
	r.pass(b, "global average pool", inputGradPass, float64(b.in[0].Elements()), b.dOut, b.dIn[0])
	return ops.GlobalAvgPool{}.Grad(r.Recorder, b.dOut, b.dIn[0])
}

// dropout drops elements while training.
type dropout struct{ op ops.Dropout }

func (dropout) params([]ops.Shape) []ParamSpec { return nil }
func (l dropout) out(in []ops.Shape) (ops.Shape, error) {
	if l.op.P < 0 || l.op.P >= 1 {
		return in[0], fmt.Errorf("dropout probability %v is not in [0, 1)", l.op.P)
	}
	return in[0], nil
}
func (dropout) traits([]ops.Shape) traits { return traits{inPlace: true, gradInPlace: true} }
func (l dropout) forward(r *recorder, b *bound, train bool) error {
	if !train || l.op.P == 0 {
		return nil
	}
	r.pass(b, "dropout", forwardPass, float64(b.out.Elements()), b.out, b.out)
	return l.op.Apply(r.Recorder, r.step, b.out)
}
func (l dropout) backward(r *recorder, b *bound) error {
	if l.op.P == 0 {
		return nil
	}
	r.pass(b, "dropout", inputGradPass, float64(b.dOut.Elements()), b.dOut, b.dOut)
	return l.op.Apply(r.Recorder, r.step, b.dOut)
}

// add is the sum of two activations: the first is copied, the second added.
type add struct{ plain }

func (add) out(in []ops.Shape) (ops.Shape, error) {
	if in[0] != in[1] {
		return in[0], fmt.Errorf("can't add activations of %d×%d×%d and %d×%d×%d", in[0].C, in[0].H, in[0].W, in[1].C, in[1].H, in[1].W)
	}
	return in[0], nil
}
func (add) forward(r *recorder, b *bound, _ bool) error {
	r.pass(b, "add", forwardPass, float64(b.out.Elements()), b.in[0], b.in[1], b.out)
	r.Tape.Copy(b.in[0].Buf, 0, b.out.Buf, 0, b.out.Bytes())
	return ops.Add{}.Accumulate(r.Recorder, b.in[1], b.out)
}
func (add) backward(r *recorder, b *bound) error {
	r.pass(b, "add", inputGradPass, 0, append([]ops.Tensor{b.dOut}, b.dIn...)...)
	for _, d := range b.dIn {
		if d.Buf != nil {
			r.Tape.Copy(b.dOut.Buf, 0, d.Buf, 0, d.Bytes())
		}
	}
	return nil
}
