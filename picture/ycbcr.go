package picture

import (
	"image"
	"math"

	"ninvk/codec"
)

// coding is how a video codec's planes stand for colours.
type coding struct {
	red, blue float64 // how much of luma they are
	full      bool    // all of a byte is used; else luma has 16 to 235, chroma 16 to 240
}

// codings are those of ITU-T H.273, table 4, by MatrixCoefficients; others are taken for BT.601, as most decoders do.
var codings = map[int]coding{
	1: {red: 0.2126, blue: 0.0722},
	4: {red: 0.30, blue: 0.11},
	5: {red: 0.299, blue: 0.114},
	6: {red: 0.299, blue: 0.114},
	7: {red: 0.212, blue: 0.087},
	9: {red: 0.2627, blue: 0.0593},
}

func codingOf(matrix int, full bool) coding {
	c, known := codings[matrix]
	if !known {
		c = codings[6]
	}
	c.full = full
	return c
}

// seen makes colours of planes. Chroma that is sampled less often than luma is interpolated linearly between the centres
// of the pixels it stands for.
func seen(p *codec.Planes) *image.NRGBA {
	c := codingOf(p.Matrix, p.Full)
	low, luma, chroma := 0.0, 1.0, 1.0
	if !c.full {
		low, luma, chroma = 16, 255.0/219, 255.0/224
	}
	green := 1 - c.red - c.blue
	toRed, toBlue := 2*(1-c.red)*chroma, 2*(1-c.blue)*chroma
	redToGreen, blueToGreen := -toRed*c.red/green, -toBlue*c.blue/green

	first, second, third := p.Colour[0], p.Colour[1], p.Colour[2]
	var columns, rows []neighbour
	if second != nil {
		columns, rows = neighbours(p.Width, second.Width), neighbours(p.Height, second.Height)
	}
	out := image.NewNRGBA(image.Rect(0, 0, p.Width, p.Height))
	for y := range p.Height {
		for x := range p.Width {
			at := y*p.Width + x
			l := value(first, at)
			var r, g, b float64
			switch {
			case p.RGB:
				r, g, b = l, value(second, at), value(third, at)
			case second == nil:
				l = (l - low) * luma
				r, g, b = l, l, l
			default:
				l = (l - low) * luma
				cb, cr := between(second, columns[x], rows[y])-128, between(third, columns[x], rows[y])-128
				r, g, b = l+toRed*cr, l+redToGreen*cr+blueToGreen*cb, l+toBlue*cb
			}
			pixel := out.Pix[4*at : 4*at+4]
			pixel[0], pixel[1], pixel[2], pixel[3] = stretched(r), stretched(g), stretched(b), 0xff
			if p.Alpha != nil {
				pixel[3] = stretched(value(p.Alpha, at))
			}
		}
	}
	return out
}

// value is a sample as one of eight bits, with what it has more behind the point.
func value(p *codec.Plane, at int) float64 { return float64(p.Samples[at]) / 256 }

// between is a value between four samples.
func between(p *codec.Plane, column, row neighbour) float64 {
	across := func(y int) float64 {
		return column.share*value(p, y*p.Width+column.near) + (1-column.share)*value(p, y*p.Width+column.far)
	}
	return row.share*across(row.near) + (1-row.share)*across(row.far)
}

func stretched(v float64) byte { return byte(math.Round(max(0, min(255, v)))) }

// neighbour is between which samples a pixel lies, and how much the nearer one counts.
type neighbour struct {
	near, far int
	share     float64
}

// neighbours are those of n pixels with as many samples, or half as many.
func neighbours(n, samples int) []neighbour {
	out := make([]neighbour, n)
	for i := range out {
		if samples == n {
			out[i] = neighbour{i, i, 1}
			continue
		}
		near := i / 2
		out[i] = neighbour{near, max(0, min(samples-1, near+2*(i%2)-1)), 0.75}
	}
	return out
}
