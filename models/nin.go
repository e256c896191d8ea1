package models

import (
	"ninvk/nin"
	"ninvk/nn"
)

// ninCIFAR is the network for small images.
func ninCIFAR(batchNorm bool) func(g *nn.Graph, x *nn.Node, c Config) *nn.Node {
	return func(g *nn.Graph, x *nn.Node, c Config) *nn.Node {
		return nin.CIFAR(g, x, nin.Options{Classes: c.Classes, Dropout: c.dropout(0.5), BatchNorm: batchNorm})
	}
}

func ninImageNet(g *nn.Graph, x *nn.Node, c Config) *nn.Node {
	return nin.ImageNet(g, x, nin.Options{Classes: c.Classes, Dropout: c.dropout(0.5)})
}
