package cases

import (
	"math/rand/v2"
	"slices"

	"ninvk/gpu"
	"ninvk/ops"
)

func (t *table) batchNorms() {
	for _, x := range shapes {
		for _, relu := range []bool{false, true} {
			t.batchNorm(ops.BatchNorm{Eps: 1e-5, Momentum: 0.1, ReLU: relu}, x, "", unit, 1)
		}
	}
	// A mean that is large against the deviation: the inputs alone are rounded to 4e-6.
	t.batchNorm(ops.BatchNorm{Eps: 1e-5, Momentum: 0.1}, shape(65, 5, 7, 5), " mean 100", hundred, 10)
	t.batchNorm(ops.BatchNorm{Eps: 1e-5, Momentum: 0.1}, shape(65, 3, 32, 32), " mean 100", hundred, 10)
	t.batchNorm(ops.BatchNorm{Eps: 1e-3, Momentum: 0.9}, shape(2, 3, 7, 5), " eps 1e-3 momentum 0.9", unit, 1)
}

// norm is a batch normalisation at one shape, of inputs of some kind and scale.
type norm struct {
	Case  // but for pass and operands
	o     ops.BatchNorm
	value func(*rand.Rand) float64
	scale float64
}

func (t *table) batchNorm(o ops.BatchNorm, x ops.Shape, kind string, value func(*rand.Rand) float64, scale float64) {
	n := norm{
		Case: Case{
			Operator: "batch norm", Name: x.String() + kind, Op: o, In: x,
			Need: func(l gpu.Limits) ops.Need { return o.MostNeed(l, x) },
		},
		o: o, value: value, scale: scale,
	}
	if o.ReLU {
		n.Name += " relu"
	}
	t.normForward(n)
	t.normGradients(n)
}

// pass is an entry of so many operations for each element.
func (n norm) pass(name string, flops int, operands ...Operand) Case {
	c := n.Case
	c.Pass, c.Flops, c.Operands = name, float64(flops*c.In.Elements()), operands
	return c
}

// inputs are the operands of all passes; running says what is done with the running statistics.
func (n norm) inputs(running Use) []Operand {
	x := n.In
	state := func(name string, value func(*rand.Rand) float64) Operand {
		return Operand{Name: name, Place: State, Len: x.C, Use: running, Value: value, Scale: n.scale}
	}
	return []Operand{
		{Name: "norm", Place: Floats, Len: int(n.o.NormBytes(x) / 4), Use: Internal},
		state("mean", unit), state("variance", positive), reads("x", x, n.value),
		weight("bias", x.C, unit), weight("weight", x.C, positive),
	}
}

func (norm) params(m *Memory) ops.BatchNormParams {
	return ops.BatchNormParams{
		Weight: m.Params["weight"], Bias: m.Params["bias"], Mean: m.Params["mean"], Variance: m.Params["variance"],
		State: m.State, Norm: gpu.All(m.Buffers["norm"]),
	}
}

func (n norm) forward(train bool) func(m *Memory) error {
	return func(m *Memory) error {
		return n.o.Forward(m.Recorder, m.Tensors["x"], n.params(m), m.Tensors["y"], train)
	}
}

func (t *table) normForward(n norm) {
	y := writes("y", n.In, 1, 2*n.scale)
	c := n.pass("training", 8, append(n.inputs(Updates), y)...)
	c.Record = n.forward(true)
	t.variants(ops.NormForward, c, n.o.Offers(ops.NormForward, n.In))
	// After two steps the running statistics show whether momentum is applied rightly.
	c.Pass, c.Prepare = "training twice", n.forward(true)
	t.variants(ops.NormForward, c, n.o.Offers(ops.NormForward, n.In))
	again := n.inputs(Updates)
	again[3] = updates("x", n.In, n.value)
	again[3].Scale = 2 * n.scale
	c = n.pass("once more in place", 2, append(again, Operand{Name: "y", Shape: n.In, Use: Internal})...)
	c.Prepare = n.forward(true)
	c.Record = func(m *Memory) error { return n.o.Apply(m.Recorder, m.Tensors["x"], n.params(m), m.Tensors["x"]) }
	given := slices.DeleteFunc(n.o.Offers(ops.NormForward, n.In), func(o ops.Offer) bool {
		return o.Variant == "fused" // which is apart where there are no sums of the batch
	})
	t.variants(ops.NormForward, c, given)
	y.Scale *= 2 // the running statistics don't bring x to unit scale
	c = n.pass("evaluation", 2, append(n.inputs(Reads), y)...)
	c.Record = n.forward(false)
	t.variants(ops.NormForward, c, given)
}

func (t *table) normGradients(n norm) {
	y := Operand{Name: "y", Shape: n.In, Use: Internal}
	dy := updates("dy", n.In, unit)
	dy.Scale = 4 * n.scale
	grads := []Operand{gradient("dbias", n.In.C, n.In.Pixels()), gradient("dweight", n.In.C, n.In.Pixels())}
	grads[1].Scale = n.scale
	c := n.pass("gradient", 12, append(append(n.inputs(Updates), dy, y), grads...)...)
	c.Prepare = n.forward(true)
	c.Record = func(m *Memory) error {
		return n.o.Grad(m.Recorder, m.Tensors["x"], n.params(m), m.Tensors["dy"], true)
	}
	t.variants(ops.NormGrad, c, n.o.Offers(ops.NormGrad, n.In))
	// Of parameters without length no gradient is written.
	still := dy
	still.Use = Reads
	for i, wanted := range grads {
		c := n.pass(wanted.Name[1:]+" gradient", 4, append(n.inputs(Updates), still, y, wanted)...)
		c.Prepare = n.forward(true)
		c.Record = func(m *Memory) error {
			p := n.params(m)
			[]*ops.Param{&p.Weight, &p.Bias}[i].Len = 0 // the other one
			return n.o.Grad(m.Recorder, m.Tensors["x"], p, m.Tensors["dy"], false)
		}
		t.add(c)
	}
	dy.Scale = 4
	c = n.pass("frozen gradient", 2, append(n.inputs(Reads), dy, y)...)
	c.Prepare = n.forward(false)
	c.Record = func(m *Memory) error {
		return n.o.RunningGrad(m.Recorder, m.Tensors["x"], n.params(m), m.Tensors["dy"])
	}
	t.add(c)
}
