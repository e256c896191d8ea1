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

func gradNormKernel(mode string, fetched bool, bindings ...gpu.Kind) gpu.Kernel {
	return gpu.Kernel{
		Name:     "gradient norm, " + mode,
		Source:   shaders.Source("gradnorm", map[string]any{"Mode": mode, "Fetched": fetched}),
		Bindings: append([]gpu.Kind{gpu.Params}, bindings...),
	}
}

// gradNormChunk is the number of vectors whose sums drivers for CPUs make at a time, so that they can be fetched. It
// depends on nothing, as the order of the sums does on it: processes that share out a batch have textures of their own
// sizes.
const gradNormChunk = 128 * 256 * 8

// part records the sums of one part, one of each workgroup.
func (GradNorm) part(r *Recorder, p Vector, groups int, sums gpu.Slice) error {
	n := ceilDiv(p.N, 4)
	chunk := n
	if r.Dev.Adapter.Llvmpipe() {
		chunk = gradNormChunk
	}
	for first := 0; first < n; first += chunk {
		some := min(chunk, n-first)
		params := shaders.GradNormParams{N: min(4*some, p.N-4*first), Groups: groups, First: first, Added: first > 0}
		k := gradNormKernel("part", false, gpu.Write, gpu.Read, gpu.Read)
		bound := []any{sums, gpu.All(p.Grads), gpu.All(p.Weights)}
		if r.bands(2, some) >= some {
			params.Bands = r.fetchBands(ceilDiv(some, r.Scratch.tex.Width)*r.Scratch.tex.Width, first, some, p.Grads, p.Weights)
			k = gradNormKernel("part", true, gpu.Write, gpu.TextureF32)
			bound = []any{sums, r.Scratch.tex}
		}
		if err := r.dispatch(k, ceilDiv(some, 128*groups)+128, params, groups, 1, 1, bound...); err != nil {
			return err
		}
	}
	return nil
}

// Update records the search through all parameters and their gradients, before the optimiser's update. Into metrics,
// four floats of a step, go as the third the norm before clipping, as the fourth the number of gradients and weights
// that are not finite.
func (o GradNorm) Update(r *Recorder, parts []Vector, metrics *gpu.Buffer) error {
	const aligned = 256 / 8           // sums where a binding may begin
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
		if err := o.part(r, p, groups[i], sums); err != nil {
			return err
		}
		all += groups[i]
	}
	sums := gpu.Slice{Buffer: r.Partial, Size: uint64(8 * all)}
	k := gradNormKernel("sum", false, gpu.Read, gpu.Write)
	if err := r.dispatch(k, all, shaders.GradNormParams{Groups: all}, 1, 1, 1, sums, gpu.All(metrics)); err != nil {
		return err
	}
	if o.Clip == 0 {
		return nil
	}
	for i, p := range parts {
		k := gradNormKernel("scale", false, gpu.Read, gpu.Write)
		if err := r.dispatch(k, passes(i), params(i), groups[i], 1, 1, gpu.All(metrics), gpu.All(p.Grads)); err != nil {
			return err
		}
	}
	return nil
}
