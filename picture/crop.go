package picture

import (
	"image"
	"math"

	"golang.org/x/image/draw"
)

// Crop resizes an image so that its shorter side has shorter pixels, and cuts size×size pixels out of its middle, as
// torchvision's Resize and CenterCrop do it with PIL's images, to the bit: bilinear, widened where the image shrinks so
// that every pixel counts, in fixed point, across before down. Transparent parts lie on white. The size is at most the
// shorter side.
func Crop(img image.Image, shorter, size int) *image.RGBA {
	b := img.Bounds()
	w, h := shorter, shorter
	if b.Dx() < b.Dy() {
		h = shorter * b.Dy() / b.Dx()
	} else {
		w = shorter * b.Dx() / b.Dy()
	}
	left, top := middle(w, size), middle(h, size)
	across, down := triangles(b.Dx(), w, left, size), triangles(b.Dy(), h, top, size)

	// The rows that count, each brought to its width.
	first := down[0].from
	rows := make([][]uint8, 0, down[size-1].from+len(down[size-1].parts)-first)
	line := image.NewRGBA(image.Rect(0, 0, b.Dx(), 1))
	for y := first; len(rows) < cap(rows); y++ {
		draw.Draw(line, line.Bounds(), image.White, image.Point{}, draw.Src)
		draw.Draw(line, line.Bounds(), img, image.Pt(b.Min.X, b.Min.Y+y), draw.Over)
		row := make([]uint8, 4*size)
		for x, t := range across {
			for c := range 3 {
				sum := fixedHalf
				for i, part := range t.parts {
					sum += part * int(line.Pix[4*(t.from+i)+c])
				}
				row[4*x+c] = rounded(sum)
			}
		}
		rows = append(rows, row)
	}
	out := image.NewRGBA(image.Rect(0, 0, size, size))
	for y, t := range down {
		for x := range size {
			at := out.PixOffset(x, y)
			for c := range 3 {
				sum := fixedHalf
				for i, part := range t.parts {
					sum += part * int(rows[t.from-first+i][4*x+c])
				}
				out.Pix[at+c] = rounded(sum)
			}
			out.Pix[at+3] = 0xff
		}
	}
	return out
}

// middle is where size pixels begin in the middle of n; a half goes to the even neighbour.
func middle(n, size int) int { return int(math.RoundToEven(float64(n-size) / 2)) }

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

// triangles are those of n pixels from a place on, out of a line of in pixels resized to out.
func triangles(in, out, from, n int) []weights {
	scale := float64(in) / float64(out)
	reach := max(scale, 1)
	narrow := 1 / reach
	list := make([]weights, n)
	for k := range list {
		centre := (float64(from+k) + 0.5) * scale
		low := max(0, int(centre-reach+0.5))
		high := min(in, int(centre+reach+0.5))
		shares := make([]float64, high-low)
		sum := 0.0
		for i := range shares {
			shares[i] = max(0, 1-math.Abs((float64(low+i)-centre+0.5)*narrow))
			sum += shares[i]
		}
		list[k] = weights{low, make([]int, len(shares))}
		for i, s := range shares {
			list[k].parts[i] = int(s/sum*(1<<fixedBits) + 0.5)
		}
	}
	return list
}
