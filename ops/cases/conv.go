package cases

import (
	"fmt"
	"slices"

	"ninvk/ops"
)

func (t *table) convolutions() {
	for _, v := range []struct {
		n, h, w int
		o       ops.Conv
		noBias  bool
		large   bool
	}{
		{n: 1, h: 1, w: 1, o: ops.Conv{C: 1, M: 1, K: 1, Stride: 1}},
		{n: 1, h: 1, w: 1, o: ops.Conv{C: 3, M: 5, K: 3, Stride: 1, Pad: 1}},
		{n: 1, h: 7, w: 5, o: ops.Conv{C: 1, M: 3, K: 3, Stride: 1, Pad: 0}, noBias: true},
		{n: 2, h: 7, w: 5, o: ops.Conv{C: 5, M: 3, K: 1, Stride: 1, ReLU: true}, noBias: true},
		{n: 1, h: 7, w: 5, o: ops.Conv{C: 3, M: 5, K: 3, Stride: 1, Pad: 2, ReLU: true}},
		{n: 65, h: 7, w: 5, o: ops.Conv{C: 3, M: 5, K: 3, Stride: 1, Pad: 1, ReLU: true}},
		{n: 65, h: 7, w: 5, o: ops.Conv{C: 10, M: 3, K: 1, Stride: 1, ReLU: true}},
		{n: 1, h: 7, w: 5, o: ops.Conv{C: 5, M: 3, K: 1, Stride: 2}},
		{n: 2, h: 7, w: 5, o: ops.Conv{C: 3, M: 3, K: 1, Stride: 4, Pad: 0}}, // windows that leave pixels out
		{n: 1, h: 5, w: 7, o: ops.Conv{C: 3, M: 3, K: 1, Stride: 1, Pad: 1}}, // padding beyond K-1
		{n: 1, h: 7, w: 5, o: ops.Conv{C: 3, M: 5, K: 2, Stride: 2}},         // an even kernel, a row left over
		{n: 2, h: 7, w: 5, o: ops.Conv{C: 3, M: 3, K: 3, Stride: 4, Pad: 1}}, // K < stride
		{n: 65, h: 7, w: 5, o: ops.Conv{C: 5, M: 10, K: 5, Stride: 2, Pad: 2}},
		{n: 1, h: 32, w: 32, o: ops.Conv{C: 3, M: 10, K: 5, Stride: 1, Pad: 2, ReLU: true}},
		{n: 1, h: 32, w: 32, o: ops.Conv{C: 3, M: 5, K: 11, Stride: 4, Pad: 0}},
		{n: 1, h: 11, w: 13, o: ops.Conv{C: 1, M: 3, K: 11, Stride: 1, Pad: 2}},
		// the first layer of networks for grey images
		{n: 2, h: 7, w: 5, o: ops.Conv{C: 1, M: 32, K: 5, Stride: 1, Pad: 2, ReLU: true}},
		{n: 2, h: 9, w: 7, o: ops.Conv{C: 1, M: 16, K: 7, Stride: 2, Pad: 3}, noBias: true},
		// more pixels than some drivers make loop passes
		{n: 65, h: 32, w: 32, o: ops.Conv{C: 3, M: 5, K: 3, Stride: 1, Pad: 1}},
		{n: 65, h: 7, w: 5, o: ops.Conv{C: 3, M: 40, K: 3, Stride: 1, Pad: 1}}, // output groups beyond one tile
		{n: 65, h: 7, w: 5, o: ops.Conv{C: 40, M: 3, K: 3, Stride: 1, Pad: 1}},
		{n: 1, h: 7, w: 5, o: ops.Conv{C: 96, M: 192, K: 1, Stride: 1}},
		{n: 2, h: 7, w: 5, o: ops.Conv{C: 16, M: 64, K: 3, Stride: 1, Pad: 1}},     // whole tiles
		{n: 2, h: 7, w: 5, o: ops.Conv{C: 32, M: 32, K: 1, Stride: 1, ReLU: true}}, // whole tiles that compile fast
		// weights in order, which a small binding cuts
		{n: 65, h: 7, w: 5, o: ops.Conv{C: 32, M: 32, K: 3, Stride: 1, Pad: 1}},
		{n: 1, h: 7, w: 5, o: ops.Conv{C: 192, M: 10, K: 3, Stride: 1, Pad: 1, ReLU: true}},
		// phases of an input gradient, channels beyond a chunk
		{n: 2, h: 7, w: 5, o: ops.Conv{C: 36, M: 20, K: 3, Stride: 2, Pad: 1}},
		{n: 1, h: 9, w: 6, o: ops.Conv{C: 5, M: 3, K: 5, Stride: 3, Pad: 1}},          // phases of unequal taps
		{n: 2, h: 7, w: 5, o: ops.Conv{C: 36, M: 100, K: 1, Stride: 2}, noBias: true}, // phases without taps
		{n: 1, h: 9, w: 11, o: ops.Conv{C: 3, M: 36, K: 7, Stride: 2, Pad: 3}},
		{n: 2, h: 2, w: 2, o: ops.Conv{C: 100, M: 36, K: 3, Stride: 1, Pad: 1}, noBias: true}, // few pixels
		{n: 65, h: 1, w: 1, o: ops.Conv{C: 36, M: 20, K: 3, Stride: 1, Pad: 1, ReLU: true}},   // one, which one tap reaches
		{n: 2, h: 1, w: 1, o: ops.Conv{C: 5, M: 10, K: 5, Stride: 2, Pad: 2}},
		{n: 1, h: 7, w: 5, o: ops.Conv{C: 100, M: 36, K: 1, Stride: 1, ReLU: true}, large: true},
		{n: 3, h: 2, w: 2, o: ops.Conv{C: 992, M: 128, K: 1, Stride: 1}, noBias: true, large: true}, // many chunks
		{n: 65, h: 7, w: 5, o: ops.Conv{C: 192, M: 96, K: 1, Stride: 1}, large: true},
		{n: 2, h: 7, w: 5, o: ops.Conv{C: 96, M: 192, K: 5, Stride: 1, Pad: 2}, large: true},
		{n: 2, h: 7, w: 5, o: ops.Conv{C: 96, M: 96, K: 3, Stride: 2, Pad: 1}, large: true},
		{n: 1, h: 32, w: 32, o: ops.Conv{C: 3, M: 192, K: 5, Stride: 1, Pad: 2}, large: true},
		{n: 2, h: 32, w: 32, o: ops.Conv{C: 3, M: 96, K: 11, Stride: 4}, large: true},
		{n: 65, h: 32, w: 32, o: ops.Conv{C: 3, M: 192, K: 5, Stride: 1, Pad: 2}, large: true},
	} {
		t.convolution(v.o, shape(v.n, v.o.C, v.h, v.w), v.noBias, v.large)
	}
}

