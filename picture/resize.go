package picture

import (
	"image"
	"math"
	"slices"
	"sync"

	"golang.org/x/image/draw"
)

// filter weighs pixels by their distance from the one that is made of them, in pixels of the coarser grid.
type filter struct {
	reach float64
	at    func(x float64) float64 // of a distance, 0 or more
}

var (
	bilinear = filter{1, func(x float64) float64 { return max(0, 1-x) }}
	// Keys's cubic with a = -1/2, which is Catmull and Rom's.
	bicubic = filter{2, func(x float64) float64 {
		switch {
		case x < 1:
			return (1.5*x-2.5)*x*x + 1
		case x < 2:
			return -0.5 * (((x-5)*x+8)*x - 4)
		}
		return 0
	}}
)

// view is what is shown of an image: a part of it, resized, of which a square is kept. What it does to a pixel's value
// is PIL's resize, to the bit: widened where the image shrinks so that every pixel counts, in fixed point, across
// before down, each rounded to a byte.
type view struct {
	part   image.Rectangle // of the image, from its upper left corner; beyond the image it is black
	w, h   int             // what the part is brought to
	left   int             // where in that the square begins
	top    int
	filter filter
}

// scratch is memory that resizing reuses.
type scratch struct {
	line *image.RGBA
	rows []uint8
}

var scratches = sync.Pool{New: func() any { return &scratch{line: &image.RGBA{}} }}

// planes fills dst with size×size pixels of an image, one plane a channel, which are red, green and blue, or grey:
// PIL's L, taken before resizing. Transparent parts lie on white.
func (v view) planes(img image.Image, size, channels int, dst []uint8) {
	b := img.Bounds()
	across := taps(v.part.Dx(), v.w, v.left, size, v.filter)
	down := taps(v.part.Dy(), v.h, v.top, size, v.filter)
	for i := range across {
		across[i].inside(v.part.Min.X, b.Dx())
	}
	for i := range down {
		down[i].inside(v.part.Min.Y, b.Dy())
	}
	s := scratches.Get().(*scratch)
	defer scratches.Put(s)
	s.line.Pix = slices.Grow(s.line.Pix[:0], 4*b.Dx())[:4*b.Dx()]
	s.line.Stride, s.line.Rect = 4*b.Dx(), image.Rect(0, 0, b.Dx(), 1)

	// The rows that count, each brought to its width, all channels of a pixel together.
	first, last := b.Dy(), 0
	for _, t := range down {
		if len(t.parts) > 0 {
			first, last = min(first, t.from), max(last, t.from+len(t.parts))
		}
	}
	row := channels * size
	need := max(0, last-first) * row
	s.rows = slices.Grow(s.rows[:0], need)[:need]
	for y := first; y < last; y++ {
		narrow(s.read(img, y, channels), across, channels, s.rows[(y-first)*row:][:row])
	}
	sums := make([]int, row)
	for y, t := range down {
		for i := range sums {
			sums[i] = fixedHalf
		}
		for i, part := range t.parts {
			for k, v := range s.rows[(t.from-first+i)*row:][:row] {
				sums[k] += part * int(v)
			}
		}
		for k, sum := range sums {
			dst[(k%channels*size+y)*size+k/channels] = rounded(sum)
		}
	}
}

// narrow brings a row, as read gives it, to its width.
func narrow(line []uint8, across []weights, channels int, out []uint8) {
	for x, t := range across {
		if channels == 1 {
			sum := fixedHalf
			for i, v := range line[t.from:][:len(t.parts)] {
				sum += t.parts[i] * int(v)
			}
			out[x] = rounded(sum)
			continue
		}
		r, g, b := fixedHalf, fixedHalf, fixedHalf
		in := line[4*t.from:][:4*len(t.parts)]
		for i, part := range t.parts {
			p := in[4*i:][:3]
			r, g, b = r+part*int(p[0]), g+part*int(p[1]), b+part*int(p[2])
		}
		out[3*x], out[3*x+1], out[3*x+2] = rounded(r), rounded(g), rounded(b)
	}
}

