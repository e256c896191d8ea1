package dataset

import (
	"fmt"
	"strings"

	"github.com/go-gl/mathgl/mgl32"

	"ninvk/rng"
)

// Order returns the order in which an epoch visits the n images of a split: as
// they lie, or shuffled by (seed, epoch).
func Order(seed uint64, epoch, n int, shuffle bool) []uint32 {
	if shuffle {
		return rng.New(seed, "shuffle", uint64(epoch), 0).Perm(n)
	}
	order := make([]uint32, n)
	for i := range order {
		order[i] = uint32(i)
	}
	return order
}

// Augment names how training images are varied.
type Augment string

// The ways to vary a training image.
const (
	AugmentNone     Augment = "none"      // as it is
	AugmentFlip     Augment = "flip"      // mirrored left to right, half of the time
	AugmentFlipCrop Augment = "flip-crop" // shifted by up to CropPadding pixels, then as AugmentFlip
)

// Augments are the known ways, in the order of a help text.
var Augments = []Augment{AugmentNone, AugmentFlip, AugmentFlipCrop}

// CropPadding is the number of zero pixels around the (resized) image out of which AugmentFlipCrop cuts. Around an
// image below its stored size there are fewer in proportion.
const CropPadding = 4

// ParseAugment returns the way of that name.
func ParseAugment(name string) (Augment, error) {
	known := make([]string, len(Augments))
	for i, a := range Augments {
		if string(a) == name {
			return a, nil
		}
		known[i] = string(a)
	}
	return "", fmt.Errorf("unknown augmentation %q; known are %s", name, strings.Join(known, ", "))
}

// Transform returns how to sample the training image of out×out pixels: the affine map from its pixel indices (x right,
// y down, 1) to pixel indices in the stored image of shape in. The image is fitted to a square (see Fit), resized,
// cropped out of a border of CropPadding zero pixels (counted at the out size; fewer where that is below the stored
// one), then flipped, as the published script does; the map takes these steps backwards. A point that it puts outside
// the source, beyond the half pixel around the outermost indices, is in the zero border.
//
// Flip and shift are drawn by (seed, epoch, index) alone, so they don't depend on the batch the image is in. Where the
// square has out pixels all coefficients are whole numbers, and sampling is an exact copy.
func Transform(seed uint64, epoch int, index uint32, a Augment, f Fit, in Shape, out int) mgl32.Mat3 {
	var flip bool
	var dx, dy int
	r := rng.New(seed, "augment", uint64(epoch), uint64(index))
	if a == AugmentFlip || a == AugmentFlipCrop {
		flip = r.Uint32()&1 == 1
	}
	square := f.window(in)
	if a == AugmentFlipCrop {
		padding := min(CropPadding, int(CropPadding*float64(out)/square.h))
		dx = r.Intn(2*padding+1) - padding
		dy = r.Intn(2*padding+1) - padding
	}
	return square.compose(flip, dx, dy, out)
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
