package models

import (
	"ninvk/nn"
	"ninvk/ops"
)

// lenet5 is LeNet-5 in the form that is common today: ReLU, max pooling, and a linear layer in place of the last
// convolution. Images of other sizes than 32×32 are averaged to 5×5 before the linear layers.
func lenet5(g *nn.Graph, x *nn.Node, c Config) *nn.Node {
	conv := func(name string, channels int) {
		x = g.Conv(name, x, nn.Conv{Channels: channels, Kernel: 5, ReLU: true, Weight: nn.UniformFanIn,
			Bias: nn.UniformFanIn})
	}
	linear := func(name string, outputs int, relu bool) {
		x = g.Linear(name, x, nn.Linear{Outputs: outputs, ReLU: relu, Weight: nn.UniformFanIn, Bias: nn.UniformFanIn})
	}
	conv("conv1", 6)
	x = g.MaxPool("pool1", x, ops.MaxPool{K: 2, Stride: 2})
	conv("conv2", 16)
	x = g.MaxPool("pool2", x, ops.MaxPool{K: 2, Stride: 2})
	x = g.AdaptiveAvgPool("avgpool", x, ops.AdaptiveAvgPool{H: 5, W: 5})
	linear("fc1", 120, true)
	linear("fc2", 84, true)
	linear("fc3", c.Classes, false)
	return x
}
