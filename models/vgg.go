package models

import (
	"strconv"

	"ninvk/nn"
	"ninvk/ops"
)

// configurationD of "Very deep convolutional networks" (Simonyan and Zisserman, 2014): channels of 3×3 convolutions, 0
// for max pooling.
var configurationD = []int{64, 64, 0, 128, 128, 0, 256, 256, 256, 0, 512, 512, 512, 0, 512, 512, 512, 0}

// vgg16 is configuration D, on request with batch normalisation after every convolution.
func vgg16(batchNorm bool) func(g *nn.Graph, x *nn.Node, c Config) *nn.Node {
	return func(g *nn.Graph, x *nn.Node, c Config) *nn.Node {
		features, classifier := g.In("features"), g.In("classifier")
		place := 0
		name := func() string {
			place++
			return strconv.Itoa(place - 1)
		}
		for _, channels := range configurationD {
			if channels == 0 {
				x = features.MaxPool(name(), x, ops.MaxPool{K: 2, Stride: 2})
				continue
			}
			x = features.Conv(name(), x, nn.Conv{Channels: channels, Kernel: 3, Pad: 1, ReLU: !batchNorm, Weight: nn.HeFanOut})
			if batchNorm {
				x = features.BatchNorm(name(), x, nn.BatchNorm{ReLU: true})
			}
			place++ // the fused ReLU
		}
		x = g.AdaptiveAvgPool("avgpool", x, ops.AdaptiveAvgPool{H: 7, W: 7})
		x = classifier.Linear("0", x, nn.Linear{Outputs: 4096, ReLU: true, Weight: nn.Normal(0.01)})
		x = classifier.Dropout("2", x, c.dropout(0.5))
		x = classifier.Linear("3", x, nn.Linear{Outputs: 4096, ReLU: true, Weight: nn.Normal(0.01)})
		x = classifier.Dropout("5", x, c.dropout(0.5))
		return classifier.Linear("6", x, nn.Linear{Outputs: c.Classes, Weight: nn.Normal(0.01)})
	}
}
