package cases

import (
	"fmt"

	"ninvk/ops"
)

func (t *table) subsamples() {
	for _, v := range []struct {
		x ops.Shape
		o ops.Subsample
	}{
		{shape(1, 1, 1, 1), ops.Subsample{Stride: 1}},
		{shape(2, 16, 8, 8), ops.Subsample{Stride: 2, Before: 8, After: 8}},
		{shape(65, 5, 7, 5), ops.Subsample{Stride: 2, Before: 1, After: 2}},
		{shape(1, 3, 7, 5), ops.Subsample{Stride: 3, Before: 6}},
		{shape(2, 10, 7, 5), ops.Subsample{Stride: 1, Before: 3, After: 9}},
		{shape(65, 10, 7, 5), ops.Subsample{Stride: 1, Before: 3, After: 2}},
		{shape(3, 8, 6, 9), ops.Subsample{Stride: 4, Before: 12, After: 5}},
		{shape(65, 10, 1, 1), ops.Subsample{Stride: 2, After: 3}},
	} {
		t.subsample(v.o, v.x)
	}
}

func (t *table) subsample(o ops.Subsample, x ops.Shape) {
	y, _ := o.Out(x)
	name := fmt.Sprintf("%v s%d, %d before, %d after", x, o.Stride, o.Before, o.After)
	t.add(Case{
		Operator: "subsample", Pass: "forward", Name: name, Op: o, In: x,
		Operands: []Operand{reads("x", x, unit), writes("y", y, 1, 0)},
		Record:   func(m *Memory) error { return o.Forward(m.Recorder, m.Tensors["x"], m.Tensors["y"]) },
	})
	t.add(Case{
		Operator: "subsample", Pass: "gradient", Name: name, Op: o, In: x,
		Operands: []Operand{reads("dy", y, unit), writes("dx", x, 1, 0)},
		Record:   func(m *Memory) error { return o.Grad(m.Recorder, m.Tensors["dy"], m.Tensors["dx"]) },
	})
}
