package models_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"ninvk/gpu"
	"ninvk/models"
	"ninvk/nn"
	"ninvk/ops"
)

// Adapters that need not be there: Lavapipe, and what GPUs have.
var described = []gpu.Adapter{
	{Name: "llvmpipe", Type: "cpu", VectorWidth: 512, Limits: gpu.Limits{
		MaxComputeInvocationsPerWorkgroup: 1024, MaxComputeWorkgroupSizeX: 1024, MaxComputeWorkgroupStorageSize: 32 << 10,
		MaxComputeWorkgroupsPerDimension: 65535, MaxBufferSize: 1 << 30, MaxStorageBufferBindingSize: 128 << 20,
		MaxStorageBuffersPerShaderStage: 8, MaxTextureDimension2D: 16384,
		MaxTextureArrayLayers: 256, MaxUnrolledProducts: gpu.UnrolledOnLlvmpipe,
	}},
	{Name: "a GPU", Type: "discrete-gpu", Limits: gpu.Limits{
		MaxComputeInvocationsPerWorkgroup: 1024, MaxComputeWorkgroupSizeX: 1024, MaxComputeWorkgroupStorageSize: 48 << 10,
		MaxComputeWorkgroupsPerDimension: 65535, MaxBufferSize: 4 << 30, MaxStorageBufferBindingSize: 2 << 30,
		MaxStorageBuffersPerShaderStage: 16, MaxTextureDimension2D: 16384,
		MaxTextureArrayLayers: 256, MaxUnrolledProducts: gpu.UnrolledElsewhere,
	}},
}

// TestFewKernels: however many layers and numbers of channels a network has, its convolutions share a few kernels, and
// all steps of a run together compile at most 60.
func TestFewKernels(t *testing.T) {
	const mostConv, most = 33, 60
	t.Setenv(ops.VariantEnv, "")
	for _, a := range described {
		for _, name := range models.Names() {
			for _, of := range []struct{ batch, size int }{{64, 32}, {16, 32}, {16, 64}, {8, 64}, {64, 224}, {4, 224}} {
				if of.size < models.LeastSize(name) || of.batch == 64 && of.size != models.Size(name) {
					continue
				}
				conv, all := kernels(t, a, name, of.batch, of.size)
				t.Logf("%s, %s at batch %d, %d×%[4]d: %d kernels, %d of them of convolutions", a.Name, name, of.batch, of.size,
					len(all), len(conv))
				if len(conv) > mostConv || len(all) > most {
					slices.Sort(all)
					t.Errorf("%s, %s at batch %d, %d×%[4]d pixels: %d kernels of convolutions, at most %d; %d in all, at most %d: %s",
						a.Name, name, of.batch, of.size, len(conv), mostConv, len(all), most, strings.Join(all, ", "))
				}
			}
		}
	}
}

// TestFewKernelsByEveryVariant: so do they where one variant is forced, and it records the steps of a network for a GPU
// with all that it needs.
func TestFewKernelsByEveryVariant(t *testing.T) {
	const most = 60
	passes := []ops.Pass{ops.ConvForward, ops.ConvInputGrad, ops.ConvWeightGrad}
	forced := map[string][]string{}
	for _, p := range passes {
		for _, v := range ops.Variants(p) {
			forced[v] = append(forced[v], string(p)+"="+v)
		}
	}
	for _, v := range slices.Sorted(maps.Keys(forced)) {
		t.Setenv(ops.VariantEnv, strings.Join(forced[v], ","))
		for _, of := range []struct {
			name string
			size int
		}{{"nin", 32}, {"resnet18", 224}} {
			_, all := kernels(t, described[1], of.name, 64, of.size)
			t.Logf("%s by %s: %d kernels", of.name, v, len(all))
			if len(all) > most {
				t.Errorf("%s by %s: %d kernels, at most %d", of.name, v, len(all), most)
			}
		}
	}
}

// kernels names those of the training and evaluation steps of a network, with all that a run may want.
func kernels(t *testing.T, a gpu.Adapter, model string, batch, size int) (conv, all []string) {
	t.Helper()
	g, out, err := models.Build(models.Config{Model: model, Classes: 10, Size: size, Dropout: -1})
	if err != nil {
		t.Fatal(err)
	}
	n, err := nn.Build(gpu.Described(a), g, out, nn.Options{
		Batch: batch, Train: true, Clip: ops.GradNorm{Clip: 1}, Average: ops.Average{Decay: 0.9},
		Augment: ops.Augment{Size: size},
	})
	if err != nil {
		t.Fatalf("%s: %v", model, err)
	}
	defer n.Release()
	images, err := ops.NewImages(gpu.Described(a), "images", ops.Shape{N: batch, C: 3, H: size, W: size})
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, train := range []bool{true, false} {
		list, err := n.Kernels(images, batch, train)
		if err != nil {
			t.Fatalf("%s: %v", model, err)
		}
		for _, k := range list {
			if seen[k.Source] {
				continue
			}
			seen[k.Source] = true
			all = append(all, k.Name)
			if strings.HasPrefix(k.Name, "conv") || k.Name == "unfold" {
				conv = append(conv, k.Name)
			}
		}
	}
	return conv, all
}
