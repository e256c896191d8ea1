package nn_test

import (
	"errors"
	"fmt"
	"testing"

	"ninvk/gpu"
	"ninvk/nn"
	"ninvk/ops"
)

// build builds a network of 16 channels on images of 32×32, for a batch of b.
func build(d *gpu.Device, b int) error {
	g := nn.NewGraph()
	x := g.Conv("b", g.Conv("a", g.Input(3, 32, 32), nn.Conv{Channels: 16, Kernel: 3, Pad: 1, ReLU: true}),
		nn.Conv{Channels: 10, Kernel: 1})
	n, err := nn.Build(d, g, g.GlobalAvgPool("c", x), nn.Options{Batch: b, Train: true, Augment: ops.Augment{Size: 32}})
	if err == nil {
		n.Release()
	}
	return err
}

// TestLargestBatch: where a batch does not fit an adapter's limits, the one that is suggested does, and the next one
// doesn't.
func TestLargestBatch(t *testing.T) {
	const image = 32 * 32 * 4 * 16 // bytes of 16 channels
	for _, c := range []struct {
		limits  string
		largest int
		says    string
	}{
		{fmt.Sprintf("maxBufferSize=%d", 20*image+1024), 20, "activation"},
		{fmt.Sprintf("maxStorageBufferBindingSize=%d", 20*image/4+1024), 20, "four channels"},
		{"maxStorageBufferBindingSize=2048", 0, ""}, // less than one image
		{"maxBufferSize=1024", 0, ""},
	} {
		t.Setenv(gpu.LimitsEnv, c.limits)
		d, err := gpu.Open("")
		if err != nil {
			t.Fatal(err)
		}
		var memory *nn.MemoryError
		if err := build(d, 1000); !errors.As(err, &memory) || memory.Largest != c.largest || memory.Batch != 1000 {
			t.Errorf("%s: error %v, want one that suggests a batch of %d", c.limits, err, c.largest)
		} else if c.largest > 0 {
			if err := build(d, c.largest); err != nil {
				t.Errorf("%s: the suggested batch: %v", c.limits, err)
			}
			if err := build(d, c.largest+1); !errors.As(err, &memory) || memory.Largest != c.largest {
				t.Errorf("%s: one image more: %v", c.limits, err)
			}
		}
		d.Close()
	}
}

// TestVariantsThatDoNotFit: on an adapter with little workgroup memory and small textures, a network trains although
// all its passes are told to use variants that need more of either, and uses none of these.
func TestVariantsThatDoNotFit(t *testing.T) {
	for _, c := range []struct{ limits, conv, norm string }{
		{"maxComputeWorkgroupStorageSize=1024", "tiled", "fused"},
		{"maxComputeInvocationsPerWorkgroup=128,maxTextureDimension2D=8192,maxComputeWorkgroupStorageSize=16384", "", ""},
	} {
		t.Setenv(gpu.LimitsEnv, c.limits)
		t.Setenv(ops.VariantEnv, "")
		if c.conv != "" {
			t.Setenv(ops.VariantEnv, fmt.Sprintf("conv/forward=%[1]s,conv/input-gradient=%[1]s,conv/weight-gradient=%[1]s,"+
				"norm/forward=%[2]s,norm/gradient=%[2]s", c.conv, c.norm))
		}
		n, images, entries := small(t, 4)
		if _, err := n.TrainStep(images, entries, 1, 0.01, 1); err != nil {
			t.Fatalf("%s: %v", c.limits, err)
		}
		done, err := n.Drain()
		if err != nil || len(n.Variants()) != 10 || len(done) == 1 && !(done[0].Loss > 0) {
			t.Errorf("%s: %d variants used, %+v, error %v", c.limits, len(n.Variants()), done, err)
		}
		for call, v := range n.Variants() {
			if v == c.conv || v == c.norm {
				t.Errorf("%s: %s is recorded with %s, which does not fit", c.limits, call, v)
			}
		}
	}
}
