package models_test

import (
	"image"
	"image/color"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ninvk/dataset"
	"ninvk/dataset/folder"
	"ninvk/models"
	"ninvk/nn"
	"ninvk/picture"
	"ninvk/safetensors"
)

// random is a weights file of a network with weights of a seed.
func random(t testing.TB, c models.Config) *safetensors.File {
	t.Helper()
	g, _, err := models.Build(c)
	if err != nil {
		t.Fatal(err)
	}
	f, values := &safetensors.File{}, models.Random(g, 3, models.Own).Values()
	for i, p := range g.Params() {
		if p.Role != nn.BatchesTracked {
			f.Tensors = append(f.Tensors, safetensors.FromFloat32s(p.Name, p.Shape, values[i]))
		}
	}
	return f
}

// Every network takes grey images: of its parameters one alone has another shape, the weights of the first convolution,
// which tell a file's channels.
func TestGreyNetworks(t *testing.T) {
	for _, model := range models.Names() {
		c := models.Config{Model: model, Classes: 7, Size: models.LeastSize(model)}
		colour, _, err := models.Build(c)
		if err != nil {
			t.Fatal(err)
		}
		c.Channels = 1
		grey, _, err := models.Build(c)
		if err != nil {
			t.Fatal(err)
		}
		var differ []string
		theirs := colour.Params()
		for i, p := range grey.Params() {
			if p.Name != theirs[i].Name {
				t.Fatalf("%s: parameter %s is called %s", model, p.Name, theirs[i].Name)
			}
			if !slices.Equal(p.Shape, theirs[i].Shape) {
				differ = append(differ, p.Name)
				if p.Shape[1] != 1 || theirs[i].Shape[1] != 3 {
					t.Errorf("%s: %s has shape %v and %v", model, p.Name, p.Shape, theirs[i].Shape)
				}
			}
		}
		first, _ := models.FirstConv(grey)
		if diff := cmp.Diff([]string{first.Name + ".weight"}, differ); diff != "" {
			t.Errorf("%s: what has another shape (-want +got):\n%s", model, diff)
		}
	}
	for _, model := range []string{"nin", "nin-bn", "lenet5", "resnet20"} {
		f := random(t, models.Config{Model: model, Classes: 7, Size: 32, Channels: 1})
		n, err := models.NewNetwork("w", f, models.Given{})
		if err != nil {
			t.Errorf("%s: %v", model, err)
			continue
		}
		if n.Model != model || n.Channels != 1 || len(n.Classes) != 7 || !slices.Equal(n.Mean, []float64{0.449}) ||
			!slices.Equal(n.Std, []float64{0.226}) || n.Graph.Nodes()[0].Shape.C != 1 {
			t.Errorf("%s is %+v", model, n.Metadata)
		}
		told := n.Content()
		if told.Metadata[models.ChannelsKey] != "1" {
			t.Errorf("%s: metadata %v", model, told.Metadata)
		}
	}
	four := random(t, models.Config{Model: "resnet20", Classes: 7, Size: 32, Channels: 4})
	if _, err := models.NewNetwork("w", four, models.Given{}); err == nil ||
		!strings.Contains(err.Error(), "its first layer takes images of 4 channels; networks are for 3") {
		t.Errorf("4 channels: %v", err)
	}
	grey := random(t, models.Config{Model: "lenet5", Classes: 7, Size: 32, Channels: 1})
	if _, err := models.NewNetwork("w", grey, models.Given{Mean: []float64{0.1, 0.2, 0.3}}); err == nil ||
		!strings.Contains(err.Error(), "--mean 0.1,0.2,0.3 has 3 numbers; the images have 1 channel") {
		t.Errorf("three means of grey: %v", err)
	}
	if n, err := models.NewNetwork("w", grey, models.Given{Mean: []float64{0.25}}); err != nil || n.Mean[0] != 0.25 {
		t.Errorf("one mean of grey: %v", err)
	}
}

// photoData is the test split of a folder with a photo, lossless, of each of two classes.
func photoData(t *testing.T, img image.Image, o dataset.Options) dataset.Split {
	t.Helper()
	dir := t.TempDir()
	for _, sub := range []string{"train/a", "train/b", "test/a", "test/b"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := picture.WritePNG(filepath.Join(dir, sub, "photo.png"), img); err != nil {
			t.Fatal(err)
		}
	}
	data, err := folder.Format.Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	return data.Test
}

