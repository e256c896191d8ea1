package ops

import (
	"ninvk/gpu"
	"ninvk/shaders"
)

// AddFloats records sum = sum + x for n floats, rounded up to 4.
func AddFloats(r *Recorder, n int, x, sum *gpu.Buffer) error {
	return r.sum("add floats", "", 0, n, gpu.All(x), gpu.All(sum))
}

// AddTree records sum = sum + x for n floats, rounded up to 4, from the one numbered from on, a multiple of four. The
// bits are those of dist.Tree on any adapter, where no sum is NaN.
func AddTree(r *Recorder, from, n int, x, sum *gpu.Buffer) error {
	return r.sum("add floats, tree", "tree", from, n, gpu.All(x), gpu.All(sum))
}

// Share records y = x times the share of the step, for n floats, rounded up to 4.
func Share(r *Recorder, step *gpu.Buffer, n int, x, y *gpu.Buffer) error {
	return r.sum("share", "share", 0, n, gpu.All(x), gpu.All(y), gpu.All(step))
}

func (r *Recorder) sum(name, mode string, from, n int, resources ...any) error {
	k := gpu.Kernel{Name: name, Source: shaders.Source("sums", map[string]any{"Mode": mode}),
		Bindings: []gpu.Kind{gpu.Params, gpu.Read, gpu.Write, gpu.Uniform}[:1+len(resources)]}
	return r.floats(k, n, 256, []uint32{uint32(from / 4)}, resources...)
}

// floats records a kernel that treats n floats alike, rounded up to 4, which an invocation takes at a time, in lines of
// workgroups of so many invocations. The kernel's first two parameters are the vectors in all and in a line.
func (r *Recorder) floats(k gpu.Kernel, n, workgroup int, params []uint32, resources ...any) error {
	count := ceilDiv(n, 4)
	x := min(ceilDiv(count, workgroup), 32768)
	params = append([]uint32{uint32(count), uint32(workgroup * x)}, params...)
	return r.dispatch(k, 0, params, x, ceilDiv(count, workgroup*x), 1, resources...)
}
