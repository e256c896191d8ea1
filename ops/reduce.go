package ops

import (
	"slices"

	"ninvk/gpu"
	"ninvk/shaders"
)

// reduceStretches is the number of pixels a workgroup sums, 16 an invocation or more, and of the stretches that makes:
// enough workgroups for all cores of an adapter, and so few that adding up the invocations' sums does not count.
func reduceStretches(s Shape) (stretch, stretches int) {
	stretch = 1024
	for ceilDiv(s.Pixels(), stretch) > mostStretches(s) {
		stretch *= 2
	}
	return stretch, ceilDiv(s.Pixels(), stretch)
}

// mostStretches is the bound on the stretches of each channel group.
func mostStretches(s Shape) int { return min(256, max(32, 512/s.Groups())) }

// reduceBytes is the partial sums' size for an activation of shape s, or of a smaller batch.
func reduceBytes(s Shape) uint64 {
	return uint64(32 * s.Groups() * min(mostStretches(s), ceilDiv(s.Pixels(), 1024)))
}

// reduce records the first pass of a per-channel sum over what in reads (see reduce.wgsl for the modes), with further
// things to read: into r.Partial, two vec4s for every channel group and stretch. It returns the number of stretches and
// the part of r.Partial that holds them.
func (r *Recorder) reduce(mode string, relu bool, in *inputs, more ...any) (stretches int, part gpu.Slice, err error) {
	k := gpu.Kernel{Name: "reduce " + mode, Source: shaders.Source("reduce",
		map[string]any{"Mode": mode, "ReLU": relu, "Fetched": in.fetched()})}
	k.Bindings = slices.Concat([]gpu.Kind{gpu.Params, gpu.Write}, slices.Repeat([]gpu.Kind{gpu.Read}, len(more)),
		in.kinds(len(in.tensors)))
	t := in.tensors[0].Shape
	stretch, stretches := reduceStretches(t)
	part = gpu.Slice{Buffer: r.Partial, Size: uint64(32 * stretches * t.Groups())}
	for _, s := range in.spans() {
		params := shaders.ReduceParams{
			Pixels: t.Pixels(), Plane: t.Plane(), Stretch: stretch, Stretches: stretches, Group0: s.from, Bands: in.at,
		}
		bound := slices.Concat([]any{part}, more, in.load(s, len(in.tensors)))
		if err := r.dispatch(k, stretch/64+16, params, stretches, s.to-s.from, 1, bound...); err != nil {
			return 0, part, err
		}
	}
	return stretches, part, nil
}

// BiasGrad records the gradient of a bias, the sum of dy over all pixels.
func BiasGrad(r *Recorder, dy Tensor, bias Param) error {
	stretches, part, err := r.reduce("sum", false, r.inputs(dy))
	if err != nil {
		return err
	}
	second := gpu.Kernel{Name: "bias gradient", Source: shaders.Source("bias", nil),
		Bindings: []gpu.Kind{gpu.Params, gpu.Read, gpu.Write}}
	params := shaders.BiasParams{Channels: dy.C, Stretches: stretches, Out0: bias.Offset}
	return r.dispatch(second, stretches+4, params, ceilDiv(dy.Groups(), 64), 1, 1, part, gpu.All(r.Grads))
}
