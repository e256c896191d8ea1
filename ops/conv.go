package ops

import (
	"fmt"

	"ninvk/gpu"
	"ninvk/shaders"
)

// Conv is a convolution: kernel K×K, stride and zero padding the same in both directions, dilation and groups 1, optional ReLU.
// Weights are OIHW [M][C][K][K], the bias [M].
type Conv struct {
	C, M, K, Stride, Pad int
	ReLU                 bool
}

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
		return Shape{}, fmt.Errorf("kernel %d, stride %d, padding %d: kernel and stride must be at least 1, padding at least 0", k, stride, pad)
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

// Forward records y = conv(x) + bias, then ReLU where c has it.
func (c Conv) Forward(r *Recorder, x Tensor, weight, bias Param, y Tensor) error {
	slope := float32(1)
	if c.ReLU {
		slope = 0
	}
	kk := c.K * c.K
	return convolve(r, convCall{
		x: x, y: y, k: c.K, stride: c.Stride, pad: c.Pad, dilate: 1,
		w0: weight.Offset, wm: c.C * kk, wc: kk, wt: 1, bias: bias.Offset, hasBias: bias.Len > 0, slope: slope,
	})
}

// InputGrad records dx from dy: the convolution of dy, spread by the stride, with the turned and transposed weights.
// Where the convolution has a ReLU, dy must already be masked by it.
func (c Conv) InputGrad(r *Recorder, dy Tensor, weight Param, dx Tensor) error {
	kk := c.K * c.K
	return convolve(r, convCall{
		x: dy, y: dx, k: c.K, stride: 1, pad: c.K - 1 - c.Pad, dilate: c.Stride,
		w0: weight.Offset + kk - 1, wm: kk, wc: c.C * kk, wt: -1, slope: 1,
	})
}

// convCall is a convolution in the general form that both directions share: weight of output m, input channel c and tap t at
// w0 + m·wm + c·wc + t·wt.
type convCall struct {
	x, y                   Tensor
	k, stride, pad, dilate int
	w0, wm, wc, wt         int
	bias                   int
	hasBias                bool
	slope                  float32 // of the negative half: 1 none, 0 ReLU
}

// budget is the number of multiply-adds in one straight-line kernel: more reuse of each fetched texel against the time to compile.
const budget = 8192

// convTile picks the tile for a call.
func convTile(r *Recorder, c convCall) shaders.ConvTile {
	l := r.Dev.Limits()
	c.y.Shape = r.planned(c.y.Shape)
	t := shaders.ConvTile{KX: c.k, Stride: c.stride, Dilated: c.dilate > 1, TP: 1}
	t.Pointwise = c.k == 1 && c.stride == 1 && c.pad == 0 && c.dilate == 1
	t.R = min(32, 4*c.y.Groups())
	if !t.Pointwise && c.y.W > 1 && c.k > 1 && c.stride == 1 {
		t.TP = 2
		t.R = min(16, 4*c.y.Groups())
	}
	t.TM = 8 / t.TP
	for t.R%t.TM != 0 {
		t.TM -= 4
	}
	staged := int(l.MaxComputeWorkgroupStorageSize)/4 - t.R
	most := min(staged, budget/t.TP) / t.R // weights of one output channel in a chunk
	t.KY = 1
	t.CH = c.x.C
	if c.x.C*c.k*c.k <= most {
		t.KY = c.k
	} else {
		if groups := max(1, most/(4*c.k)); groups < c.x.Groups() {
			t.CH = 4 * ceilDiv(c.x.Groups(), ceilDiv(c.x.Groups(), groups))
		}
		t.KY = max(1, min(c.k, most/(t.CH*c.k)))
		t.KY = ceilDiv(c.k, ceilDiv(c.k, t.KY))
	}
	t.Accumulate = t.CH < c.x.C || t.KY < c.k
	// Wide workgroups spread the staging over many invocations, but every core needs some workgroups.
	t.WG = min(1024, int(l.MaxComputeInvocationsPerWorkgroup), int(l.MaxComputeWorkgroupSizeX))
	for t.WG > 64 && ceilDiv(c.blocks(t), t.WG)*ceilDiv(c.y.C, t.R) < 8 {
		t.WG /= 2
	}
	return t
}

// blocks is the number of invocations: one for every TP neighbouring output pixels of a row.
func (c convCall) blocks(t shaders.ConvTile) int {
	if t.Pointwise {
		return ceilDiv(c.y.Pixels(), t.TP)
	}
	return c.y.N * c.y.H * ceilDiv(c.y.W, t.TP)
}

