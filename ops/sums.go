package ops

import (
	"ninvk/gpu"
	"ninvk/shaders"
)

// AddFloats records sum = sum + x for n floats, rounded up to 4.
func AddFloats(r *Recorder, n int, x, sum *gpu.Buffer) error {
	k := gpu.Kernel{Name: "add floats", Source: shaders.Source("sums", nil), Bindings: []gpu.Kind{gpu.Params, gpu.Read, gpu.Write}}
	return r.floats(k, n, 256, nil, gpu.All(x), gpu.All(sum))
}

// floats records a kernel that treats n floats alike, rounded up to 4, which an invocation takes at a time, in lines of
// workgroups of so many invocations. The kernel's first two parameters are the vectors in all and in a line.
func (r *Recorder) floats(k gpu.Kernel, n, workgroup int, params []uint32, resources ...any) error {
	count := ceilDiv(n, 4)
	x := min(ceilDiv(count, workgroup), 32768)
	params = append([]uint32{uint32(count), uint32(workgroup * x)}, params...)
	return r.dispatch(k, 0, params, x, ceilDiv(count, workgroup*x), 1, resources...)
}
