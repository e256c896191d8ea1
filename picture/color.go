package picture

import (
	"image/color"
	"math"
)

// Ramp is a scale of colours from 0 to 1, in even steps between its entries.
type Ramp []color.RGBA

// The ramps. Their lightness changes evenly, so that they read well in grey and to colour-blind people.
var (
	// Viridis is Matplotlib's default (Smith, van der Walt, 2015).
	Viridis = ramp(0x440154, 0x482878, 0x3e4989, 0x31688e, 0x26828e, 0x1f9e89, 0x35b779, 0x6ece58, 0xb5de2b, 0xfde725)
	// Blues runs from white to dark blue, ColorBrewer's (Harrower, Brewer, 2003).
	Blues = ramp(0xffffff, 0xdeebf7, 0xc6dbef, 0x9ecae1, 0x6baed6, 0x4292c6, 0x2171b5, 0x08519c, 0x08306b)
)

// hot and cold are what is above and below 0, ColorBrewer's YlOrRd and Blues without their palest colours.
var (
	hot  = ramp(0xffffb2, 0xfecc5c, 0xfd8d3c, 0xf03b20, 0xbd0026)
	cold = ramp(0xbdd7e7, 0x6baed6, 0x3182bd, 0x08519c, 0x08306b)
)

func ramp(hex ...uint32) Ramp {
	r := make(Ramp, len(hex))
	for i, h := range hex {
		r[i] = color.RGBA{uint8(h >> 16), uint8(h >> 8), uint8(h), 0xff}
	}
	return r
}

// At is the colour of v; what is outside 0 to 1 gets that of the end, and NaN that of 0.
func (r Ramp) At(v float64) color.RGBA {
	if !(v > 0) {
		return r[0]
	}
	if v >= 1 {
		return r[len(r)-1]
	}
	whole, part := math.Modf(v * float64(len(r)-1))
	a, b := r[int(whole)], r[int(whole)+1]
	return mix(a, b, part)
}

// mix is the colour between a (share 0) and b (share 1).
func mix(a, b color.RGBA, share float64) color.RGBA {
	between := func(x, y uint8) uint8 { return uint8(math.Round(float64(x) + share*(float64(y)-float64(x)))) }
	return color.RGBA{between(a.R, b.R), between(a.G, b.G), between(a.B, b.B), 0xff}
}

// luma is how light a colour is, 0 to 1 (ITU-R BT.601).
func luma(c color.RGBA) float64 {
	return (0.299*float64(c.R) + 0.587*float64(c.G) + 0.114*float64(c.B)) / 255
}
