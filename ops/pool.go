package ops

import (
	"fmt"

	"ninvk/gpu"
	"ninvk/shaders"
)

// MaxPool takes the maximum of K×K windows; padding counts as minus infinity, the first maximum in row-major order gets
// the gradient.
//
// With Ceil the last window of a row or column may reach beyond the padded image, as in Caffe, so that no pixel is left
// out.
type MaxPool struct {
	K         int  `json:"kernel"`
	Stride    int  `json:"stride"`
	Pad       int  `json:"padding"`
	Ceil      bool `json:"ceil_mode"`
	AfterReLU bool `json:"-"` // x is the output of a ReLU, and its gradient is that before the ReLU: 0 where x is 0
}

// Out is the output shape for input x.
func (o MaxPool) Out(x Shape) (Shape, error) {
	if !o.Ceil {
		return poolOut(x, o.K, o.Stride, o.Pad)
	}
	grown := x // by how far the last window may reach beyond the image
	grown.H, grown.W = x.H+o.Stride-1, x.W+o.Stride-1
	y, err := poolOut(grown, o.K, o.Stride, o.Pad)
	if err == nil {
		y.H, y.W = o.ceil(x.H), o.ceil(x.W)
	}
	return y, err
}

// ceil is the number of windows along size pixels; each starts within the image or the padding before it.
func (o MaxPool) ceil(size int) int {
	n := ceilDiv(size+2*o.Pad-o.K, o.Stride) + 1
	if (n-1)*o.Stride >= size+o.Pad {
		n--
	}
	return n
}

func poolOut(x Shape, k, stride, pad int) (Shape, error) {
	if 2*pad > k {
		return Shape{}, fmt.Errorf("padding %d is more than half of the %d×%d window, so some windows would hold nothing "+
			"but padding", pad, k, k)
	}
	if k > 128 {
		return Shape{}, fmt.Errorf("a %d×%d pooling window; at most 128×128 is supported (global average pooling takes any "+
			"size)", k, k)
	}
	return windows(x, k, stride, pad)
}

// Places is the memory the places of the maxima take for output shape y, in bytes.
func (MaxPool) Places(y Shape) uint64 { return y.Bytes() / 2 }

// Forward records y and the places of the maxima.
func (o MaxPool) Forward(r *Recorder, x, y Tensor, places gpu.Slice) error {
	return r.pool("maxpool", pooling{K: o.K, Stride: o.Stride, Pad: o.Pad, AfterReLU: o.AfterReLU, Places: true}, x, y,
		places)
}

// Grad records dx from dy and the places that Forward kept.
func (o MaxPool) Grad(r *Recorder, dy Tensor, places gpu.Slice, dx Tensor) error {
	return r.pool("maxpool", pooling{K: o.K, Stride: o.Stride, Pad: o.Pad, Grad: true, Places: true}, dx, dy, places)
}

// AvgPool takes the mean of K×K windows; the divisor is K², padding included.
type AvgPool struct {
	K      int `json:"kernel"`
	Stride int `json:"stride"`
	Pad    int `json:"padding"`
}

// Out is the output shape for input x.
func (o AvgPool) Out(x Shape) (Shape, error) { return poolOut(x, o.K, o.Stride, o.Pad) }

// Forward records y.
func (o AvgPool) Forward(r *Recorder, x, y Tensor) error {
	return r.pool("avgpool", pooling{K: o.K, Stride: o.Stride, Pad: o.Pad}, x, y, gpu.Slice{})
}

// Grad records dx from dy.
func (o AvgPool) Grad(r *Recorder, dy, dx Tensor) error {
	return r.pool("avgpool", pooling{K: o.K, Stride: o.Stride, Pad: o.Pad, Grad: true}, dx, dy, gpu.Slice{})
}

// pooling is a pass of a pooling; its code depends on the flags alone.
type pooling struct {
	K, Stride, Pad          int
	Grad, Places, AfterReLU bool
	Fetched                 bool
}

