package ops

import (
	"ninvk/gpu"
	"ninvk/shaders"
)

// ReLU is max(x, 0), element by element. NaN stays NaN.
type ReLU struct{}

// Forward records v = relu(v), in place.
func (ReLU) Forward(r *Recorder, v Tensor) error {
	k := gpu.Kernel{Name: "relu", Source: shaders.Source("relu", map[string]any{"Grad": false}), Bindings: []gpu.Kind{gpu.Params, gpu.Write}}
	return r.elementwise(k, v, func(s span) []any { return []any{v.slice(s)} })
}

// Grad records dv = 0 where the output y is 0, in place on dv.
func (ReLU) Grad(r *Recorder, y, dv Tensor) error {
	k := gpu.Kernel{Name: "relu gradient", Source: shaders.Source("relu", map[string]any{"Grad": true}), Bindings: []gpu.Kind{gpu.Params, gpu.Read, gpu.Write}}
	return r.elementwise(k, dv, func(s span) []any { return []any{y.slice(s), dv.slice(s)} })
}

// pixelsEach is the number of pixels of an invocation in kernels that treat each element alike. It comes at run time: a loop with a literal bound is unrolled, and the
// code of a load is long.
const pixelsEach = 8

// elementwise dispatches a kernel of 128 invocations, pixelsEach pixels each, over all channel groups of t.
func (r *Recorder) elementwise(k gpu.Kernel, t Tensor, resources func(span) []any) error {
	for _, s := range t.spans(r.Dev.Limits(), 1) {
		if err := r.dispatch(k, pixelsEach, []uint32{uint32(t.Pixels()), uint32(t.Plane()), pixelsEach}, ceilDiv(t.Pixels(), 128*pixelsEach), s.to-s.from, 1, resources(s)...); err != nil {
			return err
		}
	}
	return nil
}
