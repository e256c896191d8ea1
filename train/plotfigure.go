//go:build !js

package train

import (
	"bytes"
	"fmt"
	"image/color"

	xfont "golang.org/x/image/font"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
)

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
