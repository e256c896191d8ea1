package dataset

import (
	"fmt"
	"math"
	"strings"

	"github.com/go-gl/mathgl/mgl32"

	"ninvk/rng"
)

// Augment is how training images are varied: a set of ways.
type Augment uint8

// The ways to vary a training image.
const (
	AugmentFlip  Augment = 1 << iota // mirrored left to right, half of the time
	AugmentShift                     // shifted by up to CropPadding pixels
	AugmentCrop                      // a part of the image, of any size and nearly any place
	AugmentColor                     // brightness, contrast and saturation changed
)

// augments are the names of ways, in the order of a help text.
var augments = []struct {
	name string
	ways Augment
}{
	{"none", 0},
	{"flip", AugmentFlip},
	{"flip-crop", AugmentFlip | AugmentShift},
	{"random-resized-crop", AugmentCrop},
	{"color", AugmentColor},
}

// CropPadding is the number of zero pixels around the (resized) image out of which AugmentShift cuts. Around an image
// below its stored size there are fewer in proportion.
const CropPadding = 4

// ParseAugment reads a list of names with commas between them, such as "flip,color".
func ParseAugment(list string) (Augment, error) {
	var all Augment
	names := strings.Split(list, ",")
	for i, name := range names {
		ways, err := augmentNamed(strings.TrimSpace(name))
		switch {
		case err != nil:
			return 0, err
		case ways == 0 && len(names) > 1:
			return 0, fmt.Errorf("none is nothing else, but the list is %q", list)
		case ways&all == ways && ways != 0:
			return 0, fmt.Errorf("%s is in %q already", strings.TrimSpace(name), strings.Join(names[:i], ","))
		case ways&all != 0:
			return 0, fmt.Errorf("%s is a part of %s; leave it out", strings.Join(names[:i], ","), strings.TrimSpace(name))
		}
		all |= ways
	}
	if all&AugmentShift != 0 && all&AugmentCrop != 0 {
		return 0, fmt.Errorf("flip-crop and random-resized-crop both cut out a part; take flip,random-resized-crop")
	}
	return all, nil
}

func augmentNamed(name string) (Augment, error) {
	known := make([]string, len(augments))
	for i, a := range augments {
		if a.name == name {
			return a.ways, nil
		}
		known[i] = a.name
	}
	return 0, fmt.Errorf("unknown augmentation %q; known are %s", name, strings.Join(known, ", "))
}

// View is how an image is seen.
type View struct {
	// Map takes pixel indices of what is seen (x right, y down, 1) to those in the stored image, each axis by itself. A
	// point outside the image, beyond the half pixel around the outermost indices, is black.
	Map mgl32.Mat3
	// Colour has, in its rows, what the new red, green and blue have of the old ones and, in steps of a byte, in addition.
	Colour mgl32.Mat3x4
}

// Transform returns how the training image of shape in is seen at out×out pixels. The image is fitted to a square (see
// Fit), resized, shifted within a border of CropPadding zero pixels (counted at the out size; fewer where that is below
// the stored one), then flipped, as the published script does; the map takes these steps backwards. With AugmentCrop it
// is a part of the whole image, whatever the Fit, that is resized: as torchvision's RandomResizedCrop, of 8 to 100 % of
// the area, its sides' ratio from 3:4 to 4:3.
//
// With AugmentColor, brightness, contrast and saturation are multiplied by factors from 0.6 to 1.4 each, in this order.
// Contrast is about grey, the mean grey level of the stored image (see Grey), which nothing else needs.
//
// All is drawn by (seed, epoch, index) alone, so it doesn't depend on the batch the image is in; colours are drawn from
// numbers of their own. Where the square has out pixels and AugmentCrop is not asked for, all coefficients of the map
// are whole numbers, and sampling is an exact copy.
func Transform(seed uint64, epoch int, index uint32, a Augment, f Fit, in Shape, out int, grey float32) View {
	var flip bool
	var dx, dy int
	r := rng.New(seed, "augment", uint64(epoch), uint64(index))
	if a&AugmentFlip != 0 {
		flip = r.Uint32()&1 == 1
	}
	part := f.window(in)
	if a&AugmentShift != 0 {
		padding := min(CropPadding, int(CropPadding*float64(out)/part.h))
		dx = r.Intn(2*padding+1) - padding
		dy = r.Intn(2*padding+1) - padding
	}
	if a&AugmentCrop != 0 {
		part = randomPart(r, in)
	}
	v := View{part.compose(flip, dx, dy, out), Colours(1, 1, 1, 0)}
	if a&AugmentColor != 0 {
		r := rng.New(seed, "color", uint64(epoch), uint64(index))
		factor := func() float64 { return 0.6 + 0.8*r.Float64() }
		v.Colour = Colours(factor(), factor(), factor(), grey)
	}
	return v
}

// randomPart draws whole pixels as torchvision's RandomResizedCrop does: ten tries, then the middle.
func randomPart(r *rng.Stream, in Shape) window {
	const low, high = 3.0 / 4, 4.0 / 3 // ratio of width to height
	side := func(area float64) int { return int(math.RoundToEven(math.Sqrt(area))) }
	for range 10 {
		area := float64(in.W*in.H) * (0.08 + 0.92*r.Float64())
		ratio := low * math.Pow(high/low, r.Float64())
		if w, h := side(area*ratio), side(area/ratio); 0 < w && w <= in.W && 0 < h && h <= in.H {
			y := r.Intn(in.H - h + 1)
			return window{float64(r.Intn(in.W - w + 1)), float64(y), float64(w), float64(h)}
		}
	}
	w, h := in.W, in.H
	switch ratio := float64(w) / float64(h); {
	case ratio < low:
		h = int(math.RoundToEven(float64(w) / low))
	case ratio > high:
		w = int(math.RoundToEven(float64(h) * high))
	}
	return window{float64((in.W - w) / 2), float64((in.H - h) / 2), float64(w), float64(h)}
}

// Plain is the Transform of an image as it is evaluated.
func Plain(f Fit, in Shape, out int) mgl32.Mat3 { return f.window(in).compose(false, 0, 0, out) }

// Mirror is the Transform of the image's mirror image, not shifted.
func Mirror(f Fit, in Shape, out int) mgl32.Mat3 { return f.window(in).compose(true, 0, 0, out) }

// compose is the map of one draw: unflip, shift by (dx, dy) pixels of the resized image, then to the source's pixels.
func (s window) compose(flip bool, dx, dy, out int) mgl32.Mat3 {
	mirror, x0 := 1.0, dx
	if flip {
		mirror, x0 = -1, out-1+dx
	}
	// Pixel index i has its centre at i + ½, which is what scales.
	offset := func(i int, scale, from float64) float32 { return float32((float64(i)+0.5)*scale - 0.5 + from) }
	across, down := s.w/float64(out), s.h/float64(out)
	return mgl32.Mat3{ // column by column
		float32(mirror * across), 0, 0,
		0, float32(down), 0,
		offset(x0, across, s.x), offset(dy, down, s.y), 1,
	}
}
