package models_test

import (
	"encoding/json"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/go-gl/mathgl/mgl32"

	"ninvk/ci/slow"
	"ninvk/golden"
	"ninvk/models"
	"ninvk/nn"
	"ninvk/ops"
)

// Files that PyTorch saves load by name, and give its logits: those of torchvision's networks in both containers, those
// of DenseNets under their old names, and those of GoogLeNet with auxiliary heads, which are passed over and said.
func TestFilesOfPyTorch(t *testing.T) {
	if !slow.Wanted() { // they take a minute to make, and PyTorch
		return
	}
	for _, name := range golden.Names() {
		if models.Small[name] != nil {
			continue
		}
		t.Run(name, func(t *testing.T) {
			folder := t.TempDir()
			script := exec.Command("/usr/bin/python3", filepath.Join("testdata", "zoo.py"), "weights", "--seed", "7",
				"--out", folder, name)
			if text, err := script.CombinedOutput(); err != nil {
				t.Fatalf("make setup-full installs PyTorch (Debian: python3-torchvision): %v\n%s", err, text)
			}
			path := filepath.Join(folder, name)
			z := readGolden(t, name)
			open := func(end string, given models.Given) *models.Network {
				t.Helper()
				given.Size = z.Size
				n, err := models.OpenNetwork(path+end, given)
				if err != nil {
					t.Fatal(err)
				}
				if n.Model != z.Model {
					t.Fatalf("%s is taken for a %s", path+end, n.Model)
				}
				return n
			}
			n := open(".pth", models.Given{})
			for _, other := range []*models.Network{
				open("-stream.pth", models.Given{}), open(".pth", models.Given{Model: z.Model}),
			} {
				if !slices.EqualFunc(n.Weights.Values(), other.Weights.Values(), slices.Equal[[]float32]) {
					t.Error("other weights than those of the zip container")
				}
			}
			if strings.HasPrefix(name, "densenet") {
				old := open("-dotted.pth", models.Given{})
				if !slices.EqualFunc(n.Weights.Values(), old.Weights.Values(), slices.Equal[[]float32]) {
					t.Error("other weights than those by today's names")
				}
				if !strings.Contains(old.Found(), "renamed") {
					t.Errorf("nothing is said of old names: %s", old.Found())
				}
			}
			if over := strings.Contains(n.Found(), "passed over: aux1.conv.conv.weight"); over != (z.Aux > 0) {
				t.Errorf("of auxiliary heads is said: %q", n.Found())
			}
			checkLogits(t, n, z, path+".json")
		})
	}
}

// checkLogits compares the logits of the first images of golden.Images with those in a file.
func checkLogits(t *testing.T, n *models.Network, z *golden.Network, file string) {
	t.Helper()
	raw, err := os.ReadFile(file)
	var want struct {
		Logits []float64
		Away   float64 // of PyTorch's in float32
	}
	if err == nil {
		err = json.Unmarshal(raw, &want)
	}
	if err != nil {
		t.Fatal(err)
	}
	d := openDevice(t)
	net, err := n.Put(d, n.Graph.Fold(n.Logits), nn.Options{Batch: z.Batch})
	if err != nil {
		t.Fatal(err)
	}
	defer net.Release()
	images, err := ops.UploadImages(d, file, ops.Shape{C: 3, H: z.Size, W: z.Size}, golden.Images(z.Batch, z.Size))
	if err != nil {
		t.Fatal(err)
	}
	defer images.Release()
	entries := make([]nn.Entry, z.Batch)
	for i := range entries {
		entries[i] = ops.BatchEntry(uint32(i), 0, mgl32.Ident3())
	}
	if err := net.EvalStep(images, entries); err != nil {
		t.Fatal(err)
	}
	if _, err := net.Drain(); err != nil {
		t.Fatal(err)
	}
	got, err := net.Logits(z.Batch)
	if err != nil {
		t.Fatal(err)
	}
	var distance, norm float64
	for i, v := range want.Logits {
		distance, norm = math.Hypot(distance, float64(got[i])-v), math.Hypot(norm, v)
	}
	if norm == 0 || distance > max(slack*want.Away, golden.Roundings*norm) {
		t.Errorf("logits are away by %.1e of their norm, PyTorch's in float32 by %.1e", distance/norm, want.Away/norm)
	}
	t.Logf("logits are away by %.1e of their norm, PyTorch's in float32 by %.1e", distance/norm, want.Away/norm)
}
