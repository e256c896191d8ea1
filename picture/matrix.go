package picture

import (
	"cmp"
	"fmt"
	"image"
	"image/color"
	"math"
	"slices"

	"golang.org/x/image/draw"
	"golang.org/x/image/font"
)

// Count is how often what is of the class Row was said to be of the class Column.
type Count struct{ Row, Column, N int }

// Sizes of a matrix in pixels.
const (
	matrixSide  = 1000 // of the cells, at most
	wideCell    = 84   // of few classes, whose counts stand in the cells
	highCell    = 48
	numberCell  = 30  // cells of this size still have their counts
	nameWidth   = 150 // of the names beside and above the cells
	shareWidth  = 70  // of the column of accuracies
	listWidth   = 440
	smallHeight = 14 // of a line of small text
)

// matrix is where the cells of a matrix are.
type matrix struct {
	classes int
	binned  int // classes that share a cell, each way
	n       int // cells a side
	w, h    int // of a cell
	gap     int // within it, at its right and lower edge
	numbers bool
	top     int
	left    int
	share   float64 // exponent of the share that is a cell's shade
}

func layOut(classes int) matrix {
	m := matrix{classes: classes, binned: (classes + matrixSide - 1) / matrixSide, share: 0.5}
	m.n = (classes + m.binned - 1) / m.binned
	if classes*wideCell <= matrixSide {
		m.w, m.h, m.gap, m.numbers, m.share = wideCell, highCell, 2, true, 1
		return m
	}
	m.w = min(48, matrixSide/m.n)
	m.h = m.w
	m.gap = min(2, m.w/8)
	m.numbers = m.w >= numberCell
	return m
}

// step is how many cells a name stands for, so that names don't touch.
func (m matrix) step() int { return (smallHeight + m.h - 1) / m.h }

// Matrix draws counts as coloured cells, shaded by the share of their row: rows are what is, columns what was said.
// Where the classes are few, counts and the row's share of the diagonal are written too; where they are many, names
// stand at some of the rows and columns alone, the pairs most often confused are listed beside the cells, and of more
// than a thousand classes neighbours share a cell.
func Matrix(title string, names []string, counts []Count) *image.RGBA {
	m := layOut(len(names))
	t := sumUp(m, counts)
	f := fonts()
	label, above := f.regular, lineHeight
	if !m.few() {
		label = f.small
	}
	width := 0 // of the names
	for _, name := range names {
		width = max(width, min(nameWidth, measure(label, name)+1))
	}
	if !m.few() {
		above = width + 6
	}
	m.left = margin + max(width, measure(f.regular, "true class")) + 10
	m.top = margin + titleSize + margin + lineHeight + above + 6
	list := m.left + m.n*m.w + margin
	if m.accuracies() {
		list += shareWidth
	}
	total, height := list, m.top+m.n*m.h+margin
	if !m.few() {
		total, height = total+listWidth, height+lineHeight
	}
	total = max(total, min(measure(f.title, title)+2*margin, matrixSide))
	out := blank(total, height)
	write(out, f.title, Ink, clip(f.title, title, total-2*margin), total/2, margin, 0.5)
	m.drawAround(out)
	for row := range m.n {
		m.drawRow(out, row, t.rows[row], t.cells)
	}
	for row := 0; row < m.n; row += m.step() {
		m.name(out, label, clip(label, names[row*m.binned], width), row)
	}
	if m.accuracies() {
		m.drawAccuracies(out, label, t)
	}
	if !m.few() {
		write(out, f.small, Ink, m.note(), m.left, height-margin-smallHeight+4, 0)
		confused(out, names, counts, t.images, image.Rect(list, m.top-lineHeight-4, total-margin, height-margin))
	}
	return out
}

// few says whether the classes are so few that their counts stand in the cells.
func (m matrix) few() bool { return m.share == 1 }

// accuracies says whether there is room for them beside the rows.
func (m matrix) accuracies() bool { return m.h >= smallHeight }

// totals are the sums of counts.
type totals struct {
	cells         map[[2]int]int // by row and column of cells
	rows          []int          // of cells
	right, images []int          // by class
}

func sumUp(m matrix, counts []Count) totals {
	t := totals{map[[2]int]int{}, make([]int, m.n), make([]int, m.classes), make([]int, m.classes)}
	for _, c := range counts {
		t.cells[[2]int{c.Row / m.binned, c.Column / m.binned}] += c.N
		t.rows[c.Row/m.binned] += c.N
		t.images[c.Row] += c.N
		if c.Row == c.Column {
			t.right[c.Row] += c.N
		}
	}
	return t
}

// drawAround writes what rows and columns are, and draws the edge that white cells need.
func (m matrix) drawAround(out *image.RGBA) {
	f := fonts()
	write(out, f.regular, Ink, "predicted", m.left+m.n*m.w/2, margin+titleSize+margin-4, 0.5)
	write(out, f.regular, Ink, "true class", m.left-10, m.top-lineHeight-4, 1)
	if m.accuracies() {
		write(out, f.regular, Ink, "accuracy", m.left+m.n*m.w+8, m.top-lineHeight-4, 0)
	}
	if m.gap == 0 {
		frame := image.Rect(m.left-1, m.top-1, m.left+m.n*m.w+1, m.top+m.n*m.h+1)
		draw.Draw(out, frame, image.NewUniform(tick), image.Point{}, draw.Src)
		draw.Draw(out, frame.Inset(1), image.NewUniform(paper), image.Point{}, draw.Src)
	}
}

