package models

import (
	"fmt"
	"regexp"

	"ninvk/nn"
	"ninvk/ops"
)

// growth is the number of channels that a dense layer adds.
const growth = 32

// densenet is the network with so many dense layers a block (Huang et al., 2016): a layer's input is what all layers of
// the block before it put out.
func densenet(blocks ...int) func(g *nn.Graph, x *nn.Node, c Config) *nn.Node {
	return func(g *nn.Graph, x *nn.Node, c Config) *nn.Node {
		features := g.In("features")
		x = features.Conv("conv0", x, nn.Conv{Channels: 2 * growth, Kernel: 7, Stride: 2, Pad: 3, NoBias: true})
		x = features.BatchNorm("norm0", x, nn.BatchNorm{ReLU: true})
		x = features.MaxPool("pool0", x, ops.MaxPool{K: 3, Stride: 2, Pad: 1})
		for i, layers := range blocks {
			for j := range layers {
				x = denseLayer(features.In(fmt.Sprintf("denseblock%d.denselayer%d", i+1, j+1)), x)
			}
			if i < len(blocks)-1 {
				x = transition(features.In(fmt.Sprintf("transition%d", i+1)), x)
			}
		}
		x = features.BatchNorm("norm5", x, nn.BatchNorm{ReLU: true})
		x = g.GlobalAvgPool("avgpool", x)
		return g.Linear("classifier", x, nn.Linear{Outputs: c.Classes, Weight: nn.UniformFanIn})
	}
}

func denseLayer(g *nn.Graph, x *nn.Node) *nn.Node {
	y := g.BatchNorm("norm1", x, nn.BatchNorm{ReLU: true})
	y = g.Conv("conv1", y, nn.Conv{Channels: 4 * growth, Kernel: 1, NoBias: true})
	y = g.BatchNorm("norm2", y, nn.BatchNorm{ReLU: true})
	y = g.Conv("conv2", y, nn.Conv{Channels: growth, Kernel: 3, Pad: 1, NoBias: true})
	return g.Concat("concat", x, y)
}

// transition halves channels and image.
func transition(g *nn.Graph, x *nn.Node) *nn.Node {
	channels := x.Shape.C / 2
	x = g.BatchNorm("norm", x, nn.BatchNorm{ReLU: true})
	x = g.Conv("conv", x, nn.Conv{Channels: channels, Kernel: 1, NoBias: true})
	return g.AvgPool("pool", x, ops.AvgPool{K: 2, Stride: 2})
}

var dotted = regexp.MustCompile(
	`^(.*denselayer\d+\.(?:norm|conv))\.([12]\.(?:weight|bias|running_mean|running_var|num_batches_tracked))$`)

// undotted is a name in files of 2017, as denselayer1.norm.1.weight, without the second dot.
func undotted(name string) string { return dotted.ReplaceAllString(name, "$1$2") }
