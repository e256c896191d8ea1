package cases

import (
	"fmt"
	"slices"

	"ninvk/ops"
)

func (t *table) linears() {
	for _, v := range []struct {
		n, c, h, w, m int
		relu, noBias  bool
		large         bool
	}{
		{n: 1, c: 1, h: 1, w: 1, m: 1},
		{n: 1, c: 3, h: 1, w: 1, m: 5, relu: true},
		{n: 2, c: 10, h: 1, w: 1, m: 3, noBias: true},
		{n: 3, c: 5, h: 7, w: 5, m: 10, relu: true}, // flattened
		{n: 65, c: 6, h: 3, w: 3, m: 17},
		{n: 1, c: 400, h: 1, w: 1, m: 120, relu: true},
		{n: 64, c: 400, h: 1, w: 1, m: 120},
		{n: 17, c: 1030, h: 1, w: 1, m: 66},
		{n: 17, c: 1032, h: 1, w: 1, m: 65}, // rows of weights that begin where vectors do
		{n: 3, c: 8, h: 3, w: 3, m: 7, noBias: true},
		{n: 2, c: 1, h: 150, w: 130, m: 6}, // longer than an invocation's loop may be
		{n: 2, c: 6, h: 1, w: 1, m: 16500},
		{n: 300, c: 12, h: 2, w: 2, m: 40},
		{n: 4, c: 512, h: 7, w: 7, m: 64, relu: true, large: true},
		{n: 64, c: 2048, h: 1, w: 1, m: 1000, large: true},
		{n: 2, c: 20000, h: 1, w: 1, m: 265, large: true}, // more weights than are copied together
	} {
		t.linear(ops.Linear{In: v.c * v.h * v.w, M: v.m, ReLU: v.relu}, shape(v.n, v.c, v.h, v.w), v.noBias, v.large)
	}
}

func (t *table) linear(o ops.Linear, x ops.Shape, noBias, large bool) {
	y, _ := o.Out(x)
	c := Case{Operator: "linear", Name: fmt.Sprintf("%v to %d", x, o.M), Op: o, In: x, Flops: o.Flops(x), Large: large}
	if o.ReLU {
		c.Name += " relu"
	}
	// Weights begin where vectors do, those without a bias elsewhere.
	params := []Operand{weight("guard", 5, unit), weight("weight", o.M*o.In, unit), weight("bias", o.M, unit)}
	grads := []Operand{weight("guard", 5, unit), gradient("dweight", o.M*o.In, x.N), gradient("dbias", o.M, x.N)}
	if noBias {
		c.Name += " no bias"
		params, grads = params[:2], grads[:2]
		params[0].Len, grads[0].Len = 6, 6
	}
	c.Pass, c.Operands = "forward", append(slices.Clone(params), reads("x", x, unit), writes("y", y, o.In, 1))
	c.Record = func(m *Memory) error {
		return o.Forward(m.Recorder, m.Tensors["x"], m.Params["weight"], m.Params["bias"], m.Tensors["y"])
	}
	t.variants(ops.LinearForward, c, o.Offers(ops.LinearForward, x))

	for _, accumulate := range []bool{false, true} {
		grad := c
		dx := writes("dx", x, o.M, 1)
		if accumulate {
			grad.Name += " accumulated"
			dx.Use, dx.Value = Updates, unit
		}
		grad.Pass, grad.Operands = "input gradient", append(slices.Clone(params), reads("dy", y, unit), dx)
		grad.masked = accumulate
		grad.Record = func(m *Memory) error {
			return o.InputGrad(m.Recorder, m.Tensors["dy"], m.Params["weight"], m.Tensors["dx"], accumulate)
		}
		t.variants(ops.LinearInputGrad, grad, o.Offers(ops.LinearInputGrad, x))
	}
	t.weightGrads(ops.LinearWeightGrad, c, y, o.ReLU, grads, o.Offers(ops.LinearWeightGrad, x))
}
