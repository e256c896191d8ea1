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
	x := g.Conv("b", g.Conv("a", g.Input(3, 32, 32), 16, 3, 1, 1, true), 10, 1, 1, 0, false)
	n, err := nn.Build(d, g, g.GlobalAvgPool("c", x), nn.Options{Batch: b, Train: true, Augment: ops.Augment{Size: 32, Std: [3]float64{1, 1, 1}}})
	if err == nil {
		n.Release()
	}
	return err
}

// TestLargestBatch: where a batch does not fit an adapter's limits, the one that is suggested does, and the next one doesn't.
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
