package models_test

import (
	"testing"

	"ninvk/models"
	"ninvk/nn"
)

// What training takes at 224×224 and batch 64, planned: all networks fit an adapter of 24 GB, and all but those named
// one of 8 GB.
func TestPlannedMemory(t *testing.T) {
	most := map[string]uint64{"resnet18-small": 24e9, "vgg16-bn": 24e9, "densenet201": 24e9, "densenet264": 24e9,
		// three layers of 64 images at full size, each of more than 1 GB, and their gradients: 24 GB, or --micro-batch 32
		"nin": 24e9, "nin-bn": 24e9}
	for _, name := range models.Names() {
		g, out, err := models.Build(models.Config{Model: name, Classes: 10, Size: 224, Dropout: -1, Aux: 0.3})
		if err != nil {
			t.Fatal(err)
		}
		limit := most[name]
		if limit == 0 {
			limit = 8e9
		}
		// For what kernels take beside the plan, an eighth is left.
		if planned := nn.TrainingBytes(g, out, 64); planned > limit/8*7 {
			t.Errorf("%s: %.2f GB planned, at most %.2f GB are wanted", name, float64(planned)/1e9, float64(limit)/1e9*7/8)
		}
	}
}
