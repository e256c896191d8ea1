package ops

import (
	"ninvk/gpu"
	"ninvk/shaders"
)

// ReLU is max(x, 0), element by element. NaN stays NaN.
type ReLU struct{}

// Forward records v = relu(v), in place.
func (ReLU) Forward(r *Recorder, v Tensor) error {
	k := gpu.Kernel{Name: "relu", Source: shaders.Source("relu", map[string]any{"Grad": false}),
		Bindings: []gpu.Kind{gpu.Params, gpu.Write}}
	return r.elementwise(k, v, func(s span) []any { return []any{v.slice(s)} })
}

// Grad records dv = 0 where the output y is 0, in place on dv.
func (ReLU) Grad(r *Recorder, y, dv Tensor) error {
	k := gpu.Kernel{Name: "relu gradient", Source: shaders.Source("relu", map[string]any{"Grad": true}),
		Bindings: []gpu.Kind{gpu.Params, gpu.Read, gpu.Write}}
	return r.elementwise(k, dv, func(s span) []any { return []any{y.slice(s), dv.slice(s)} })
}

// pixelsEach is the number of pixels of an invocation in kernels that treat each element alike. It comes at run time: a
// loop with a literal bound is unrolled, and the code of a load is long.
const pixelsEach = 8

// eachOf is the number of pixels of an invocation, of at most so many, in kernels of 128 invocations a workgroup: fewer
// where a workgroup would go beyond the last pixel, as with one small image.
func eachOf(most, pixels int) int { return min(most, ceilDiv(pixels, 128)) }

// elementwise dispatches a kernel of 128 invocations, pixelsEach pixels each, over all channel groups of t.
func (r *Recorder) elementwise(k gpu.Kernel, t Tensor, resources func(span) []any) error {
	each := eachOf(pixelsEach, t.Pixels())
	for _, s := range t.spans(r.Dev.Limits(), 1) {
		params := shaders.ElementwiseParams{Pixels: t.Pixels(), Plane: t.Plane(), Each: each}
		if err := r.dispatch(k, each, params, ceilDiv(t.Pixels(), 128*each), s.to-s.from, 1, resources(s)...); err != nil {
			return err
		}
	}
	return nil
}
