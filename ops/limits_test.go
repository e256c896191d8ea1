package ops_test

import (
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"testing"

	"ninvk/gpu"
	"ninvk/ops"
	"ninvk/ops/cases"
	"ninvk/ops/ref"
)

// limited makes the device of this package's tests one with lowered limits, until the test ends.
func limited(t *testing.T, limits string) {
	t.Helper()
	if few := os.Getenv(gpu.LimitsEnv); few != "" {
		limits = few + "," + limits
	}
	t.Setenv(gpu.LimitsEnv, limits)
	d := must(gpu.Open(""))(t)
	was, wasLent := openDevice, lent
	openDevice = func() (*gpu.Device, error) { return d, nil }
	lent = memory{}
	t.Cleanup(func() {
		lent.partial.Release()
		lent.unfolded.Release()
		if lent.scratch != nil {
			lent.scratch.Release()
		}
		d.Close()
		openDevice, lent = was, wasLent
	})
}

// TestLowerLimits runs cases on devices that are asked for less, as NINVK_LIMITS says: workgroups of 256 and of 128
// invocations, little workgroup memory, few buffers, and bindings so small that activations are bound in parts.
// Everything that still says it fits must run and be right, and be split where that is the point.
func TestLowerLimits(t *testing.T) {
	conv := []string{
		"conv forward 65×40×7×5 to 3 k3 s1 p1", "conv input gradient 65×3×7×5 to 40 k3 s1 p1",
		"conv weight gradient 65×3×7×5 to 40 k3 s1 p1",
	}
	// channels that fill the tiled kernels' steps
	many := []string{"conv forward 2×16×7×5 to 64 k3 s1 p1", "conv input gradient 2×16×7×5 to 64 k3 s1 p1"}
	ordered := []string{"conv forward 65×32×7×5 to 32 k3 s1 p1", "conv input gradient 65×32×7×5 to 32 k3 s1 p1"}
	others := []string{
		"batch norm training 65×10×7×5 relu", "batch norm evaluation 65×10×7×5", "batch norm gradient 65×10×7×5 relu",
		"global average pool forward 65×10×7×5", "bias gradient 65×10×7×5", "relu forward 65×10×7×5",
		"relu gradient 65×10×7×5", "add forward 65×10×7×5",
		"dropout forward 65×10×7×5 p0.5", "add forward 65×10×7×5 3 terms relu",
		"subsample forward 65×10×7×5 s1, 3 before, 2 after",
		"subsample gradient 65×10×7×5 s1, 3 before, 2 after", "adaptive average pool forward 65×10×7×5 to 7×5",
		"adaptive average pool gradient 65×10×7×5 to 7×5",
	}
	flat := []string{
		"max pool forward 1×10×32×32 k3 s2 p1", "max pool gradient 1×10×32×32 k3 s2 p1",
		"average pool gradient 1×10×32×32 k3 s2 p1",
		"cross entropy forward and gradient 65×10 smoothing 0.1", "gradnorm forward 6 clip 0.5",
		"gradnorm forward 70001 clip 0.5",
		"sgd 10 steps 1031 rate 0.001 momentum 0.9 decay 0.01 nesterov true",
	}
	for _, c := range []struct {
		limits string
		names  [][]string
		splits string   // names of cases that must be bound in parts
		lost   []string // variants that fit no longer
	}{
		{"maxComputeInvocationsPerWorkgroup=256,maxComputeWorkgroupSizeX=256", [][]string{conv}, "", nil},
		{"maxComputeInvocationsPerWorkgroup=128", [][]string{conv, others, flat}, "", nil},
		{"maxComputeWorkgroupStorageSize=2048", [][]string{conv}, "", []string{"straight", "winograd",
			"winograd-straight", "tiled", "tiled-split", "tiled-8x8"}},
		{"maxStorageBuffersPerShaderStage=4", [][]string{conv, many}, "", nil}, // too few for weights in order
		{"maxUnrolledProducts=1024", [][]string{conv}, "", nil},
		{"maxTextureDimension2D=512", [][]string{conv}, "", []string{"straight", "winograd-straight"}},
		// 8 of the 10 channel groups of 65×40×7×5.
		{fmt.Sprintf("maxStorageBufferBindingSize=%d", 8*ops.Shape{N: 65, C: 4, H: 7, W: 5}.Bytes()), [][]string{conv}, "40",
			nil},
		// 4 of the 8 channel groups of 65×32×7×5.
		{fmt.Sprintf("maxStorageBufferBindingSize=%d", 4*ops.Shape{N: 65, C: 4, H: 7, W: 5}.Bytes()), [][]string{ordered},
			"32", nil},
		// 2 of the 3 channel groups.
		{fmt.Sprintf("maxStorageBufferBindingSize=%d", 2*ops.Shape{N: 65, C: 4, H: 7, W: 5}.Bytes()), [][]string{others},
			"×10×", nil},
	} {
		t.Run(c.limits, func(t *testing.T) {
			before := map[string]int{} // dispatches
			in := map[string]values{}
			for _, names := range c.names {
				for _, name := range names {
					for _, x := range find(t, name) {
						in[x.String()] = inputs(x)
						if c.splits != "" && strings.Contains(name, c.splits) {
							_, before[x.String()] = run(t, x, in[x.String()], 0)
						}
					}
				}
			}
			limited(t, c.limits)
			lost := 0
			for _, names := range c.names {
				for _, name := range names {
					for _, x := range cases.All() {
						values, was := in[x.String()]
						if !was || x.String() != name && x.String() != fmt.Sprintf("%s [%s]", name, x.Variant) {
							continue
						}
						if !fits(t, x) {
							if lost++; !slices.Contains(c.lost, x.Variant) {
								t.Errorf("%v fits no longer: %v", x, x.Fits(device(t).Limits()))
							}
							continue
						}
						got, dispatches := run(t, x, values, float32(math.NaN()))
						compare(t, x, got, ref.Table[ref.Key(x)](x, values))
						// Straight kernels read through a texture, which is not bound in parts.
						if n, split := before[x.String()]; split && x.Variant != "straight" && dispatches <= n {
							t.Errorf("%v: %d dispatches, as many as before: nothing was split", x, dispatches)
						}
					}
				}
			}
			if (lost > 0) != (c.lost != nil) {
				t.Errorf("%d cases fit no longer, of the variants %q some should", lost, c.lost)
			}
		})
	}
}

