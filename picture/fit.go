package picture

import (
	"fmt"
	"image"

	"golang.org/x/image/draw"
)

// Square cuts the largest square out of an image's middle and resizes it to size×size pixels by Catmull and Rom's cubic, widened where the image shrinks so that every
// pixel counts. Transparent parts lie on white. A square of that very size keeps its values.
func Square(img image.Image, size int) *image.RGBA {
	b := img.Bounds()
	side := min(b.Dx(), b.Dy())
	x, y := b.Min.X+(b.Dx()-side)/2, b.Min.Y+(b.Dy()-side)/2
	from := image.Rect(x, y, x+side, y+side)
	out := image.NewRGBA(image.Rect(0, 0, size, size))
	draw.Draw(out, out.Bounds(), image.White, image.Point{}, draw.Src)
	if side == size {
		draw.Draw(out, out.Bounds(), img, from.Min, draw.Over)
	} else {
		draw.CatmullRom.Scale(out, out.Bounds(), img, from, draw.Over, nil)
	}
	return out
}

// Planes is an image as CHW bytes: all of red, then green, then blue, each row by row.
func Planes(img *image.RGBA) []byte {
	w, h := img.Bounds().Dx(), img.Bounds().Dy()
	out := make([]byte, 3*w*h)
	for y := range h {
		row := img.Pix[y*img.Stride:]
		for x := range w {
			for c := range 3 {
				out[(c*h+y)*w+x] = row[4*x+c]
			}
		}
	}
	return out
}

// FromPlanes is the opposite of Planes.
func FromPlanes(w, h int, planes []byte) (*image.RGBA, error) {
	if w < 1 || h < 1 || len(planes) != 3*w*h {
		return nil, fmt.Errorf("%d bytes are not an image of 3×%d×%d", len(planes), h, w)
	}
	img := image.NewRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		row := img.Pix[y*img.Stride:]
		for x := range w {
			for c := range 3 {
				row[4*x+c] = planes[(c*h+y)*w+x]
			}
			row[4*x+3] = 0xff
		}
	}
	return img, nil
}
