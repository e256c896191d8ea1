package models_test

import (
	"testing"

	"ninvk/gpu"
	"ninvk/models"
	"ninvk/nn"
	"ninvk/ops"
)

// What training at 224×224 and batch 64 asks a GPU for, kernels' memory included: all networks fit one of 24 GB, and
// all but those named one of 8 GB.
func TestPlannedMemory(t *testing.T) {
	t.Setenv(ops.VariantEnv, "")
	large := map[string]bool{"resnet18-small": true, "vgg16-bn": true, "densenet201": true, "densenet264": true}
	for _, name := range models.Names() {
		g, out, err := models.Build(models.Config{Model: name, Classes: 10, Size: 224, Dropout: -1, Aux: 0.3})
		if err != nil {
			t.Fatal(err)
		}
		n, err := nn.Build(gpu.Described(described[1]), g, out, nn.Options{
			Batch: 64, Train: true, Augment: ops.Augment{Size: 224},
		})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		limit := 8e9
		if large[name] {
			limit = 24e9
		}
		if planned := float64(n.PlannedBytes()); planned > limit {
			t.Errorf("%s: %.2f GB planned, at most %.0f GB are wanted", name, planned/1e9, limit/1e9)
		} else {
			t.Logf("%-16s %.2f GB, %.2f of them in any case", name, planned/1e9, float64(nn.TrainingBytes(g, out, 64))/1e9)
		}
		n.Release()
	}
}