// read is a row of an image: four bytes a pixel, the last of no meaning, or one of grey.
func (s *scratch) read(img image.Image, y, channels int) []uint8 {
	b := img.Bounds()
	line := s.line
	if g, ok := img.(*image.Gray); ok && channels == 1 {
		return g.Pix[g.PixOffset(b.Min.X, b.Min.Y+y):][:b.Dx()]
	}
	if !opaque(img) {
		draw.Draw(line, line.Rect, image.White, image.Point{}, draw.Src)
	}
	draw.Draw(line, line.Rect, img, image.Pt(b.Min.X, b.Min.Y+y), draw.Over)
	if channels == 1 {
		for x := range b.Dx() {
			p := line.Pix[4*x:][:3]
			line.Pix[x] = L(p[0], p[1], p[2])
		}
		return line.Pix[:b.Dx()]
	}
	return line.Pix
}

// opaque says whether an image is one of a kind that has nothing transparent.
func opaque(img image.Image) bool {
	switch img.(type) {
	case *image.Gray, *image.Gray16, *image.CMYK, *image.YCbCr:
		return true
	}
	return false
}

// L is the grey that PIL makes of a colour (its mode L).
func L(r, g, b uint8) uint8 {
	return uint8((uint32(r)*19595 + uint32(g)*38470 + uint32(b)*7471 + 0x8000) >> 16)
}

// Grey says whether an image has no colour: red, green and blue are the same everywhere.
func Grey(img image.Image) bool {
	switch img.(type) {
	case *image.Gray, *image.Gray16:
		return true
	}
	b := img.Bounds()
	s := scratches.Get().(*scratch)
	defer scratches.Put(s)
	s.line.Pix = slices.Grow(s.line.Pix[:0], 4*b.Dx())[:4*b.Dx()]
	s.line.Stride, s.line.Rect = 4*b.Dx(), image.Rect(0, 0, b.Dx(), 1)
	for y := range b.Dy() {
		line := s.read(img, y, 3)
		for x := range b.Dx() {
			if p := line[4*x:][:3]; p[0] != p[1] || p[1] != p[2] {
				return false
			}
		}
	}
	return true
}

// Parts of 1 in fixed point.
const (
	fixedBits = 22
	fixedHalf = 1 << (fixedBits - 1)
)

func rounded(sum int) uint8 { return uint8(max(0, min(255, sum>>fixedBits))) }

// weights are the parts that pixels from a place on have in one that is resized.
type weights struct {
	from  int
	parts []int // in fixed point, in sum about 1
}

// inside moves weights of a part's pixels to those of an image of n pixels, in which the part begins at a place. Those
// of pixels beyond the image, which are 0, are gone.
func (w *weights) inside(at, n int) {
	w.from += at
	if w.from < 0 {
		w.parts = w.parts[min(-w.from, len(w.parts)):]
		w.from = 0
	}
	if over := w.from + len(w.parts) - n; over > 0 {
		w.parts = w.parts[:max(0, len(w.parts)-over)]
	}
	if len(w.parts) == 0 {
		w.from = 0
	}
}

// taps are the weights of n pixels from a place on, out of a line of in pixels resized to out.
func taps(in, out, from, n int, f filter) []weights {
	scale := float64(in) / float64(out)
	wide := max(scale, 1)
	reach, narrow := f.reach*wide, 1/wide
	list := make([]weights, n)
	for k := range list {
		centre := (float64(from+k) + 0.5) * scale
		low := max(0, int(centre-reach+0.5))
		high := min(in, int(centre+reach+0.5))
		shares := make([]float64, high-low)
		sum := 0.0
		for i := range shares {
			shares[i] = f.at(math.Abs((float64(low+i) - centre + 0.5) * narrow))
			sum += shares[i]
		}
		list[k] = weights{low, make([]int, len(shares))}
		for i, s := range shares {
			list[k].parts[i] = int(math.Round(s / sum * (1 << fixedBits)))
		}
	}
	return list
}
