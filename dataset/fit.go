package dataset

import "ninvk/picture"

// Fit is how an image that is no square becomes one.
type Fit string

// The ways to make a square of an image.
const (
	Crop    = Fit(picture.FitCrop)    // the largest square in its middle
	Stretch = Fit(picture.FitStretch) // all of it, its sides scaled each by itself
	Pad     = Fit(picture.FitPad)     // all of it, with black beside or above and below it
	// ImageNet is torchvision's evaluation, which weights from elsewhere may be for: the middle of what Crop takes.
	ImageNet = Fit(picture.FitImageNet)
)

// Fits are the ways that training knows, in the order of a help text.
var Fits = []Fit{Crop, Stretch, Pad}

// RoomToCrop is the size that photos are kept at where parts of them become images of size pixels a side: the
// proportion is that of 256 to 224, in which photos are usually kept for networks of 224.
func RoomToCrop(size int) int { return (size*256 + 112) / 224 }

// window is the part of an image that becomes the square, in pixels; beyond the image it is black.
type window struct{ x, y, w, h float64 }

func (f Fit) window(in Shape) window {
	w, h := float64(in.W), float64(in.H)
	side := min(w, h)
	switch f {
	case Stretch:
		return window{0, 0, w, h}
	case Pad:
		side = max(w, h)
	case ImageNet:
		side *= 224. / 256
		return window{(w - side) / 2, (h - side) / 2, side, side}
	}
	// In the middle, at a whole pixel, so that what need not be scaled is copied.
	at := func(n float64) float64 { return float64(int(n-side) / 2) }
	return window{at(w), at(h), side, side}
}
