package ref

import "math"

// View is how an image is seen: C×H×W bytes (channel, row, column) become C×Out×Out values.
//
// The affine matrix Map, row by row, takes the output pixel (x, y, 1), column first, to the source pixel (sx, sy):
//
//	sx = Map[0]·x + Map[2]    sy = Map[4]·y + Map[5]
//
// Both count pixel centres from 0, so resizing by f is sx = (x+0.5)/f − 0.5. A source outside [−0.5, W−0.5] or [−0.5,
// H−0.5] is black (byte 0), the zero padding of a shifted crop. Inside, the sample is that of Pillow's BICUBIC resizing
// (libImaging/Resample.c): Keys' cubic with a = −0.5 on 4×4 pixels, or as many times as wide as the image shrinks;
// pixels outside the image dropped and the other weights scaled to sum 1; first along the rows, then along the column,
// each rounded and clamped to 0…255. At whole coordinates that is an exact copy, where nothing shrinks.
//
// Colour, row by row, makes new red, green and blue of (red, green, blue, 1), cut off to bytes; of one or two channels
// the first is grey, and becomes what the red would be where all three are the grey. nil leaves the colours as they
// are. Last each channel becomes (v/255 − mean)/std.
type View struct {
	C, H, W, Out int
	Map          [9]float64
	Colour       *[12]float64
	Mean, Std    []float64 // nil: 0 and 1
}

// Augment gives the values of an image seen so.
func (v View) Augment(img []byte) []float64 {
	y := make([]float64, v.C*v.Out*v.Out)
	for i := range v.Out {
		for j := range v.Out {
			sx, sy := v.Map[0]*float64(j)+v.Map[2], v.Map[4]*float64(i)+v.Map[5]
			x := make([]float64, v.C)
			if sx >= -0.5 && sx <= float64(v.W)-0.5 && sy >= -0.5 && sy <= float64(v.H)-0.5 {
				across, down := cubicTaps(sx, math.Abs(v.Map[0]), v.W), cubicTaps(sy, math.Abs(v.Map[4]), v.H)
				for c := range x {
					x[c] = sample(img[c*v.H*v.W:], v.W, across, down)
				}
			}
			if v.Colour != nil {
				x = coloured(x, *v.Colour)
			}
			for c := range x {
				value := x[c] / 255
				if v.Mean != nil {
					value -= v.Mean[c]
				}
				if v.Std != nil {
					value /= v.Std[c]
				}
				y[(c*v.Out+i)*v.Out+j] = value
			}
		}
	}
	return y
}

// taps are neighbouring pixels of a line, with weights that sum to 1.
type taps struct {
	first   int
	weights []float64
}

// cubicTaps are those around the coordinate s of a line of n pixels, of which an output pixel covers scale.
func cubicTaps(s, scale float64, n int) taps {
	scale = max(1, scale)
	low, high := max(0, int(math.Floor(s+1-2*scale))), min(n, int(math.Floor(s+1+2*scale)))
	t := taps{low, make([]float64, high-low)}
	sum := 0.0
	for i := range t.weights {
		t.weights[i] = keys(math.Abs(float64(low+i)-s) / scale)
		sum += t.weights[i]
	}
	for i := range t.weights {
		t.weights[i] /= sum
	}
	return t
}

// sample is a whole number from 0 to 255.
func sample(plane []byte, width int, across, down taps) float64 {
	var column float64
	for i, v := range down.weights {
		var row float64
		for j, u := range across.weights {
			row += u * float64(plane[(down.first+i)*width+across.first+j])
		}
		column += v * toByte(row)
	}
	return toByte(column)
}

func coloured(x []float64, m [12]float64) []float64 {
	y := append([]float64(nil), x...)
	grey := len(x) < 3
	for row := range 3 {
		if grey && row > 0 {
			break
		}
		v := m[4*row+3]
		for c := range 3 {
			if grey {
				v += m[4*row+c] * x[0]
			} else {
				v += m[4*row+c] * x[c]
			}
		}
		y[row] = min(max(math.Floor(v+slack), 0), 255)
	}
	return y
}

// keys is the cubic convolution kernel of Keys (1981) with a = −0.5, at the distance t ≥ 0.
func keys(t float64) float64 {
	const a = -0.5
	switch {
	case t < 1:
		return ((a+2)*t-(a+3))*t*t + 1
	case t < 2:
		return (((t-5)*t+8)*t - 4) * a
	}
	return 0
}

// slack is how far below a half, or a whole number that is cut off, a value is
// still taken up, so that the adapter's rounding errors take none of these down.
const slack = 0.0005

// toByte rounds, half a byte up.
func toByte(v float64) float64 { return min(max(math.Floor(v+0.5+slack), 0), 255) }
