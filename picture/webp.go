package picture

import (
	"image"
	"math"
)

// fullRange makes the planes of a lossy WebP image those that image.YCbCr stands for. WebP's values keep to the studio range of BT.601, luma from 16 to 235 and chroma from 16 to
// 240 (libwebp, src/dsp/yuv.h); golang.org/x/image/webp hands them on as they are, and Go takes them for JPEG's, which use all of the byte.
func fullRange(img image.Image) {
	var planes *image.YCbCr
	switch m := img.(type) {
	case *image.YCbCr:
		planes = m
	case *image.NYCbCrA:
		planes = &m.YCbCr
	default: // a lossless one
		return
	}
	var luma, chroma [256]byte
	for v := range 256 {
		stretch := func(middle, from, span float64) byte {
			return byte(math.Round(max(0, min(255, middle+(float64(v)-from)*255/span))))
		}
		luma[v], chroma[v] = stretch(0, 16, 219), stretch(128, 128, 224)
	}
	for i, v := range planes.Y {
		planes.Y[i] = luma[v]
	}
	for _, plane := range [][]byte{planes.Cb, planes.Cr} {
		for i, v := range plane {
			plane[i] = chroma[v]
		}
	}
}
