package cases

import (
	"fmt"
	"math/rand/v2"

	"ninvk/ops"
)

func (t *table) losses() {
	for _, x := range []ops.Shape{shape(2, 2, 1, 1), shape(130, 10, 1, 1), shape(6, 1000, 1, 1)} {
		t.pairs(x)
	}
	plain, ties, large := lossInputs[0], lossInputs[1], lossInputs[2]
	for _, v := range []struct {
		n, classes int
		in         lossInput
	}{
		{1, 2, plain}, {65, 10, plain}, {5, 1000, plain}, {65, 10, ties}, {5, 10, large}, {65, 3, large},
		{65, 33, ties}, {130, 100, ties}, {3, 1000, ties}, {2, ops.MaxClasses, plain}, {2, ops.MaxClasses, ties},
	} {
		for _, smoothing := range []float64{0, 0.1} {
			for _, weighted := range []bool{false, true} {
				x := shape(v.n, v.classes, 1, 1)
				t.crossEntropy(ops.CrossEntropy{Smoothing: smoothing}, x, v.in, weighted)
				t.crossEntropy(ops.CrossEntropy{Smoothing: smoothing, Weight: 0.3, Added: true}, x, v.in, weighted)
			}
		}
	}
}

func (t *table) pairs(x ops.Shape) {
	t.add(Case{
		Operator: "pairs", Pass: "forward", Name: fmt.Sprintf("%d×%d", x.N, x.C), Op: ops.Pairs{}, In: x,
		Flops:    float64(x.Elements()),
		Operands: []Operand{updates("v", x, unit)},
		Record:   func(m *Memory) error { return ops.Pairs{}.Forward(m.Recorder, m.Tensors["v"]) },
	})
}

// lossInput is a kind of logits, and the size of their losses.
type lossInput struct {
	kind  string
	value func(*rand.Rand) float64
	scale float64
}

var lossInputs = []lossInput{{"", unit, 1}, {" ties", halves, 1}, {" large logits", eighty, 16}}

func (t *table) crossEntropy(o ops.CrossEntropy, x ops.Shape, in lossInput, weighted bool) {
	result := Operand{Name: "result", Place: Floats, Len: 2 * x.N, Use: Writes, K: x.C, Scale: in.scale}
	name := fmt.Sprintf("%d×%d smoothing %g%s", x.N, x.C, o.Smoothing, in.kind)
	if o.Weight != 0 {
		name += fmt.Sprintf(" weight %g", o.Weight)
	}
	if o.Added {
		name += " added"
		result.Use, result.Value = Updates, unit
	}
	dlogits := writes("dlogits", x, 1, 1)
	var weights []Operand
	if weighted {
		name += " weighted"
		dlogits.Scale *= 3 // as the largest weight is to the least
		weights = []Operand{{Name: "class weights", Place: Floats, Len: x.C, Use: Reads, Value: positive},
			step(ops.Step{LearningRate: 0.1, Balance: 0.8})}
	}
	t.add(Case{
		Operator: "cross entropy", Pass: "forward and gradient", Name: name,
		Op: o, In: x, Flops: 8 * float64(x.Elements()),
		Operands: append(weights, reads("logits", x, in.value),
			Operand{Name: "labels", Place: Words, Len: x.N, Use: Reads, Value: below(x.C)}, dlogits, result),
		Record: func(m *Memory) error {
			return o.Forward(m.Recorder, m.Tensors["logits"], m.Buffers["labels"], m.Tensors["dlogits"], m.Buffers["result"],
				ops.ClassWeights{Values: m.Buffers["class weights"], Step: m.Buffers["step"]})
		},
	})
}
