package ops_test

import (
	"fmt"
	"testing"

	"ninvk/ops"
)

// BenchmarkConv times every variant of every pass on layers of the CIFAR-10 network, for batches of 8.
func BenchmarkConv(b *testing.B) {
	for _, l := range []struct {
		size int
		o    ops.Conv
	}{
		{32, ops.Conv{C: 3, M: 192, K: 5, Stride: 1, Pad: 2, ReLU: true}},
		{32, ops.Conv{C: 192, M: 160, K: 1, Stride: 1, ReLU: true}},
		{16, ops.Conv{C: 96, M: 192, K: 5, Stride: 1, Pad: 2, ReLU: true}},
		{8, ops.Conv{C: 192, M: 192, K: 3, Stride: 1, Pad: 1, ReLU: true}},
		{8, ops.Conv{C: 192, M: 10, K: 1, Stride: 1, ReLU: true}},
	} {
		x := ops.Shape{N: 8, C: l.o.C, H: l.size, W: l.size}
		for _, p := range []ops.Pass{ops.ConvForward, ops.ConvInputGrad, ops.ConvWeightGrad} {
			for _, v := range ops.Variants(p) {
				b.Run(fmt.Sprintf("pass=%s/x=%v/m=%d/k=%d/variant=%s", p, x, l.o.M, l.o.K, v), func(b *testing.B) { benchmarkConv(b, l.o, x, p, v) })
			}
		}
	}
}

func benchmarkConv(b *testing.B, o ops.Conv, x ops.Shape, p ops.Pass, variant string) {
	y := must(o.Out(x))(b)
	r := recorder(b, "benchmark", max(x.Bytes(), y.Bytes()))
	r.Batch, r.Choice.Forced, r.Used = x.N, map[ops.Pass]string{p: variant}, map[string]string{}
	weight := ops.Param{Len: o.M * o.C * o.K * o.K}
	bias := ops.Param{Offset: weight.Len, Len: o.M}
	r.Weights = must(r.Dev.NewBuffer("weights", uint64(4*(bias.Offset+bias.Len))))(b)
	r.Grads = must(r.Dev.NewBuffer("gradients", r.Weights.Size))(b)
	in := must(ops.NewTensor(r.Dev, "input", x))(b)
	out := must(ops.NewTensor(r.Dev, "output", y))(b)
	defer func() {
		r.Tape.Release()
		r.Weights.Release()
		r.Grads.Release()
		in.Buf.Release()
		out.Buf.Release()
	}()
	switch p {
	case ops.ConvForward:
		check(b, o.Forward(r, in, weight, bias, out))
	case ops.ConvInputGrad:
		check(b, o.InputGrad(r, out, weight, in, nil))
	default:
		check(b, o.WeightGrad(r, in, out, nil, weight, bias))
	}
	for _, used := range r.Used {
		if used != variant {
			b.Skipf("%s does not fit", variant)
		}
	}
	run := func() {
		check(b, r.Dev.Submit(r.Tape))
		check(b, r.Dev.Wait("benchmark"))
	}
	run() // compiles
	b.ResetTimer()
	for range b.N {
		run()
	}
	b.ReportMetric(o.Flops(x)*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
}
