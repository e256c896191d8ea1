package picture

import (
	"fmt"
	"image"
	"math"
)

// Fit is how an image becomes a square of pixels.
type Fit string

// The ways to make a square of an image.
const (
	FitCrop    Fit = "crop"    // the largest square in its middle
	FitStretch Fit = "stretch" // all of it, its sides scaled each by itself
	FitPad     Fit = "pad"     // all of it, with black beside or above and below it
	// FitImageNet is torchvision's evaluation: the shorter side is brought to 256/224 of the size, the middle cut out.
	FitImageNet Fit = "imagenet"
)

// of is the view of an image of w×h pixels as a square of size×size.
func (f Fit) of(w, h, size int) view {
	side := min(w, h)
	switch f {
	case FitStretch:
		return view{part: image.Rect(0, 0, w, h), w: size, h: size, filter: bicubic}
	case FitImageNet:
		return middle(w, h, int(math.Round(float64(size)*256/224)), size)
	case FitPad:
		side = max(w, h)
	}
	// At a whole pixel, so that what need not be scaled is copied.
	x, y := (w-side)/2, (h-side)/2
	return view{part: image.Rect(x, y, x+side, y+side), w: size, h: size, filter: bicubic}
}

// Planes fills dst with size×size pixels of an image, one plane a channel: red, green and blue, or grey (PIL's L). The
// image is resized as PIL does it, by Catmull and Rom's cubic (as torchvision does it: bilinear), widened where the
// image shrinks so that every pixel counts. Transparent parts lie on white. What has the size already keeps its values.
func (f Fit) Planes(img image.Image, size, channels int, dst []byte) {
	b := img.Bounds()
	f.of(b.Dx(), b.Dy(), size).planes(img, size, channels, dst)
}

// RGBA is Planes in colour, as a picture.
func (f Fit) RGBA(img image.Image, size int) *image.RGBA {
	b := img.Bounds()
	return f.of(b.Dx(), b.Dy(), size).rgba(img, size)
}

// Region is the part of an image of w×h pixels that becomes the square of size×size, in pixels of the image, which may
// lie partly beyond it.
func (f Fit) Region(w, h, size int) (left, top, right, bottom float64) {
	v := f.of(w, h, size)
	// pixels of the image in one of the square
	x, y := float64(v.part.Dx())/float64(v.w), float64(v.part.Dy())/float64(v.h)
	left, top = float64(v.part.Min.X)+x*float64(v.left), float64(v.part.Min.Y)+y*float64(v.top)
	return left, top, left + x*float64(size), top + y*float64(size)
}

// rgba is planes in colour, as a picture.
func (v view) rgba(img image.Image, size int) *image.RGBA {
	planes := make([]byte, 3*size*size)
	v.planes(img, size, 3, planes)
	out, err := FromPlanes(size, size, planes)
	if err != nil {
		panic(err) // as many bytes as it takes
	}
	return out
}

// Square is the largest square in an image's middle at size×size pixels.
func Square(img image.Image, size int) *image.RGBA { return FitCrop.RGBA(img, size) }

// middle is the view of an image whose shorter side is brought to shorter pixels, and out of whose middle size×size are
// cut, as torchvision's Resize and CenterCrop do it with PIL's images, to the bit. The size is at most the shorter
// side.
func middle(width, height, shorter, size int) view {
	w, h := shorter, shorter
	if width < height {
		h = shorter * height / width
	} else {
		w = shorter * width / height
	}
	// A half goes to the even neighbour.
	cut := func(n int) int { return int(math.RoundToEven(float64(n-size) / 2)) }
	return view{part: image.Rect(0, 0, width, height), w: w, h: h, left: cut(w), top: cut(h), filter: bilinear}
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

// FromPlanes is the opposite of Planes; one plane alone is grey.
func FromPlanes(w, h int, planes []byte) (*image.RGBA, error) {
	if w < 1 || h < 1 || len(planes) != 3*w*h && len(planes) != w*h {
		return nil, fmt.Errorf("%d bytes are not an image of 1 or 3 planes of %d×%d pixels", len(planes), h, w)
	}
	colour := len(planes) / (w * h) / 3 // 0: the planes are all the same
	img := image.NewRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		row := img.Pix[y*img.Stride:]
		for x := range w {
			for c := range 3 {
				row[4*x+c] = planes[(c*colour*h+y)*w+x]
			}
			row[4*x+3] = 0xff
		}
	}
	return img, nil
}
