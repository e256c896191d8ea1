package models

import (
	"image"
	"math"

	"github.com/go-gl/mathgl/mgl32"

	"ninvk/picture"
)

// View is what the network sees of an image, at size×size pixels. A network for ImageNet sees what torchvision's
// evaluation shows it: the image's shorter side is brought to 256/224 of the size, and the middle cut out. Others see
// the largest square in the middle, as data sets of small images are made.
func (n *Network) View(img image.Image, size int) *image.RGBA {
	if n.cuts() {
		return picture.Crop(img, int(math.Round(float64(size)*256/imageNet)), size)
	}
	return picture.Square(img, size)
}

// cuts says whether the network is one for ImageNet, to which images of its input's size are given.
func (n *Network) cuts() bool { return Size(n.Model) >= imageNet }

// Input is an image that is fitted to a network. A Classifier of that network takes it as it is.
type Input struct{ *image.RGBA }

// Input is an image fitted to the network: one for ImageNet takes images of its input's size, another those of the
// size that it is for, which the adapter brings to its input's, as in training.
func (n *Network) Input(img image.Image) Input { return Input{n.View(img, n.pixels())} }

// pixels a side of an Input.
func (n *Network) pixels() int {
	if n.cuts() {
		return n.Size
	}
	return Size(n.Model)
}

// imageBytes are those of an Input's values.
func (n *Network) imageBytes() int { return channels * n.pixels() * n.pixels() }

// resize maps pixel indices of an image of to×to pixels to those of one of from×from: pixel i has its centre at i + ½,
// which is what scales.
func resize(from, to int) mgl32.Mat3 {
	scale := float64(from) / float64(to)
	shift := float32(0.5*scale - 0.5)
	return mgl32.Mat3{float32(scale), 0, 0, 0, float32(scale), 0, shift, shift, 1} // column by column
}
