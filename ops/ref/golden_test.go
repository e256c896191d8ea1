package ref

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// goldenTolerance is the allowed distance of twin and PyTorch, both float64:
// absolute below 1, relative above. Only the order of summation may differ.
const goldenTolerance = 1e-10

// golden mirrors testdata/golden.json.
type golden struct {
	Conv []struct {
		Conv
		X, Weight, Bias, Y, Dy, Dx, Dweight, Dbias []float64
	}
	ReLU []struct{ X, Y, Dy, Dx []float64 }
	Pool []struct {
		Pool
		Kind         string
		X, Y, Dy, Dx []float64
	}
	GlobalAvgPool []struct {
		Pool
		X, Y, Dy, Dx []float64
	}
	BatchNorm []struct {
		BatchNorm
		Gamma, Beta, RunMean, RunVar, EvalY, EvalDx []float64
		Steps                                       []struct{ X, Y, Dy, Dx, Dgamma, Dbeta, RunMean, RunVar []float64 }
	}
	CrossEntropy []struct {
		N, Classes              int
		Smoothing               float64
		Logits, Losses, Dlogits []float64
		Labels, Places          []int
	}
	SGD []struct {
		SGD
		W     []float64
		Steps []struct{ G, W []float64 }
	}
	Linear []struct {
		Linear
		X, Weight, Bias, Y, Dy, Dx, Dweight, Dbias []float64
	}
	AdaptivePool []struct {
		AdaptivePool
		X, Y, Dy, Dx []float64
	}
	Subsample []struct {
		Subsample
		X, Y, Dy, Dx []float64
	}
	Heads []struct {
		N, Classes      int
		Smoothing       float64
		Weights, Losses []float64
		Logits, Dlogits [][]float64
		Labels          []int
	}
	ClassWeights []struct {
		N, Classes                       int
		Smoothing, Loss                  float64
		Weights, Logits, Losses, Dlogits []float64
		Labels                           []int
	}
	Resize []struct {
		Out, Stride   int
		Image, Pixels []byte
	}
}

func readGolden(t *testing.T) golden {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", "golden.json"))
	if err != nil {
		t.Fatal(err)
	}
	var g golden
	if err := json.Unmarshal(data, &g); err != nil {
		t.Fatal(err)
	}
	return g
}

// compare fails the test at the first element of got that is not within tol of
// want: absolute where want is below 1, relative above.
func compare(t *testing.T, what string, got, want []float64, tol float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%s: %d elements, want %d", what, len(got), len(want))
		return
	}
	for i := range want {
		if !(math.Abs(got[i]-want[i]) <= tol*max(1, math.Abs(want[i]))) {
			t.Errorf("%s[%d] = %.17g, want %.17g", what, i, got[i], want[i])
			return
		}
	}
}

