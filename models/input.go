package models

import (
	"image"

	"ninvk/picture"
)

// fits are the ways in which images become squares, in the order of a message.
var fits = []picture.Fit{picture.FitCrop, picture.FitStretch, picture.FitPad, picture.FitImageNet}

// UsualFit is how a network takes images where nobody says it: one for ImageNet as torchvision's evaluation shows them,
// others the largest square in the middle, as data sets of small images are made.
func UsualFit(model string) picture.Fit {
	if Size(model) >= imageNet {
		return picture.FitImageNet
	}
	return picture.FitCrop
}

// View is what the network sees of an image, in colour, at size×size pixels.
func (n *Network) View(img image.Image, size int) *image.RGBA { return n.Fit.RGBA(img, size) }

// Input is an image that is fitted to a network, with the picture of it that people see. A Classifier of that network
// takes it as it is.
type Input struct {
	*image.RGBA
	planes []byte // [channels][size][size]
}

// Input is an image fitted to the network, as training fits photos: it has the input's size, and is grey (PIL's L)
// where the network takes grey images.
func (n *Network) Input(img image.Image) Input {
	in := Input{planes: make([]byte, n.Channels*n.Size*n.Size)}
	n.Fit.Planes(img, n.Size, n.Channels, in.planes)
	var err error
	if in.RGBA, err = picture.FromPlanes(n.Size, n.Size, in.planes); err != nil {
		panic(err) // as many bytes as it takes
	}
	return in
}
