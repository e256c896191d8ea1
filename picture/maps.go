package picture

import (
	"fmt"
	"image"
	"image/color"
	"math"
	"slices"

	"golang.org/x/image/draw"
)

// Heat lays a map of h×w values over an image: grey where the map is 0, yellow to red where it is positive, blue where
// it is negative, the stronger the nearer to ±most. The map is enlarged to the image's size by Catmull and Rom's cubic;
// its pixels' centres stay in place.
func Heat(base *image.RGBA, h, w int, values []float32, most float64) (*image.RGBA, error) {
	if h < 1 || w < 1 || len(values) != h*w {
		return nil, fmt.Errorf("%d values are not a map of %d×%d", len(values), h, w)
	}
	b := base.Bounds()
	large := enlarge(h, w, values, b.Dy(), b.Dx())
	out := image.NewRGBA(image.Rect(0, 0, b.Dx(), b.Dy()))
	for y := range b.Dy() {
		for x := range b.Dx() {
			v := 0.0
			if most > 0 {
				v = max(-1, min(1, large[y*b.Dx()+x]/most))
			}
			out.SetRGBA(x, y, heat(luma(base.RGBAAt(b.Min.X+x, b.Min.Y+y)), v))
		}
	}
	return out, nil
}

// heat is a pixel as light as light, tinted by v from -1 to 1.
func heat(light, v float64) color.RGBA {
	grey := uint8(math.Round(255 * (0.15 + 0.75*light)))
	tint := hot
	if v < 0 {
		tint = cold
	}
	v = math.Abs(v)
	return mix(color.RGBA{grey, grey, grey, 0xff}, tint.At(v), 0.8*v*(2-v))
}

// HeatScale is the legend of Heat for values from least to 1, where 1 stands for the largest of a map.
func HeatScale(least float64, low, middle, high string) *image.RGBA {
	const steps = 128
	r := make(Ramp, steps+1)
	for i := range r {
		r[i] = heat(0.6, least+(1-least)*float64(i)/steps)
	}
	return Scale(r, low, middle, high)
}

// enlarge resizes a map by Catmull and Rom's cubic (Keys's with a = -1/2), the edges continued outwards.
func enlarge(h, w int, v []float32, toH, toW int) []float64 {
	cubic := func(t float64) float64 {
		t = math.Abs(t)
		switch {
		case t < 1:
			return (1.5*t-2.5)*t*t + 1
		case t < 2:
			return ((-0.5*t+2.5)*t-4)*t + 2
		}
		return 0
	}
	at := func(i, from, to int) float64 { return (float64(i)+0.5)*float64(from)/float64(to) - 0.5 }
	inside := func(i, n int) int { return max(0, min(n-1, i)) }
	rows := make([]float64, toH*w) // stretched downwards
	for y := range toH {
		s := at(y, h, toH)
		for j := int(math.Floor(s)) - 1; j <= int(math.Floor(s))+2; j++ {
			k := cubic(s - float64(j))
			for x := range w {
				rows[y*w+x] += k * float64(v[inside(j, h)*w+x])
			}
		}
	}
	out := make([]float64, toH*toW)
	for x := range toW {
		s := at(x, w, toW)
		for i := int(math.Floor(s)) - 1; i <= int(math.Floor(s))+2; i++ {
			k := cubic(s - float64(i))
			for y := range toH {
				out[y*toW+x] += k * rows[y*w+inside(i, w)]
			}
		}
	}
	return out
}

// MostOf is the largest absolute value of a map.
func MostOf(v []float32) float64 {
	most := 0.0
	for _, x := range v {
		most = max(most, math.Abs(float64(x)))
	}
	return most
}

