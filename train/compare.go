//go:build !js

package train

import (
	"bytes"
	"fmt"
	"image/color"
	"math"
	"slices"

	xfont "golang.org/x/image/font"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
)

// Colours of the runs, from the palette of Okabe and Ito, and glyphs. A run has both, so that one of them is enough to
// find it.
var (
	runColors = []color.NRGBA{trainColor, testColor, {0x00, 0x9e, 0x73, 0xff}, {0xcc, 0x79, 0xa7, 0xff},
		{0xe6, 0x9f, 0x00, 0xff}, {0x56, 0xb4, 0xe9, 0xff}, inkColor}
	runGlyphs = []draw.GlyphDrawer{draw.CircleGlyph{}, draw.PyramidGlyph{}, draw.BoxGlyph{}, diamond, wedge}
)

const (
	curveMarks  = 12 // at most, on one curve
	panelHeight = 430 * vg.Length(1)
	rowHeight   = 24 * vg.Length(1)
)

// polygon is a filled glyph; its corners are in radii.
type polygon []vg.Point

var (
	diamond = polygon{{X: 0, Y: 1.3}, {X: 1.3, Y: 0}, {X: 0, Y: -1.3}, {X: -1.3, Y: 0}}
	wedge   = polygon{{X: -1.2, Y: 0.9}, {X: 1.2, Y: 0.9}, {X: 0, Y: -1.2}} // a triangle on its tip
)

// DrawGlyph implements draw.GlyphDrawer.
func (p polygon) DrawGlyph(c *draw.Canvas, style draw.GlyphStyle, at vg.Point) {
	corners := make([]vg.Point, len(p))
	for i, q := range p {
		corners[i] = vg.Point{X: at.X + q.X*style.Radius, Y: at.Y + q.Y*style.Radius}
	}
	c.FillPolygon(style.Color, corners)
}

var dashes = []vg.Length{vg.Points(6), vg.Points(4)}

// PlotRuns draws runs into one picture as a PNG: accuracy above, loss below, both against the epoch, or against the
// step where it is not known of a run how many are an epoch. Lines of the test split are solid, those of the training
// split dashed (its loss smoothed). Runs that measured nothing yet are in the legend alone.
func PlotRuns(runs []Curves, title string) ([]byte, error) {
	if len(runs) > MostCurves {
		return nil, fmt.Errorf("%d runs can't be told apart in one picture; %d can", len(runs), MostCurves)
	}
	axis, byEpoch := "Epoch (passes over the training images)", true
	for _, r := range runs {
		if len(r.Metrics.Steps) > 0 && r.StepsPerEpoch == 0 {
			axis, byEpoch = "Step", false
		}
	}
	c := comparison{accuracy: newFigure(title, "", "Accuracy (%)"), loss: newFigure("", axis, "Cross-entropy loss (nats)"),
		rows: []legendEntry{
			{"solid: test images", []plot.Thumbnailer{&plotter.Line{LineStyle: curveStyle(inkColor, false)}}},
			{"dashed: training images (loss: of the batches, smoothed)",
				[]plot.Thumbnailer{&plotter.Line{LineStyle: curveStyle(inkColor, true)}}},
		}}
	for i, r := range runs {
		unit := 1.0
		if byEpoch {
			unit = float64(max(1, r.StepsPerEpoch))
		}
		c.add(r, unit, runColors[i%len(runColors)], runGlyphs[i%len(runGlyphs)])
	}
	c.setRanges()
	return c.png()
}

// comparison is the picture of several runs.
type comparison struct {
	accuracy, loss                     *figure
	rows                               []legendEntry // of the legend
	everyAccuracy, everyLoss, everyRaw plotter.XYs   // all points: the loss smoothed, and as it was measured
}

// add adds a run; unit is the number of steps to one of the axis.
func (c *comparison) add(r Curves, unit float64, ink color.Color, glyph draw.GlyphDrawer) {
	var raw, trainAccuracy, testAccuracy, testLoss plotter.XYs
	for _, s := range r.Metrics.Steps {
		raw = appendDrawable(raw, float64(s.Step)/unit, s.Loss)
	}
	done := 0
	for _, e := range r.Metrics.Epochs {
		done += e.Steps
		at := float64(done) / unit
		trainAccuracy = appendDrawable(trainAccuracy, at, 100*e.TrainAccuracy)
		testAccuracy = appendDrawable(testAccuracy, at, 100*e.TestAccuracy)
		testLoss = appendDrawable(testLoss, at, e.TestLoss)
	}
	smooth := smoothed(raw)
	c.accuracy.addCurve(trainAccuracy, ink, nil, true)
	c.accuracy.addCurve(testAccuracy, ink, glyph, false)
	c.loss.addCurve(smooth, ink, nil, true)
	c.loss.addCurve(testLoss, ink, glyph, false)
	c.everyAccuracy = slices.Concat(c.everyAccuracy, trainAccuracy, testAccuracy)
	c.everyLoss = slices.Concat(c.everyLoss, smooth, testLoss)
	c.everyRaw = append(c.everyRaw, raw...)
	name := r.Name
	if len(raw)+len(testAccuracy) == 0 {
		name += " (nothing was measured yet)"
	}
	c.rows = append(c.rows, legendEntry{name, []plot.Thumbnailer{&plotter.Line{LineStyle: curveStyle(ink, false)},
		marks(nil, ink, glyph)}})
}

