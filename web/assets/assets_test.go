package assets

import (
	"bytes"
	"compress/gzip"
	"image"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ninvk/cifar10"
	"ninvk/gpu"
	"ninvk/models"
	"ninvk/picture"
)

// most is what may be downloaded before the first answer, of which the program takes about four million bytes.
const most = 6_000_000 - 4_100_000

func TestFiles(t *testing.T) {
	files, err := Files()
	if err != nil {
		t.Fatal(err)
	}
	wanted := slices.Clone(cifar10.SampleFiles)
	for _, name := range models.EmbeddedNames {
		wanted = append(wanted, models.EmbeddedFile(name))
	}
	for _, name := range wanted {
		if len(files[name]) == 0 {
			t.Errorf("%s is missing", name)
		}
	}
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	if _, err := z.Write(files[models.EmbeddedFile(models.EmbeddedNames[0])]); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	if n := packed.Len(); n > most {
		t.Errorf("the weights are %d bytes packed, at most %d are wanted", n, most)
	}
}

// The weights in half precision tell everything that the whole ones tell, and give nearly the same answers.
func TestWeights(t *testing.T) {
	b, err := Weights(models.EmbeddedNames[0])
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "half.safetensors")
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
	var images []image.Image
	var names []string
	paths, err := filepath.Glob(filepath.Join("..", "..", "docs", "images", "*.png"))
	if err != nil || len(paths) < 10 {
		t.Fatalf("images of docs: %q, %v", paths, err)
	}
	for _, p := range paths {
		img, err := picture.ReadFile(p)
		if err != nil {
			t.Fatal(err)
		}
		images, names = append(images, img), append(names, strings.TrimSuffix(filepath.Base(p), ".png"))
	}
	d, err := gpu.Open("")
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	var found [2][][]models.Prediction
	for i, weights := range []string{models.Embedded, path} {
		n, err := models.OpenNetwork(weights, models.Given{})
		if err != nil {
			t.Fatal(err)
		}
		if assumed := n.Assumed(); assumed != "" {
			t.Error(assumed)
		}
		c, err := models.NewClassifier(d, n, models.Options{Batch: len(images)})
		if err != nil {
			t.Fatal(err)
		}
		if found[i], err = c.Classify(images); err != nil {
			t.Fatal(err)
		}
		c.Close()
	}
	for i, name := range names {
		whole, half := found[0][i][0], found[1][i][0]
		if half.Class != name || math.Abs(half.Probability-whole.Probability) > 0.005 {
			t.Errorf("%s: %v in half precision, %v in whole", name, half, whole)
		}
	}
}
