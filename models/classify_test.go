package models_test

import (
	"errors"
	"image"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"ninvk/cifar10"
	"ninvk/models"
	"ninvk/ops/ref"
	"ninvk/picture"
	"ninvk/safetensors"
)

// sampleImages are images of the sample's test split, with their classes.
func sampleImages(t *testing.T) (images []image.Image, labels []uint16) {
	t.Helper()
	data, err := cifar10.Sample()
	if err != nil {
		t.Fatal(err)
	}
	for i := range data.Test.Len() {
		img, err := data.Test.Image(i)
		if err != nil {
			t.Fatal(err)
		}
		images = append(images, img)
	}
	return images, data.Test.Labels
}

func classifier(t *testing.T, n *models.Network, o models.Options) *models.Classifier {
	t.Helper()
	c, err := models.NewClassifier(openDevice(t), n, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// Embedded weights do on the sample's 200 test images as well as on all of CIFAR-10's, within what chance allows (four
// standard deviations).
func TestClassify(t *testing.T) {
	for _, name := range models.EmbeddedNames {
		t.Run(name, func(t *testing.T) { checkClaim(t, name) })
	}
}

func checkClaim(t *testing.T, name string) {
	f := claim(t, name)
	images, labels := sampleImages(t)
	n, err := models.OpenNetwork(name, models.Given{})
	if err != nil {
		t.Fatal(err)
	}
	all, err := classifier(t, n, models.Options{Batch: 100}).Classify(images)
	if err != nil {
		t.Fatal(err)
	}
	if len(all) != len(images) {
		t.Fatalf("%d results for %d images", len(all), len(images))
	}
	right := 0
	for i, p := range all {
		sum := 0.0
		seen := map[int]bool{}
		for k, x := range p {
			if x.Class != cifar10.ClassNames[x.Index] || k > 0 && x.Probability > p[k-1].Probability {
				t.Fatalf("image %d: %+v", i, p)
			}
			sum += x.Probability
			seen[x.Index] = true
		}
		if math.Abs(sum-1) > 1e-9 || len(seen) != cifar10.Classes {
			t.Fatalf("image %d: probabilities of %d classes sum to %v", i, len(seen), sum)
		}
		if p[0].Index == int(labels[i]) {
			right++
		}
	}
	accuracy := float64(right) / float64(len(images))
	if chance := 4 * math.Sqrt(f.Accuracy*(1-f.Accuracy)/float64(len(images))); math.Abs(accuracy-f.Accuracy) > chance {
		t.Errorf("accuracy %.3f on the sample, %.4f is claimed: more than %.3f apart", accuracy, f.Accuracy, chance)
	}
}

// Neither the batch nor the images beside it change what is said of an image, and a map is that of the class asked for.
func TestExplain(t *testing.T) {
	images, _ := sampleImages(t)
	images = images[:3]
	c := classifier(t, pretrained(t), models.Options{Batch: 2}) // a whole batch, then a part of one
	all, err := c.Explain(images, -1)
	if err != nil {
		t.Fatal(err)
	}
	for i, e := range all {
		if e.Map.Index != e.Predictions[0].Index || e.Map.Class != e.Predictions[0].Class {
			t.Errorf("image %d: a map of %s, most probable is %+v", i, e.Map.Class, e.Predictions[0])
		}
		alone, err := c.Explain(images[i:i+1], e.Map.Index)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(e, alone[0], cmpopts.EquateApprox(1e-5, 1e-5)); diff != "" {
			t.Errorf("image %d in a batch and alone (-batch +alone):\n%s", i, diff)
		}
	}
	for _, class := range []int{-2, cifar10.Classes} {
		if _, err := c.Explain(images, class); err == nil {
			t.Errorf("class %d has a map", class)
		}
	}
	if again, err := c.Classify([]image.Image{c.Network.Input(images[0])}); err != nil ||
		!cmp.Equal(again[0], all[0].Predictions,
			cmpopts.EquateApprox(0, 1e-6)) {
		t.Errorf("an image that is fitted already: %v, %v", again, err)
	}
	if _, err := c.Classify([]image.Image{models.Input{RGBA: image.NewRGBA(image.Rect(0, 0, 9, 9))}}); err == nil {
		t.Error("an image fitted to another network was classified")
	}
	if none, err := c.Classify(nil); err != nil || len(none) != 0 {
		t.Errorf("no images: %v, %v", none, err)
	}
	if _, err := c.Classify([]image.Image{image.NewRGBA(image.Rectangle{})}); err == nil {
		t.Error("an image without pixels was classified")
	}
	if _, err := c.Activations(images); err == nil || !strings.Contains(err.Error(), "Keep") {
		t.Errorf("activations of no layer: %v", err)
	}
}

// Activations are those of the layer that was asked for, as the float64 twin computes them.
func TestActivations(t *testing.T) {
	n := pretrained(t)
	n, err := models.NewNetwork(n.Path, n.File, models.Given{Size: cifar10.Width}) // whatever size the weights are for
	if err != nil {
		t.Fatal(err)
	}
	images, _ := sampleImages(t)
	got, err := classifier(t, n, models.Options{Batch: 2, Keep: "classifier.0"}).Activations(images[:1])
	if err != nil {
		t.Fatal(err)
	}
	x := make([]float64, cifar10.ImageBytes)
	for i, v := range picture.Planes(images[0].(*image.RGBA)) {
		c := i / (cifar10.Width * cifar10.Height)
		x[i] = (float64(v)/255 - n.Mean[c]) / n.Std[c]
	}
	wide := func(v []float32) []float64 {
		w := make([]float64, len(v))
		for i := range v {
			w[i] = float64(v[i])
		}
		return w
	}
	values := n.Weights.Values()
	want := ref.ConvForward(ref.Conv{N: 1, C: 3, H: 32, W: 32, M: 192, K: 5, Stride: 1, Pad: 2}, x, wide(values[0]),
		wide(values[1]))
	if diff := cmp.Diff(want, wide(got[0].Values), cmpopts.EquateApprox(1e-4, 1e-4)); diff != "" {
		t.Error("the feature maps of the first convolution are not those of its twin")
	}
}

func TestClassifierErrors(t *testing.T) {
	n := pretrained(t)
	if _, err := models.NewClassifier(openDevice(t), n, models.Options{Keep: "conv1"}); !errors.As(err,
		new(*models.UnknownLayerError)) {
		t.Errorf("an unknown layer: %v", err)
	}
	if _, err := models.Load("none.safetensors"); err == nil || !strings.Contains(err.Error(), "none.safetensors") {
		t.Errorf("a missing file: %v", err)
	}
	// Weights that are finite, but whose network overflows.
	f := &safetensors.File{Metadata: n.File.Metadata}
	for _, x := range n.File.Tensors {
		if v, err := x.Float32s(); err == nil {
			for i := range v {
				v[i] = 1e38
			}
			x = safetensors.FromFloat32s(x.Name, x.Shape, v)
		}
		f.Tensors = append(f.Tensors, x)
	}
	big, err := models.NewNetwork("big.safetensors", f, models.Given{})
	if err != nil {
		t.Fatal(err)
	}
	images, _ := sampleImages(t)
	if p, err := classifier(t, big, models.Options{Batch: 2}).Classify(images[:1]); !errors.As(err,
		new(*models.WeightsError)) || !strings.Contains(err.Error(), "big.safetensors") {
		t.Errorf("a network that overflows: %v, %v", p, err)
	}
}
