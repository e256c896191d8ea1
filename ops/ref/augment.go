package ref

import "math"

// side is the width and height of a data set image in pixels.
const side = 32

// Augment samples a 3×32×32 image of bytes (channel, row, column) into a
// normalised 3×out×out one. The affine matrix m, row by row, takes the output
// pixel (x, y, 1), column first, to the source pixel (sx, sy):
//
//	sx = m[0]·x + m[1]·y + m[2]    sy = m[3]·x + m[4]·y + m[5]
//
// Both count pixel centres from 0, so enlarging by f is sx = (x+0.5)/f − 0.5.
// A source outside [−0.5, 31.5] in either is black (byte 0), the zero padding
// of a shifted crop. Inside, the sample is Pillow's BICUBIC enlargement
// (libImaging/Resample.c): Keys' cubic with a = −0.5 on 4×4 pixels, those
// outside the image dropped and the other weights scaled to sum 1; first along
// the rows, then along the column, each rounded and clamped to 0…255. At whole
// coordinates that is an exact copy. Last each channel becomes
// (v/255 − mean)/std.
func Augment(img []byte, m [9]float64, out int, mean, std [3]float64) []float64 {
	y := make([]float64, 3*out*out)
	for c := range 3 {
		plane := img[c*side*side : (c+1)*side*side]
		for i := range out {
			for j := range out {
				sx := m[0]*float64(j) + m[1]*float64(i) + m[2]
				sy := m[3]*float64(j) + m[4]*float64(i) + m[5]
				y[(c*out+i)*out+j] = (bicubic(plane, sx, sy)/255 - mean[c]) / std[c]
			}
		}
	}
	return y
}

// bicubic samples one plane at column sx and row sy; the result is a whole
// number from 0 to 255.
func bicubic(plane []byte, sx, sy float64) float64 {
	if !(sx >= -0.5 && sx <= side-0.5 && sy >= -0.5 && sy <= side-0.5) {
		return 0
	}
	x0, wx := cubicTaps(sx)
	y0, wy := cubicTaps(sy)
	var column float64
	for i, v := range wy {
		if v == 0 {
			continue // outside the image, or without influence
		}
		var row float64
		for j, u := range wx {
			if u != 0 {
				row += u * float64(plane[(y0+i)*side+x0+j])
			}
		}
		column += v * toByte(row)
	}
	return toByte(column)
}

// cubicTaps gives the first of the four pixels around the coordinate s and
// their weights, 0 for pixels outside the image.
func cubicTaps(s float64) (first int, w [4]float64) {
	first = int(math.Floor(s)) - 1
	var sum float64
	for i := range w {
		if at := first + i; at >= 0 && at < side {
			w[i] = keys(math.Abs(s - float64(at)))
			sum += w[i]
		}
	}
	for i := range w {
		w[i] /= sum
	}
	return first, w
}

// keys is the cubic convolution kernel of Keys (1981) with a = −0.5, at the
// distance t ≥ 0.
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

// toByte rounds, half a byte up; the little more keeps rounding errors from
// taking halves down.
func toByte(v float64) float64 { return min(max(math.Floor(v+0.5+1e-9), 0), 255) }
