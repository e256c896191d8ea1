package ref

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// checkGradient compares grad with the central difference of loss in each
// element of x, which loss reads. Steps of 1e-6 leave about 1e-9 of rounding.
func checkGradient(t *testing.T, what string, x, grad []float64, loss func() float64) {
	t.Helper()
	const eps, rtol, atol = 1e-6, 1e-3, 1e-7
	if len(grad) != len(x) {
		t.Fatalf("%s: %d elements, want %d", what, len(grad), len(x))
	}
	for i, v := range x {
		x[i] = v + eps
		up := loss()
		x[i] = v - eps
		down := loss()
		x[i] = v
		want := (up - down) / (2 * eps)
		if !(math.Abs(grad[i]-want) <= rtol*math.Abs(want)+atol) {
			t.Errorf("%s[%d] = %g, finite difference %g", what, i, grad[i], want)
			return
		}
	}
}

func normals(r *rand.Rand, n int) []float64 {
	x := make([]float64, n)
	for i := range x {
		x[i] = r.NormFloat64()
	}
	return x
}

// distinct gives n values at least 0.01 apart from each other and from 0, in
// random order: no step of a finite difference crosses a kink.
func distinct(r *rand.Rand, n int) []float64 {
	x := make([]float64, n)
	for i, v := range r.Perm(n) {
		x[i] = 0.01 * (float64(v) - float64(n/2) + 0.5)
	}
	return x
}

func dot(a, b []float64) float64 {
	var sum float64
	for i, v := range a {
		sum += v * b[i]
	}
	return sum
}

// A loss here is Σ y·dy with dy random, so that dy is its gradient in y.

func TestConvGradient(t *testing.T) {
	for i, c := range []Conv{
		{N: 1, C: 1, H: 1, W: 1, M: 1, K: 1, Stride: 1},
		{N: 2, C: 3, H: 7, W: 5, M: 2, K: 3, Stride: 1, Pad: 1},
		{N: 1, C: 2, H: 7, W: 6, M: 3, K: 5, Stride: 2, Pad: 2},
		{N: 3, C: 5, H: 4, W: 3, M: 3, K: 1, Stride: 2},
		{N: 1, C: 2, H: 13, W: 12, M: 1, K: 11, Stride: 4, Pad: 5},
		{N: 2, C: 1, H: 6, W: 9, M: 2, K: 3, Stride: 4},
		{N: 1, C: 3, H: 1, W: 1, M: 2, K: 5, Stride: 1, Pad: 2},
	} {
		t.Logf("%+v", c)
		r := rand.New(rand.NewPCG(1, uint64(i)))
		x, w, b := normals(r, c.N*c.C*c.H*c.W), normals(r, c.M*c.C*c.K*c.K), normals(r, c.M)
		dy := normals(r, c.N*c.M*c.OH()*c.OW())
		loss := func() float64 { return dot(ConvForward(c, x, w, b), dy) }
		dw, db := ConvWeightGrad(c, x, dy)
		checkGradient(t, "dx", x, ConvInputGrad(c, dy, w), loss)
		checkGradient(t, "dw", w, dw, loss)
		checkGradient(t, "db", b, db, loss)
	}
}

func TestLinearGradient(t *testing.T) {
	for i, l := range []Linear{{N: 1, In: 1, M: 1}, {N: 3, In: 7, M: 5}, {N: 2, In: 12, M: 4}} {
		t.Logf("%+v", l)
		r := rand.New(rand.NewPCG(8, uint64(i)))
		x, w, b, dy := normals(r, l.N*l.In), normals(r, l.M*l.In), normals(r, l.M), normals(r, l.N*l.M)
		loss := func() float64 { return dot(LinearForward(l, x, w, b), dy) }
		dw, db := LinearWeightGrad(l, x, dy)
		checkGradient(t, "dx", x, LinearInputGrad(l, dy, w), loss)
		checkGradient(t, "dw", w, dw, loss)
		checkGradient(t, "db", b, db, loss)
	}
}

func TestAdaptiveAvgPoolGradient(t *testing.T) {
	for i, p := range []AdaptivePool{
		{N: 1, C: 1, H: 1, W: 1, OH: 6, OW: 6},
		{N: 2, C: 3, H: 7, W: 5, OH: 3, OW: 4},
		{N: 1, C: 2, H: 4, W: 9, OH: 7, OW: 2},
	} {
		t.Logf("%+v", p)
		r := rand.New(rand.NewPCG(9, uint64(i)))
		x, dy := normals(r, p.N*p.C*p.H*p.W), normals(r, p.N*p.C*p.OH*p.OW)
		checkGradient(t, "dx", x, AdaptiveAvgPoolGrad(p, dy), func() float64 { return dot(AdaptiveAvgPool(p, x), dy) })
	}
}

