package ops

import (
	"ninvk/gpu"
	"ninvk/shaders"
)

// AddFloats records sum = sum + x for n floats, rounded up to 4.
func AddFloats(r *Recorder, n int, x, sum *gpu.Buffer) error {
	k := gpu.Kernel{Name: "add floats", Source: shaders.Source("sums", nil), Bindings: []gpu.Kind{gpu.Params, gpu.Read, gpu.Write}}
	count := ceilDiv(n, 4)
	width := min(ceilDiv(count, 256), 32768)
	return r.dispatch(k, 0, []uint32{uint32(count), uint32(256 * width)}, width, ceilDiv(count, 256*width), 1, gpu.All(x), gpu.All(sum))
}
