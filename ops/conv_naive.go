package ops

import (
	"ninvk/gpu"
	"ninvk/shaders"
)

// The naive variant: one output an invocation, everything read where it lies. It is the measure for the others.

func naiveForwardFits(l gpu.Limits, c ConvCall) error {
	return naiveFits(l, c.K, c.In.Shape, c.Out.Shape)
}

func naiveInputGradFits(l gpu.Limits, c ConvCall) error {
	return naiveFits(l, c.K, c.Out.Shape, c.In.Shape)
}

func naiveFits(l gpu.Limits, k int, in, out Shape) error {
	return firstError(
		atMost("workgroups", max(ceilDiv(out.Pixels(), 64), 4*out.Groups()), int(l.MaxComputeWorkgroupsPerDimension)),
		atMost("loop passes", naivePasses(in.C, k), MaxPasses),
		bindable(l, in, out),
	)
}

// naivePasses counts the passes of loops over channels, kernel rows and kernel columns.
func naivePasses(channels, k int) int { return channels * (1 + k*(1+k)) }

func naiveForward(r *Recorder, c ConvCall) error { return r.naive(forwardGemm(c)) }

func naiveInputGrad(r *Recorder, c ConvCall) error { return r.naive(inputGradGemm(c)) }

func (r *Recorder) naive(c gemm) error {
	l := r.Dev.Limits()
	kernel := gpu.Kernel{Name: c.name + " naive", Source: shaders.Source("conv_naive", nil),
		Bindings: []gpu.Kind{gpu.Params, gpu.Read, gpu.Read, gpu.Write}}
	inputs := c.x.spans(l, 1)
	for i, in := range inputs {
		last := i == len(inputs)-1
		end := min(c.x.C, 4*in.to)
		for _, out := range c.y.spans(l, 1) {
			params := shaders.ConvNaiveParams{
				OutPixels: c.y.Pixels(), OutPlane: c.y.Plane(), OutW: c.y.W, OutH: c.y.H,
				OutGroup0: out.from, OutGroups: out.to, M: c.y.C, C0: 4 * in.from, C1: end,
				InPlane: c.x.Plane(), InW: c.x.W, InH: c.x.H,
				Accumulate: i > 0, Bias0: c.bias.Offset, HasBias: last && c.bias.Len > 0,
				K: int32(c.k), WeightPlace: c.weights, Slope: c.slopeOf(last),
				Stride: int32(c.stride), Pad: int32(c.pad), Dilate: int32(c.dilate),
				Chain: max(1, shaders.LongestChain/(c.k*c.k)),
			}
			if err := r.dispatch(kernel, naivePasses(end-4*in.from, c.k), params, ceilDiv(c.y.Pixels(), 64),
				4*(out.to-out.from), 1, gpu.All(r.Weights), c.x.slice(in), c.y.slice(out)); err != nil {
				return err
			}
			r.spend(2 * naiveSlowness * float64((end-4*in.from)*c.k*c.k) * float64(4*(out.to-out.from)) * float64(c.y.Pixels()))
		}
	}
	return nil
}

// naiveSlowness is how much longer the naive kernels take than others for the same arithmetic, by which a submit of
// theirs is cut shorter.
const naiveSlowness = 20

// naiveStretch is the number of pixels that one invocation of the weight gradient adds up, and the number of stretches.
func naiveStretch(c ConvCall) (stretch, parts int) {
	pixels := c.Out.Pixels()
	parts = max(ceilDiv(pixels, MaxPasses), min(ceilDiv(pixels, 256), 16, int(PartialBytes/convGradBytes(c, 1))))
	stretch = ceilDiv(pixels, parts)
	return stretch, ceilDiv(pixels, stretch)
}

func naiveWeightFits(l gpu.Limits, c ConvCall) error {
	_, parts := naiveStretch(c)
	return firstError(
		atMost("workgroups", max(c.M, ceilDiv(4*c.K*c.K*c.In.Groups(), 64)), int(l.MaxComputeWorkgroupsPerDimension)),
		atMost("bytes of partial sums", int(convGradBytes(c, parts)), int(l.MaxStorageBufferBindingSize)),
		bindable(l, c.In.Shape, c.Out.Shape),
	)
}

func naiveWeightNeed(_ gpu.Limits, c ConvCall) Need {
	_, parts := naiveStretch(c)
	return Need{Partial: max(convGradBytes(c, parts), reduceBytes(c.Out.Shape))}
}

func naiveWeightGrad(r *Recorder, c ConvCall) error {
	if c.Bias.Len > 0 {
		if err := BiasGrad(r, c.Out, c.Bias); err != nil {
			return err
		}
	}
	l := r.Dev.Limits()
	kernel := gpu.Kernel{Name: "conv weight gradient naive", Source: shaders.Source("conv_grad_naive", nil),
		Bindings: []gpu.Kind{gpu.Params, gpu.Read, gpu.Read, gpu.Write}}
	stretch, _ := naiveStretch(c.planned(r))
	x, dy := c.In, c.Out
	parts := ceilDiv(dy.Pixels(), stretch)
	for _, in := range x.spans(l, 1) {
		lanes := 4 * (in.to - in.from) * c.K * c.K
		for _, out := range dy.spans(l, 1) {
			end := min(c.M, 4*out.to)
			params := shaders.ConvGradNaiveParams{
				OutPixels: dy.Pixels(), OutPlane: dy.Plane(), OutW: dy.W, OutH: dy.H,
				M0: 4 * out.from, M1: end, M: c.M, Stretch: stretch,
				InPlane: x.Plane(), InW: x.W, InH: x.H, InGroup0: in.from, Span: in.to - in.from, Groups: x.Groups(),
				K: c.K, Stride: int32(c.Stride), Pad: int32(c.Pad),
			}
			if err := r.dispatch(kernel, stretch, params, ceilDiv(lanes, 64), end-4*out.from, parts,
				dy.slice(out), x.slice(in), gpu.Slice{Buffer: r.Partial, Size: convGradBytes(c, parts)}); err != nil {
				return err
			}
			r.spend(2 * naiveSlowness * float64(lanes) * float64(end-4*out.from) * float64(dy.Pixels()))
		}
	}
	return convGradSum(r, c, parts, false)
}