func TestSubsampleGradient(t *testing.T) {
	for i, s := range []Subsample{
		{N: 1, C: 1, H: 1, W: 1, Stride: 1},
		{N: 2, C: 3, H: 7, W: 5, Stride: 2, Before: 2, After: 1},
		{N: 1, C: 2, H: 4, W: 9, Stride: 3, After: 3},
	} {
		t.Logf("%+v", s)
		r := rand.New(rand.NewPCG(10, uint64(i)))
		x, dy := normals(r, s.N*s.C*s.H*s.W), normals(r, s.N*s.OC()*s.OH()*s.OW())
		checkGradient(t, "dx", x, s.Grad(dy), func() float64 { return dot(s.Forward(x), dy) })
	}
}

func TestReLUGradient(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 0))
	x, dy := distinct(r, 50), normals(r, 50)
	checkGradient(t, "dx", x, ReLUGrad(ReLU(x), dy), func() float64 { return dot(ReLU(x), dy) })
}

func TestPoolGradient(t *testing.T) {
	for i, p := range []Pool{
		{N: 1, C: 1, H: 1, W: 1, K: 1, Stride: 1},
		{N: 1, C: 2, H: 1, W: 1, K: 3, Stride: 2, Pad: 1},
		{N: 2, C: 3, H: 7, W: 5, K: 3, Stride: 2, Pad: 1},
		{N: 1, C: 2, H: 8, W: 9, K: 3, Stride: 2},
		{N: 1, C: 1, H: 9, W: 6, K: 5, Stride: 4, Pad: 2},
		{N: 2, C: 1, H: 4, W: 6, K: 3, Stride: 1, Pad: 1},
	} {
		t.Logf("%+v", p)
		r := rand.New(rand.NewPCG(3, uint64(i)))
		x, dy := distinct(r, p.N*p.C*p.H*p.W), normals(r, p.N*p.C*p.OH()*p.OW())
		_, arg := MaxPool(p, x)
		checkGradient(t, "max dx", x, MaxPoolGrad(p, arg, dy), func() float64 {
			y, _ := MaxPool(p, x)
			return dot(y, dy)
		})
		checkGradient(t, "avg dx", x, AvgPoolGrad(p, dy), func() float64 { return dot(AvgPool(p, x), dy) })
		dy = normals(r, p.N*p.C)
		checkGradient(t, "global dx", x, GlobalAvgPoolGrad(p.N, p.C, p.H, p.W, dy), func() float64 {
			return dot(GlobalAvgPool(p.N, p.C, p.H, p.W, x), dy)
		})
	}
}

func TestBatchNormGradient(t *testing.T) {
	for i, b := range []BatchNorm{
		{N: 1, C: 1, HW: 4, Eps: 1e-5, Momentum: 0.1},
		{N: 3, C: 5, HW: 6, Eps: 1e-5, Momentum: 0.1},
		{N: 7, C: 3, HW: 1, Eps: 1e-2, Momentum: 0.5},
	} {
		t.Logf("%+v", b)
		r := rand.New(rand.NewPCG(4, uint64(i)))
		x, gamma, beta := normals(r, b.N*b.C*b.HW), normals(r, b.C), normals(r, b.C)
		dy := normals(r, len(x))
		train := func() (y, mean, invstd []float64) {
			return b.Train(x, gamma, beta, make([]float64, b.C), make([]float64, b.C))
		}
		loss := func() float64 {
			y, _, _ := train()
			return dot(y, dy)
		}
		_, mean, invstd := train()
		dx, dgamma, dbeta := b.TrainGrad(x, gamma, mean, invstd, dy)
		checkGradient(t, "dx", x, dx, loss)
		checkGradient(t, "dgamma", gamma, dgamma, loss)
		checkGradient(t, "dbeta", beta, dbeta, loss)
	}
}

func TestDropoutGradient(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 0))
	x, dy := normals(r, 60), normals(r, 60)
	checkGradient(t, "dx", x, Dropout(7, 3, 0, 0.4, dy), func() float64 { return dot(Dropout(7, 3, 0, 0.4, x), dy) })
}

