package ops

import (
	"errors"
	"slices"

	"ninvk/gpu"
)

// The variant linear-straight, for 1×1 kernels of stride 1 on few pixels: the straight kernels of a linear layer, whose
// images the pixels are. Those of convolutions have invocations for hundreds of pixels, whether there are so many or
// not.

// linearPixels is the most pixels for which it is offered: beyond, weights are read anew too often.
const linearPixels = 64

// linear is the call as one of a linear layer.
func (c ConvCall) linear() LinearCall {
	pixels := func(t Tensor) Tensor {
		t.Shape = Shape{t.Pixels(), t.C, 1, 1}
		return t
	}
	return LinearCall{
		Linear: Linear{In: c.C, M: c.M, ReLU: c.ReLU},
		In:     pixels(c.In), Out: pixels(c.Out), Weight: c.Weight, Bias: c.Bias,
	}
}

func convLinearFits(l gpu.Limits, c ConvCall) error {
	if !c.pointwise() {
		return errors.New("it is for kernels of 1×1 pixels, stride 1, without padding")
	}
	if err := atMost("pixels", c.In.Pixels(), linearPixels); err != nil {
		return err
	}
	return straightLinearFits(l, c.linear())
}

// convLinear is the variant of a pass that is recorded as one of a linear layer, by the straight variant of that.
func convLinear(p Pass) Variant[ConvCall] {
	straight := linearVariants[p][slices.Index(linearVariants.names(p), "straight")]
	return Variant[ConvCall]{
		Name: "linear-straight", Fits: convLinearFits,
		Need: func(l gpu.Limits, c ConvCall) Need { return straight.Need(l, c.linear()) },
		Record: func(r *Recorder, c ConvCall) error {
			batch := r.Batch
			defer func() { r.Batch = batch }()
			r.Batch *= c.In.H * c.In.W
			call := c.linear()
			if p == LinearWeightGrad && call.Bias.Len > 0 {
				if err := call.biasGrad(r, call.Out, call.Bias); err != nil {
					return err
				}
			}
			return straight.Record(r, call)
		},
	}
}
