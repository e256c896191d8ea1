package nin

import (
	"testing"

	"ninvk/nn"
	"ninvk/ops"
)

// The networks have the parameters that add up by hand (5×5·3·192+192 and so on), the names of PyTorch's nn.Sequential,
// and the logits of as many classes as are asked for.
func TestNetworks(t *testing.T) {
	for _, c := range []struct {
		name           string
		add            func(g *nn.Graph, x *nn.Node, o Options) *nn.Node
		options        Options
		size           int
		trained, convs int
		lastName       string
		lastReLU       bool
	}{
		{"nin", CIFAR, Options{Classes: 10, Dropout: 0.5}, 32, 966_986, 9, "classifier.20.bias", true},
		{"nin-bn", CIFAR, Options{Classes: 10, Dropout: 0.5, BatchNorm: true}, 32, 969_822, 9,
			"classifier.29.num_batches_tracked", false},
		{"nin-imagenet", ImageNet, Options{Classes: 1000}, 224, 7_595_176, 12, "classifier.26.bias", true},
	} {
		g := nn.NewGraph()
		out := c.add(g, g.Input(3, c.size, c.size), c.options)
		if err := g.Err(); err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if want := (ops.Shape{N: 1, C: c.options.Classes, H: 1, W: 1}); out.Shape != want {
			t.Errorf("%s: logits %v, want %v", c.name, out.Shape, want)
		}
		trained, convs, params := 0, 0, g.Params()
		for _, p := range params {
			if p.Trained() {
				trained += p.Len()
			}
		}
		lastReLU := false
		for _, n := range g.Nodes() {
			switch op := n.Op().(type) {
			case ops.Conv:
				convs++
				lastReLU = op.ReLU
			case ops.BatchNorm:
				lastReLU = op.ReLU
			}
		}
		if trained != c.trained || convs != c.convs || lastReLU != c.lastReLU {
			t.Errorf("%s: %d parameters in %d convolutions, ReLU at the end: %v", c.name, trained, convs, lastReLU)
		}
		if last := params[len(params)-1].Name; last != c.lastName {
			t.Errorf("%s: the last parameter is %s, want %s", c.name, last, c.lastName)
		}
	}
}
