package ops

import (
	"fmt"

	"ninvk/gpu"
	"ninvk/shaders"
)

// Conv is a convolution: kernel K×K, stride and zero padding the same in both directions, dilation and groups 1,
// optional ReLU. Weights are OIHW [M][C][K][K], the bias [M].
type Conv struct {
	C      int  `json:"in_channels"`
	M      int  `json:"out_channels"`
	K      int  `json:"kernel"`
	Stride int  `json:"stride"`
	Pad    int  `json:"padding"`
	ReLU   bool `json:"relu"`
}

// pointwise says whether a pixel of the output needs just the same pixel of the input.
func (c Conv) pointwise() bool { return c.K == 1 && c.Stride == 1 && c.Pad == 0 }

// Out is the output shape for input x, or an error that says why there is none.
func (c Conv) Out(x Shape) (Shape, error) {
	if x.C != c.C {
		return Shape{}, fmt.Errorf("the convolution takes %d channels, its input has %d", c.C, x.C)
	}
	h, err := windows(x, c.K, c.Stride, c.Pad)
	if err != nil {
		return Shape{}, err
	}
	return Shape{x.N, c.M, h.H, h.W}, nil
}

// windows is the output size of a sliding window of side k.
func windows(x Shape, k, stride, pad int) (Shape, error) {
	if k < 1 || stride < 1 || pad < 0 {
		return Shape{}, fmt.Errorf("kernel %d, stride %d, padding %d: kernel and stride must be at least 1, padding at "+
			"least 0", k, stride, pad)
	}
	if x.H+2*pad < k || x.W+2*pad < k {
		return Shape{}, fmt.Errorf("a %d×%d kernel does not fit an image of %d×%d with padding %d", k, k, x.H, x.W, pad)
	}
	return Shape{x.N, x.C, (x.H+2*pad-k)/stride + 1, (x.W+2*pad-k)/stride + 1}, nil
}

// Flops counts the multiplications and additions of one pass (forward, input gradient or weight gradient) for input x.
func (c Conv) Flops(x Shape) float64 {
	y, err := c.Out(x)
	if err != nil {
		return 0
	}
	return 2 * float64(y.Elements()) * float64(c.C*c.K*c.K)
}

// Passes names the passes.
func (Conv) Passes() (forward, inputGrad, weightGrad Pass) {
	return ConvForward, ConvInputGrad, ConvWeightGrad
}

// Forward records y = conv(x) + bias, then ReLU where c has it.
func (c Conv) Forward(r *Recorder, x Tensor, weight, bias Param, y Tensor) error {
	return convVariants.record(r, ConvForward, ConvCall{Conv: c, In: x, Out: y, Weight: weight, Bias: bias})
}

// InputGrad records dx from dy. Where the convolution has a ReLU, dy must already be masked by it. A mask, the input
// where that is the output of a ReLU, makes dx 0 where it is 0; it is for variants that do so (see MasksInputGrad),
// otherwise nil.
func (c Conv) InputGrad(r *Recorder, dy Tensor, weight Param, dx Tensor, mask *Tensor) error {
	return convVariants.record(r, ConvInputGrad, ConvCall{Conv: c, In: dx, Out: dy, Weight: weight, Mask: mask})
}

// MasksInputGrad says whether the variant chosen for the input gradient can mask dx by the ReLU before on its way.
func (c Conv) MasksInputGrad(r *Recorder, x Shape) bool {
	call, err := c.call(x)
	if err != nil {
		return false
	}
	v, err := convVariants.choose(r, ConvInputGrad, call)
	return err == nil && v.Masks
}

// WeightGrad records the gradients of weight and bias, of those whose length is not 0, from the input x and the
// output's gradient dy; x is read for that of the weight alone. Where the convolution has a ReLU and dy is not masked
// yet, y is its output and dy is masked in place; otherwise y is nil.
func (c Conv) WeightGrad(r *Recorder, x, dy Tensor, y *Tensor, weight, bias Param) error {
	if y != nil {
		if err := (ReLU{}).Grad(r, *y, dy); err != nil {
			return err
		}
	}
	switch {
	case weight.Len > 0:
		return convVariants.record(r, ConvWeightGrad, ConvCall{Conv: c, In: x, Out: dy, Weight: weight, Bias: bias})
	case bias.Len > 0:
		return BiasGrad(r, dy, bias)
	}
	return nil
}

// Need is the memory that recording the passes for input x takes from r, which needs neither tape nor buffers for that:
// forward alone, or in training all of them.
func (c Conv) Need(r *Recorder, x Shape, train bool) (Need, error) {
	call, err := c.call(x)
	if err != nil {
		return Need{}, err
	}
	passes := []Pass{ConvForward}
	if train {
		passes = append(passes, ConvInputGrad, ConvWeightGrad)
	}
	need, err := convVariants.need(r, call, passes...)
	if train {
		need = need.Max(Need{Partial: reduceBytes(call.Out.Shape)}) // of the bias's gradient alone
	}
	return need, err
}

