package ops_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"ninvk/ops"
	"ninvk/ops/cases"
)

// layers are the convolutions of nin at 32×32 pixels.
var layers = []struct {
	name string
	op   ops.Conv
	size int
}{
	{"0", ops.Conv{C: 3, M: 192, K: 5, Stride: 1, Pad: 2, ReLU: true}, 32},
	{"2", ops.Conv{C: 192, M: 160, K: 1, Stride: 1, ReLU: true}, 32},
	{"4", ops.Conv{C: 160, M: 96, K: 1, Stride: 1, ReLU: true}, 32},
	{"8", ops.Conv{C: 96, M: 192, K: 5, Stride: 1, Pad: 2, ReLU: true}, 16},
	{"10", ops.Conv{C: 192, M: 192, K: 1, Stride: 1, ReLU: true}, 16},
	{"16", ops.Conv{C: 192, M: 192, K: 3, Stride: 1, Pad: 1, ReLU: true}, 8},
	{"20", ops.Conv{C: 192, M: 10, K: 1, Stride: 1, ReLU: true}, 8},
}

// BenchmarkConv times the convolutions of nin, every variant of every pass, at batch 64 or NINVK_BATCH: time and
// arithmetic of the whole pass, copies and second passes included.
func BenchmarkConv(b *testing.B) {
	batch := 64
	if s := os.Getenv("NINVK_BATCH"); s != "" {
		fmt.Sscan(s, &batch)
	}
	for _, l := range layers {
		for _, c := range cases.WithBias(l.op, ops.Shape{N: batch, C: l.op.C, H: l.size, W: l.size}) {
			masked := ""
			if strings.Contains(c.Name, "masked") {
				masked = "-masked"
			}
			b.Run(fmt.Sprintf("layer=%s/%s/%s%s", l.name, strings.ReplaceAll(c.Pass, " ", "-"), c.Variant, masked),
				func(b *testing.B) { benchmark(b, c) })
		}
	}
}

// BenchmarkLinear times linear layers, every variant of every pass: arithmetic, and the rate at which weights pass.
func BenchmarkLinear(b *testing.B) {
	for _, o := range []ops.Linear{{In: 400, M: 120}, {In: 2048, M: 1000}, {In: 4096, M: 4096}, {In: 25088, M: 1024}} {
		for _, batch := range []int{1, 4, 16, 64} {
			for _, c := range cases.WithBias(o, ops.Shape{N: batch, C: o.In, H: 1, W: 1}) {
				if strings.Contains(c.Name, "accumulated") {
					continue
				}
				pass := strings.ReplaceAll(c.Pass, " ", "-")
				b.Run(fmt.Sprintf("%d-%d/batch=%d/%s/%s", o.In, o.M, batch, pass, c.Variant), func(b *testing.B) {
					least := benchmark(b, c)
					b.ReportMetric(4*float64(o.In)*float64(o.M)/least/1e9, "best-GB/s")
				})
			}
		}
	}
}

// BenchmarkNorm times batch normalisation, every variant of every pass, and the rate at which values pass.
func BenchmarkNorm(b *testing.B) {
	for _, x := range []ops.Shape{{N: 16, C: 512, H: 2, W: 2}, {N: 16, C: 128, H: 8, W: 8}, {N: 16, C: 96, H: 32, W: 32}} {
		for _, c := range cases.Of(ops.BatchNorm{Eps: 1e-5, Momentum: 0.1, ReLU: true}, x) {
			if c.Variant == "" {
				continue
			}
			b.Run(fmt.Sprintf("%v/%s/%s", x, strings.ReplaceAll(c.Pass, " ", "-"), c.Variant), func(b *testing.B) {
				least := benchmark(b, c)
				b.ReportMetric(float64(x.Elements())/least/1e6, "best-M/s")
			})
		}
	}
}

// benchmark gives the least seconds that a call took.
func benchmark(b *testing.B, c cases.Case) float64 {
	d := device(b)
	if err := c.Fits(d.Limits()); err != nil {
		b.Skip(err)
	}
	r := recorder(b, c.String(), c.Need(d.Limits()))
	defer r.Tape.Release()
	r.Batch = c.In.N
	m := must(c.Allocate(r))(b)
	defer m.Release()
	for _, o := range c.Operands {
		buffer, at := m.Where(o)
		v := make([]float32, (buffer.Size-at)/4)
		for i := range v {
			v[i] = rand.Float32() - 0.5
		}
		write(b, buffer, at, v)
	}
	check(b, c.Record(m))
	once := func() float64 {
		start := time.Now()
		check(b, d.Submit(m.Tape))
		check(b, d.Wait(c.String()))
		return time.Since(start).Seconds()
	}
	once() // compiles
	least := math.Inf(1)
	for b.Loop() {
		least = min(least, once())
	}
	b.ReportMetric(c.Flops*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
	b.ReportMetric(c.Flops/least/1e9, "best-GFLOP/s")
	return least
}
