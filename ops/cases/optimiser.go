package cases

import (
	"fmt"
	"math"

	"ninvk/gpu"
	"ninvk/ops"
)

func (t *table) optimisers() {
	for _, rate := range []float64{0.001, 0.8, 1} {
		for _, n := range []int{1, 6, 70001} {
			t.average(n, rate)
		}
	}
	for _, clip := range []float64{0, 0.5, 1000} {
		for _, n := range []int{1, 6, 70001, 600003, 1300001} {
			t.gradNorm(ops.GradNorm{Clip: clip}, n)
			t.gradNormInParts(ops.GradNorm{Clip: clip}, n)
		}
	}
	for _, o := range []ops.SGD{{}, {Momentum: 0.9}, {Momentum: 0.9, WeightDecay: 0.0005},
		{Momentum: 0.9, WeightDecay: 0.01, Nesterov: true}} {
		for _, rate := range []float64{0.001, 10} {
			for _, n := range []int{1, 1031, 70001} {
				t.sgd(o, n, rate)
			}
			o.Scale = 0.1
			t.sgdFrom(o, 1031, 512, rate)
			t.sgdFrom(o, 70001, 512, rate)
		}
	}
}

// bands has drivers for CPUs read what is long through a texture that holds a part of it at a time.
func bands(n int) func(gpu.Limits) ops.Need {
	height := 101
	switch {
	case n < 70000:
		return nil
	case n > 1<<20: // more than are summed at a time
		height = 2049
	}
	return func(gpu.Limits) ops.Need { return ops.Need{Scratch: ops.Extent{Width: 256, Height: height}} }
}

func (t *table) average(n int, rate float64) {
	statistics := n == 6
	told := ops.Step{LearningRate: 0.1, AverageRate: float32(rate), StatisticsRate: 0.5}
	if statistics {
		told.AverageRate, told.StatisticsRate = told.StatisticsRate, told.AverageRate
	}
	t.add(Case{
		Operator: "average", Pass: "update", In: shape(1, n, 1, 1), Op: ops.Average{}, Flops: float64(3 * n),
		Need: bands(n), Name: fmt.Sprintf("%d rate %g", n, rate),
		Operands: []Operand{
			step(told), {Name: "weight", Place: Weight, Len: n, Use: Reads, Value: unit},
			{Name: "average", Place: Floats, Len: n, Use: Updates, Value: unit, K: 1, Scale: 2},
		},
		Record: func(m *Memory) error {
			return ops.Average{}.Update(m.Recorder, m.Buffers["step"], n, m.Recorder.Weights, m.Buffers["average"], statistics)
		},
	})
}

func (t *table) gradNorm(o ops.GradNorm, n int) {
	grad := Operand{Name: "dweight", Place: Gradient, Len: n, Use: Reads, Value: unit, K: 4, Scale: 1}
	if o.Clip > 0 {
		grad.Use = Updates
	}
	t.add(Case{
		Operator: "gradnorm", Pass: "forward", Op: o, In: shape(1, n, 1, 1), Flops: float64(2 * n),
		Need: bands(n), Name: fmt.Sprintf("%d clip %g", n, o.Clip),
		Operands: []Operand{
			{Name: "weight", Place: Weight, Len: n, Use: Reads, Value: unit}, grad,
			{Name: "metrics", Place: Floats, Len: 4, Use: Updates, Value: unit, K: 4, Scale: math.Sqrt(float64(n))},
		},
		Record: func(m *Memory) error {
			all := ops.Vector{N: n, Weights: m.Recorder.Weights, Grads: m.Recorder.Grads}
			return o.Update(m.Recorder, []ops.Vector{all}, m.Buffers["metrics"])
		},
	})
}

// gradNormInParts has a third of the parameters, rounded up, in buffers of their own.
func (t *table) gradNormInParts(o ops.GradNorm, n int) {
	more := (n + 2) / 3
	first := n - more
	if first == 0 {
		return
	}
	grad := Operand{Name: "dweight", Place: Gradient, Len: first, Use: Reads, Value: unit, K: 4, Scale: 1}
	if o.Clip > 0 {
		grad.Use = Updates
	}
	moreGrads := grad
	moreGrads.Name, moreGrads.Place, moreGrads.Len = "more gradients", Floats, more
	t.add(Case{
		Operator: "gradnorm", Pass: "forward", Name: fmt.Sprintf("%d in parts clip %g", n, o.Clip),
		Op: o, In: shape(1, n, 1, 1), Flops: float64(2 * n), Need: bands(n),
		Operands: []Operand{
			{Name: "weight", Place: Weight, Len: first, Use: Reads, Value: unit},
			{Name: "more weights", Place: Floats, Len: more, Use: Reads, Value: unit}, grad, moreGrads,
			{Name: "metrics", Place: Floats, Len: 4, Use: Updates, Value: unit, K: 4, Scale: math.Sqrt(float64(n))},
		},
		Record: func(m *Memory) error {
			return o.Update(m.Recorder, []ops.Vector{
				{N: first, Weights: m.Recorder.Weights, Grads: m.Recorder.Grads},
				{N: more, Weights: m.Buffers["more weights"], Grads: m.Buffers["more gradients"]},
			}, m.Buffers["metrics"])
		},
	})
}

func (t *table) sgd(o ops.SGD, n int, rate float64) { t.sgdFrom(o, n, 0, rate) }

// sgdFrom updates the last of n parameters.
func (t *table) sgdFrom(o ops.SGD, n, from int, rate float64) {
	scale := max(1, 10*rate)
	name := fmt.Sprintf("%d rate %g momentum %g decay %g nesterov %v", n, rate, o.Momentum, o.WeightDecay, o.Nesterov)
	if o.Scale != 0 {
		name += fmt.Sprintf(" scale %g", o.Scale)
	}
	var before []Operand
	if from > 0 {
		name += fmt.Sprintf(" from %d", from)
		before = []Operand{{Name: "before", Place: Floats, Len: from, Use: Reads, Value: unit}}
	}
	for _, steps := range []int{1, 10} {
		t.add(Case{
			Operator: "sgd", Pass: fmt.Sprintf("%d steps", steps), Op: o, In: shape(1, n, 1, 1), Flops: float64(steps * 6 * n),
			Name: name, Need: bands(n),
			Operands: append(before,
				step(ops.Step{LearningRate: float32(rate)}),
				Operand{Name: "weight", Place: Weight, Len: n, Use: Updates, Value: unit, K: steps, Scale: scale},
				Operand{Name: "dweight", Place: Gradient, Len: n, Use: Reads, Value: unit},
				Operand{Name: "velocity", Place: Floats, Len: n, Use: Updates, Value: unit, K: steps, Scale: 4}),
			Record: func(m *Memory) error {
				for range steps {
					if err := o.Update(m.Recorder, m.Buffers["step"], from, n-from, m.Buffers["velocity"]); err != nil {
						return err
					}
				}
				return nil
			},
		})
	}
}