func (t *table) convolution(o ops.Conv, x ops.Shape, noBias, large bool) {
	y, _ := o.Out(x)
	n := o.M * o.C * o.K * o.K
	c := Case{
		Operator: "conv", Name: fmt.Sprintf("%v to %d k%d s%d p%d", x, o.M, o.K, o.Stride, o.Pad), Op: o, In: x,
		Flops: o.Flops(x), Large: large,
	}
	if o.ReLU {
		c.Name += " relu"
	}
	// Weights begin where vectors do, those without a bias elsewhere.
	params := []Operand{weight("guard", 5, unit), weight("weight", n, unit), weight("bias", o.M, unit)}
	grads := []Operand{weight("guard", 5, unit), gradient("dbias", o.M, y.Pixels()), gradient("dweight", n, y.Pixels())}
	if noBias {
		c.Name += " no bias"
		params, grads = params[:2], slices.Delete(grads, 1, 2)
		params[0].Len = 6
	}
	c.Pass = "forward"
	c.Operands = slices.Concat([]Operand{reads("x", x, unit)}, params, []Operand{writes("y", y, o.C*o.K*o.K, 1)})
	c.Record = func(m *Memory) error {
		return o.Forward(m.Recorder, m.Tensors["x"], m.Params["weight"], m.Params["bias"], m.Tensors["y"])
	}
	t.variants(ops.ConvForward, c, o.Offers(ops.ConvForward, x, false))

	c.Pass = "input gradient"
	c.Operands = append(slices.Clone(params), reads("dy", y, unit), writes("dx", x, o.M*o.K*o.K, 1))
	c.Record = func(m *Memory) error {
		return o.InputGrad(m.Recorder, m.Tensors["dy"], m.Params["weight"], m.Tensors["dx"], nil)
	}
	t.variants(ops.ConvInputGrad, c, o.Offers(ops.ConvInputGrad, x, false))
	masked := c
	masked.Name, masked.masked = c.Name+" masked", true
	masked.Operands = append(slices.Clone(c.Operands), reads("x", x, halves))
	masked.Record = func(m *Memory) error {
		mask := m.Tensors["x"]
		return o.InputGrad(m.Recorder, m.Tensors["dy"], m.Params["weight"], m.Tensors["dx"], &mask)
	}
	t.variants(ops.ConvInputGrad, masked, o.Offers(ops.ConvInputGrad, x, true))

	t.weightGrads(ops.ConvWeightGrad, c, y, o.ReLU, grads, o.Offers(ops.ConvWeightGrad, x, false))
}
