//go:build !js

package train

import (
	"bytes"
	"fmt"
	"image/color"
	"math"
	"slices"
	"strconv"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"

	xfont "golang.org/x/image/font"
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

// appendDrawable adds a point if it can be drawn: not NaN, and small enough that
// ranges and sums of such values stay finite.
func appendDrawable(p plotter.XYs, x, y float64) plotter.XYs {
	if !(math.Abs(y) < 1e30) {
		return p
	}
	return append(p, plotter.XY{X: x, Y: y})
}

// label names a curve together with its last value.
func label(name string, p plotter.XYs, format string) string {
	if len(p) == 0 {
		return name
	}
	return fmt.Sprintf("%s (last "+format+")", name, p[len(p)-1].Y)
}

// spread is the least and the greatest Y; 0 and 1 where there are no points.
func spread(p plotter.XYs) (low, high float64) {
	if len(p) == 0 {
		return 0, 1
	}
	low, high = math.Inf(1), math.Inf(-1)
	for _, q := range p {
		low, high = min(low, q.Y), max(high, q.Y)
	}
	return low, high
}

// withoutTails drops the highest and the lowest half per cent of the points.
func withoutTails(p plotter.XYs) plotter.XYs {
	sorted := slices.Clone(p)
	slices.SortFunc(sorted, func(a, b plotter.XY) int {
		switch {
		case a.Y < b.Y:
			return -1
		case a.Y > b.Y:
			return 1
		}
		return 0
	})
	cut := len(sorted) / 200
	return sorted[cut : len(sorted)-cut]
}

// smoothed is the mean of the points around each one, about a fiftieth of them (at least 7), at up to 1,000 places.
// Towards the ends the window is cut, not narrowed, so the curve neither lags nor trembles there.
func smoothed(p plotter.XYs) plotter.XYs {
	half := max(3, len(p)/100)
	places := min(len(p), 1000)
	out := make(plotter.XYs, places)
	for k := range out {
		i := k
		if len(p) > places { // the first and the last point are among them
			i = k * (len(p) - 1) / (places - 1)
		}
		window := p[max(0, i-half):min(len(p), i+half+1)]
		var sum float64
		for _, q := range window {
			sum += q.Y
		}
		out[k] = plotter.XY{X: p[i].X, Y: sum / float64(len(window))}
	}
	return out
}

// thinned keeps at most about 2,000 points, the least and the greatest of each
// stretch, so that a long run draws fast and looks the same.
func thinned(p plotter.XYs) plotter.XYs {
	const stretches = 1000
	if len(p) <= 2*stretches {
		return p
	}
	out := make(plotter.XYs, 0, 2*stretches)
	for i := range stretches {
		part := p[i*len(p)/stretches : (i+1)*len(p)/stretches]
		least, greatest := 0, 0
		for k := range part {
			if part[k].Y < part[least].Y {
				least = k
			}
			if part[k].Y > part[greatest].Y {
				greatest = k
			}
		}
		out = append(out, part[min(least, greatest)], part[max(least, greatest)])
	}
	return out
}

// figure is a plot with a legend of its own below it, where it covers nothing.
type figure struct {
	*plot.Plot
	entries []legendEntry
	empty   bool
}

type legendEntry struct {
	name   string
	thumbs []plot.Thumbnailer
}

func newFigure(title, x, y string) *figure {
	p := plot.New()
	p.Title.Text = title
	p.Title.Padding = vg.Points(14)
	p.Title.TextStyle.Color = inkColor
	p.Title.TextStyle.Font = sans(18, xfont.WeightBold)
	p.X.Label.Text, p.Y.Label.Text = x, y
	for _, a := range []*plot.Axis{&p.X, &p.Y} {
		a.Color = inkColor
		a.Label.TextStyle.Font = sans(15, xfont.WeightNormal)
		a.Label.TextStyle.Color = inkColor
		a.Label.Padding = vg.Points(6)
		a.Tick.Label.Font = sans(13, xfont.WeightNormal)
		a.Tick.Label.Color = inkColor
		a.Tick.LineStyle.Color = inkColor
		a.Tick.Length = vg.Points(5)
		a.Padding = 0
	}
	grid := draw.LineStyle{Color: gridColor, Width: vg.Points(0.75)}
	p.Add(&plotter.Grid{Vertical: grid, Horizontal: grid})
	return &figure{Plot: p, empty: true}
}

func sans(size float64, weight xfont.Weight) font.Font {
	return font.Font{Typeface: "Liberation", Variant: "Sans", Size: vg.Points(size), Weight: weight}
}

// addLine adds a curve, with markers (if the glyph is not nil) where the
// points are few enough to tell apart. No points: no curve.
func (f *figure) addLine(name string, p plotter.XYs, c color.Color, glyph draw.GlyphDrawer) {
	if len(p) == 0 {
		return
	}
	f.empty = false
	line := &plotter.Line{XYs: p, LineStyle: draw.LineStyle{Color: c, Width: vg.Points(2.25)}}
	thumbs := []plot.Thumbnailer{line}
	f.Add(line)
	if glyph != nil && len(p) <= maxMarkers {
		marks := &plotter.Scatter{XYs: p, GlyphStyle: draw.GlyphStyle{Color: c, Radius: vg.Points(4.5), Shape: glyph}}
		f.Add(marks)
		thumbs = append(thumbs, marks)
	}
	f.entries = append(f.entries, legendEntry{name, thumbs})
}

// addRaw adds the faint line of unsmoothed values.
func (f *figure) addRaw(name string, p plotter.XYs) {
	f.empty = false
	width := vg.Points(0.9)
	if len(p) < 500 {
		width = vg.Points(1.5)
	}
	line := &plotter.Line{XYs: p, LineStyle: draw.LineStyle{Color: faintColor, Width: width}}
	f.Add(line)
	f.entries = append(f.entries, legendEntry{name, []plot.Thumbnailer{line}})
}

// setX makes the X axis run over whole numbers, from first or the least of the points, with a little room at both ends.
func (f *figure) setX(p plotter.XYs, first float64) {
	low, high := first, first
	for _, q := range p {
		low, high = min(low, q.X), max(high, q.X)
	}
	room := max(0.02*(high-low), 0.1)
	if low == high {
		room = 1 // a single point stands in the middle
	}
	f.X.Min, f.X.Max = low-room, high+room
	f.X.Tick.Marker = wholeTicks{low, high}
}

func (f *figure) setY(low, high float64) {
	f.Y.Min, f.Y.Max = low, high
	f.Y.Tick.Marker = evenTicks{}
}

// png draws the figure.
func (f *figure) png() ([]byte, error) {
	canvas := vgimg.NewWith(vgimg.UseWH(plotWidth, plotHeight), vgimg.UseDPI(plotDPI))
	dc := draw.New(canvas)
	dc.SetColor(color.White)
	dc.Fill(dc.Rectangle.Path())
	page := draw.Crop(dc, vg.Points(18), vg.Points(-28), vg.Points(16), vg.Points(-18))
	const legendHeight = 34
	f.Draw(draw.Crop(page, 0, 0, vg.Points(legendHeight), 0))
	f.drawLegend(draw.Crop(page, 0, 0, 0, page.Min.Y+vg.Points(legendHeight)-page.Max.Y))
	if f.empty {
		style := f.X.Label.TextStyle
		style.XAlign, style.YAlign = text.XCenter, text.YCenter
		dc.FillText(style, dc.Center(), "Nothing was measured yet")
	}
	var png bytes.Buffer
	if _, err := (vgimg.PngCanvas{Canvas: canvas}).WriteTo(&png); err != nil {
		return nil, fmt.Errorf("drawing a plot: %w", err)
	}
	return png.Bytes(), nil
}

// drawLegend lays the entries out in one centred row.
func (f *figure) drawLegend(c draw.Canvas) {
	const thumb, gap, between = vg.Length(30), vg.Length(8), vg.Length(30)
	style := f.X.Label.TextStyle
	style.Font = sans(14, xfont.WeightNormal)
	style.XAlign, style.YAlign = text.XLeft, text.YCenter
	width := -between
	for _, e := range f.entries {
		width += thumb + gap + style.Width(e.name) + between
	}
	x := c.Center().X - width/2
	y := c.Min.Y + vg.Points(10)
	for _, e := range f.entries {
		box := draw.Canvas{Canvas: c.Canvas, Rectangle: vg.Rectangle{
			Min: vg.Point{X: x, Y: y - 6},
			Max: vg.Point{X: x + thumb, Y: y + 6},
		}}
		for _, t := range e.thumbs {
			t.Thumbnail(&box)
		}
		x += thumb + gap
		c.FillText(style, vg.Point{X: x, Y: y}, e.name)
		x += style.Width(e.name) + between
	}
}

// tickStep is a round distance (1, 2 or 5 times a power of ten) that puts at most n ticks over a span.
func tickStep(span float64, n int) float64 {
	if !(span > 0) {
		return 1
	}
	step := math.Pow(10, math.Floor(math.Log10(span/float64(n))))
	for _, m := range []float64{1, 2, 5, 10} {
		if span/(m*step) <= float64(n) {
			return m * step
		}
	}
	return 10 * step
}

// wholeTicks marks first and the round whole numbers up to last that don't crowd it.
type wholeTicks struct{ first, last float64 }

// Ticks implements plot.Ticker.
func (w wholeTicks) Ticks(_, _ float64) []plot.Tick {
	step := max(tickStep(w.last-w.first, 12), 1)
	at := []float64{w.first}
	for v := math.Ceil(w.first/step) * step; v <= w.last; v += step {
		if v-w.first >= 0.45*step {
			at = append(at, v)
		}
	}
	ticks := make([]plot.Tick, len(at))
	for i, v := range at {
		ticks[i] = plot.Tick{Value: v, Label: thousands(int64(v))}
	}
	return ticks
}

// evenTicks marks round values.
type evenTicks struct{}

// Ticks implements plot.Ticker.
func (evenTicks) Ticks(low, high float64) []plot.Tick {
	step := tickStep(high-low, 10)
	decimals := max(0, int(math.Ceil(-math.Log10(step)-1e-9)))
	var ticks []plot.Tick
	// Counted in whole steps, so that no error builds up.
	for k := math.Ceil(low/step - 1e-9); k*step <= high+1e-9*step; k++ {
		v := k*step + 0 // + 0 makes a zero of −0
		label := strconv.FormatFloat(v, 'f', decimals, 64)
		if step >= 1e6 || step < 1e-6 { // the loss of a run that diverged, or of one that can't fall further
			label = strconv.FormatFloat(v, 'g', 4, 64)
		}
		ticks = append(ticks, plot.Tick{Value: v, Label: label})
	}
	return ticks
}

// thousands writes a number from 0 with commas: 78,200.
func thousands(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
