package shaders_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"ninvk/shaders"
)

// The transforms compute a convolution along a row, for every number of outputs and taps that there are points for.
func TestWinograd(t *testing.T) {
	algorithms := 0
	for m := 1; m <= 8; m++ {
		for k := 1; k <= 8; k++ {
			w := shaders.Winograd{M: m, K: k}
			if !w.Fits() {
				continue
			}
			algorithms++
			taps, x := make([]float64, k), make([]float64, w.Points())
			for i := range taps {
				taps[i] = rand.Float64() - 0.5
			}
			for i := range x {
				x[i] = rand.Float64() - 0.5
			}
			u, v := apply(w.G(), taps), apply(w.B(), x)
			for i := range u {
				u[i] *= v[i]
			}
			for i, y := range apply(w.A(), u) {
				want := 0.0
				for j := range taps {
					want += taps[j] * x[i+j]
				}
				if math.Abs(y-want) > 1e-12 {
					t.Errorf("F(%d, %d): output %d is %g, want %g", m, k, i, y, want)
				}
			}
		}
	}
	if algorithms < 6 {
		t.Errorf("%d algorithms", algorithms)
	}
}

func apply(m [][]float64, x []float64) []float64 {
	y := make([]float64, len(m))
	for i, row := range m {
		for j, c := range row {
			y[i] += c * x[j]
		}
	}
	return y
}
