// Package nin is the Network in Network (Lin, Chen, Yan, 2013, arXiv 1312.4400): three networks as lists of layers, their initialisation,
// their weights as safetensors under PyTorch's names, and images classified with them.
//
// Load and Classify are all that it takes to use a trained network; see the example.
package nin

import (
	"fmt"
	"strings"

	"ninvk/nn"
	"ninvk/ops"
)

// Models lists the known networks.
var Models = []string{"nin", "nin-bn", "nin-imagenet"}

// UnknownModelError says that there is no such network, and which there are.
type UnknownModelError struct{ Name string }

func (e *UnknownModelError) Error() string {
	return fmt.Sprintf("unknown model %q; known are %s", e.Name, strings.Join(Models, ", "))
}

// Config is what a network is built for.
type Config struct {
	Model   string
	Classes int
	Size    int     // pixels a side of the images
	Dropout float64 // probability that an activation is dropped while training
}

// kind of a step in a list.
type kind int

const (
	conv kind = iota
	maxPool
	avgPool
	dropout
	global
)

// step is one line of a network's list. Convolutions are followed by batch normalisation and ReLU as the network has them.
type step struct {
	kind                          kind
	channels, kernel, stride, pad int // channels 0: the number of classes
}

// The networks. In cifar every mlpconv block is a K×K convolution and two 1×1 convolutions, the small perceptron that slides over the image.
var cifar = []step{
	{conv, 192, 5, 1, 2}, {conv, 160, 1, 1, 0}, {conv, 96, 1, 1, 0},
	{maxPool, 0, 3, 2, 1}, {kind: dropout},
	{conv, 192, 5, 1, 2}, {conv, 192, 1, 1, 0}, {conv, 192, 1, 1, 0},
	{avgPool, 0, 3, 2, 1}, {kind: dropout},
	{conv, 192, 3, 1, 1}, {conv, 192, 1, 1, 0}, {conv, 0, 1, 1, 0},
	{kind: global},
}

// imagenet is the form of the Caffe model zoo ("NIN ImageNet").
var imagenet = []step{
	{conv, 96, 11, 4, 0}, {conv, 96, 1, 1, 0}, {conv, 96, 1, 1, 0}, {maxPool, 0, 3, 2, 0},
	{conv, 256, 5, 1, 2}, {conv, 256, 1, 1, 0}, {conv, 256, 1, 1, 0}, {maxPool, 0, 3, 2, 0},
	{conv, 384, 3, 1, 1}, {conv, 384, 1, 1, 0}, {conv, 384, 1, 1, 0}, {maxPool, 0, 3, 2, 0},
	{kind: dropout},
	{conv, 1024, 3, 1, 1}, {conv, 1024, 1, 1, 0}, {conv, 0, 1, 1, 0},
	{kind: global},
}

// Build is the graph of a network and its last node, the logits [N, Classes, 1, 1]. The layers are named classifier.N with N the place in PyTorch's
// nn.Sequential, where batch normalisation, ReLU, pooling and dropout count too.
func Build(c Config) (*nn.Graph, *nn.Node, error) {
	steps, bn, lastReLU, ceil := cifar, false, true, false
	switch c.Model {
	case "nin":
	case "nin-bn":
		bn, lastReLU = true, false
	case "nin-imagenet":
		steps, ceil = imagenet, true // Caffe rounds the size of a pooled image up
	default:
		return nil, nil, &UnknownModelError{c.Model}
	}
	g := nn.NewGraph()
	x := g.Input(3, c.Size, c.Size)
	place := 0
	name := func() string {
		place++
		return fmt.Sprintf("classifier.%d", place-1)
	}
	for i, s := range steps {
		switch s.kind {
		case conv:
			last := i == len(steps)-2
			relu := !last || lastReLU
			channels := s.channels
			if channels == 0 {
				channels = c.Classes
			}
			x = g.Conv(name(), x, channels, s.kernel, s.stride, s.pad, relu && !bn)
			if bn {
				x = g.BatchNorm(name(), x, relu)
			}
			if relu {
				place++ // the fused ReLU
			}
		case maxPool:
			x = g.MaxPool(name(), x, ops.MaxPool{K: s.kernel, Stride: s.stride, Pad: s.pad, Ceil: ceil})
		case avgPool:
			x = g.AvgPool(name(), x, s.kernel, s.stride, s.pad)
		case dropout:
			x = g.Dropout(name(), x, c.Dropout)
		case global:
			x = g.GlobalAvgPool(name(), x)
		}
	}
	return g, x, g.Err()
}
