//go:build !js

package train

import (
	"bytes"
	"image"
	"image/color"
	"image/png"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"gonum.org/v1/plot/plotter"
)

// madeUp is a run whose loss falls; each epoch has per steps.
func madeUp(epochs, per int) (steps []StepRecord, records []EpochRecord) {
	for e := 1; e <= epochs; e++ {
		for range per {
			n := len(steps) + 1
			steps = append(steps,
				StepRecord{Epoch: e, Step: n, Loss: 0.2 + 2/math.Sqrt(float64(n)) + 0.1*math.Sin(float64(n*n))})
		}
		done := float64(e) / float64(epochs+1)
		records = append(records, EpochRecord{Epoch: e, Steps: per, TrainAccuracy: 0.1 + 0.9*done,
			TestAccuracy: 0.1 + 0.8*done, TestLoss: 2.3 - 2*done,
			TrainTop5: math.NaN(), TestTop5: math.NaN()})
	}
	return steps, records
}

// hasColor says whether a pixel has exactly this opaque colour.
func hasColor(m image.Image, c color.NRGBA) bool {
	r, g, b, _ := c.RGBA()
	for y := range m.Bounds().Dy() {
		for x := range m.Bounds().Dx() {
			if pr, pg, pb, _ := m.At(x, y).RGBA(); pr == r && pg == g && pb == b {
				return true
			}
		}
	}
	return false
}

// decodePlot decodes a picture and checks its size.
func decodePlot(t *testing.T, b []byte, err error) image.Image {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	m, err := png.Decode(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	if m.Bounds().Dx() != 1200 || m.Bounds().Dy() != 800 {
		t.Errorf("the picture is %v, expected 1200×800", m.Bounds())
	}
	return m
}

func TestPlots(t *testing.T) {
	nan := math.NaN()
	long, longEpochs := madeUp(100, 100)
	one, oneEpoch := madeUp(1, 10)
	three, threeEpochs := madeUp(3, 40)
	for _, c := range []struct {
		name   string
		steps  []StepRecord
		epochs []EpochRecord
		drawn  bool
	}{
		{"nothing", nil, nil, false},
		{"nothing finite", []StepRecord{{1, 1, nan, 1, 1, 1}},
			[]EpochRecord{{1, 1, 1, nan, nan, math.Inf(1), nan, 1, 1, 32, nan, nan, 0}}, false},
		{"one epoch", one, oneEpoch, true},
		{"three epochs", three, threeEpochs, true},
		{"a hundred epochs", long, longEpochs, true},
		{"epochs without steps", nil, threeEpochs, true},
		{"perfect", []StepRecord{{1, 1, 0, 1, 1, 1}}, []EpochRecord{{1, 1, 1, 0, 1, 0, 1, 1, 1, 32, 1, 1, 0}}, true},
		{"huge loss", append([]StepRecord{{1, 1, 1e300, 1, 1, 1}}, three[1:]...), threeEpochs, true},
		{"diverging", []StepRecord{{1, 1, 2, 1, 1, 1}, {1, 2, 1e29, 1, 1, 1}},
			[]EpochRecord{{1, 2, 1, 1, 0, 1e29, 0, 1, 1, 32, 0, 0, 0}}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			accuracy, err := PlotAccuracy(c.epochs, c.name)
			accuracyPicture := decodePlot(t, accuracy, err)
			loss, err := PlotLoss(c.steps, c.epochs, c.name)
			lossPicture := decodePlot(t, loss, err)
			if got := hasColor(accuracyPicture, testColor); got != c.drawn {
				t.Errorf("accuracy: the test curve is drawn: %v, want %v", got, c.drawn)
			}
			if got := hasColor(lossPicture, testColor); got != c.drawn {
				t.Errorf("loss: the test curve is drawn: %v, want %v", got, c.drawn)
			}
		})
	}
}

func TestTicks(t *testing.T) {
	for _, c := range []struct {
		first, last float64
		want        string
	}{
		{1, 1, "1"},
		{1, 3, "1 2 3"},
		{1, 20, "1 2 4 6 8 10 12 14 16 18 20"},
		{1, 100, "1 10 20 30 40 50 60 70 80 90 100"},
		{1, 78200, "1 10,000 20,000 30,000 40,000 50,000 60,000 70,000"},
	} {
		var got []string
		for _, tick := range (wholeTicks{c.first, c.last}).Ticks(0, 0) {
			got = append(got, tick.Label)
		}
		if diff := cmp.Diff(c.want, strings.Join(got, " ")); diff != "" {
			t.Errorf("ticks from %v to %v (-want +got):\n%s", c.first, c.last, diff)
		}
	}
	var got []string
	for _, tick := range (evenTicks{}).Ticks(-0.001, 0.55) {
		got = append(got, tick.Label)
	}
	if diff := cmp.Diff("0.0 0.1 0.2 0.3 0.4 0.5", strings.Join(got, " ")); diff != "" {
		t.Errorf("ticks (-want +got):\n%s", diff)
	}
}

func TestThinnedAndSmoothed(t *testing.T) {
	p := make(plotter.XYs, 78200)
	for i := range p {
		p[i] = plotter.XY{X: float64(i), Y: 3}
	}
	p[40001].Y = 9
	thin := thinned(p)
	if len(thin) > 2000 {
		t.Errorf("%d points are left", len(thin))
	}
	if _, high := spread(thin); high != 9 {
		t.Errorf("the peak was lost: %v", high)
	}
	for i := 1; i < len(thin); i++ {
		if thin[i].X < thin[i-1].X {
			t.Fatalf("points %d and %d are out of order", i-1, i)
		}
	}
	smooth := smoothed(p[:1000])
	for i, q := range smooth {
		if q.X != p[i].X || math.Abs(q.Y-3) > 1e-9 {
			t.Fatalf("a constant was smoothed to %v", q)
		}
	}
}
