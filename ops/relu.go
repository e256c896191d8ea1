package ops

import (
	"maps"
	"strings"

	"ninvk/gpu"
	"ninvk/shaders"
)

// ReLU is max(x, 0), element by element. NaN stays NaN.
type ReLU struct{}

// Forward records v = relu(v), in place.
func (ReLU) Forward(r *Recorder, v Tensor) error { return r.elementwise("relu", nil, v, v) }

// Grad records dv = 0 where the output y is 0, in place on dv.
func (ReLU) Grad(r *Recorder, y, dv Tensor) error {
	return r.elementwise("relu gradient", map[string]any{"Grad": true}, dv, y, dv)
}

// pixelsEach is the number of pixels of an invocation in kernels that treat each element alike, and fetchedEach where
// they fetch them, as an invocation takes long to begin there. It comes at run time: a loop with a literal bound is
// unrolled, and the code of a load is long.
const (
	pixelsEach  = 8
	fetchedEach = 64
)

// eachOf is the number of pixels of an invocation, of at most so many, in kernels of 128 invocations a workgroup: fewer
// where a workgroup would go beyond the last pixel, as with one small image.
func eachOf(most, pixels int) int { return min(most, ceilDiv(pixels, 128)) }

// elementwise records the kernel of a template that makes y of some activations x, of which the last may be y itself:
// 128 invocations, some pixels each, over all channel groups.
func (r *Recorder) elementwise(name string, source map[string]any, y Tensor, x ...Tensor) error {
	in := r.inputs(x...)
	read := len(x)
	if x[read-1] == y {
		read--
	}
	template, _, _ := strings.Cut(name, " ")
	k := gpu.Kernel{Name: name, Bindings: append([]gpu.Kind{gpu.Params, gpu.Write}, in.kinds(read)...)}
	data := map[string]any{"Fetched": in.fetched(), "Two": read == 2}
	maps.Copy(data, source)
	k.Source = shaders.Source(template, data)
	each := in.pixelsEach(pixelsEach)
	for _, s := range in.spans() {
		params := shaders.ElementwiseParams{Pixels: y.Pixels(), Plane: y.Plane(), Each: each, Bands: in.at}
		bound := append([]any{y.slice(s)}, in.load(s, read)...)
		if err := r.dispatch(k, each, params, ceilDiv(y.Pixels(), 128*each), s.to-s.from, 1, bound...); err != nil {
			return err
		}
	}
	return nil
}
