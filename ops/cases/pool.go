package cases

import (
	"fmt"
	"math/rand/v2"

	"ninvk/gpu"
	"ninvk/ops"
)

func (t *table) pools() {
	type pool struct {
		x              ops.Shape
		k, stride, pad int
	}
	pools := []pool{
		{shape(1, 1, 1, 1), 1, 1, 0},
		{shape(1, 3, 7, 5), 3, 2, 1},
		{shape(65, 5, 7, 5), 2, 2, 0},
		{shape(1, 10, 32, 32), 3, 2, 1},
		{shape(1, 96, 8, 8), 8, 8, 0},
		{shape(2, 192, 7, 5), 3, 2, 1},
		{shape(1, 5, 7, 5), 3, 1, 1},  // overlapping
		{shape(2, 10, 7, 5), 2, 1, 1}, // more outputs than inputs
		{shape(65, 10, 1, 1), 2, 1, 1},
		{shape(1, 3, 7, 5), 2, 4, 1}, // K < stride: pixels in no window
		{shape(1, 3, 12, 13), 11, 1, 2},
		{shape(65, 3, 32, 32), 3, 2, 1},
	}
	for _, p := range pools {
		for _, in := range poolInputs {
			if in.kind != "" && p.x.N*p.x.C > 65 {
				continue
			}
			for _, ceil := range []bool{false, true} {
				for _, relu := range []bool{false, true} {
					t.maxPool(ops.MaxPool{K: p.k, Stride: p.stride, Pad: p.pad, Ceil: ceil, AfterReLU: relu}, p.x, in.kind, in.value)
				}
			}
		}
		t.avgPool(ops.AvgPool{K: p.k, Stride: p.stride, Pad: p.pad}, p.x)
	}
	for _, x := range shapes {
		t.globalAvgPool(x)
	}
}

// poolInputs are what the maxima are taken of.
var poolInputs = []struct {
	kind  string
	value func(*rand.Rand) float64
}{{"", unit}, {" ties", halves}, {" negative", negative}}

func (t *table) maxPool(o ops.MaxPool, x ops.Shape, kind string, value func(*rand.Rand) float64) {
	y, _ := o.Out(x)
	name := fmt.Sprintf("%v k%d s%d p%d%s", x, o.K, o.Stride, o.Pad, kind)
	if o.Ceil {
		if floor, _ := (ops.MaxPool{K: o.K, Stride: o.Stride, Pad: o.Pad}).Out(x); floor == y {
			return
		}
		name += " ceil"
	}
	if o.AfterReLU {
		name += " after relu"
	}
	places := Operand{Name: "places", Place: Words, Len: int(o.Places(y) / 4), Use: Internal}
	forward := func(m *Memory) error {
		return o.Forward(m.Recorder, m.Tensors["x"], m.Tensors["y"], gpu.All(m.Buffers["places"]))
	}
	t.add(Case{
		Operator: "max pool", Pass: "forward", Name: name, Op: o, In: x,
		Operands: []Operand{reads("x", x, value), writes("y", y, 1, 0), places},
		Record:   forward,
	})
	windows := (o.K + o.Stride - 1) / o.Stride
	t.add(Case{
		Operator: "max pool", Pass: "gradient", Name: name, Op: o, In: x,
		Operands: []Operand{
			reads("x", x, value), {Name: "y", Shape: y, Use: Internal}, places, reads("dy", y, unit),
			writes("dx", x, windows*windows, 1),
		},
		Prepare: forward,
		Record: func(m *Memory) error {
			return o.Grad(m.Recorder, m.Tensors["dy"], gpu.All(m.Buffers["places"]), m.Tensors["dx"])
		},
	})
}

