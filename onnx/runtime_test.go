package onnx

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"ninvk/cifar10"
	"ninvk/models"
)

// runtimeBound is how far the logits of other runtimes may be from ours.
const runtimeBound = 1e-4

// runtimes are implementations that share nothing with ours: a command each, which runs a model. Debian installs OpenCV for its own Python, whichever comes first in PATH.
var runtimes = []struct {
	name    string
	command []string
	check   []string // ends well where the runtime is installed
	missing string
}{
	{
		"ONNX Runtime", []string{"node", filepath.Join("testdata", "run.mjs")},
		[]string{"node", "-e", "require('./testdata/node_modules/onnxruntime-node')"}, "make onnxruntime installs it (npm and Node.js are needed)",
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
		model string
		size  int
		folds []bool
	}{
		{"nin", 32, []bool{false}},
		{"nin-bn", 32, []bool{false, true}},
		{"nin-imagenet", 224, []bool{false}},
		{"every operator", 32, []bool{false, true}},
	} {
		t.Run(c.model, func(t *testing.T) {
			g, out := everyOperator()
			if c.model != "every operator" {
				var err error
				if g, out, err = models.Build(models.Config{Model: c.model, Classes: 10, Size: c.size}); err != nil {
					t.Fatal(err)
				}
			}
			values := randomValues(g)
			const batch = 32
			x, ours := onAdapter(t, g, out, values, data.Test, c.size, batch)
			for _, fold := range c.folds {
				o := options
				o.FoldBatchNorm = fold
				model := filepath.Join(t.TempDir(), "model.onnx")
				if err := Write(model, g, out, values, o); err != nil {
					t.Fatal(err)
				}
				for _, r := range runtimes {
					difference, greatest := worst(t, ours, runtimeLogits(t, r.command, model, x, c.size, batch))
					t.Logf("%s, folded %v: the logits of %d images differ by %.1e; the greatest is %.2f", r.name, fold, data.Test.Len(), difference, greatest)
					if !(difference <= runtimeBound) || greatest < 0.1 {
						t.Errorf("%s, folded %v: the logits differ by %.1e, more than %.0e, or say nothing; the greatest is %.2f", r.name, fold, difference, runtimeBound, greatest)
					}
				}
			}
		})
	}
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
