package ops

import (
	"fmt"

	"ninvk/gpu"
	"ninvk/shaders"
)

// Linear is a fully connected layer with optional ReLU: y[n][m] = Σ w[m][k]·x[n][k] + b[m]. The input is flattened as
// in PyTorch: k = (c·H + h)·W + w. Weights are row-major [M][In], the bias [M].
type Linear struct {
	In   int  `json:"in_features"`
	M    int  `json:"out_features"`
	ReLU bool `json:"relu"`
}

// Out is the output shape for input x, N×M×1×1, or an error that says why there is none.
func (o Linear) Out(x Shape) (Shape, error) {
	if n := x.C * x.H * x.W; n != o.In {
		return Shape{}, fmt.Errorf("the linear layer takes %d values an image, its input has %d (%d×%d×%d)",
			o.In, n, x.C, x.H, x.W)
	}
	if o.M < 1 {
		return Shape{}, fmt.Errorf("a linear layer with %d outputs; at least 1 is needed", o.M)
	}
	return Shape{x.N, o.M, 1, 1}, nil
}

// Flops counts the multiplications and additions of one pass (forward, input gradient or weight gradient) for input x.
func (o Linear) Flops(x Shape) float64 { return 2 * float64(x.N) * float64(o.In) * float64(o.M) }

// Passes names the passes.
func (Linear) Passes() (forward, inputGrad, weightGrad Pass) {
	return LinearForward, LinearInputGrad, LinearWeightGrad
}

// Forward records y = x·weightᵀ + bias, then ReLU where o has it. A bias of length 0 is none.
func (o Linear) Forward(r *Recorder, x Tensor, weight, bias Param, y Tensor) error {
	return linearVariants.record(r, LinearForward, LinearCall{Linear: o, In: x, Out: y, Weight: weight, Bias: bias})
}

// InputGrad records dx = dy·weight, or with accumulate the addition of that to dx. Where the layer has a ReLU, dy must
// already be masked by it.
func (o Linear) InputGrad(r *Recorder, dy Tensor, weight Param, dx Tensor, accumulate bool) error {
	c := LinearCall{Linear: o, In: dx, Out: dy, Weight: weight, Accumulate: accumulate}
	return linearVariants.record(r, LinearInputGrad, c)
}

// WeightGrad records the gradients of weight and bias, of those whose length is not 0, from the input x and the
// output's gradient dy; x is read for that of the weight alone. Where the layer has a ReLU and dy is not masked yet, y
// is its output and dy is masked in place; otherwise y is nil.
func (o Linear) WeightGrad(r *Recorder, x, dy Tensor, y *Tensor, weight, bias Param) error {
	if y != nil {
		if err := (ReLU{}).Grad(r, *y, dy); err != nil {
			return err
		}
	}
	if bias.Len > 0 {
		if err := o.biasGrad(r, dy, bias); err != nil {
			return err
		}
	}
	if weight.Len == 0 {
		return nil
	}
	return linearVariants.record(r, LinearWeightGrad, LinearCall{Linear: o, In: x, Out: dy, Weight: weight})
}

// biasGrad records the gradient of the bias.
func (o Linear) biasGrad(r *Recorder, dy Tensor, bias Param) error {
	k := gpu.Kernel{
		Name: "linear bias gradient", Source: shaders.Source("linear_bias", nil),
		Bindings: []gpu.Kind{gpu.Params, gpu.Read, gpu.Write},
	}
	for _, s := range dy.spans(r.Dev.Limits(), 1) {
		groups := s.to - s.from
		params := shaders.LinearBiasParams{
			Images: dy.N, Plane: dy.Plane(), Groups: groups, Outputs: o.M, Bias0: bias.Offset, First: 4 * s.from,
		}
		if err := r.dispatch(k, dy.N+ceilDiv(dy.N, 16), params, ceilDiv(groups, 64), 1, 1,
			dy.slice(s), gpu.All(r.Grads)); err != nil {
			return err
		}
	}
	return nil
}

// Need is the memory that recording the passes for input x takes from r: forward alone, or in training all of them.
func (o Linear) Need(r *Recorder, x Shape, train bool) (Need, error) {
	call, err := o.call(x)
	if err != nil {
		return Need{}, err
	}
	if !train {
		return linearVariants.need(r, call, LinearForward)
	}
	return linearVariants.need(r, call, LinearForward, LinearInputGrad, LinearWeightGrad)
}

// Offers are the variants that can record a pass for input x.
func (o Linear) Offers(p Pass, x Shape) []Offer {
	call, _ := o.call(x)
	return linearVariants.offers(p, call)
}

// call is a pass for input x without its buffers.
func (o Linear) call(x Shape) (LinearCall, error) {
	y, err := o.Out(x)
	return LinearCall{Linear: o, In: Tensor{Shape: x}, Out: Tensor{Shape: y}}, err
}

// slope is that of the negative half of the output: 1 none, 0 ReLU.
func (o Linear) slope() float32 {
	if o.ReLU {
		return 0
	}
	return 1
}

// linearPartBytes is the most memory of partial sums that are added up together.
const linearPartBytes = 16 << 20

// matrix is a pass as the product that forward pass and input gradient share: out[o][n] = Σ weight[o][i] · in[i][n].
type matrix struct {
	name    string
	in, out Tensor
	c       LinearCall
	turned  bool
}

func (c LinearCall) forward() matrix { return matrix{"linear", c.In, c.Out, c, false} }
func (c LinearCall) inputGrad() matrix {
	return matrix{"linear input gradient", c.Out, c.In, c, true}
}

// flat is the shape of a flattened activation.
func (s Shape) flat() Shape { return Shape{s.N, s.C * s.H * s.W, 1, 1} }