// Feature draws a map of h×w values, low as 0 of the ramp and high as 1, every value a square of factor×factor pixels.
func Feature(h, w int, values []float32, low, high float64, r Ramp, factor int) *image.RGBA {
	img := image.NewRGBA(image.Rect(0, 0, w, h))
	for i, v := range values[:h*w] {
		share := 0.0
		if high > low {
			share = (float64(v) - low) / (high - low)
		}
		img.SetRGBA(i%w, i/w, r.At(share))
	}
	return Enlarge(img, factor)
}

// Range is the values between which all but the outermost 0.5 % at either end lie.
func Range(values []float32) (low, high float64) {
	if len(values) == 0 {
		return 0, 0
	}
	s := slices.Clone(values)
	slices.Sort(s)
	cut := len(s) / 200
	return float64(s[cut]), float64(s[len(s)-1-cut])
}

// Filter draws the weights [channels][k][k] of a filter, of three channels as colours and of others as the mean of the
// channels: 0 is grey, the largest absolute value white or black (a full or no share of a colour).
func Filter(channels, k int, weights []float32, factor int) *image.RGBA {
	plane := k * k
	v := weights[:channels*plane]
	if channels != 3 {
		mean := make([]float32, plane)
		for i, x := range v {
			mean[i%plane] += x / float32(channels)
		}
		v = slices.Concat(mean, mean, mean)
	}
	most := MostOf(v)
	img := image.NewRGBA(image.Rect(0, 0, k, k))
	for i := range plane {
		var c [3]uint8
		for j := range c {
			share := 0.5
			if most > 0 {
				share += 0.5 * float64(v[j*plane+i]) / most
			}
			c[j] = uint8(math.Round(255 * share))
		}
		img.SetRGBA(i%k, i/k, color.RGBA{c[0], c[1], c[2], 0xff})
	}
	return Enlarge(img, factor)
}

// Grid lays pictures of one size out in rows of columns, gap pixels apart.
func Grid(columns, gap int, images []image.Image) *image.RGBA {
	columns = max(1, min(columns, len(images)))
	var w, h int
	for _, i := range images {
		w, h = max(w, i.Bounds().Dx()+gap), max(h, i.Bounds().Dy()+gap)
	}
	rows := (len(images) + columns - 1) / columns
	out := blank(max(1, columns*w-gap), max(1, rows*h-gap))
	for n, i := range images {
		at := image.Pt(n%columns*w, n/columns*h)
		draw.Draw(out, image.Rectangle{at, at.Add(i.Bounds().Size())}, i, i.Bounds().Min, draw.Src)
	}
	return out
}

// Filters draws the weights [m][channels][k][k] of a convolution's m filters in a grid.
func Filters(m, channels, k int, weights []float32) *image.RGBA {
	one := channels * k * k
	filters := make([]image.Image, m)
	for i := range filters {
		filters[i] = Filter(channels, k, weights[i*one:(i+1)*one], max(1, 40/k))
	}
	return Grid(Columns(m), 4, filters)
}

// FilterRows is Filters in rows on nothing, so that the colour of the page shows between them.
func FilterRows(m, channels, k int, weights []float32) *image.NRGBA {
	const gap = 3
	factor := max(1, 30/k)
	cell := k*factor + gap
	columns := Columns(m)
	rows := (m + columns - 1) / columns
	out := image.NewNRGBA(image.Rect(0, 0, columns*cell-gap, rows*cell-gap))
	one := channels * k * k
	for i := range m {
		img := Filter(channels, k, weights[i*one:(i+1)*one], factor)
		at := image.Pt(i%columns*cell, i/columns*cell)
		draw.Draw(out, img.Bounds().Add(at), img, image.Point{}, draw.Src)
	}
	return out
}

// Columns makes a grid of n pictures about half as wide again as high, without a gap at its end where that can be.
func Columns(n int) int {
	wanted := int(math.Round(math.Sqrt(1.5 * float64(n))))
	for d := 0; d <= wanted/4; d++ {
		for _, c := range []int{wanted - d, wanted + d} {
			if n%c == 0 {
				return c
			}
		}
	}
	return wanted
}