// setRanges has the axes take in all points.
func (c *comparison) setRanges() {
	for _, f := range []*figure{c.accuracy, c.loss} {
		f.setX(slices.Concat(c.everyAccuracy, c.everyLoss, c.everyRaw), 0)
	}
	low, high := spread(c.everyAccuracy)
	margin := max(0.08*(high-low), (10-(high-low))/2)
	c.accuracy.setY(max(low-margin, 0), min(high+margin, 100))
	// A run that diverged must not press the others flat.
	low, high = spread(c.everyLoss)
	_, most := spread(withoutTails(c.everyLoss))
	high = min(high, 1.5*most)
	margin = max(0.06*(high-low), 0.02)
	c.loss.setY(max(low-margin, 0), high+margin)
}

// png draws the panels one above the other, and the legend below them.
func (c *comparison) png() ([]byte, error) {
	legend := vg.Length(len(c.rows)) * rowHeight
	canvas := vgimg.NewWith(vgimg.UseWH(plotWidth, 2*panelHeight+legend+50), vgimg.UseDPI(plotDPI))
	dc := draw.New(canvas)
	dc.SetColor(color.White)
	dc.Fill(dc.Rectangle.Path())
	page := draw.Crop(dc, vg.Points(18), vg.Points(-28), vg.Points(16), vg.Points(-18))
	middle := page.Min.Y + legend + (page.Max.Y-page.Min.Y-legend)/2
	// The panels stand exactly above each other: their values have the same width.
	top := draw.Crop(page, 0, 0, middle-page.Min.Y+10, 0)
	bottom := draw.Crop(page, 0, 0, legend+8, middle-page.Max.Y-6)
	plots := [][]*plot.Plot{{c.accuracy.Plot}, {c.loss.Plot}}
	for i, panel := range []draw.Canvas{top, bottom} {
		left := plot.Align(plots, draw.Tiles{Rows: 2, Cols: 1}, page)[i][0].Rectangle
		panel.Min.X, panel.Max.X = left.Min.X, left.Max.X
		plots[i][0].Draw(panel)
	}
	for i, f := range []*figure{c.accuracy, c.loss} {
		if f.empty {
			style := f.X.Label.TextStyle
			style.Font = sans(15, xfont.WeightNormal)
			style.XAlign, style.YAlign = text.XCenter, text.YCenter
			dc.FillText(style, []draw.Canvas{top, bottom}[i].Center(), "Nothing was measured yet")
		}
	}
	c.drawRows(dc, page, page.Min.Y+legend)
	var png bytes.Buffer
	if _, err := (vgimg.PngCanvas{Canvas: canvas}).WriteTo(&png); err != nil {
		return nil, fmt.Errorf("drawing a plot: %w", err)
	}
	return png.Bytes(), nil
}

// drawRows draws the rows of the legend, which begins at top.
func (c *comparison) drawRows(dc, page draw.Canvas, top vg.Length) {
	style := c.loss.X.Label.TextStyle
	style.Font = sans(14, xfont.WeightNormal)
	style.XAlign, style.YAlign = text.XLeft, text.YCenter
	for i, e := range c.rows {
		y := top - rowHeight*(vg.Length(i)+0.5)
		x := page.Min.X + 60
		box := draw.Canvas{Canvas: dc.Canvas, Rectangle: vg.Rectangle{Min: vg.Point{X: x, Y: y - 6},
			Max: vg.Point{X: x + 44, Y: y + 6}}}
		for _, t := range e.thumbs {
			t.Thumbnail(&box)
		}
		name := []rune(e.name)
		for short := name; style.Width(string(name)) > page.Max.X-x-54 && len(short) > 1; { // its end tells more
			short = short[1:]
			name = append([]rune("…"), short...)
		}
		dc.FillText(style, vg.Point{X: x + 54, Y: y}, string(name))
	}
}

func curveStyle(c color.Color, dashed bool) draw.LineStyle {
	if dashed {
		return draw.LineStyle{Color: c, Width: vg.Points(1.4), Dashes: dashes}
	}
	return draw.LineStyle{Color: c, Width: vg.Points(2.25)}
}

func marks(p plotter.XYs, c color.Color, glyph draw.GlyphDrawer) *plotter.Scatter {
	return &plotter.Scatter{XYs: p, GlyphStyle: draw.GlyphStyle{Color: c, Radius: vg.Points(4.5), Shape: glyph}}
}

// addCurve adds a curve of a run, with a few markers if the glyph is not nil. No points: no curve.
func (f *figure) addCurve(p plotter.XYs, c color.Color, glyph draw.GlyphDrawer, dashed bool) {
	if len(p) == 0 {
		return
	}
	f.empty = false
	f.Add(&plotter.Line{XYs: p, LineStyle: curveStyle(c, dashed)})
	if glyph == nil {
		if len(p) == 1 { // no line to see
			f.Add(&plotter.Scatter{XYs: p, GlyphStyle: draw.GlyphStyle{Color: c, Radius: vg.Points(2.5),
				Shape: draw.CircleGlyph{}}})
		}
		return
	}
	few := p
	if len(p) > curveMarks { // from the first to the last
		few = make(plotter.XYs, curveMarks)
		for i := range few {
			few[i] = p[int(math.Round(float64(i)*float64(len(p)-1)/(curveMarks-1)))]
		}
	}
	f.Add(marks(few, c, glyph))
}
