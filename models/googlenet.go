package models

import (
	"fmt"
	"strings"

	"ninvk/nn"
	"ninvk/ops"
)

// modules are inception modules: channels of 1×1, 3×3 reduce, 3×3, "5×5" reduce, "5×5" and pool projection. As in
// torchvision, and the TensorFlow code that it comes from, the "5×5" convolutions are 3×3.
type modules []struct {
	name                                        string
	one, reduce3, three, reduce5, five, project int
}

// inceptions are those of GoogLeNet (Szegedy et al., 2014).
var inceptions = modules{
	{"inception3a", 64, 96, 128, 16, 32, 32},
	{"inception3b", 128, 128, 192, 32, 96, 64},
	{"inception4a", 192, 96, 208, 16, 48, 64},
	{"inception4b", 160, 112, 224, 24, 64, 64},
	{"inception4c", 128, 128, 256, 24, 64, 64},
	{"inception4d", 112, 144, 288, 32, 64, 64},
	{"inception4e", 256, 160, 320, 32, 128, 128},
	{"inception5a", 256, 160, 320, 32, 128, 128},
	{"inception5b", 384, 192, 384, 48, 128, 128},
}

// googlenet is the network with batch normalisation, with auxiliary heads where c wants them.
func googlenet(g *nn.Graph, x *nn.Node, c Config) *nn.Node { return inceptions.network(g, x, c) }

// network is GoogLeNet with these modules.
func (m modules) network(g *nn.Graph, x *nn.Node, c Config) *nn.Node {
	x = convBN(g, "conv1", x, nn.Conv{Channels: 64, Kernel: 7, Stride: 2, Pad: 3})
	x = g.MaxPool("maxpool1", x, ops.MaxPool{K: 3, Stride: 2, Ceil: true})
	x = convBN(g, "conv2", x, nn.Conv{Channels: 64, Kernel: 1})
	x = convBN(g, "conv3", x, nn.Conv{Channels: 192, Kernel: 3, Pad: 1})
	x = g.MaxPool("maxpool2", x, ops.MaxPool{K: 3, Stride: 2, Ceil: true})
	var aux []*nn.Node // what the auxiliary heads look at
	for i, b := range m {
		x = m.module(g.In(b.name), x, i)
		switch b.name {
		case "inception3b":
			x = g.MaxPool("maxpool3", x, ops.MaxPool{K: 3, Stride: 2, Ceil: true})
		case "inception4a", "inception4d":
			aux = append(aux, x)
		case "inception4e":
			x = g.MaxPool("maxpool4", x, ops.MaxPool{K: 2, Stride: 2, Ceil: true})
		}
	}
	if c.Aux > 0 {
		for i, y := range aux {
			g.AddLoss(auxiliaryHead(g.In(fmt.Sprintf("aux%d", i+1)), y, c), c.Aux)
		}
	}
	x = g.GlobalAvgPool("avgpool", x)
	x = g.Dropout("dropout", x, c.dropout(0.2))
	return g.Linear("fc", x, nn.Linear{Outputs: c.Classes, Weight: nn.Normal(0.01), Bias: nn.UniformFanIn})
}

// convBN is a convolution with batch normalisation and ReLU, named as torchvision does.
func convBN(g *nn.Graph, name string, x *nn.Node, o nn.Conv) *nn.Node {
	g = g.In(name)
	o.NoBias, o.Weight = true, nn.Normal(0.01)
	return g.BatchNorm("bn", g.Conv("conv", x, o), nn.BatchNorm{ReLU: true, Eps: 0.001})
}

// module is the module at place i.
func (m modules) module(g *nn.Graph, x *nn.Node, i int) *nn.Node {
	b := m[i]
	one := convBN(g, "branch1", x, nn.Conv{Channels: b.one, Kernel: 1})
	three := convBN(g, "branch2.0", x, nn.Conv{Channels: b.reduce3, Kernel: 1})
	three = convBN(g, "branch2.1", three, nn.Conv{Channels: b.three, Kernel: 3, Pad: 1})
	five := convBN(g, "branch3.0", x, nn.Conv{Channels: b.reduce5, Kernel: 1})
	five = convBN(g, "branch3.1", five, nn.Conv{Channels: b.five, Kernel: 3, Pad: 1})
	pool := g.MaxPool("branch4.0", x, ops.MaxPool{K: 3, Stride: 1, Pad: 1, Ceil: true})
	pool = convBN(g, "branch4.1", pool, nn.Conv{Channels: b.project, Kernel: 1})
	return g.Concat("concat", one, three, five, pool)
}

// auxiliaryHead classifies by what the network has in the middle of its depth.
func auxiliaryHead(g *nn.Graph, x *nn.Node, c Config) *nn.Node {
	x = g.AdaptiveAvgPool("avgpool", x, ops.AdaptiveAvgPool{H: 4, W: 4})
	x = convBN(g, "conv", x, nn.Conv{Channels: 128, Kernel: 1})
	x = g.Linear("fc1", x, nn.Linear{Outputs: 1024, ReLU: true, Weight: nn.Normal(0.01), Bias: nn.UniformFanIn})
	x = g.Dropout("dropout", x, c.dropout(0.7))
	return g.Linear("fc2", x, nn.Linear{Outputs: c.Classes, Weight: nn.Normal(0.01), Bias: nn.UniformFanIn})
}

// auxiliary says whether a tensor is of an auxiliary head, which only training has.
func auxiliary(name string) bool {
	return strings.HasPrefix(name, "aux1.") || strings.HasPrefix(name, "aux2.")
}
