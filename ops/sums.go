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
	l := linesOf(n, 256)
	return r.dispatch(k, 0, shaders.SumsParams{Vectors: l.Vectors, First: from / 4}, l.x, l.y, 1, resources...)
}

// lines are the workgroups of a kernel that treats floats alike, four an invocation: y lines of x workgroups.
type lines struct {
	shaders.Vectors
	x, y int
}

// linesOf n floats, rounded up to 4, and workgroups of so many invocations.
func linesOf(n, workgroup int) lines {
	count := ceilDiv(n, 4)
	x := min(ceilDiv(count, workgroup), 32768)
	return lines{shaders.Vectors{Count: count, Line: workgroup * x}, x, ceilDiv(count, workgroup*x)}
}
