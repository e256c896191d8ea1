package ops

import (
	"ninvk/gpu"
	"ninvk/shaders"
)

// reduceKernel is the first pass of a per-channel sum (see reduce.wgsl for the modes).
func reduceKernel(mode string, relu, fetched bool) gpu.Kernel {
	bindings := map[string][]gpu.Kind{
		"sum":     {gpu.Params, gpu.Write, gpu.Read},
		"relu":    {gpu.Params, gpu.Write, gpu.Write, gpu.Read},
		"moments": {gpu.Params, gpu.Write, gpu.Read},
		"grad":    {gpu.Params, gpu.Write, gpu.Read, gpu.Read, gpu.Read},
	}
	if fetched {
		bindings["moments"] = []gpu.Kind{gpu.Params, gpu.Write, gpu.TextureF32}
		bindings["grad"] = []gpu.Kind{gpu.Params, gpu.Write, gpu.Read, gpu.TextureF32, gpu.Read}
	}
	return gpu.Kernel{Name: "reduce " + mode, Source: shaders.Source("reduce", map[string]any{"Mode": mode, "ReLU": relu, "Fetched": fetched}), Bindings: bindings[mode]}
}

// reduceRuns is the number of pixels a workgroup sums, 16 an invocation or more, and of the runs that makes: enough workgroups for all cores of an adapter, and so
// few that adding up the invocations' sums does not count.
func reduceRuns(s Shape) (run, runs int) {
	run = 1024
	for ceilDiv(s.Pixels(), run) > mostRuns(s) {
		run *= 2
	}
	return run, ceilDiv(s.Pixels(), run)
}

// mostRuns is the bound on the runs of each channel group.
func mostRuns(s Shape) int { return min(256, max(32, 512/s.Groups())) }

// reduceBytes is the partial sums' size for an activation of shape s, or of a smaller batch.
func reduceBytes(s Shape) uint64 {
	return uint64(32 * s.Groups() * min(mostRuns(s), ceilDiv(s.Pixels(), 1024)))
}

// reduce records the first pass over t, which lies at texels (see fetch) or, where that is nil, in the resources: into r.Partial, two vec4s for every channel group and run. It returns the number of runs and the part of
// r.Partial that holds them.
func (r *Recorder) reduce(k gpu.Kernel, t Tensor, texels []uint32, resources func(span) []any) (runs int, part gpu.Slice, err error) {
	run, runs := reduceRuns(t.Shape)
	part = gpu.Slice{Buffer: r.Partial, Size: uint64(32 * runs * t.Groups())}
	for _, s := range t.spans(r.Dev.Limits(), 1) {
		params := append([]uint32{uint32(t.Pixels()), uint32(t.Plane()), uint32(run), uint32(runs), uint32(s.from)}, texels...)
		if err := r.dispatch(k, run/64+16, params, runs, s.to-s.from, 1, append([]any{part}, resources(s)...)...); err != nil {
			return 0, part, err
		}
	}
	return runs, part, nil
}

// BiasGrad records the gradient of a bias, the sum of dy over all pixels. Where the layer ends in a ReLU, y is its output: dy is masked in place on
// the way, which spares a pass; otherwise y is nil.
func BiasGrad(r *Recorder, dy Tensor, y *Tensor, bias Param) error {
	k := reduceKernel("sum", false, false)
	if y != nil {
		k = reduceKernel("relu", false, false)
	}
	runs, part, err := r.reduce(k, dy, nil, func(s span) []any {
		if y != nil {
			return []any{dy.slice(s), y.slice(s)}
		}
		return []any{dy.slice(s)}
	})
	if err != nil {
		return err
	}
	second := gpu.Kernel{Name: "bias gradient", Source: shaders.Source("bias", nil), Bindings: []gpu.Kind{gpu.Params, gpu.Read, gpu.Write}}
	return r.dispatch(second, runs+4, []uint32{uint32(dy.C), uint32(runs), uint32(bias.Offset)}, ceilDiv(dy.Groups(), 64), 1, 1, part, gpu.All(r.Grads))
}

// biasGrad is BiasGrad for the weight gradient of a convolution; where no bias gradient is wanted, dy is only masked.
func (r *Recorder) biasGrad(c ConvCall) error {
	switch {
	case c.Bias.Len > 0:
		return BiasGrad(r, c.Out, c.Mask, c.Bias)
	case c.Mask != nil:
		return ReLU{}.Grad(r, *c.Mask, c.Out)
	}
	return nil
}
