package models

import (
	"fmt"

	"ninvk/nn"
	"ninvk/ops"
)

// Residual networks (He et al., 2015): a block adds its input to what two convolutions make of it.

// resnet18 is the network for ImageNet.
func resnet18(g *nn.Graph, x *nn.Node, c Config) *nn.Node {
	x = g.Conv("conv1", x, nn.Conv{Channels: 64, Kernel: 7, Stride: 2, Pad: 3, NoBias: true, Weight: nn.HeFanOut})
	x = g.BatchNorm("bn1", x, nn.BatchNorm{ReLU: true})
	x = g.MaxPool("maxpool", x, ops.MaxPool{K: 3, Stride: 2, Pad: 1})
	x = residual(g, x, projected, nn.HeFanOut, 2, 64, 128, 256, 512)
	x = g.GlobalAvgPool("avgpool", x)
	return g.Linear("fc", x, nn.Linear{Outputs: c.Classes, Weight: nn.UniformFanIn, Bias: nn.UniformFanIn})
}

// resnet18Small is resnet18 for small images.
func resnet18Small(g *nn.Graph, x *nn.Node, c Config) *nn.Node {
	x = g.Conv("conv1", x, nn.Conv{Channels: 64, Kernel: 3, Pad: 1, NoBias: true, Weight: nn.HeFanOut})
	x = g.BatchNorm("bn1", x, nn.BatchNorm{ReLU: true})
	x = residual(g, x, projected, nn.HeFanOut, 2, 64, 128, 256, 512)
	x = g.GlobalAvgPool("avgpool", x)
	return g.Linear("fc", x, nn.Linear{Outputs: c.Classes, Weight: nn.UniformFanIn, Bias: nn.UniformFanIn})
}

// resnet20 is the paper's network of 20 layers for CIFAR, whose shortcuts have no parameters.
func resnet20(g *nn.Graph, x *nn.Node, c Config) *nn.Node {
	x = g.Conv("conv1", x, nn.Conv{Channels: 16, Kernel: 3, Pad: 1, NoBias: true, Weight: nn.HeFanIn})
	x = g.BatchNorm("bn1", x, nn.BatchNorm{ReLU: true})
	x = residual(g, x, padded, nn.HeFanIn, 3, 16, 32, 64)
	x = g.GlobalAvgPool("avgpool", x)
	return g.Linear("linear", x, nn.Linear{Outputs: c.Classes, Weight: nn.HeFanIn, Bias: nn.UniformFanIn})
}

// shortcut is what a block adds where its output has other channels or pixels than its input x.
type shortcut func(g *nn.Graph, x *nn.Node, channels, stride int, init nn.Initialiser) *nn.Node

// residual are stages of so many blocks, each stage with its channels; all but the first halve the image.
func residual(g *nn.Graph, x *nn.Node, s shortcut, init nn.Initialiser, blocks int, channels ...int) *nn.Node {
	for stage, n := range channels {
		for block := range blocks {
			stride := 1
			if stage > 0 && block == 0 {
				stride = 2
			}
			x = basicBlock(g.In(fmt.Sprintf("layer%d.%d", stage+1, block)), x, s, init, n, stride)
		}
	}
	return x
}

func basicBlock(g *nn.Graph, x *nn.Node, s shortcut, init nn.Initialiser, channels, stride int) *nn.Node {
	y := g.Conv("conv1", x, nn.Conv{Channels: channels, Kernel: 3, Stride: stride, Pad: 1, NoBias: true, Weight: init})
	y = g.BatchNorm("bn1", y, nn.BatchNorm{ReLU: true})
	y = g.Conv("conv2", y, nn.Conv{Channels: channels, Kernel: 3, Pad: 1, NoBias: true, Weight: init})
	y = g.BatchNorm("bn2", y, nn.BatchNorm{})
	if stride != 1 || x.Shape.C != channels {
		x = s(g, x, channels, stride, init)
	}
	return g.Add("add", ops.Add{ReLU: true}, y, x)
}

// projected is a shortcut by a 1×1 convolution.
func projected(g *nn.Graph, x *nn.Node, channels, stride int, init nn.Initialiser) *nn.Node {
	g = g.In("downsample")
	x = g.Conv("0", x, nn.Conv{Channels: channels, Kernel: 1, Stride: stride, NoBias: true, Weight: init})
	return g.BatchNorm("1", x, nn.BatchNorm{})
}

// padded is a shortcut by pixels at a distance and channels of zeros, as many before as behind (the paper's option A).
func padded(g *nn.Graph, x *nn.Node, channels, stride int, _ nn.Initialiser) *nn.Node {
	zeros := channels - x.Shape.C
	return g.Subsample("shortcut", x, ops.Subsample{Stride: stride, Before: zeros / 2, After: zeros - zeros/2})
}
