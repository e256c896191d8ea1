//go:build !js

package train

import (
	"bytes"
	"fmt"
	"image/png"
	"math"
	"strings"
	"testing"
)

// learned is the metrics of a run of some epochs of three steps.
func learned(epochs int, loss float64) *Metrics {
	m := &Metrics{}
	for e := 1; e <= epochs; e++ {
		for range 3 {
			m.Steps = append(m.Steps, StepRecord{Epoch: e, Step: len(m.Steps) + 1, Loss: loss / float64(e), LearningRate: 0.1})
		}
		m.Epochs = append(m.Epochs, EpochRecord{e, 3, 0.1, loss / float64(e), 0.5, loss / float64(e), 1 - 1/float64(e+1), 1,
			1, 32, 0.8, 0.9, 0})
	}
	return m
}

func TestPlotRuns(t *testing.T) {
	unmeasured := learned(2, 2)
	for i := range unmeasured.Epochs {
		e := &unmeasured.Epochs[i]
		e.TestAccuracy, e.TrainAccuracy, e.TestLoss = math.NaN(), math.NaN(), math.NaN()
	}
	begun := &Metrics{Steps: stepsTo(5)}
	wild := learned(5, 2)
	wild.Steps[14].Loss = math.Inf(1)
	wild.Steps[13].Loss = 1e29
	many := make([]*Metrics, MostCurves)
	for i := range many {
		many[i] = learned(i+1, 2)
	}
	for name, metrics := range map[string][]*Metrics{
		"one": {learned(1, 2)}, "two": {learned(40, 2), learned(3, 1)}, "not evaluated": {unmeasured, learned(2, 2)},
		"no epoch yet": {learned(2, 2), begun},
		"nothing yet":  {{}}, "one of nothing": {learned(2, 2), {}}, "wild": {wild, learned(5, 2)}, "as many as can be": many,
	} {
		t.Run(name, func(t *testing.T) {
			var runs []Curves
			for i, m := range metrics {
				perEpoch := 0
				if len(m.Epochs) > 0 {
					perEpoch = 3
				}
				runs = append(runs, Curves{fmt.Sprintf("%s %d", strings.Repeat("long ", 40), i), m, perEpoch})
			}
			b, err := PlotRuns(runs, name)
			if err != nil {
				t.Fatal(err)
			}
			img, err := png.Decode(bytes.NewReader(b))
			if err != nil {
				t.Fatal(err)
			}
			if size := img.Bounds().Size(); size.X != 1200 || size.Y < 1200 {
				t.Errorf("the picture is %v", size)
			}
			for i := range runs { // at least in the legend
				if !hasColor(img, runColors[i%len(runColors)]) {
					t.Errorf("nothing has the colour of run %d", i)
				}
			}
		})
	}
	if _, err := PlotRuns(make([]Curves, MostCurves+1), ""); err == nil {
		t.Error("more runs than can be told apart were drawn")
	}
}