// Offers are the variants that can record a pass for input x with a bias; masked says that it is an input gradient that
// a ReLU masks.
func (c Conv) Offers(p Pass, x Shape, masked bool) []Offer {
	call, _ := c.call(x)
	if masked {
		call.Mask = &call.In
	}
	return convVariants.offers(p, call)
}

// call is a pass for input x without its buffers.
func (c Conv) call(x Shape) (ConvCall, error) {
	y, err := c.Out(x)
	return ConvCall{Conv: c, In: Tensor{Shape: x}, Out: Tensor{Shape: y}, Bias: Param{Len: c.M}}, err
}

// gemm is a convolution in the general form that forward pass and input gradient share: y[m] = Σ w·x.
type gemm struct {
	name                   string
	x, y                   Tensor
	k, stride, pad, dilate int
	weights                shaders.WeightPlace
	matrix                 *gpu.Slice // that holds the weights, or nil where they are parameters
	bias                   Param
	slope                  float32 // of the negative half: 1 none, 0 ReLU
	turned                 bool
	mask                   *Tensor
}

func forwardGemm(c ConvCall) gemm {
	kk := int32(c.K * c.K)
	g := gemm{
		name: "conv", x: c.In, y: c.Out, k: c.K, stride: c.Stride, pad: c.Pad, dilate: 1,
		weights: shaders.WeightPlace{W0: int32(c.Weight.Offset), WM: int32(c.C) * kk, WC: kk, WT: 1},
		bias:    c.Bias, slope: 1,
	}
	if c.ReLU {
		g.slope = 0
	}
	return g
}

// inputGradGemm is the convolution of dy, spread by the stride, with the turned and transposed weights.
func inputGradGemm(c ConvCall) gemm {
	kk := int32(c.K * c.K)
	return gemm{
		name: "conv input gradient", x: c.Out, y: c.In, k: c.K, stride: 1, pad: c.K - 1 - c.Pad, dilate: c.Stride,
		weights: shaders.WeightPlace{W0: int32(c.Weight.Offset) + kk - 1, WM: kk, WC: int32(c.C) * kk, WT: -1},
		slope:   1, turned: true, mask: c.Mask,
	}
}

// weightsOf is the memory that holds the weights.
func (r *Recorder) weightsOf(c gemm) gpu.Slice {
	if c.matrix != nil {
		return *c.matrix
	}
	return gpu.All(r.Weights)
}

// plannedGemm is c for the network's largest batch.
func (r *Recorder) plannedGemm(c gemm) gemm {
	c.x.Shape, c.y.Shape = r.planned(c.x.Shape), r.planned(c.y.Shape)
	return c
}

// slopeOf is the slope of a kernel that adds part of the sum: the activation comes with the last part.
func (c gemm) slopeOf(last bool) float32 {
	if last {
		return c.slope
	}
	return 1
}

// pointwise is Conv.pointwise for both directions.
func (c gemm) pointwise() bool { return c.k == 1 && c.stride == 1 && c.pad == 0 && c.dilate == 1 }

// convGradSum records the second pass of a weight gradient, which the tiled and the naive variant share: it adds parts
// partial results in r.Partial in order. Each is M × lanes vectors of four input channels, a lane being tap·groups +
// group; with bias they are followed by the parts of the bias, a vector for four outputs each.
func convGradSum(r *Recorder, c ConvCall, parts int, bias bool) error {
	k := gpu.Kernel{Name: "conv weight gradient sum", Source: shaders.Source("conv_grad_sum", nil),
		Bindings: []gpu.Kind{gpu.Params, gpu.Read, gpu.Write}}
	lanes := c.K * c.K * c.In.Groups()
	vectors, biasGroups := c.M*lanes, 0
	if bias {
		biasGroups = c.Out.Groups()
	}
	return r.dispatchEach(k, parts, shaders.ConvGradSumParams{
		M: c.M, Lanes: lanes, Groups: c.In.Groups(), C: c.C, Taps: c.K * c.K, Parts: parts,
		Out0: c.Weight.Offset, Bias0: c.Bias.Offset, BiasGroups: biasGroups,
	}, vectors+biasGroups, gpu.Slice{Buffer: r.Partial, Size: convGradBytes(c, parts)}, gpu.All(r.Grads))
}

// convGradBytes is the size of parts partial weight and bias gradients.
func convGradBytes(c ConvCall, parts int) uint64 {
	return uint64(parts) * 16 * uint64(c.M*c.K*c.K*c.In.Groups()+c.Out.Groups())
}