func (m matrix) drawAccuracies(out *image.RGBA, face font.Face, t totals) {
	for row := range m.n {
		text := "–"
		if t.images[row] > 0 {
			text = fmt.Sprintf("%.1f %%", 100*float64(t.right[row])/float64(t.images[row]))
		}
		write(out, face, Ink, text, m.left+m.n*m.w+8, m.middle(face, row), 0)
	}
}

// note says what is not plain to see.
func (m matrix) note() string {
	note := "Each row adds up to 1; the darker a cell, the larger its share, from 0 (white) by its root to 1."
	if m.binned > 1 {
		note += fmt.Sprintf(" A cell stands for %d×%[1]d classes.", m.binned)
	}
	return note
}

// tick is the colour of fine lines.
var tick = color.RGBA{0xb8, 0xb8, 0xb8, 0xff}

// middle is the top of a text in the middle of a row.
func (m matrix) middle(face font.Face, row int) int {
	b := face.Metrics()
	// ascent is where write puts the base line
	return m.top + row*m.h + (m.h-m.gap+b.CapHeight.Ceil())/2 - ascent
}

func (m matrix) drawRow(out *image.RGBA, row, total int, cells map[[2]int]int) {
	for column := range m.n {
		n := cells[[2]int{row, column}]
		if n == 0 && m.gap == 0 {
			continue // it is white already
		}
		share := 0.0
		if total > 0 {
			share = math.Pow(float64(n)/float64(total), m.share)
		}
		x, y := m.left+column*m.w, m.top+row*m.h
		fill := Blues.At(share)
		draw.Draw(out, image.Rect(x, y, x+m.w-m.gap, y+m.h-m.gap), image.NewUniform(fill), image.Point{}, draw.Src)
		if n == 0 || !m.numbers {
			continue
		}
		face, ink := fonts().small, Ink
		if m.w == wideCell {
			face = fonts().regular
		}
		if luma(fill) < 0.55 {
			ink = paper
		}
		if text := fmt.Sprint(n); measure(face, text) <= m.w-m.gap {
			write(out, face, ink, text, x+(m.w-m.gap)/2, m.middle(face, row), 0.5)
		}
	}
}

// name writes the name of a row at its left and that of the same column above it; where names are fewer than cells,
// with a tick that shows whose it is.
func (m matrix) name(out *image.RGBA, face font.Face, text string, at int) {
	write(out, face, Ink, text, m.left-10, m.middle(face, at), 1)
	if m.w == wideCell {
		write(out, face, Ink, clip(face, text, m.w-6), m.left+at*m.w+m.w/2, m.top-lineHeight-2, 0.5)
		return
	}
	// from below upwards
	size := measure(face, text)
	line := blank(size+2, lineHeight)
	write(line, face, Ink, text, 0, 0, 0)
	cap := face.Metrics().CapHeight.Ceil()
	x := m.left + at*m.w + (m.w-m.gap+cap)/2 - ascent
	for v := range lineHeight {
		for u := range size + 2 {
			if c := line.RGBAAt(u, v); c != paper {
				out.SetRGBA(x+v, m.top-8-u, c)
			}
		}
	}
	if m.step() > 1 {
		middle := at*m.w + (m.w-m.gap)/2
		draw.Draw(out, image.Rect(m.left-6, m.top+middle, m.left-1, m.top+middle+1), image.NewUniform(tick), image.Point{},
			draw.Src)
		draw.Draw(out, image.Rect(m.left+middle, m.top-6, m.left+middle+1, m.top-1), image.NewUniform(tick), image.Point{},
			draw.Src)
	}
}

// confused lists the pairs of classes most often confused, as many as there is room for.
func confused(out *image.RGBA, names []string, counts []Count, images []int, room image.Rectangle) {
	f := fonts()
	write(out, f.regular, Ink, "most often confused (true → said)", room.Min.X, room.Min.Y, 0)
	wrong := slices.DeleteFunc(slices.Clone(counts), func(c Count) bool { return c.Row == c.Column || c.N == 0 })
	slices.SortFunc(wrong, func(a, b Count) int { return cmp.Or(b.N-a.N, a.Row-b.Row, a.Column-b.Column) })
	y := room.Min.Y + lineHeight + 4
	if len(wrong) == 0 {
		write(out, f.regular, Ink, "none", room.Min.X, y, 0)
	}
	for _, c := range wrong[:min(len(wrong), 30)] {
		if y+lineHeight > room.Max.Y {
			break
		}
		of := fmt.Sprintf("%d of %d", c.N, images[c.Row])
		left := room.Dx() - measure(f.regular, of) - 10
		arrow := measure(f.regular, " → ")
		said := names[c.Column]
		is := clip(f.regular, names[c.Row], max((left-arrow)/2, left-arrow-measure(f.regular, said)))
		said = clip(f.regular, said, left-arrow-measure(f.regular, is))
		write(out, f.regular, Ink, is+" → "+said, room.Min.X, y, 0)
		write(out, f.regular, Ink, of, room.Max.X, y, 1)
		y += lineHeight
	}
}
