package ops

import (
	"fmt"

	"ninvk/gpu"
	"ninvk/shaders"
)

// Subsample takes every Stride-th pixel of every Stride-th row and puts channels of zeros in front of the image's and
// behind them: the shortcut without weights of residual networks (He et al., arXiv 1512.03385, option A).
type Subsample struct {
	Stride int `json:"stride"`
	Before int `json:"channels_before"`
	After  int `json:"channels_after"`
}

// Out is the output shape for input x.
func (o Subsample) Out(x Shape) (Shape, error) {
	if o.Stride < 1 || o.Before < 0 || o.After < 0 {
		return Shape{}, fmt.Errorf("stride %d, %d channels before and %d after: the least stride is 1, the least channels "+
			"are 0",
			o.Stride, o.Before, o.After)
	}
	return Shape{x.N, o.Before + x.C + o.After, ceilDiv(x.H, o.Stride), ceilDiv(x.W, o.Stride)}, nil
}

// Forward records y.
func (o Subsample) Forward(r *Recorder, x, y Tensor) error { return r.subsample(o, false, x, y) }

// Grad records dx from dy; pixels that were not taken get 0.
func (o Subsample) Grad(r *Recorder, dy, dx Tensor) error { return r.subsample(o, true, dx, dy) }

// subsample dispatches a kernel that writes some channel groups of one tensor, and reads those of the other that hold
// the same channels: one more where Before is no multiple of four.
func (r *Recorder) subsample(o Subsample, grad bool, x, y Tensor) error {
	k := gpu.Kernel{
		Name: "subsample", Source: shaders.Source("subsample", map[string]any{"Grad": grad}),
		Bindings: []gpu.Kind{gpu.Params, gpu.Read, gpu.Write},
	}
	from, to, first := x, y, -o.Before // the channel of from that is channel 0 of to
	if grad {
		k.Name += " gradient"
		from, to, first = y, x, o.Before
	}
	shift := (first%4 + 4) % 4
	l := r.Dev.Limits()
	if most := max(from.Plane(), to.Plane()) * 16; shift > 0 && l.MaxStorageBufferBindingSize >= uint64(2*most) {
		l.MaxStorageBufferBindingSize -= uint64(most)
	}
	for _, s := range spans(to.Groups(), uint64(max(from.Plane(), to.Plane()))*16, l, 1) {
		group := (first - shift) / 4 // of from, where the four channels of group 0 of to begin
		read := span{max(0, min(s.from+group, from.Groups()-1)), max(1, min(s.to+group+min(1, shift), from.Groups()))}
		if read.to <= read.from {
			read.to = read.from + 1 // bound, not read
		}
		params := shaders.SubsampleParams{
			Pixels: to.Pixels(), FromPlane: from.Plane(), ToPlane: to.Plane(),
			FromH: from.H, FromW: from.W, ToH: to.H, ToW: to.W, Stride: o.Stride,
			Group0: int32(s.from + group - read.from), Groups: int32(read.to - read.from),
			Shift: shift, Channels: max(0, to.C-4*s.from),
		}
		err := r.dispatch(k, 0, params, ceilDiv(to.Pixels(), 64), s.to-s.from, 1, from.slice(read), to.slice(s))
		if err != nil {
			return err
		}
	}
	return nil
}
