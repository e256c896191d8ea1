package ops

import (
	"ninvk/gpu"
	"ninvk/shaders"
)

// Add sums two activations of one shape. It also joins the gradients of an activation that several layers read.
type Add struct{}

// Accumulate records sum = sum + x.
func (Add) Accumulate(r *Recorder, x, sum Tensor) error {
	k := gpu.Kernel{Name: "add", Source: shaders.Source("add", nil), Bindings: []gpu.Kind{gpu.Params, gpu.Read, gpu.Write}}
	return r.elementwise(k, sum, func(s span) []any { return []any{x.slice(s), sum.slice(s)} })
}