func (t *table) avgPool(o ops.AvgPool, x ops.Shape) {
	y, _ := o.Out(x)
	name := fmt.Sprintf("%v k%d s%d p%d", x, o.K, o.Stride, o.Pad)
	t.add(Case{
		Operator: "average pool", Pass: "forward", Name: name, Op: o, In: x, Flops: float64(y.Elements() * o.K * o.K),
		Operands: []Operand{reads("x", x, unit), writes("y", y, 1, 1)},
		Record:   func(m *Memory) error { return o.Forward(m.Recorder, m.Tensors["x"], m.Tensors["y"]) },
	})
	t.add(Case{
		Operator: "average pool", Pass: "gradient", Name: name, Op: o, In: x, Flops: float64(y.Elements() * o.K * o.K),
		Operands: []Operand{reads("dy", y, unit), writes("dx", x, 1, 1)},
		Record:   func(m *Memory) error { return o.Grad(m.Recorder, m.Tensors["dy"], m.Tensors["dx"]) },
	})
}

func (t *table) globalAvgPool(x ops.Shape) {
	y, _ := ops.GlobalAvgPool{}.Out(x)
	t.add(Case{
		Operator: "global average pool", Pass: "forward", Name: x.String(), Op: ops.GlobalAvgPool{}, In: x,
		Flops:    float64(x.Elements()),
		Operands: []Operand{reads("x", x, unit), writes("y", y, 1, 1)},
		Record:   func(m *Memory) error { return ops.GlobalAvgPool{}.Forward(m.Recorder, m.Tensors["x"], m.Tensors["y"]) },
	})
	t.add(Case{
		Operator: "global average pool", Pass: "gradient", Name: x.String(), Op: ops.GlobalAvgPool{}, In: x,
		Operands: []Operand{reads("dy", y, unit), writes("dx", x, 1, 1)},
		Record:   func(m *Memory) error { return ops.GlobalAvgPool{}.Grad(m.Recorder, m.Tensors["dy"], m.Tensors["dx"]) },
	})
}

func (t *table) adaptivePools() {
	for _, v := range []struct {
		x ops.Shape
		o ops.AdaptiveAvgPool
	}{
		{shape(1, 1, 1, 1), ops.AdaptiveAvgPool{H: 1, W: 1}},
		{shape(2, 10, 1, 1), ops.AdaptiveAvgPool{H: 6, W: 6}}, // copies
		{shape(65, 5, 7, 5), ops.AdaptiveAvgPool{H: 6, W: 6}},
		{shape(65, 10, 7, 5), ops.AdaptiveAvgPool{H: 7, W: 5}},
		{shape(1, 3, 13, 11), ops.AdaptiveAvgPool{H: 4, W: 3}}, // overlapping windows
		{shape(2, 10, 7, 5), ops.AdaptiveAvgPool{H: 1, W: 1}},
		{shape(2, 96, 14, 14), ops.AdaptiveAvgPool{H: 7, W: 7}},
		{shape(1, 5, 3, 40), ops.AdaptiveAvgPool{H: 7, W: 7}},
		{shape(65, 3, 32, 32), ops.AdaptiveAvgPool{H: 5, W: 2}},
	} {
		t.adaptiveAvgPool(v.o, v.x)
	}
}

func (t *table) adaptiveAvgPool(o ops.AdaptiveAvgPool, x ops.Shape) {
	y, _ := o.Out(x)
	name := fmt.Sprintf("%v to %d×%d", x, o.H, o.W)
	t.add(Case{
		Operator: "adaptive average pool", Pass: "forward", Name: name, Op: o, In: x,
		Operands: []Operand{reads("x", x, unit), writes("y", y, 1, 1)},
		Record:   func(m *Memory) error { return o.Forward(m.Recorder, m.Tensors["x"], m.Tensors["y"]) },
	})
	t.add(Case{
		Operator: "adaptive average pool", Pass: "gradient", Name: name, Op: o, In: x,
		Operands: []Operand{reads("dy", y, unit), writes("dx", x, windows(y.H, x.H)*windows(y.W, x.W), 1)},
		Record:   func(m *Memory) error { return o.Grad(m.Recorder, m.Tensors["dy"], m.Tensors["dx"]) },
	})
}

// windows is the most outputs of n that a pixel of m is part of.
func windows(n, m int) int { return (n+m-1)/m + 1 }
