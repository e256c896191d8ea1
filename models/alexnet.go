package models

import (
	"ninvk/nn"
	"ninvk/ops"
)

// alexnet is the form of "One weird trick for parallelizing convolutional neural networks" (Krizhevsky, 2014).
func alexnet(g *nn.Graph, x *nn.Node, c Config) *nn.Node {
	features, classifier := g.In("features"), g.In("classifier")
	conv := func(name string, channels, kernel, stride, pad int) {
		x = features.Conv(name, x, nn.Conv{Channels: channels, Kernel: kernel, Stride: stride, Pad: pad, ReLU: true,
			Weight: nn.UniformFanIn, Bias: nn.UniformFanIn})
	}
	pool := func(name string) { x = features.MaxPool(name, x, ops.MaxPool{K: 3, Stride: 2}) }
	linear := func(name string, outputs int, relu bool) {
		x = classifier.Linear(name, x, nn.Linear{Outputs: outputs, ReLU: relu, Weight: nn.UniformFanIn,
			Bias: nn.UniformFanIn})
	}
	conv("0", 64, 11, 4, 2)
	pool("2")
	conv("3", 192, 5, 1, 2)
	pool("5")
	conv("6", 384, 3, 1, 1)
	conv("8", 256, 3, 1, 1)
	conv("10", 256, 3, 1, 1)
	pool("12")
	x = g.AdaptiveAvgPool("avgpool", x, ops.AdaptiveAvgPool{H: 6, W: 6})
	x = classifier.Dropout("0", x, c.dropout(0.5))
	linear("1", 4096, true)
	x = classifier.Dropout("3", x, c.dropout(0.5))
	linear("4", 4096, true)
	linear("6", c.Classes, false)
	return x
}