// pool dispatches a pooling kernel: one invocation a pixel of y, or a block of 2×2 pixels of the gradient of x. x is
// the image or its gradient, y the pooled one.
func (r *Recorder) pool(file string, o pooling, x, y Tensor, places gpu.Slice) error {
	from, to := x, y
	name, place := file, gpu.Write
	invocations, passes := y.Pixels(), o.K*(o.K+1)
	rows, columns := ceilDiv(x.H+o.Pad%2, 2), ceilDiv(x.W+o.Pad%2, 2)
	if o.Grad {
		from, to = y, x
		name, place = file+" gradient", gpu.Read
		invocations = x.N * rows * columns
		n := ceilDiv(o.K+1, o.Stride)
		passes = n * (n + 1)
	}
	in := r.inputs(from)
	o.Fetched = in.fetched()
	kernel := gpu.Kernel{Name: name, Source: shaders.Source(file, o), Bindings: []gpu.Kind{gpu.Params, gpu.Write}}
	step := 1
	if o.Places {
		kernel.Bindings = append(kernel.Bindings, place)
		step = 2 // two planes of places: bindings start at multiples of 256 bytes
	}
	kernel.Bindings = append(kernel.Bindings, in.kinds(1)...)
	params := shaders.PoolParams{
		Invocations: invocations, Plane: y.Plane(), InPlane: x.Plane(),
		InH: int32(x.H), InW: int32(x.W), OutH: int32(y.H), OutW: int32(y.W),
		Rows: int32(rows), Columns: int32(columns), K: int32(o.K), Stride: int32(o.Stride), Pad: int32(o.Pad), Bands: in.at,
	}
	larger := x.Shape // padding can make the pooled one larger
	if y.Plane() > x.Plane() {
		larger = y.Shape
	}
	for _, s := range in.spansOf(larger, step) {
		bound := []any{to.slice(s)}
		if o.Places {
			bound = append(bound, y.half(places, s))
		}
		bound = append(bound, in.load(s, 1)...)
		if err := r.dispatch(kernel, passes, params, ceilDiv(invocations, 64), s.to-s.from, 1, bound...); err != nil {
			return err
		}
	}
	return nil
}

// half is the part of b that holds 8 bytes for every vec4 of t.
func (t Tensor) half(b gpu.Slice, p span) gpu.Slice {
	s := t.slice(p)
	return gpu.Slice{Buffer: b.Buffer, Offset: b.Offset + (s.Offset-t.At)/2, Size: s.Size / 2}
}

// GlobalAvgPool takes the mean of each channel over the whole image.
type GlobalAvgPool struct{}

// Out is the output shape for input x.
func (GlobalAvgPool) Out(x Shape) (Shape, error) {
	if x.H*x.W > MaxPasses {
		return Shape{}, fmt.Errorf("global average pooling of %d×%d pixels; at most %d are supported", x.H, x.W, MaxPasses)
	}
	return Shape{x.N, x.C, 1, 1}, nil
}

// Forward records y.
func (GlobalAvgPool) Forward(r *Recorder, x, y Tensor) error { return r.global(false, x, y) }

// Grad records dx from dy.
func (GlobalAvgPool) Grad(r *Recorder, dy, dx Tensor) error { return r.global(true, dx, dy) }

func (r *Recorder) global(grad bool, x, y Tensor) error {
	k := gpu.Kernel{
		Name: "globalavgpool", Source: shaders.Source("globalavgpool", map[string]any{"Grad": grad}),
		Bindings: []gpu.Kind{gpu.Params, gpu.Read, gpu.Write},
	}
	invocations, passes := y.N, x.H*x.W
	if grad {
		k.Name += " gradient"
		invocations, passes = x.Pixels(), 0
	}
	for _, s := range x.spans(r.Dev.Limits(), 1) { // the larger of the two
		resources := []any{x.slice(s), y.slice(s)}
		if grad {
			resources = []any{y.slice(s), x.slice(s)}
		}
		params := shaders.GlobalAvgPoolParams{Images: y.N, Plane: y.Plane(), InPlane: x.Plane(), HW: x.H * x.W}
		if err := r.dispatch(k, passes, params, ceilDiv(invocations, 64), s.to-s.from, 1, resources...); err != nil {
			return err
		}
	}
	return nil
}
