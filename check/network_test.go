package check

import (
	"strings"
	"testing"

	"ninvk/golden"
	"ninvk/gpu"
	"ninvk/nn"
	"ninvk/ops"
)

// lenet is the network of PyTorch's run lenet5, with another padding of its second convolution where shifted.
func lenet(size int, shifted bool) (*nn.Graph, *nn.Node) {
	g := nn.NewGraph()
	o := nn.Conv{Channels: 16, Kernel: 5, ReLU: true}
	if shifted {
		o.Pad = 1
	}
	x := g.MaxPool("pool1", g.Conv("conv1", g.Input(3, size, size), nn.Conv{Channels: 6, Kernel: 5, ReLU: true}),
		ops.MaxPool{K: 2, Stride: 2})
	x = g.AdaptiveAvgPool("average", g.MaxPool("pool2", g.Conv("conv2", x, o), ops.MaxPool{K: 2, Stride: 2}),
		ops.AdaptiveAvgPool{H: 5, W: 5})
	x = g.Linear("fc1", x, nn.Linear{Outputs: 120, ReLU: true})
	x = g.Linear("fc2", x, nn.Linear{Outputs: 84, ReLU: true})
	return g, g.Linear("fc3", x, nn.Linear{Outputs: 10})
}

// TestNetworkThatGoesWrong: the network is right, tensor by tensor, and one that computes something else is not; the
// layers behind the one that differs have their weights' shapes, so that nothing but arithmetic tells.
func TestNetworkThatGoesWrong(t *testing.T) {
	d, err := gpu.Open("")
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	n, err := golden.Read("lenet5")
	if err != nil {
		t.Fatal(err)
	}
	for _, shifted := range []bool{false, true} {
		g, logits := lenet(n.Size, shifted)
		last, total := 0, 0
		results, err := Run(t.Context(), d, Options{
			Networks: []Network{{n, g, logits}},
			Progress: func(_ string, done, of int) { last, total = done, of },
		})
		if err != nil {
			t.Fatal(err)
		}
		if last != total || total != len(n.Losses)+2 {
			t.Errorf("progress came to %d of %d", last, total)
		}
		wrong := map[string]bool{}
		for _, r := range results {
			wrong[r.Pass] = wrong[r.Pass] || r.Problem != ""
			if (float64(r.Error) > float64(r.Bound)) != (r.Problem != "") {
				t.Errorf("%v: error %g, bound %g", r, r.Error, r.Bound)
			}
			if r.Shape == "conv2.weight" && !strings.HasPrefix(r.Variant, "conv 5×5 of 4×6×14×14: ") {
				t.Errorf("of conv2 is said %q", r.Variant)
			}
		}
		if len(results) != 3+len(n.Tensors) {
			t.Errorf("%d results of %d tensors", len(results), len(n.Tensors))
		}
		for _, kind := range []string{golden.LogitsBefore, golden.Losses, golden.Gradient, golden.LogitsAfter} {
			if wrong[kind] != shifted {
				t.Errorf("shifted %v: %s wrong %v", shifted, kind, wrong[kind])
			}
		}
	}
}
