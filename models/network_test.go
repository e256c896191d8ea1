package models_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ninvk/cifar10"
	"ninvk/models"
	"ninvk/nn"
	"ninvk/safetensors"
)

// figures is what `ninvk eval --json` told about embedded weights on CIFAR-10's test split.
type figures struct {
	Model, Split string
	Images       int
	Loss         float64
	Accuracy     float64
	SHA256       string `json:"weights_sha256"`
}

func claim(t *testing.T, name string) (f figures) {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("pretrained", claimFile(name)))
	if err == nil {
		err = json.Unmarshal(raw, &f)
	}
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// claimFile is the file of the figures of embedded weights.
func claimFile(name string) string {
	return strings.TrimSuffix(models.EmbeddedFile(name), ".safetensors") + ".json"
}

func pretrained(t *testing.T) *models.Network {
	t.Helper()
	n, err := models.OpenNetwork(models.Embedded, models.Given{})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// The figures beside the embedded weights are theirs, and all weights that are there have a name.
func TestPretrained(t *testing.T) {
	for _, name := range models.EmbeddedNames {
		n, err := models.OpenNetwork(name, models.Given{})
		if err != nil {
			t.Fatal(err)
		}
		f := claim(t, name)
		sum, err := n.SHA256()
		if err != nil {
			t.Fatal(err)
		}
		if sum != f.SHA256 {
			t.Errorf("the weights %s have the checksum %s, the figures in %s are of %s: make pretrained measures them anew",
				name, sum, claimFile(name), f.SHA256)
		}
		if n.Model != name || f.Model != name || f.Split != "test" || f.Images < 1 || f.Accuracy <= 0 || f.Accuracy > 1 {
			t.Errorf("%s: figures %+v of a %s", name, f, n.Model)
		}
		if diff := cmp.Diff(cifar10.ClassNames[:], n.Classes); diff != "" {
			t.Errorf("%s: classes (-want +got):\n%s", name, diff)
		}
	}
	for _, pattern := range []string{"*.safetensors", "*.json"} {
		if files, err := filepath.Glob(filepath.Join("pretrained", pattern)); err != nil ||
			len(files) != len(models.EmbeddedNames) {
			t.Errorf("%q in pretrained, weights are of %q; %v", files, models.EmbeddedNames, err)
		}
	}
}

// Weights that the program has are taken by their name, or as the default; a network's name that is neither theirs nor
// a file's is answered by what there is.
func TestEmbeddedNames(t *testing.T) {
	for _, path := range append([]string{models.Embedded}, models.EmbeddedNames...) {
		want := strings.Replace(path, models.Embedded, models.EmbeddedNames[0], 1)
		if n, err := models.OpenNetwork(path, models.Given{}); err != nil || n.Model != want ||
			n.Path != models.EmbeddedPath(want) {
			t.Errorf("%s: %v, want %s; %v", path, n, want, err)
		}
	}
	_, err := models.OpenNetwork("vgg16", models.Given{})
	if want := "vgg16: there is no such file, and the program has no weights of this network: it has those of " +
		strings.Join(models.EmbeddedNames, ", "); !errors.Is(err, os.ErrNotExist) || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
	t.Chdir(t.TempDir()) // a file may have a network's name
	name := models.EmbeddedNames[0]
	if err := os.WriteFile(name, []byte("none"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := models.OpenNetwork("./"+name, models.Given{}); err == nil {
		t.Errorf("./%s is a file, which was not read", name)
	}
}

func TestMetadata(t *testing.T) {
	base := pretrained(t).File
	with := func(m map[string]string) (*models.Network, error) {
		return models.NewNetwork("w.safetensors", &safetensors.File{Tensors: base.Tensors, Metadata: m}, models.Given{})
	}
	told := map[string]string{
		models.ModelKey: "nin-bn", models.SizeKey: "24", models.MeanKey: "[0.1,0.2,0.3]", models.StdKey: "[1,2,3]",
		models.ClassesKey: `["a","b","c","d","e","f","g","h","i","j"]`,
	}
	n, err := with(told)
	if err != nil {
		t.Fatal(err)
	}
	if n.Size != 24 || n.Graph.Nodes()[0].Shape.H != 24 || !slices.Equal(n.Mean, []float64{0.1, 0.2, 0.3}) ||
		!slices.Equal(n.Std, []float64{1, 2, 3}) || strings.Join(n.Classes, "") != "abcdefghij" {
		t.Errorf("not what the metadata tell: %d, %v, %v, %v", n.Size, n.Mean, n.Std, n.Classes)
	}
	if n, err = with(nil); err != nil || n.Size != 32 || !slices.Equal(n.Mean, models.Mean) ||
		!slices.Equal(n.Std, models.Std) || n.Classes[3] != "cat" || n.Model != "nin-bn" {
		t.Errorf("without metadata: %+v, %v", n, err)
	}
	if n, err = models.NewNetwork("w", &safetensors.File{Tensors: base.Tensors, Metadata: told},
		models.Given{Size: 40}); err != nil || n.Size != 40 {
		t.Errorf("a size that was asked for: %v", err)
	}
	for key, values := range map[string][]string{
		models.ModelKey:    {"vgg"},
		models.SizeKey:     {"", "big", "0", "-3", "4097", "1e3"},
		models.MeanKey:     {"", "0.5", "[1,2]", "[1,2,3,4]", `["a","b","c"]`, "[1e300,0,0]"},
		models.FitKey:      {"", "Crop", "zoom", "\x1b"},
		models.ChannelsKey: {"", "1", "4", "three", "3.0"},
		models.StdKey:      {"[0,1,1]", "[1,1,-1]", "[1e-30,1,1]", "null"},
		models.ClassesKey: {"", "[]", `["a"]`, "7", `["a","b","c","d","e","f","g","h","i","\u001b[2J"]`,
			`["a","b","c","d","e","f","g","h","i\nj",""]`},
	} {
		for _, v := range values {
			m := maps.Clone(told)
			m[key] = v
			if n, err := with(m); !errors.As(err, new(*models.WeightsError)) || !strings.HasPrefix(err.Error(),
				"w.safetensors: ") {
				t.Errorf("%s %q: %+v, %v", key, v, n, err)
			}
		}
	}
}

// What Export writes, NewNetwork understands.
func TestExportTells(t *testing.T) {
	n := pretrained(t)
	f := models.Export(models.Metadata{Model: "nin-bn", Size: 48, Classes: n.Classes, Mean: models.Mean, Std: models.Std},
		nil, &nn.State{})
	f.Tensors = n.File.Tensors
	got, err := models.NewNetwork("w", f, models.Given{})
	if err != nil {
		t.Fatal(err)
	}
	if got.Model != "nin-bn" || got.Size != 48 || !slices.Equal(got.Mean, models.Mean) || !slices.Equal(got.Std,
		models.Std) || !cmp.Equal(got.Classes, n.Classes) {
		t.Errorf("%s, %d, %v, %v, %v", got.Model, got.Size, got.Mean, got.Std, got.Classes)
	}
}

func TestUntoldModel(t *testing.T) {
	f := &safetensors.File{Tensors: []safetensors.Tensor{safetensors.FromFloat32s("x", []int{1}, []float32{1})}}
	if _, err := models.NewNetwork("w.safetensors", f, models.Given{}); !errors.As(err, new(*models.WeightsError)) ||
		!strings.Contains(err.Error(), "w.safetensors: its tensors fit none of "+strings.Join(models.Names(), ", ")+
			"; in the file are x [1]; wanted are classifier.0.weight [192 3 5 5]") {
		t.Errorf("%v", err)
	}
	if _, err := models.OpenNetwork(filepath.Join(t.TempDir(), "none"), models.Given{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
}

// TestTooManyClasses: a file that asks for more classes than memory holds names of is refused, not served.
func TestTooManyClasses(t *testing.T) {
	f := &safetensors.File{
		Metadata: map[string]string{models.ModelKey: "nin"},
		Tensors:  []safetensors.Tensor{safetensors.FromFloat32s("classifier.20.weight", []int{1 << 30, 0, 1, 1}, nil)},
	}
	if _, err := models.NewNetwork("w.safetensors", f, models.Given{}); !errors.As(err, new(*models.WeightsError)) ||
		!strings.Contains(err.Error(), "1073741824 classes") {
		t.Errorf("%v", err)
	}
}

func TestLayer(t *testing.T) {
	n := pretrained(t)
	x, err := n.Layer("classifier.0")
	if err != nil || x.Shape.C != 192 {
		t.Fatalf("%v, %v", x, err)
	}
	_, err = n.Layer("")
	var e *models.UnknownLayerError
	if !errors.As(err, &e) || len(e.Known) != len(n.Graph.Nodes()) || e.More != 0 {
		t.Fatalf("no layer: %v", err)
	}
	for _, part := range []string{
		"nin-bn", "classifier.0 ", "conv 5×5", fmt.Sprintf("192×%d×%[1]d", n.Size), "batch norm", "max pool 3×3",
		"average pool 3×3", "dropout", "global average pool", "input",
	} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("the list of layers lacks %q:\n%v", part, err)
		}
	}
}
