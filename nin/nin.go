// Package nin is the family of Network in Network, as lists of layers. The paper is Lin, Chen, Yan, 2013, arXiv
// 1312.4400.
package nin

import (
	"fmt"

	"ninvk/nn"
	"ninvk/ops"
)

// Options are what a network of the family is built for.
type Options struct {
	Classes   int
	Dropout   float64 // probability that an activation is dropped while training
	BatchNorm bool    // batch normalisation after every convolution, and no ReLU after the last
}

// kind of a line in a list.
type kind int

const (
	conv kind = iota
	maxPool
	avgPool
	dropout
	global
)

// line is an entry of a network's list. Convolutions are followed by batch normalisation and ReLU as the network has
// them.
type line struct {
	kind                          kind
	channels, kernel, stride, pad int // channels 0: the number of classes
}

// The networks. In cifar every mlpconv block is a K×K convolution and two 1×1 convolutions, the small perceptron that
// slides over the image.
var cifar = []line{
	{conv, 192, 5, 1, 2}, {conv, 160, 1, 1, 0}, {conv, 96, 1, 1, 0},
	{maxPool, 0, 3, 2, 1}, {kind: dropout},
	{conv, 192, 5, 1, 2}, {conv, 192, 1, 1, 0}, {conv, 192, 1, 1, 0},
	{avgPool, 0, 3, 2, 1}, {kind: dropout},
	{conv, 192, 3, 1, 1}, {conv, 192, 1, 1, 0}, {conv, 0, 1, 1, 0},
	{kind: global},
}

// imagenet is the form of the Caffe model zoo ("NIN ImageNet").
var imagenet = []line{
	{conv, 96, 11, 4, 0}, {conv, 96, 1, 1, 0}, {conv, 96, 1, 1, 0}, {maxPool, 0, 3, 2, 0},
	{conv, 256, 5, 1, 2}, {conv, 256, 1, 1, 0}, {conv, 256, 1, 1, 0}, {maxPool, 0, 3, 2, 0},
	{conv, 384, 3, 1, 1}, {conv, 384, 1, 1, 0}, {conv, 384, 1, 1, 0}, {maxPool, 0, 3, 2, 0},
	{kind: dropout},
	{conv, 1024, 3, 1, 1}, {conv, 1024, 1, 1, 0}, {conv, 0, 1, 1, 0},
	{kind: global},
}

// CIFAR adds the paper's network for CIFAR to the graph, on x, and gives its last node, the logits [N, Classes, 1, 1].
func CIFAR(g *nn.Graph, x *nn.Node, o Options) *nn.Node { return add(g, x, cifar, false, o) }

// ImageNet is CIFAR for the network of Caffe's model zoo, which rounds the size of a pooled image up.
func ImageNet(g *nn.Graph, x *nn.Node, o Options) *nn.Node { return add(g, x, imagenet, true, o) }

// add adds a list. The layers are named classifier.N with N the place in PyTorch's nn.Sequential, where batch
// normalisation, ReLU, pooling and dropout count too. ceil rounds the size of a pooled image up.
func add(g *nn.Graph, x *nn.Node, list []line, ceil bool, o Options) *nn.Node {
	place := 0
	name := func() string {
		place++
		return fmt.Sprintf("classifier.%d", place-1)
	}
	for i, s := range list {
		switch s.kind {
		case conv:
			last := i == len(list)-2
			relu := !last || !o.BatchNorm
			channels := s.channels
			if channels == 0 {
				channels = o.Classes
			}
			x = g.Conv(name(), x, nn.Conv{
				Channels: channels, Kernel: s.kernel, Stride: s.stride, Pad: s.pad, ReLU: relu && !o.BatchNorm,
			})
			if o.BatchNorm {
				x = g.BatchNorm(name(), x, nn.BatchNorm{ReLU: relu})
			}
			if relu {
				place++ // the fused ReLU
			}
		case maxPool:
			x = g.MaxPool(name(), x, ops.MaxPool{K: s.kernel, Stride: s.stride, Pad: s.pad, Ceil: ceil})
		case avgPool:
			x = g.AvgPool(name(), x, ops.AvgPool{K: s.kernel, Stride: s.stride, Pad: s.pad})
		case dropout:
			x = g.Dropout(name(), x, o.Dropout)
		case global:
			x = g.GlobalAvgPool(name(), x)
		}
	}
	return x
}