func convolve(r *Recorder, c convCall) error {
	l := r.Dev.Limits()
	t := convTile(r, c)
	k := gpu.Kernel{
		Name:     fmt.Sprintf("conv %d×%d r%d p%d c%d×%d", c.k, c.k, t.R, t.TP, t.CH, t.KY),
		Source:   t.Source(),
		Bindings: []gpu.Kind{gpu.Params, gpu.Read, gpu.TextureF32, gpu.Write},
	}
	r.stage(c.x)
	first := true
	for c0 := 0; c0 < c.x.C; c0 += t.CH {
		for ky := 0; ky < c.k; ky += t.KY {
			last := c0+t.CH >= c.x.C && ky+t.KY >= c.k
			slope := float32(1)
			if last {
				slope = c.slope
			}
			for _, s := range c.y.spans(l, t.R/4) {
				params := []uint32{
					uint32(c.blocks(t)), uint32(ceilDiv(c.y.W, t.TP)), uint32(c.y.W), uint32(c.y.H),
					uint32(c.y.Plane()), uint32(c.y.Pixels()), uint32(s.from), uint32(s.to),
					uint32(c.x.Plane()), uint32(c.x.W), uint32(c.x.H), r.Scratch.zero(),
					uint32(c.y.C), uint32(4 * s.from), uint32(c.x.C), uint32(c0),
					uint32(c.k * c.k), uint32(ky * c.k), uint32(ky), flag(!first),
					uint32(int32(c.w0)), uint32(int32(c.wm)), uint32(int32(c.wc)), uint32(int32(c.wt)),
					uint32(c.bias), flag(last && c.hasBias), bits(slope), uint32(c.stride),
					uint32(int32(c.pad)), uint32(c.dilate),
				}
				if err := r.dispatch(k, ceilDiv(t.Staged(), t.WG)+2, params, ceilDiv(c.blocks(t), t.WG), ceilDiv(4*(s.to-s.from), t.R), 1,
					gpu.All(r.Weights), r.Scratch.tex, c.y.slice(s)); err != nil {
					return err
				}
				r.spend(2 * float64(t.MulAdds()/t.TP) * float64(ceilDiv(4*(s.to-s.from), t.R)*c.y.Pixels()))
			}
			first = false
		}
	}
	return nil
}

// convGradTile picks the tile of the weight gradient from few choices, so that layers share pipelines: adding a chunk to the partial results costs as
// much as the products of about 100 pixels, and more channels than 16 would take too long to compile with that many pixels.
func convGradTile(l gpu.Limits, c Conv, x, y Shape) shaders.ConvGradTile {
	t := shaders.ConvGradTile{TM: 4, Q: 128, R: 16, Pointwise: c.K == 1 && c.Stride == 1 && c.Pad == 0}
	for t.R > 4 && t.R/2 >= c.M {
		t.R /= 2
	}
	if y.Pixels() <= 32 {
		t.Q = 32
	}
	// Every workgroup stages the same gradients, which takes about as long as the arithmetic of stagingLanes.
	const stagingLanes = 10
	most := min(int(l.MaxComputeInvocationsPerWorkgroup), int(l.MaxComputeWorkgroupSizeX))
	lanes := c.K * c.K * x.Groups()
	best := 0
	for _, wg := range []int{8, 16, 32, 48, 96, 216} {
		if cost := ceilDiv(lanes, wg) * (wg + stagingLanes); wg <= most && (best == 0 || cost < best) {
			t.WG, best = wg, cost
		}
	}
	return t
}

// WeightGrad records the weight's gradient from the input x and the output's gradient dy (masked by the ReLU where there is one). That of the bias is BiasGrad.
func (c Conv) WeightGrad(r *Recorder, x, dy Tensor, weight Param) error {
	l := r.Dev.Limits()
	t := convGradTile(l, c, x.Shape, r.planned(dy.Shape))
	k := gpu.Kernel{
		Name:     fmt.Sprintf("conv weight gradient r%d q%d wg%d", t.R, t.Q, t.WG),
		Source:   t.Source(),
		Bindings: []gpu.Kind{gpu.Params, gpu.Read, gpu.TextureF32, gpu.Write},
	}
	lanes := c.K * c.K * x.Groups()
	one := c.M * lanes * 16 // bytes of one partial result
	chunks := ceilDiv(dy.Pixels(), t.Q)
	parts := max(1, min(chunks, 16, PartialBytes/4/one))
	if uint64(one*parts) > r.Partial.Size {
		return fmt.Errorf("the weight gradient of %d×%d×%d×%d needs %d bytes for partial sums, %d are planned", c.M, c.C, c.K, c.K, one*parts, r.Partial.Size)
	}
	r.stage(x)
	r.Tape.Clear(r.Partial, 0, uint64(one*parts))
	for chunk := 0; chunk < chunks; chunk += parts {
		for _, s := range dy.spans(l, t.R/4) {
			params := []uint32{
				uint32(dy.Plane()), uint32(dy.Pixels()), uint32(dy.W), uint32(dy.H),
				uint32(x.Plane()), uint32(x.W), uint32(x.H), r.Scratch.zero(),
				uint32(x.Groups()), uint32(lanes), uint32(c.M), uint32(4 * s.from),
				uint32(s.from), uint32(chunk), uint32(c.Stride), uint32(c.Pad), uint32(s.to), uint32(c.K),
			}
			if err := r.dispatch(k, ceilDiv(t.R*t.Q/4, t.WG)+ceilDiv(t.Q, t.WG), params, ceilDiv(lanes, t.WG), ceilDiv(4*(s.to-s.from), t.R), min(parts, chunks-chunk),
				dy.slice(s), r.Scratch.tex, gpu.Slice{Buffer: r.Partial, Size: uint64(one * parts)}); err != nil {
				return err
			}
			r.spend(8 * float64(lanes) * float64(4*(s.to-s.from)) * float64(t.Q*min(parts, chunks-chunk)))
		}
	}
	sum := gpu.Kernel{Name: "conv weight gradient sum", Source: shaders.Source("conv_grad_sum", nil), Bindings: []gpu.Kind{gpu.Params, gpu.Read, gpu.Write}}
	wgs := ceilDiv(c.M*lanes, 64)
	return r.dispatch(sum, parts, []uint32{uint32(c.M), uint32(lanes), uint32(x.Groups()), uint32(c.C), uint32(c.K * c.K), uint32(parts), uint32(weight.Offset)},
		min(wgs, 65535), ceilDiv(wgs, 65535), 1, gpu.Slice{Buffer: r.Partial, Size: uint64(one * parts)}, gpu.All(r.Grads))
}
