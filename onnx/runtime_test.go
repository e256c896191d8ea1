package onnx

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"ninvk/cifar10"
	"ninvk/models"
)

// runtimeBound is how far the logits of other runtimes may be from ours, relative to the greatest of them.
const runtimeBound = 1e-4

// runtimes are implementations that share nothing with ours: a command each, which runs a model. Debian installs OpenCV
// for its own Python, whichever comes first in PATH.
var runtimes = []struct {
	name    string
	command []string
	check   []string // ends well where the runtime is installed
	missing string
}{
	{
		"ONNX Runtime", []string{"node", filepath.Join("testdata", "run.mjs")},
		[]string{"node", "-e", "require('./testdata/node_modules/onnxruntime-node')"},
		"make onnxruntime installs it (npm and Node.js are needed)",
	},
	{
		"OpenCV", []string{"/usr/bin/python3", filepath.Join("testdata", "run.py")},
		[]string{"/usr/bin/python3", "-c", "import cv2"}, "make setup-full installs it (Debian: python3-opencv)",
	},
}

// Other runtimes give our logits for the sample's 200 test images.
func TestRuntimesAgree(t *testing.T) {
	for _, r := range runtimes {
		if text, err := exec.Command(r.check[0], r.check[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%s is not there; %s: %v\n%s", r.name, r.missing, err, text)
		}
	}
	data, err := cifar10.Sample()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		model        string
		size, images int
		folds        []bool
	}{
		{"nin", 32, 200, []bool{false}},
		{"nin-bn", 32, 200, []bool{false, true}},
		{"nin-imagenet", 224, 200, []bool{false}},
		{"every operator", 32, 200, []bool{false, true}},
		{"lenet5", 32, 200, []bool{false}},
		{"lenet5", 40, 200, []bool{false}},  // averages 7×7 pixels to 5×5
		{"alexnet", 100, 32, []bool{false}}, // 2×2 to 6×6
		{"vgg16", 64, 16, []bool{false}},
		{"vgg16-bn", 64, 16, []bool{true}},
		{"resnet18", 64, 32, []bool{false, true}},
		{"resnet18-small", 32, 32, []bool{true}},
		{"resnet20", 32, 200, []bool{false, true}},
		{"densenet121", 64, 32, []bool{false, true}},
		{"densenet169", 64, 32, []bool{true}},
		{"densenet201", 64, 32, []bool{true}},
		{"densenet264", 64, 32, []bool{true}},
		{"googlenet", 64, 32, []bool{false, true}},
	} {
		t.Run(fmt.Sprintf("%s at %d", c.model, c.size), func(t *testing.T) {
			g, out := everyOperator()
			if c.model != "every operator" {
				var err error
				if g, out, err = models.Build(models.Config{Model: c.model, Classes: 10, Size: c.size}); err != nil {
					t.Fatal(err)
				}
			}
			values := randomValues(g)
			const batch = 32
			split := data.Test.First(c.images)
			x, ours := onAdapter(t, g, out, values, split, c.size, batch)
			for _, fold := range c.folds {
				o := options
				o.FoldBatchNorm = fold
				model := filepath.Join(t.TempDir(), "model.onnx")
				if err := Write(model, g, out, values, o); err != nil {
					t.Fatal(err)
				}
				for _, r := range runtimes {
					difference, greatest := worst(t, ours, runtimeLogits(t, r.command, model, x, c.size, batch))
					said := fmt.Sprintf("%s, folded %v: the logits of %d images differ by %.1e of the greatest, %.2f; "+
						"between images by %.1e", r.name, fold, c.images, difference/greatest, greatest, spread(ours)/greatest)
					t.Log(said)
					if !(difference <= runtimeBound*greatest) || spread(ours) < 100*runtimeBound*greatest {
						t.Errorf("more than %.0e, or they say nothing: %s", runtimeBound, said)
					}
				}
			}
		})
	}
}

// spread is the most that a class's logit differs between two images.
func spread(logits []float32) (most float64) {
	for i := 10; i < len(logits); i++ {
		most = max(most, math.Abs(float64(logits[i])-float64(logits[i-10])))
	}
	return most
}

// runtimeLogits runs the model by a runtime's command.
func runtimeLogits(t *testing.T, command []string, model string, x []float32, size, batch int) []float32 {
	t.Helper()
	in, out := filepath.Join(t.TempDir(), "input"), filepath.Join(t.TempDir(), "logits")
	var raw bytes.Buffer
	if err := binary.Write(&raw, binary.LittleEndian, x); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(in, raw.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	arguments := append(slices.Clone(command[1:]), model, in, out, fmt.Sprint(size), fmt.Sprint(batch))
	if text, err := exec.Command(command[0], arguments...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", command, err, text)
	}
	text, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	y := make([]float32, len(text)/4)
	if err := binary.Read(bytes.NewReader(text), binary.LittleEndian, y); err != nil {
		t.Fatal(err)
	}
	return y
}
