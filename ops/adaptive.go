package ops

import (
	"fmt"

	"ninvk/gpu"
	"ninvk/shaders"
)

// AdaptiveAvgPool takes means so that the output has H×W pixels whatever the input has, as PyTorch's AdaptiveAvgPool2d:
// along an axis of n pixels, output i of m is the mean of the pixels from ⌊i·n/m⌋ to below ⌈(i+1)·n/m⌉. Windows may
// overlap, and where m is larger than n pixels are repeated.
type AdaptiveAvgPool struct {
	H int `json:"height"`
	W int `json:"width"`
}

// window is the most pixels of an axis of n that an output of m covers; with n and m exchanged, the most outputs that a
// pixel is part of.
func window(n, m int) int { return ceilDiv(n, m) + 1 }

// Out is the output shape for input x.
func (o AdaptiveAvgPool) Out(x Shape) (Shape, error) {
	if o.H < 1 || o.W < 1 {
		return Shape{}, fmt.Errorf("adaptive average pooling to %d×%d pixels; at least 1×1 is needed", o.H, o.W)
	}
	y := Shape{x.N, x.C, o.H, o.W}
	if n := max(o.passes(x, y), o.passes(y, x)); n > MaxPasses {
		return Shape{}, fmt.Errorf("adaptive average pooling of %d×%d to %d×%d pixels takes %d loop passes, at most %d do",
			x.H, x.W, o.H, o.W, n, MaxPasses)
	}
	return y, nil
}

// passes counts the loop passes over the rows and columns of a window.
func (AdaptiveAvgPool) passes(from, to Shape) int {
	return window(from.H, to.H) * (1 + window(from.W, to.W))
}

// Forward records y.
func (o AdaptiveAvgPool) Forward(r *Recorder, x, y Tensor) error { return r.adaptive(o, false, x, y) }

// Grad records dx from dy.
func (o AdaptiveAvgPool) Grad(r *Recorder, dy, dx Tensor) error { return r.adaptive(o, true, dx, dy) }

func (r *Recorder) adaptive(o AdaptiveAvgPool, grad bool, x, y Tensor) error {
	k := gpu.Kernel{
		Name: "adaptive average pool", Source: shaders.Source("adaptive", map[string]any{"Grad": grad}),
		Bindings: []gpu.Kind{gpu.Params, gpu.Read, gpu.Write},
	}
	from, to := x, y
	if grad {
		k.Name += " gradient"
		from, to = y, x
	}
	params := shaders.AdaptiveParams{
		Invocations: to.Pixels(), InPlane: x.Plane(), OutPlane: y.Plane(), InH: x.H, InW: x.W, OutH: y.H, OutW: y.W,
	}
	passes := o.passes(from.Shape, to.Shape)
	larger := x.Shape
	if y.Plane() > x.Plane() {
		larger = y.Shape
	}
	for _, s := range larger.spans(r.Dev.Limits(), 1) {
		err := r.dispatch(k, passes, params, ceilDiv(to.Pixels(), 64), s.to-s.from, 1, from.slice(s), to.slice(s))
		if err != nil {
			return err
		}
	}
	return nil
}
