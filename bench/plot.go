package bench

import (
	"bytes"
	"cmp"
	"fmt"
	"image/color"
	"math"
	"slices"
	"strconv"

	"github.com/moby/sys/atomicwriter"
	xfont "golang.org/x/image/font"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
)

var (
	ink  = color.Gray{0x22}
	grid = color.Gray{0xe4}

	// Colours that readers with colour-blindness tell apart (Okabe and Ito).
	passes = []struct {
		pass, name string
		color      color.NRGBA
	}{
		{forward, "forward", color.NRGBA{0x00, 0x72, 0xb2, 0xff}},
		{"input-gradient", "input gradient", color.NRGBA{0xe6, 0x9f, 0x00, 0xff}},
		{"weight-gradient", "weight gradient", color.NRGBA{0x00, 0x9e, 0x73, 0xff}},
		{"update", "update", color.NRGBA{0xcc, 0x79, 0xa7, 0xff}},
	}
)

const (
	forward  = "forward"
	mostBars = 24
)

func passColor(pass string) color.NRGBA {
	for _, p := range passes {
		if p.pass == pass {
			return p.color
		}
	}
	return color.NRGBA{0x80, 0x80, 0x80, 0xff}
}

func sans(size float64, weight xfont.Weight) font.Font {
	return font.Font{Typeface: "Liberation", Variant: "Sans", Size: vg.Points(size), Weight: weight}
}

func style(size float64, weight xfont.Weight, x text.XAlignment, y text.YAlignment) text.Style {
	return text.Style{Color: ink, Font: sans(size, weight), XAlign: x, YAlign: y, Handler: plot.DefaultTextHandler}
}

// Plot draws the operators of the first step measured, the training step: how long each takes, how much of that the
// adapter's limits account for, and where each lies under the roofline.
func (r Result) Plot(path string) error {
	if len(r.Steps) == 0 {
		return fmt.Errorf("drawing %s: no operators were measured", path)
	}
	s := r.Steps[0]
	rows := slices.DeleteFunc(slices.Clone(r.Operators), func(o Operator) bool { return o.Step != s.Step })
	canvas := vgimg.NewWith(vgimg.UseWH(vg.Points(1120), vg.Points(640)), vgimg.UseDPI(108))
	dc := draw.New(canvas)
	dc.SetColor(color.White)
	dc.Fill(dc.Rectangle.Path())
	page := draw.Crop(dc, vg.Points(16), vg.Points(-16), vg.Points(14), vg.Points(-14))
	title := fmt.Sprintf("%s, %s step of %d images: %.0f ms", named(s.Model, s.Size), s.Step, s.Batch, s.Milliseconds)
	page.FillText(style(18, xfont.WeightBold, text.XLeft, text.YTop), vg.Point{X: page.Min.X, Y: page.Max.Y}, title)
	below := fmt.Sprintf("%s, driver %s; %.0f GFLOP/s, %.1f GB/s", r.Adapter.Name, r.Adapter.Driver, r.Limits.GFlops,
		r.Limits.GBytesPerSecond)
	page.FillText(style(12, xfont.WeightNormal, text.XLeft, text.YTop), vg.Point{X: page.Min.X, Y: page.Max.Y - 26}, below)
	drawPasses(page)
	body := draw.Crop(page, 0, 0, vg.Points(28), vg.Points(-56))
	middle := body.Min.X + 0.60*(body.Max.X-body.Min.X)
	drawBars(draw.Crop(body, 0, middle-body.Max.X, 0, 0), rows)
	r.roofline(rows).Draw(draw.Crop(body, middle+24-body.Min.X, 0, 0, 0))
	var png bytes.Buffer
	if _, err := (vgimg.PngCanvas{Canvas: canvas}).WriteTo(&png); err != nil {
		return fmt.Errorf("drawing %s: %w", path, err)
	}
	if err := atomicwriter.WriteFile(path, png.Bytes(), 0o644); err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	return nil
}

// drawPasses is the legend along the bottom.
func drawPasses(c draw.Canvas) {
	s := style(12, xfont.WeightNormal, text.XLeft, text.YCenter)
	x, y := c.Min.X, c.Min.Y+8
	box := func(x vg.Length, k color.Color) {
		c.SetColor(k)
		c.Fill(vg.Rectangle{Min: vg.Point{X: x, Y: y - 6}, Max: vg.Point{X: x + 20, Y: y + 6}}.Path())
	}
	for _, p := range passes {
		box(x, p.color)
		c.FillText(s, vg.Point{X: x + 26, Y: y}, p.name)
		x += 26 + s.Width(p.name) + 22
	}
	box(x, faint(ink))
	c.FillText(s, vg.Point{X: x + 26, Y: y}, "faint: beyond what the adapter's limits account for")
}

// faint is a paler form of a colour.
func faint(c color.Color) color.NRGBA {
	n := color.NRGBAModel.Convert(c).(color.NRGBA)
	pale := func(v uint8) uint8 { return uint8(255 - (255-int(v))*3/10) }
	return color.NRGBA{pale(n.R), pale(n.G), pale(n.B), 0xff}
}

