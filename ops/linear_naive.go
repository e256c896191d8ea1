package ops

import (
	"ninvk/gpu"
	"ninvk/shaders"
)

// The naive variant of a linear layer: one value an invocation, everything read where it lies. It is the measure for
// the others.

// naiveLinearFits holds for all passes: an invocation each for four channels of a pixel, or for a weight.
func naiveLinearFits(l gpu.Limits, c LinearCall) error {
	return firstError(
		atMost("workgroups", max(4*c.Out.Groups(), 4*c.In.Groups(), ceilDiv(max(c.In.Pixels(), c.Linear.In), 64)),
			int(l.MaxComputeWorkgroupsPerDimension)),
		atMost("images", c.Out.N, MaxPasses),
		bindable(l, c.In.Shape, c.Out.Shape),
	)
}

func naiveLinearKernel(pass Pass) gpu.Kernel {
	return gpu.Kernel{
		Name: string(pass) + " naive", Source: shaders.Source("linear_naive", map[string]any{"Pass": string(pass)}),
		Bindings: []gpu.Kind{gpu.Params, gpu.Read, gpu.Read, gpu.Write},
	}
}

// inputs are the values of an image that lie in the channel groups of s.
func (c LinearCall) inputs(s span) (from, to int) {
	pixels := c.In.H * c.In.W
	return 4 * s.from * pixels, min(4*s.to, c.In.C) * pixels
}

// naiveParams are the values that the three kernels share: those from k0 to k1 of an image and the outputs from m0 to
// m1.
func (c LinearCall) naiveParams(in, out span, k0, k1, m0, m1 int) shaders.LinearNaiveParams {
	return shaders.LinearNaiveParams{
		Images: c.In.N, Pixels: c.In.H * c.In.W, InPlane: c.In.Plane(), OutPlane: c.Out.Plane(),
		InGroup0: in.from, OutGroup0: out.from, K0: k0, K1: k1, M0: m0, M1: m1, C: c.In.C, M: c.M,
		W0: c.Weight.Offset, Row: c.Linear.In, Longest: shaders.LongestChain,
	}
}

// naiveLinear adds up MaxPasses products at a time.
func naiveLinear(r *Recorder, c LinearCall) error {
	l := r.Dev.Limits()
	k := naiveLinearKernel(LinearForward)
	for _, out := range c.Out.spans(l, 1) {
		for _, in := range c.In.spans(l, 1) {
			from, to := c.inputs(in)
			for k0 := from; k0 < to; k0 += MaxPasses {
				k1 := min(to, k0+MaxPasses)
				last := k1 == c.Linear.In
				rows := 4 * (out.to - out.from)
				params := c.naiveParams(in, out, k0, k1, 4*out.from, c.M)
				params.Accumulate, params.Slope = k0 > 0, 1
				if last {
					params.HasBias, params.Bias0, params.Slope = c.Bias.Len > 0, c.Bias.Offset, c.slope()
				}
				if err := r.dispatch(k, k1-k0, params, ceilDiv(c.Out.N, 64), rows, 1,
					gpu.All(r.Weights), c.In.slice(in), c.Out.slice(out)); err != nil {
					return err
				}
				r.spend(2 * naiveSlowness * float64(k1-k0) * float64(rows*c.Out.N))
			}
		}
	}
	return nil
}

// naiveLinearInputGrad adds up MaxPasses products at a time.
func naiveLinearInputGrad(r *Recorder, c LinearCall) error {
	l := r.Dev.Limits()
	k := naiveLinearKernel(LinearInputGrad)
	for _, in := range c.In.spans(l, 1) {
		for _, out := range c.Out.spans(l, 1) {
			for m0 := 4 * out.from; m0 < min(4*out.to, c.M); m0 += MaxPasses {
				m1 := min(4*out.to, c.M, m0+MaxPasses)
				params := c.naiveParams(in, out, 0, c.Linear.In, m0, m1)
				params.Accumulate = m0 > 0 || c.Accumulate
				rows := 4 * (in.to - in.from)
				if err := r.dispatch(k, m1-m0, params, ceilDiv(c.In.Pixels(), 64), rows, 1,
					gpu.All(r.Weights), c.Out.slice(out), c.In.slice(in)); err != nil {
					return err
				}
				r.spend(2 * naiveSlowness * float64(m1-m0) * float64(rows*c.In.Pixels()))
			}
		}
	}
	return nil
}

func naiveLinearWeightGrad(r *Recorder, c LinearCall) error {
	l := r.Dev.Limits()
	k := naiveLinearKernel(LinearWeightGrad)
	for _, in := range c.In.spans(l, 1) {
		from, to := c.inputs(in)
		for _, out := range c.Out.spans(l, 1) {
			rows := min(4*out.to, c.M) - 4*out.from
			if err := r.dispatch(k, c.In.N, c.naiveParams(in, out, from, to, 4*out.from, c.M), ceilDiv(to-from, 64), rows, 1,
				c.Out.slice(out), c.In.slice(in), gpu.All(r.Grads)); err != nil {
				return err
			}
			r.spend(2 * naiveSlowness * float64(to-from) * float64(rows*c.In.N))
		}
	}
	return nil
}
