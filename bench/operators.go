package bench

import (
	"cmp"
	"slices"

	"ninvk/gpu"
	"ninvk/nn"
)

// Operator is one pass of one layer of a step, measured.
type Operator struct {
	Model    string `json:"model"`
	Batch    int    `json:"batch"`
	Step     string `json:"step"` // training or evaluation
	Layer    string `json:"layer"`
	Operator string `json:"operator"`
	Pass     string `json:"pass"` // forward, input-gradient, weight-gradient; of the optimiser: update
	Shape    string `json:"shape"`
	Variant  string `json:"variant"` // the kernel that takes most of the time

	Milliseconds    float64 `json:"milliseconds"` // median; launches included
	Spread          float64 `json:"spread"`       // half the distance between the quartiles, over the median
	Dispatches      int     `json:"dispatches"`
	GFlops          float64 `json:"gflops"`
	GBytesPerSecond float64 `json:"gbytes_per_second"`
	PercentOfLimit  float64 `json:"percent_of_limit"` // of the limit that binds
	Bound           string  `json:"bound"`            // arithmetic or memory
	ShareOfStep     float64 `json:"share_of_step"`    // of the sum of all operators of the step

	Samples  []float64 `json:"samples_milliseconds"`
	Commands []Command `json:"commands"`
}

// Command is one kernel, or one kind of copy, within an operator.
type Command struct {
	Kernel       string  `json:"kernel"`
	Count        int     `json:"runs"`         // of its dispatches, or copies
	Milliseconds float64 `json:"milliseconds"` // of all of them, median
}

// operators groups the timings of a step's commands by what they belong to.
func operators(timings []gpu.Timing, l Limits) []Operator {
	var out []Operator
	for len(timings) > 0 {
		n := slices.IndexFunc(timings, func(t gpu.Timing) bool { return t.Phase != timings[0].Phase })
		if n < 0 {
			n = len(timings)
		}
		out = append(out, operator(timings[:n], l))
		timings = timings[n:]
	}
	total := 0.0
	for _, o := range out {
		total += o.Milliseconds
	}
	for i := range out {
		out[i].ShareOfStep = out[i].Milliseconds / total
	}
	return out
}

// operator adds up the commands of one phase, round by round.
func operator(timings []gpu.Timing, l Limits) Operator {
	p, _ := timings[0].Phase.(*nn.Phase)
	o := Operator{Layer: p.Layer, Operator: p.Operator, Pass: p.Pass, Shape: p.Shape}
	rounds := make([]float64, len(timings[0].Seconds))
	for _, t := range timings {
		for i, s := range t.Seconds {
			rounds[i] += s
		}
		if t.Dispatch {
			o.Dispatches++
		}
		i := slices.IndexFunc(o.Commands, func(c Command) bool { return c.Kernel == t.Label })
		if i < 0 {
			i = len(o.Commands)
			o.Commands = append(o.Commands, Command{Kernel: t.Label})
		}
		o.Commands[i].Count++
		o.Commands[i].Milliseconds += 1e3 * sampled(t.Seconds).Median
	}
	s := sampled(rounds)
	o.Milliseconds, o.Spread = 1e3*s.Median, s.Spread()
	o.Variant = slices.MaxFunc(o.Commands, func(a, b Command) int {
		return cmp.Compare(a.Milliseconds, b.Milliseconds)
	}).Kernel
	o.GFlops = p.Flops / s.Median / 1e9
	o.GBytesPerSecond = p.Bytes / s.Median / 1e9
	arithmetic, memory := 100*o.GFlops/l.GFlops, 100*o.GBytesPerSecond/l.GBytesPerSecond
	o.PercentOfLimit, o.Bound = memory, "memory"
	if arithmetic > memory {
		o.PercentOfLimit, o.Bound = arithmetic, "arithmetic"
	}
	for _, s := range rounds {
		o.Samples = append(o.Samples, 1e3*s)
	}
	return o
}
