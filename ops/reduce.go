package ops

import (
	"ninvk/gpu"
	"ninvk/shaders"
)

// reduceKernel is the first pass of a per-channel sum (see reduce.wgsl for the modes) over x.
func reduceKernel(mode string, relu bool, x input) gpu.Kernel {
	bindings := map[string][]gpu.Kind{
		"sum":     {gpu.Params, gpu.Write, gpu.Read},
		"moments": {gpu.Params, gpu.Write, x.kind},
		"grad":    {gpu.Params, gpu.Write, gpu.Read, x.kind, gpu.Read},
	}
	return gpu.Kernel{Name: "reduce " + mode, Source: shaders.Source("reduce",
		map[string]any{"Mode": mode, "ReLU": relu, "Fetched": x.fetched()}), Bindings: bindings[mode]}
}

// reduceRuns is the number of pixels a workgroup sums, 16 an invocation or more, and of the runs that makes: enough
// workgroups for all cores of an adapter, and so few that adding up the invocations' sums does not count.
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

// reduce records the first pass over an activation of shape t, read as x says: into r.Partial, two vec4s for every
// channel group and run. It returns the number of runs and the part of r.Partial that holds them.
func (r *Recorder) reduce(k gpu.Kernel, t Shape, x input, resources func(span) []any) (runs int, part gpu.Slice,
	err error) {
	run, runs := reduceRuns(t)
	part = gpu.Slice{Buffer: r.Partial, Size: uint64(32 * runs * t.Groups())}
	for _, s := range t.spans(r.Dev.Limits(), 1) {
		params := shaders.ReduceParams{
			Pixels: t.Pixels(), Plane: t.Plane(), Run: run, Runs: runs, Group0: s.from, RowDivisor: x.divisor,
		}
		if err := r.dispatch(k, run/64+16, params, runs, s.to-s.from, 1,
			append([]any{part}, resources(s)...)...); err != nil {
			return 0, part, err
		}
	}
	return runs, part, nil
}

// BiasGrad records the gradient of a bias, the sum of dy over all pixels.
func BiasGrad(r *Recorder, dy Tensor, bias Param) error {
	runs, part, err := r.reduce(reduceKernel("sum", false, input{}), dy.Shape, input{},
		func(s span) []any { return []any{dy.slice(s)} })
	if err != nil {
		return err
	}
	second := gpu.Kernel{Name: "bias gradient", Source: shaders.Source("bias", nil),
		Bindings: []gpu.Kind{gpu.Params, gpu.Read, gpu.Write}}
	params := shaders.BiasParams{Channels: dy.C, Runs: runs, Out0: bias.Offset}
	return r.dispatch(second, runs+4, params, ceilDiv(dy.Groups(), 64), 1, 1, part, gpu.All(r.Grads))
}