// aligned says whether all rows of weights begin where vectors do.
func (c LinearCall) aligned() bool { return c.Linear.In%4 == 0 && c.Weight.Offset%4 == 0 }

// partBytes is the size of the partial sums of one part.
func partBytes(out Shape) uint64 { return 16 * uint64(out.Groups()) * uint64(out.N) }

// parts is how many parts of so many terms there are, and how many are added up together.
func (m matrix) parts(l gpu.Limits, terms int) (parts, together int) {
	parts = ceilDiv(m.in.flat().C, terms)
	most := min(linearPartBytes, int(l.MaxStorageBufferBindingSize))
	return parts, max(1, min(parts, most/int(partBytes(m.out.flat()))))
}

// partialBytes is the most memory of parts that are added up together, for this batch or a smaller one, and for some of
// the outputs.
func (m matrix) partialBytes(l gpu.Limits, terms int) uint64 {
	parts, _ := m.parts(l, terms)
	one := partBytes(m.out.flat())
	return max(one, min(uint64(parts)*one, linearPartBytes, l.MaxStorageBufferBindingSize))
}

// unfoldedFlat is what flattening takes of Recorder.Unfolded: nothing where an image is flat.
func unfoldedFlat(s Shape) uint64 {
	if s.H*s.W == 1 {
		return 0
	}
	return s.flat().Bytes()
}

// flatFits says whether the flattened input, the output and a part of the sums of either can be bound and dispatched.
func (c LinearCall) flatFits(l gpu.Limits) error {
	most := int(l.MaxStorageBufferBindingSize)
	in, out := c.In.flat(), c.Out.Shape
	return firstError(
		atMost("bytes of a flattened activation", int(in.Bytes()), most),
		atMost("bytes of the output", int(out.Bytes()), most),
		atMost("bytes of partial sums", int(max(partBytes(in), partBytes(out))), min(most, PartialBytes)),
		atMost("workgroups", max(in.Groups(), out.Groups()), int(l.MaxComputeWorkgroupsPerDimension)),
		bindable(l, c.In.Shape, c.Out.Shape),
	)
}

// flatten records that x is flattened, and says where that lies.
func (r *Recorder) flatten(x Tensor) (gpu.Slice, error) {
	if x.H*x.W == 1 {
		return x.All(), nil
	}
	flat := x.flat()
	to := gpu.Slice{Buffer: r.Unfolded, Size: flat.Bytes()}
	k := gpu.Kernel{
		Name: "flatten", Source: shaders.Source("linear_flatten", nil), Bindings: []gpu.Kind{gpu.Params, gpu.Read, gpu.Write},
	}
	for _, s := range x.spans(r.Dev.Limits(), 1) {
		k0, k1 := 4*s.from*x.H*x.W, min(4*s.to, x.C)*x.H*x.W
		params := shaders.LinearFlattenParams{
			Images: x.N, Pixels: x.H * x.W, Plane: x.Plane(), Group0: s.from, K0: k0, K1: k1, ToPlane: flat.Plane(),
		}
		if err := r.dispatch(k, 4, params, ceilDiv(x.N, 64), ceilDiv(k1-k0, 4), 1, x.slice(s), to); err != nil {
			return to, err
		}
	}
	return to, nil
}

// inParts records a product in parts of so many terms: what record records, n parts from the one numbered first on, and
// their sum, which reads them from the scratch texture where fetched.
func (r *Recorder) inParts(m matrix, terms int, fetched bool, record func(first, n int, sums gpu.Slice) error) error {
	parts, together := m.parts(r.Dev.Limits(), terms)
	for first := 0; first < parts; first += together {
		n := min(together, parts-first)
		sums := gpu.Slice{Buffer: r.Partial, Size: uint64(n) * partBytes(m.out.flat())}
		if err := record(first, n, sums); err != nil {
			return err
		}
		if err := r.linearSum(m, sums, fetched, n, first > 0, first+n == parts); err != nil {
			return err
		}
	}
	return nil
}

// linearSum records the addition of parts to each other, and to what was added up before.
func (r *Recorder) linearSum(m matrix, sums gpu.Slice, fetched bool, parts int, before, last bool) error {
	y, slope := m.out, float32(1)
	if last && !m.turned {
		slope = m.c.slope()
	}
	flat := y.H*y.W == 1
	k := gpu.Kernel{
		Name: m.name + " sum", Source: shaders.Source("linear_sum", map[string]any{"Flat": flat, "Fetched": fetched}),
		Bindings: []gpu.Kind{gpu.Params, gpu.Read, gpu.Read, gpu.Write},
	}
	var from any = sums
	var divisor shaders.RowDivisor
	if fetched {
		k.Bindings[1], from = gpu.TextureF32, r.Scratch.tex
		divisor = r.fetchTexels(sums)
	}
	for _, s := range y.spans(r.Dev.Limits(), 1) {
		params := shaders.LinearSumParams{
			Images: y.N, Pixels: y.H * y.W, Plane: y.Plane(), Group0: s.from, End: s.to, Channels: y.C,
			Groups: y.flat().Groups(), Parts: parts, Accumulate: before || m.c.Accumulate, HasBias: last && m.c.Bias.Len > 0,
			Bias0: m.c.Bias.Offset, Slope: slope, RowDivisor: divisor,
		}
		wide, high := ceilDiv(y.Pixels(), 64), s.to-s.from
		if flat {
			wide, high = ceilDiv(s.to-s.from, 64), y.N
		}
		if err := r.dispatch(k, parts+ceilDiv(parts, 16), params, wide, high, 1,
			from, gpu.All(r.Weights), y.slice(s)); err != nil {
			return err
		}
	}
	return nil
}