func TestSoftmaxCrossEntropyGradient(t *testing.T) {
	for _, smoothing := range []float64{0, 0.1, 1} {
		r := rand.New(rand.NewPCG(6, 0))
		const n, classes = 5, 10
		z := normals(r, n*classes)
		labels := []int{0, 9, 4, 4, 1}
		_, dz, _ := SoftmaxCrossEntropy(n, classes, z, labels, smoothing)
		checkGradient(t, "dlogits", z, dz, func() float64 {
			losses, _, _ := SoftmaxCrossEntropy(n, classes, z, labels, smoothing)
			var sum float64
			for _, l := range losses {
				sum += l
			}
			return sum / n
		})
		weights := []float64{1, 0.5, 2, 0, 3, 1, 1, 0.1, 1, 7}
		whole := weights[0] + weights[9] + 2*weights[4] + weights[1]
		_, dz, _ = SoftmaxCrossEntropy(n, classes, z, labels, smoothing, weights...)
		checkGradient(t, "dlogits, weighted", z, dz, func() float64 {
			losses, _, _ := SoftmaxCrossEntropy(n, classes, z, labels, smoothing, weights...)
			var sum float64
			for _, l := range losses {
				sum += l
			}
			return sum / whole
		})
	}
}

func TestBatchNormEvalGradient(t *testing.T) {
	r := rand.New(rand.NewPCG(8, 0))
	b := BatchNorm{N: 2, C: 2, HW: 3, Eps: 1e-3}
	x, dy := normals(r, 12), normals(r, 12)
	gamma, beta, mean, variance := normals(r, 2), normals(r, 2), normals(r, 2), []float64{0.5, 2}
	checkGradient(t, "dx", x, b.EvalGrad(gamma, variance, dy), func() float64 {
		return dot(b.Eval(x, gamma, beta, mean, variance), dy)
	})
}

// TestInputsUnchanged runs every twin and looks at what it was given.
func TestInputsUnchanged(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 0))
	c := Conv{N: 2, C: 2, H: 5, W: 4, M: 2, K: 3, Stride: 1, Pad: 1} // input and output have one size
	p := Pool{N: 2, C: 2, H: 5, W: 4, K: 3, Stride: 1, Pad: 1}
	b := BatchNorm{N: 2, C: 2, HW: 20, Eps: 1e-5, Momentum: 0.1}
	x, dy := normals(r, 80), normals(r, 80)
	w, two := normals(r, 36), normals(r, 2)
	saved := [][]float64{slices.Clone(x), slices.Clone(dy), slices.Clone(w), slices.Clone(two)}

	ConvForward(c, x, w, two)
	ConvInputGrad(c, dy, w)
	ConvWeightGrad(c, x, dy)
	ReLUGrad(ReLU(x), dy)
	_, arg := MaxPool(p, x)
	MaxPoolGrad(p, arg, dy)
	AvgPool(p, x)
	AvgPoolGrad(p, dy)
	GlobalAvgPool(2, 2, 5, 4, x)
	GlobalAvgPoolGrad(2, 1, 5, 4, two)
	_, mean, invstd := b.Train(x, two, two, make([]float64, 2), make([]float64, 2))
	b.TrainGrad(x, two, mean, invstd, dy)
	b.Eval(x, two, two, mean, invstd)
	b.EvalGrad(two, invstd, dy)
	LinearForward(Linear{N: 2, In: 40, M: 2}, x, x, two)
	LinearInputGrad(Linear{N: 2, In: 40, M: 1}, two, x)
	LinearWeightGrad(Linear{N: 2, In: 40, M: 1}, x, two)
	AdaptiveAvgPool(AdaptivePool{N: 2, C: 2, H: 5, W: 4, OH: 3, OW: 3}, x)
	AdaptiveAvgPoolGrad(AdaptivePool{N: 2, C: 2, H: 3, W: 3, OH: 5, OW: 4}, dy)
	Subsample{N: 2, C: 2, H: 5, W: 4, Stride: 2}.Forward(x)
	Subsample{N: 2, C: 2, H: 5, W: 4, Stride: 1}.Grad(dy)
	Dropout(1, 2, 0, 0.5, x)
	SoftmaxCrossEntropy(8, 10, x, make([]int, 8), 0.1)
	SGD{LR: 1}.Step(make([]float64, 80), x, make([]float64, 80))

	for i, v := range [][]float64{x, dy, w, two} {
		if !slices.Equal(v, saved[i]) {
			t.Errorf("input %d was changed", i)
		}
	}
}
