package ops

import (
	"ninvk/gpu"
	"ninvk/shaders"
)

// GradNorm watches the numbers of training: the norm of all gradients together, and whether a gradient or a weight is NaN or infinite. Where Clip is above 0, it
// scales the gradients so that their norm is at most Clip, as torch.nn.utils.clip_grad_norm_ does.
type GradNorm struct{ Clip float64 }

// Update records the search through all n parameters and their gradients, before the optimiser's update. Into metrics, four floats of a step, go as the third the
// norm before clipping, as the fourth the number of gradients and weights that are not finite.
func (o GradNorm) Update(r *Recorder, n int, metrics *gpu.Buffer) error {
	groups := min(ceilDiv(n, 4*128), 256)
	passes := ceilDiv(n, 4*128*groups)
	params := []uint32{uint32(n), uint32(groups), bits(float32(o.Clip))}
	kernel := func(mode string, bindings ...gpu.Kind) gpu.Kernel {
		return gpu.Kernel{Name: "gradient norm, " + mode, Source: shaders.Source("gradnorm", map[string]any{"Mode": mode}), Bindings: append([]gpu.Kind{gpu.Params}, bindings...)}
	}
	part := gpu.Slice{Buffer: r.Partial, Size: uint64(8 * groups)}
	if err := r.dispatch(kernel("part", gpu.Write, gpu.Read, gpu.Read), passes+128, params, groups, 1, 1, part, gpu.All(r.Grads), gpu.All(r.Weights)); err != nil {
		return err
	}
	if err := r.dispatch(kernel("sum", gpu.Read, gpu.Write), groups, params, 1, 1, 1, part, gpu.All(metrics)); err != nil {
		return err
	}
	if o.Clip == 0 {
		return nil
	}
	return r.dispatch(kernel("scale", gpu.Read, gpu.Write), passes, params, groups, 1, 1, gpu.All(metrics), gpu.All(r.Grads))
}