func TestGolden(t *testing.T) {
	g := readGolden(t)
	check := func(t *testing.T, what string, got, want []float64) {
		t.Helper()
		compare(t, what, got, want, goldenTolerance)
	}

	t.Run("conv", func(t *testing.T) {
		for i, c := range g.Conv {
			t.Logf("case %d: %+v", i, c.Conv)
			check(t, "y", ConvForward(c.Conv, c.X, c.Weight, c.Bias), c.Y)
			check(t, "dx", ConvInputGrad(c.Conv, c.Dy, c.Weight), c.Dx)
			dw, db := ConvWeightGrad(c.Conv, c.X, c.Dy)
			check(t, "dw", dw, c.Dweight)
			if c.Bias != nil {
				check(t, "db", db, c.Dbias)
			}
		}
	})
	t.Run("relu", func(t *testing.T) {
		for _, c := range g.ReLU {
			check(t, "y", ReLU(c.X), c.Y)
			check(t, "dx", ReLUGrad(c.Y, c.Dy), c.Dx)
		}
	})
	t.Run("pool", func(t *testing.T) {
		for i, c := range g.Pool {
			t.Logf("case %d: %s %+v", i, c.Kind, c.Pool)
			if c.Kind == "max" {
				y, arg := MaxPool(c.Pool, c.X)
				check(t, "y", y, c.Y)
				check(t, "dx", MaxPoolGrad(c.Pool, arg, c.Dy), c.Dx)
			} else {
				check(t, "y", AvgPool(c.Pool, c.X), c.Y)
				check(t, "dx", AvgPoolGrad(c.Pool, c.Dy), c.Dx)
			}
		}
	})
	t.Run("global average pool", func(t *testing.T) {
		for _, c := range g.GlobalAvgPool {
			check(t, "y", GlobalAvgPool(c.N, c.C, c.H, c.W, c.X), c.Y)
			check(t, "dx", GlobalAvgPoolGrad(c.N, c.C, c.H, c.W, c.Dy), c.Dx)
		}
	})
	t.Run("batch norm", func(t *testing.T) {
		for i, c := range g.BatchNorm {
			t.Logf("case %d: %+v", i, c.BatchNorm)
			for _, s := range c.Steps {
				y, mean, invstd := c.Train(s.X, c.Gamma, c.Beta, c.RunMean, c.RunVar)
				check(t, "y", y, s.Y)
				check(t, "running mean", c.RunMean, s.RunMean)
				check(t, "running variance", c.RunVar, s.RunVar)
				dx, dgamma, dbeta := c.TrainGrad(s.X, c.Gamma, mean, invstd, s.Dy)
				check(t, "dx", dx, s.Dx)
				check(t, "dgamma", dgamma, s.Dgamma)
				check(t, "dbeta", dbeta, s.Dbeta)
			}
			last := c.Steps[len(c.Steps)-1].X
			check(t, "evaluation", c.Eval(last, c.Gamma, c.Beta, c.RunMean, c.RunVar), c.EvalY)
			check(t, "dx in evaluation", c.EvalGrad(c.Gamma, c.RunVar, c.Steps[len(c.Steps)-1].Dy), c.EvalDx)
		}
	})
	t.Run("cross entropy", func(t *testing.T) {
		for i, c := range g.CrossEntropy {
			t.Logf("case %d: %d images, %d classes, smoothing %g", i, c.N, c.Classes, c.Smoothing)
			losses, dlogits, places := SoftmaxCrossEntropy(c.N, c.Classes, c.Logits, c.Labels, c.Smoothing)
			check(t, "losses", losses, c.Losses)
			check(t, "dlogits", dlogits, c.Dlogits)
			if diff := cmp.Diff(c.Places, places); diff != "" {
				t.Errorf("places of the labels (-want +got):\n%s", diff)
			}
		}
	})
	t.Run("class weights", func(t *testing.T) {
		for i, c := range g.ClassWeights {
			t.Logf("case %d: %d images, %d classes, smoothing %g", i, c.N, c.Classes, c.Smoothing)
			losses, dlogits, _ := SoftmaxCrossEntropy(c.N, c.Classes, c.Logits, c.Labels, c.Smoothing, c.Weights...)
			check(t, "losses", losses, c.Losses)
			check(t, "dlogits", dlogits, c.Dlogits)
			var loss, weights float64
			for i, l := range losses {
				loss, weights = loss+l, weights+c.Weights[c.Labels[i]]
			}
			check(t, "mean", []float64{loss / weights}, []float64{c.Loss})
		}
	})
	t.Run("linear", func(t *testing.T) {
		for i, c := range g.Linear {
			t.Logf("case %d: %+v", i, c.Linear)
			check(t, "y", LinearForward(c.Linear, c.X, c.Weight, c.Bias), c.Y)
			check(t, "dx", LinearInputGrad(c.Linear, c.Dy, c.Weight), c.Dx)
			dw, db := LinearWeightGrad(c.Linear, c.X, c.Dy)
			check(t, "dw", dw, c.Dweight)
			if c.Bias != nil {
				check(t, "db", db, c.Dbias)
			}
		}
	})
	t.Run("adaptive pool", func(t *testing.T) {
		for i, c := range g.AdaptivePool {
			t.Logf("case %d: %+v", i, c.AdaptivePool)
			check(t, "y", AdaptiveAvgPool(c.AdaptivePool, c.X), c.Y)
			check(t, "dx", AdaptiveAvgPoolGrad(c.AdaptivePool, c.Dy), c.Dx)
		}
	})
	t.Run("subsample", func(t *testing.T) {
		for i, c := range g.Subsample {
			t.Logf("case %d: %+v", i, c.Subsample)
			check(t, "y", c.Forward(c.X), c.Y)
			check(t, "dx", c.Grad(c.Dy), c.Dx)
		}
	})
	t.Run("heads", func(t *testing.T) {
		for i, c := range g.Heads {
			t.Logf("case %d: %d images, %d classes, smoothing %g, weights %g", i, c.N, c.Classes, c.Smoothing, c.Weights)
			sum := make([]float64, c.N)
			for head, weight := range c.Weights {
				losses, dlogits, _ := SoftmaxCrossEntropy(c.N, c.Classes, c.Logits[head], c.Labels, c.Smoothing)
				Weigh(weight, losses, dlogits)
				for i, v := range losses {
					sum[i] += v
				}
				check(t, "dlogits", dlogits, c.Dlogits[head])
			}
			check(t, "losses", sum, c.Losses)
		}
	})
	t.Run("sgd", func(t *testing.T) {
		for i, c := range g.SGD {
			t.Logf("case %d: %+v", i, c.SGD)
			v := make([]float64, len(c.W))
			for _, s := range c.Steps {
				c.Step(c.W, s.G, v)
				check(t, "w", c.W, s.W)
			}
		}
	})
	t.Run("resize", func(t *testing.T) {
		for _, c := range g.Resize {
			const side = 32
			f := float64(side) / float64(c.Out)
			m := [9]float64{f, 0, f/2 - 0.5, 0, f, f/2 - 0.5, 0, 0, 1}
			y := View{C: 3, H: side, W: side, Out: c.Out, Map: m}.Augment(c.Image)
			var off int
			for i, want := range c.Pixels {
				got := y[i*c.Stride]
				// Pillow's weights are fixed-point, so a sum may round the other way.
				if math.Abs(got-float64(want)/255) > 1.01/255 {
					t.Fatalf("%d×%d, sample %d: %g, want %d", c.Out, c.Out, i, got*255, want)
				}
				if math.Round(got*255) != float64(want) {
					off++
				}
			}
			if off*100 > len(c.Pixels) {
				t.Errorf("%d×%d: %d of %d samples differ from Pillow", c.Out, c.Out, off, len(c.Pixels))
			}
		}
	})
}
