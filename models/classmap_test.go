package models_test

import (
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"ninvk/cifar10"
	"ninvk/models"
	"ninvk/nn"
	"ninvk/ops/ref"
	"ninvk/safetensors"
)

// drawn is a network with weights drawn at random, and biases too, for images of size pixels a side.
func drawn(t *testing.T, model string, size int) *models.Network {
	t.Helper()
	g, _, err := models.Build(models.Config{Model: model, Classes: cifar10.Classes, Size: size})
	if err != nil {
		t.Fatal(err)
	}
	f := &safetensors.File{Metadata: map[string]string{models.ModelKey: model}}
	values := models.Random(g, 3, models.Own).Values()
	for i, p := range g.Params() {
		if p.Role == nn.BatchesTracked {
			f.Tensors = append(f.Tensors, safetensors.FromInt64(p.Name, 1))
			continue
		}
		if p.Role == nn.Bias {
			for j := range values[i] {
				values[i][j] += float32(j%5)/10 - 0.2
			}
		}
		f.Tensors = append(f.Tensors, safetensors.FromFloat32s(p.Name, p.Shape, values[i]))
	}
	n, err := models.NewNetwork("drawn.safetensors", f, models.Given{Size: size})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// tensor is a parameter's values.
func tensor(t *testing.T, n *models.Network, name string) []float64 {
	t.Helper()
	x, ok := n.File.Tensor(name)
	if !ok {
		t.Fatalf("no tensor %s", name)
	}
	v, err := x.Float32s()
	if err != nil {
		t.Fatal(err)
	}
	return ref.Float64s(v)
}

// scores are the logits of a classification by index, less that of class 0.
func scores(p []models.Prediction) []float64 {
	s := make([]float64, len(p))
	for _, x := range p {
		s[x.Index] = math.Log(x.Probability)
	}
	for k := len(s) - 1; k >= 0; k-- {
		s[k] -= s[0]
	}
	return s
}

// Where a network averages its last maps, a class's score is the mean of its map and its bias.
func TestClassMapsAreExact(t *testing.T) {
	images, _ := sampleImages(t)
	images = images[:2]
	for _, c := range []struct {
		network *models.Network
		bias    string // "" for none
	}{
		{pretrained(t), ""},
		{drawn(t, "resnet20", 32), "linear.bias"},
	} {
		network := classifier(t, c.network, models.Options{Batch: 2})
		bias := make([]float64, cifar10.Classes)
		if c.bias != "" {
			bias = tensor(t, c.network, c.bias)
		}
		told := make([][]float64, len(images)) // scores by class
		var all []models.Explanation
		for class := range cifar10.Classes {
			var err error
			if all, err = network.Explain(images, class); err != nil {
				t.Fatal(err)
			}
			for i, e := range all {
				m := e.Map
				if m.Index != class || m.Method != models.ClassActivation || len(m.Values) != m.H*m.W || m.H < 2 {
					t.Fatalf("%s, class %d: %+v", c.network.Model, class, m)
				}
				mean := 0.0
				for _, v := range m.Values {
					mean += float64(v) / float64(len(m.Values))
				}
				told[i] = append(told[i], mean+bias[class])
			}
		}
		for i, e := range all {
			for k := len(told[i]) - 1; k >= 0; k-- {
				told[i][k] -= told[i][0]
			}
			if diff := cmp.Diff(scores(e.Predictions), told[i], cmpopts.EquateApprox(1e-4, 1e-4)); diff != "" {
				t.Errorf("%s, image %d (-scores +means of the maps):\n%s", c.network.Model, i, diff)
			}
		}
	}
}

// Grad-CAM is what its definition says: the ReLU of the sum of the last convolution's maps, each times the mean of the
// score's gradient by it. The float64 twin of what comes after the maps gives that as a difference: a channel's pixels
// all raised a little.
func TestGradCAM(t *testing.T) {
	const size, side, channels = 40, 14, 16 // of the image and its maps: 40, 36, 18, 14, 7, averaged to 5
	n := drawn(t, "lenet5", size)
	images, _ := sampleImages(t)
	images = images[:2]
	network := classifier(t, n, models.Options{Batch: 2, Keep: "conv2"})
	kept, err := network.Activations(images)
	if err != nil {
		t.Fatal(err)
	}
	layer := func(name string, in, m int, x []float64) []float64 {
		return ref.LinearForward(ref.Linear{N: 1, In: in, M: m}, x, tensor(t, n, name+".weight"), tensor(t, n, name+".bias"))
	}
	rest := func(maps []float64) []float64 {
		x, _ := ref.MaxPool(ref.Pool{N: 1, C: channels, H: side, W: side, K: 2, Stride: 2}, maps)
		x = ref.AdaptiveAvgPool(ref.AdaptivePool{N: 1, C: channels, H: side / 2, W: side / 2, OH: 5, OW: 5}, x)
		x = ref.ReLU(layer("fc1", 5*5*channels, 120, x))
		x = ref.ReLU(layer("fc2", 120, 84, x))
		return layer("fc3", 84, cifar10.Classes, x)
	}
	const step, pixels = 1e-6, side * side
	for _, class := range []int{0, 7} {
		all, err := network.Explain(images, class)
		if err != nil {
			t.Fatal(err)
		}
		for i, e := range all {
			maps := ref.Float64s(kept[i].Values)
			logits := rest(maps)
			want := make([]float64, pixels)
			for k := range channels {
				raised := append([]float64(nil), maps...)
				for p := range pixels {
					raised[k*pixels+p] += step
				}
				mean := (rest(raised)[class] - logits[class]) / step / pixels
				for p := range pixels {
					want[p] += mean * maps[k*pixels+p]
				}
			}
			positive := 0
			for p := range want {
				if want[p] = max(want[p], 0); want[p] > 0 {
					positive++
				}
			}
			if positive == 0 {
				t.Errorf("image %d, class %d: the map is 0, and shows nothing", i, class)
			}
			if e.Map.Method != models.GradCAM || e.Map.Layer != "conv2" || e.Map.H != side || e.Map.W != side {
				t.Errorf("image %d: %s of %s, %d×%d", i, e.Map.Method, e.Map.Layer, e.Map.H, e.Map.W)
			}
			if diff := cmp.Diff(want, ref.Float64s(e.Map.Values), cmpopts.EquateApprox(1e-3, 1e-6)); diff != "" {
				t.Errorf("image %d, class %d (-want +got):\n%s", i, class, diff)
			}
		}
	}
}
