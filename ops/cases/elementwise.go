package cases

import (
	"fmt"

	"ninvk/ops"
)

func (t *table) elementwise() {
	for _, x := range shapes {
		t.relu(x)
		t.sum(ops.Add{}, x)
		t.sum(ops.Add{ReLU: true}, x)
		for i, p := range []float64{0.1, 0.5, 0.9} {
			t.dropout(ops.Dropout{P: p, Layer: uint32(7 * i)}, x, 0x9e3779b9*uint32(i+1))
		}
		t.bias(x)
	}
}

func (t *table) relu(x ops.Shape) {
	t.add(Case{
		Operator: "relu", Pass: "forward", Name: x.String(), Op: ops.ReLU{}, In: x,
		Operands: []Operand{updates("v", x, halves)},
		Record:   func(m *Memory) error { return ops.ReLU{}.Forward(m.Recorder, m.Tensors["v"]) },
	})
	t.add(Case{
		Operator: "relu", Pass: "gradient", Name: x.String(), Op: ops.ReLU{}, In: x,
		Operands: []Operand{reads("y", x, halves), updates("dv", x, unit)},
		Record:   func(m *Memory) error { return ops.ReLU{}.Grad(m.Recorder, m.Tensors["y"], m.Tensors["dv"]) },
	})
}

func (t *table) sum(o ops.Add, x ops.Shape) {
	if !o.ReLU {
		t.add(Case{
			Operator: "add", Pass: "forward", Name: x.String(), Op: o, In: x, Flops: float64(x.Elements()),
			Operands: []Operand{reads("x", x, unit), updates("sum", x, unit)},
			Record:   func(m *Memory) error { return o.Accumulate(m.Recorder, m.Tensors["x"], m.Tensors["sum"]) },
		})
	}
	for _, inPlace := range []bool{false, true} {
		for terms := 1; terms <= 4; terms++ {
			c := Case{
				Operator: "add", Pass: "forward", Name: fmt.Sprintf("%v %d terms", x, terms), Op: o, In: x,
				Flops: float64((terms - 1) * x.Elements()),
			}
			sum := writes("sum", x, terms, 1)
			others := []string{"a", "b", "c", "d"}[:terms]
			if inPlace {
				c.Name += " in place"
				sum.Use, sum.Value = Updates, unit
				others = others[1:]
			}
			if o.ReLU {
				c.Name += " relu"
			}
			for _, name := range others {
				c.Operands = append(c.Operands, reads(name, x, unit))
			}
			c.Operands = append(c.Operands, sum)
			c.Record = func(m *Memory) error {
				var x []ops.Tensor
				for _, name := range others {
					x = append(x, m.Tensors[name])
				}
				if inPlace {
					x = append([]ops.Tensor{m.Tensors["sum"]}, x...)
				}
				return o.Forward(m.Recorder, m.Tensors["sum"], x...)
			}
			t.add(c)
		}
	}
}

func (t *table) dropout(o ops.Dropout, x ops.Shape, key uint32) {
	t.add(Case{
		Operator: "dropout", Pass: "forward", Name: fmt.Sprintf("%v p%g", x, o.P), Op: o, In: x, Flops: float64(x.Elements()),
		Operands: []Operand{updates("v", x, unit), step(ops.Step{LearningRate: 0.01, Key: key})},
		Record:   func(m *Memory) error { return o.Apply(m.Recorder, m.Buffers["step"], m.Tensors["v"]) },
	})
}

func (t *table) bias(x ops.Shape) {
	dbias := gradient("dbias", x.C, x.Pixels())
	guard := weight("weight", 5, unit) // so that the bias does not lie at the start
	t.add(Case{
		Operator: "bias", Pass: "gradient", Name: x.String(), In: x, Flops: float64(x.Elements()),
		Operands: []Operand{guard, reads("dy", x, unit), dbias},
		Record:   func(m *Memory) error { return ops.BiasGrad(m.Recorder, m.Tensors["dy"], m.Params["bias"]) },
	})
}
