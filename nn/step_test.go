package nn_test

import (
	"testing"

	"github.com/go-gl/mathgl/mgl32"

	"ninvk/gpu"
	"ninvk/nn"
	"ninvk/ops"
)

// small builds a network that has every kind of layer the published networks have, and images for it.
func small(tb testing.TB, batch int) (*nn.Net, *ops.Images, []nn.Entry) {
	tb.Helper()
	d, err := gpu.Open("")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(d.Close)
	g := nn.NewGraph()
	x := g.Conv("a", g.Input(3, 8, 8), nn.Conv{Channels: 8, Kernel: 3, Pad: 1, ReLU: true})
	x = g.Dropout("c", g.MaxPool("b", x, ops.MaxPool{K: 3, Stride: 2, Pad: 1}), 0.5)
	x = g.BatchNorm("e", g.Conv("d", x, nn.Conv{Channels: 8, Kernel: 1}), nn.BatchNorm{ReLU: true})
	x = g.GlobalAvgPool("h", g.Conv("g", g.AvgPool("f", x, ops.AvgPool{K: 3, Stride: 2, Pad: 1}),
		nn.Conv{Channels: 10, Kernel: 1, ReLU: true}))
	n, err := nn.Build(d, g, x, nn.Options{Batch: batch, Train: true, Optimiser: ops.SGD{Momentum: 0.9},
		Augment: ops.Augment{Size: 8}})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(n.Release)
	images, err := ops.UploadImages(d, "images", ops.Shape{C: 3, H: 8, W: 8}, make([]byte, 4*3*8*8))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(images.Release)
	entries := make([]nn.Entry, batch)
	for i := range entries {
		entries[i] = ops.BatchEntry(uint32(i%4), uint32(i%10), mgl32.Ident3())
	}
	return n, images, entries
}

// stepper returns a function that writes images and trains one step, with everything recorded, compiled and allocated.
func stepper(tb testing.TB) func() {
	n, images, entries := small(tb, 4)
	next, pixels := 0, make([]byte, 2*3*8*8)
	step := func() {
		if err := images.Write(next, pixels); err != nil {
			tb.Fatal(err)
		}
		next = 2 - next
		if _, err := n.TrainStep(images, entries, 1, 0.01, 1); err != nil {
			tb.Fatal(err)
		}
	}
	for range 5 { // fills the ring
		step()
	}
	return step
}

// A step leaves no garbage behind on the host.
func TestTrainStepDoesNotAllocate(t *testing.T) {
	if n := testing.AllocsPerRun(20, stepper(t)); n != 0 {
		t.Errorf("a training step makes %v allocations, want none", n)
	}
}

// BenchmarkTrainStep is the host's side of a training step, with a network so small that the adapter hardly counts.
func BenchmarkTrainStep(b *testing.B) {
	step := stepper(b)
	b.ReportAllocs()
	for b.Loop() {
		step()
	}
}