// drawBars draws a horizontal bar for each of the operators that take longest; the solid part is the time that the
// limit that binds would take.
func drawBars(c draw.Canvas, rows []Operator) {
	sorted := slices.SortedFunc(slices.Values(rows), func(a, b Operator) int {
		return cmp.Compare(b.Milliseconds, a.Milliseconds)
	})
	rest := 0.0
	if len(sorted) > mostBars {
		for _, o := range sorted[mostBars:] {
			rest += o.Milliseconds
		}
		c.FillText(style(11, xfont.WeightNormal, text.XLeft, text.YBottom), vg.Point{X: c.Min.X, Y: c.Min.Y},
			fmt.Sprintf("and %d others, together %.1f ms", len(sorted)-mostBars, rest))
		sorted = sorted[:mostBars]
	}
	names, values := style(11, xfont.WeightNormal, text.XRight, text.YCenter),
		style(11, xfont.WeightNormal, text.XLeft, text.YCenter)
	var left, right vg.Length
	label := func(o Operator) string { return o.Layer + "  " + o.Operator }
	value := func(o Operator) string {
		return fmt.Sprintf("%s ms, %.0f %% of limit, %.1f %% of step", short(o.Milliseconds), o.PercentOfLimit,
			100*o.ShareOfStep)
	}
	for _, o := range sorted {
		left, right = max(left, names.Width(label(o))), max(right, values.Width(value(o)))
	}
	from, to := c.Min.X+left+8, c.Max.X-right-8
	height := (c.Max.Y - c.Min.Y - 18) / mostBars
	longest := sorted[0].Milliseconds
	for i, o := range sorted {
		y := c.Max.Y - (vg.Length(i)+0.5)*height
		bar := func(ms float64, k color.Color) vg.Length {
			end := from + (to-from)*vg.Length(ms/longest)
			c.SetColor(k)
			c.Fill(vg.Rectangle{Min: vg.Point{X: from, Y: y - 0.36*height}, Max: vg.Point{X: end, Y: y + 0.36*height}}.Path())
			return end
		}
		end := bar(o.Milliseconds, faint(passColor(o.Pass)))
		bar(o.Milliseconds*min(1, o.PercentOfLimit/100), passColor(o.Pass))
		c.FillText(names, vg.Point{X: from - 8, Y: y}, label(o))
		c.FillText(values, vg.Point{X: end + 6, Y: y}, value(o))
	}
}

// short writes a number with three significant digits.
func short(v float64) string {
	if v >= 100 {
		return strconv.FormatFloat(v, 'f', 0, 64)
	}
	return strconv.FormatFloat(v, 'g', 3, 64)
}

// roofline puts each operator at its arithmetic intensity and speed, under the limits of memory and of arithmetic.
func (r Result) roofline(rows []Operator) *plot.Plot {
	p := plot.New()
	p.Title.Text = "Roofline"
	p.Title.TextStyle = style(14, xfont.WeightBold, text.XCenter, text.YTop)
	p.Title.Padding = vg.Points(6)
	p.X.Label.Text, p.Y.Label.Text = "operations a byte of the tensors touched", "GFLOP/s"
	for _, a := range []*plot.Axis{&p.X, &p.Y} {
		a.Scale, a.Tick.Marker = plot.LogScale{}, decades{}
		a.Color, a.Tick.LineStyle.Color = ink, ink
		a.Label.TextStyle.Font, a.Tick.Label.Font = sans(12, xfont.WeightNormal), sans(11, xfont.WeightNormal)
		a.Padding = 0
	}
	lines := draw.LineStyle{Color: grid, Width: vg.Points(0.75)}
	p.Add(&plotter.Grid{Vertical: lines, Horizontal: lines})
	low, high := 1.0, 10.0 // of the intensity
	least := r.Limits.GFlops
	for _, o := range rows {
		if o.GFlops > 0 && o.GBytesPerSecond > 0 {
			x := o.GFlops / o.GBytesPerSecond
			low, high, least = min(low, x), max(high, x), min(least, o.GFlops)
		}
	}
	low, high = math.Pow(10, math.Floor(math.Log10(low))), math.Pow(10, math.Ceil(math.Log10(high)))
	p.X.Min, p.X.Max = low, high
	p.Y.Min, p.Y.Max = math.Pow(10, math.Floor(math.Log10(least))), math.Pow(10, math.Ceil(math.Log10(r.Limits.GFlops)))
	ridge := r.Limits.GFlops / r.Limits.GBytesPerSecond
	start := max(low, p.Y.Min/r.Limits.GBytesPerSecond)
	roof := plotter.XYs{{X: start, Y: start * r.Limits.GBytesPerSecond}, {X: ridge, Y: r.Limits.GFlops},
		{X: max(high, ridge), Y: r.Limits.GFlops}}
	p.Add(&plotter.Line{XYs: roof, LineStyle: draw.LineStyle{Color: ink, Width: vg.Points(2)}})
	for _, o := range rows {
		if o.GFlops <= 0 || o.GBytesPerSecond <= 0 {
			continue
		}
		radius := vg.Points(2.5 + 22*math.Sqrt(o.ShareOfStep)) // the area is the share of the step
		k := passColor(o.Pass)
		k.A = 0xb0
		p.Add(&plotter.Scatter{XYs: plotter.XYs{{X: o.GFlops / o.GBytesPerSecond, Y: o.GFlops}},
			GlyphStyle: draw.GlyphStyle{Color: k, Radius: radius, Shape: draw.CircleGlyph{}}})
	}
	return p
}

// decades marks the powers of ten.
type decades struct{}

// Ticks implements plot.Ticker.
func (decades) Ticks(low, high float64) []plot.Tick {
	var ticks []plot.Tick
	for e := math.Ceil(math.Log10(low) - 1e-9); e <= math.Log10(high)+1e-9; e++ {
		v := math.Pow(10, e)
		ticks = append(ticks, plot.Tick{Value: v, Label: strconv.FormatFloat(v, 'g', -1, 64)})
	}
	return ticks
}
