package bench

import (
	"io"
	"runtime"
	"strconv"
	"strings"
)

// WriteGo prints the samples as Go's benchmarks print their results: a line for every sample, so that benchstat sees
// the spread.
func (r Result) WriteGo(w io.Writer) error {
	p := &printer{w: w}
	p.line("goos: %s\ngoarch: %s\npkg: ninvk/bench\nadapter: %s\ndriver: %s\n", runtime.GOOS, runtime.GOARCH,
		r.Adapter.Name, r.Adapter.Driver)
	p.line("BenchmarkLimits 1 %g gflops %g gbytes/sec\n", r.Limits.GFlops, r.Limits.GBytesPerSecond)
	for _, o := range r.Operators {
		for _, ms := range o.Samples {
			p.line("BenchmarkOperator/%s 1 %.0f ns/op\n", o.key("/"), 1e6*ms)
		}
	}
	for _, n := range r.Networks {
		for _, v := range n.TrainSamples {
			p.line("BenchmarkTrain/model=%s/batch=%d 1 %.0f ns/op %g images/sec\n", named(n.Model, n.Size), n.Batch,
				1e9*float64(n.Batch)/v, v)
		}
		for _, v := range n.InferSamples {
			p.line("BenchmarkInfer/model=%s/batch=%d 1 %.0f ns/op %g images/sec\n", named(n.Model, n.Size), n.Batch,
				1e9*float64(n.Batch)/v, v)
		}
	}
	for _, s := range r.StartUps {
		p.line("BenchmarkStartUp/model=%s/batch=%d/caches=%s 1 %.0f ns/op\n", named(s.Model, s.Size), s.Batch,
			s.Caches, 1e9*s.Seconds)
	}
	return p.err
}

// key names an operator in a measurement, its parts joined by a separator.
func (o Operator) key(separator string) string {
	word := strings.NewReplacer(" ", "-", ",", "", "×", "x")
	parts := []string{"model=" + o.Model, "batch=" + strconv.Itoa(o.Batch), "step=" + o.Step, "layer=" + o.Layer,
		"op=" + word.Replace(o.Operator), "pass=" + o.Pass}
	return strings.Join(parts, separator)
}
