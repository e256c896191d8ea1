package ops

import (
	"ninvk/gpu"
	"ninvk/shaders"
)

// GradNorm watches the numbers of training: the norm of all gradients together, and whether a gradient or a weight is
// NaN or infinite. Where Clip is above 0, it scales the gradients so that their norm is at most Clip, as
// torch.nn.utils.clip_grad_norm_ does.
type GradNorm struct{ Clip float64 }

// Vector is a part of the parameters: N of them and their gradients, in buffers of N floats rounded up to 4.
type Vector struct {
	N              int
	Weights, Grads *gpu.Buffer
}

// NormPartBytes is the most that Update takes of Recorder.Partial for a part.
const NormPartBytes = 8 * 256

// Update records the search through all parameters and their gradients, before the optimiser's update. Into metrics,
// four floats of a step, go as the third the norm before clipping, as the fourth the number of gradients and weights
// that are not finite.
func (o GradNorm) Update(r *Recorder, parts []Vector, metrics *gpu.Buffer) error {
	const aligned = 256 / 8 // sums where a binding may begin
	kernel := func(mode string, bindings ...gpu.Kind) gpu.Kernel {
		return gpu.Kernel{
			Name: "gradient norm, " + mode, Source: shaders.Source("gradnorm", map[string]any{"Mode": mode}),
			Bindings: append([]gpu.Kind{gpu.Params}, bindings...),
		}
	}
	groups := make([]int, len(parts)) // workgroups, each with a sum
	params := func(i int) shaders.GradNormParams {
		return shaders.GradNormParams{N: parts[i].N, Groups: groups[i], Clip: float32(o.Clip)}
	}
	passes := func(i int) int { return ceilDiv(parts[i].N, 4*128*groups[i]) }
	all := 0
	for i, p := range parts {
		groups[i] = min(ceilDiv(p.N, 4*128), 256)
		if i < len(parts)-1 {
			groups[i] = ceilDiv(groups[i], aligned) * aligned
		}
		sums := gpu.Slice{Buffer: r.Partial, Offset: uint64(8 * all), Size: uint64(8 * groups[i])}
		k := kernel("part", gpu.Write, gpu.Read, gpu.Read)
		if err := r.dispatch(k, passes(i)+128, params(i), groups[i], 1, 1,
			sums, gpu.All(p.Grads), gpu.All(p.Weights)); err != nil {
			return err
		}
		all += groups[i]
	}
	sums := gpu.Slice{Buffer: r.Partial, Size: uint64(8 * all)}
	k := kernel("sum", gpu.Read, gpu.Write)
	if err := r.dispatch(k, all, shaders.GradNormParams{Groups: all}, 1, 1, 1, sums, gpu.All(metrics)); err != nil {
		return err
	}
	if o.Clip == 0 {
		return nil
	}
	for i, p := range parts {
		k := kernel("scale", gpu.Read, gpu.Write)
		if err := r.dispatch(k, passes(i), params(i), groups[i], 1, 1, gpu.All(metrics), gpu.All(p.Grads)); err != nil {
			return err
		}
	}
	return nil
}