// What is written tells channels and fit, and classification goes by it: what the network is given are the bytes that
// training on a folder of photos evaluates by, grey as PIL's L, normalised.
func TestClassifierGoesByTheFile(t *testing.T) {
	img := image.NewRGBA(image.Rect(0, 0, 50, 37))
	r := rand.New(rand.NewPCG(1, 2))
	for y := range 37 {
		for x := range 50 {
			img.SetRGBA(x, y, color.RGBA{uint8(r.IntN(256)), uint8(5 * x), uint8(6 * y), 255})
		}
	}
	for _, c := range []struct {
		channels int
		fit      picture.Fit
	}{{1, picture.FitPad}, {3, picture.FitStretch}, {1, picture.FitCrop}, {3, picture.FitImageNet}} {
		f := random(t, models.Config{Model: "lenet5", Classes: 3, Size: 32, Channels: c.channels})
		mean, std := models.Normalisation(c.channels)
		about := models.Metadata{Model: "lenet5", Size: 32, Classes: []string{"x", "y", "z"}, Mean: mean, Std: std,
			Channels: c.channels, Fit: c.fit}
		f.Metadata = models.Export(about, nil, &nn.State{}).Metadata
		n, err := models.NewNetwork("w", f, models.Given{})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(about, n.Metadata); diff != "" || n.Assumed() != "" {
			t.Errorf("written and read (-want +got):\n%s%s", diff, n.Assumed())
		}
		want := make([]byte, c.channels*32*32) // of the folder's data set, as training and evaluation take it
		if err := photoData(t, img, dataset.Options{Size: 32, Fit: dataset.Fit(c.fit), Channels: c.channels}).Read(0,
			want); err != nil {
			t.Fatal(err)
		}
		classifier := classifier(t, n, models.Options{Batch: 2, Keep: "input"})
		got, err := classifier.Activations([]image.Image{img})
		if err != nil {
			t.Fatal(err)
		}
		for i, v := range got[0].Values {
			plane := i / (32 * 32)
			if x := (float64(want[i])/255 - mean[plane]) / std[plane]; math.Abs(float64(v)-x) > 1e-5 {
				t.Fatalf("%d channels, %s: value %d is %v, want %v", c.channels, c.fit, i, v, x)
			}
		}
		found, err := classifier.Classify([]image.Image{img, n.Input(img)})
		if err != nil || !cmp.Equal(found[0], found[1]) {
			t.Errorf("%v, %v", found, err)
		}
		if diff := cmp.Diff(about.Classes, classifier.Classes()); diff != "" {
			t.Error(diff)
		}
	}
}

// Training for other classes starts from all but the layers that depend on their number; what a training graph has
// besides, as auxiliary heads, is made anew too.
func TestStart(t *testing.T) {
	for _, c := range []struct {
		model   string
		aux     float64
		classes int
		head    bool
		anew    []string
	}{
		{"resnet20", 0, 7, false, nil},
		{"resnet20", 0, 4, true, []string{"linear"}},
		{"resnet20", 0, 7, true, []string{"linear"}},
		{"nin", 0, 4, true, []string{"classifier.20"}},
		{"googlenet", 0.3, 7, false, []string{"aux1.conv.conv", "aux1.conv.bn", "aux1.fc1", "aux1.fc2", "aux2.conv.conv",
			"aux2.conv.bn", "aux2.fc1", "aux2.fc2"}},
	} {
		size := models.LeastSize(c.model)
		n, err := models.NewNetwork("w", random(t, models.Config{Model: c.model, Classes: 7, Size: size}),
			models.Given{Size: size})
		if err != nil {
			t.Fatal(err)
		}
		g, _, err := models.Build(models.Config{Model: c.model, Classes: c.classes, Size: size, Aux: c.aux})
		if err != nil {
			t.Fatal(err)
		}
		w, anew := n.Start(g, 5, models.Own, c.head)
		if diff := cmp.Diff(c.anew, anew); diff != "" {
			t.Errorf("%s: made anew (-want +got):\n%s", c.model, diff)
		}
		own := map[string][]float32{}
		for i, p := range n.Graph.Params() {
			own[p.Name] = n.Weights.Values()[i]
		}
		drawn, at := models.Random(g, 5, models.Own).Values(), 0
		for _, x := range g.Nodes() {
			for _, p := range x.Params() {
				want := own[p.Name]
				if slices.Contains(c.anew, x.Name) {
					want = drawn[at]
				}
				if !slices.Equal(w.Values()[at], want) {
					t.Errorf("%s: %s is not what it should start from", c.model, p.Name)
				}
				at++
			}
		}
	}
}
