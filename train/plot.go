//go:build !js

package train

import (
	"fmt"
	"image/color"
	"slices"

	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// Pictures are 1200×800 pixels; at 96 dots an inch that is 900×600 points.
const (
	plotWidth  = 900 * vg.Length(1)
	plotHeight = 600 * vg.Length(1)
	plotDPI    = 96
)

// maxMarkers is the number of epochs up to which each one gets a marker.
const maxMarkers = 30

// Colours from the palette of Okabe and Ito, told apart by colour-blind people too.
var (
	trainColor = color.NRGBA{0x00, 0x72, 0xb2, 0xff} // blue
	testColor  = color.NRGBA{0xd5, 0x5e, 0x00, 0xff} // vermilion
	top5Color  = color.NRGBA{0x00, 0x9e, 0x73, 0xff} // bluish green
	faintColor = color.NRGBA{0x56, 0xb4, 0xe9, 0x70} // sky blue, see-through
	gridColor  = color.NRGBA{0xe2, 0xe2, 0xe2, 0xff}
	inkColor   = color.NRGBA{0x22, 0x22, 0x22, 0xff}
)

// plots are the pictures of a run.
var plots = []plotted{
	{AccuracyPlot, func(_ []StepRecord, epochs []EpochRecord, title string) ([]byte, error) {
		return PlotAccuracy(epochs, title)
	}},
	{LossPlot, PlotLoss},
	{RatePlot, func(steps []StepRecord, _ []EpochRecord, title string) ([]byte, error) {
		return PlotLearningRate(steps, title)
	}},
}

// PlotAccuracy draws training and test accuracy against the epoch as a PNG, and that of the test split among the five
// likeliest classes where it was measured. Epochs without a measured accuracy are left out.
func PlotAccuracy(epochs []EpochRecord, title string) ([]byte, error) {
	var training, test, top5 plotter.XYs
	for _, e := range epochs {
		training = appendDrawable(training, float64(e.Epoch), 100*e.TrainAccuracy)
		test = appendDrawable(test, float64(e.Epoch), 100*e.TestAccuracy)
		top5 = appendDrawable(top5, float64(e.Epoch), 100*e.TestTop5)
	}
	f := newFigure(title, "Epoch", "Accuracy (%)")
	f.addLine(label("Training accuracy", training, "%.2f %%"), training, trainColor, draw.CircleGlyph{})
	testLabel := "Test accuracy"
	if len(test) > 0 {
		best := test[0]
		for _, p := range test {
			if p.Y > best.Y {
				best = p
			}
		}
		testLabel = fmt.Sprintf("Test accuracy (best %.2f %% at epoch %.0f)", best.Y, best.X)
	}
	f.addLine(testLabel, test, testColor, draw.PyramidGlyph{})
	f.addLine(label("Test, top 5", top5, "%.2f %%"), top5, top5Color, draw.BoxGlyph{})

	all := slices.Concat(training, test, top5)
	f.setX(all, 1)
	low, high := spread(all)
	margin := max(0.08*(high-low), (10-(high-low))/2) // at least 10 points in sight
	f.setY(max(low-margin, 0), min(high+margin, 100))
	return f.png()
}

// PlotLoss draws the loss of the steps (faint, and smoothed over it) and the test loss after the epochs against the
// step as a PNG. Values that are not finite, or beyond 1e30, are left out.
func PlotLoss(steps []StepRecord, epochs []EpochRecord, title string) ([]byte, error) {
	var raw, test plotter.XYs
	for _, s := range steps {
		raw = appendDrawable(raw, float64(s.Step), s.Loss)
	}
	// An epoch's test loss stands at its last step.
	last := map[int]int{}
	for _, s := range steps {
		last[s.Epoch] = max(last[s.Epoch], s.Step)
	}
	done := 0
	for _, e := range epochs {
		done += e.Steps
		at, ok := last[e.Epoch]
		if !ok { // a run whose steps were not kept
			at = done
		}
		test = appendDrawable(test, float64(at), e.TestLoss)
	}
	smooth := smoothed(raw)

	f := newFigure(title, "Step", "Cross-entropy loss (nats)")
	if len(raw) > maxMarkers {
		f.addRaw("Training loss, each batch", thinned(raw))
		f.addLine("Training loss, smoothed", smooth, trainColor, nil)
	} else { // too few to smooth
		f.addLine("Training loss, each batch", raw, trainColor, draw.CircleGlyph{})
		smooth = raw
	}
	f.addLine(label("Test loss", test, "%.3f"), test, testColor, draw.PyramidGlyph{})

	f.setX(slices.Concat(raw, test), 1)
	// A few wild batches must not press everything else flat: the range takes
	// in the curves and nearly all of the raw values.
	low, high := spread(slices.Concat(smooth, test, withoutTails(raw)))
	margin := max(0.06*(high-low), 0.02)
	low, high = low-margin, high+margin
	if low < 0.25*high {
		low = 0
	}
	f.setY(low, high)
	return f.png()
}

// PlotLearningRate draws the learning rate of the steps as a PNG.
func PlotLearningRate(steps []StepRecord, title string) ([]byte, error) {
	var rates plotter.XYs
	for _, s := range steps {
		rates = appendDrawable(rates, float64(s.Step), s.LearningRate)
	}
	f := newFigure(title, "Step", "Learning rate")
	f.addLine(label("Learning rate", rates, "%.3g"), thinned(rates), trainColor, draw.CircleGlyph{})
	f.setX(rates, 1)
	_, high := spread(rates)
	f.setY(0, max(1.06*high, 1e-12))
	return f.png()
}