// TestEveryTile runs every tile of straight convolutions, where it is the only one, with more channels than its chunk
// and with fewer, and those of weight gradients of which a chunk has not all of its pixels. Few of them are what the
// table's small convolutions choose.
func TestEveryTile(t *testing.T) {
	limited(t, fmt.Sprintf("maxUnrolledProducts=%d", gpu.UnrolledOnLlvmpipe))
	try := func(t *testing.T, name string) {
		for _, c := range find(t, name) {
			if c.Variant == "straight" {
				in := inputs(c)
				got, _ := run(t, c, in, float32(math.NaN()))
				compare(t, c, got, ref.Table[ref.Key(c)](c, in))
			}
		}
	}
	ops.EachTile(false, func(tile string) {
		t.Run(tile, func(t *testing.T) {
			for _, name := range []string{
				"conv forward 1×192×7×5 to 10 k3 s1 p1 relu", "conv input gradient 65×32×7×5 to 32 k3 s1 p1",
				"conv forward 1×96×7×5 to 192 k1 s1 p0",
			} {
				try(t, name)
			}
		})
	})
	ops.EachTile(true, func(tile string) {
		t.Run(tile, func(t *testing.T) { try(t, "conv weight gradient 65×3×7×5 to 40 k3 s1 p1") })
	})
}

// TestDataSetBeyondLargestBuffer: a data set of 1.2 MB is held by an adapter whose buffers and bindings end at 256 KiB
// and whose textures at 16 KiB, and all images are whole.
func TestDataSetBeyondLargestBuffer(t *testing.T) {
	limited(t, "maxBufferSize=262144,maxStorageBufferBindingSize=262144,maxTextureDimension2D=64")
	pixels, images := randomImages(t, ops.Shape{N: 400, C: 3, H: 32, W: 32})
	defer images.Release()
	views := all(images)
	for from := 0; from < len(views); from += 8 {
		compareViews(t, ops.Augment{Size: 32}, images.Shape, pixels, views[from:from+8],
			augment(t, ops.Augment{Size: 32}, images, views[from:from+8]), true)
	}
	t.Setenv(gpu.LimitsEnv, "")
	device(t).Adapter.Limits.MaxTextureArrayLayers = 10
	if _, err := ops.NewImages(device(t), "data set", images.Shape); !errors.Is(err, gpu.ErrTooLarge) {
		t.Errorf("80 layers of 10: error %v, want ErrTooLarge", err)
	}
}
