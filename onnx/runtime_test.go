package onnx

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"ninvk/cifar10"
	"ninvk/nin"
)

// runtimeBound is how far ONNX Runtime's logits may be from ours.
const runtimeBound = 1e-4

// ONNX Runtime, an implementation that shares nothing with ours, gives our logits for the sample's 200 test images.
func TestONNXRuntimeAgrees(t *testing.T) {
	if os.Getenv("NINVK_FULL") != "1" {
		t.Skip("a slow test that needs ONNX Runtime; make test-full runs it")
	}
	if _, err := os.Stat(filepath.Join("testdata", "node_modules", "onnxruntime-node")); err != nil {
		t.Fatal("ONNX Runtime is not there; make onnxruntime installs it (npm and Node.js are needed): ", err)
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
	} {
		t.Run(c.model, func(t *testing.T) {
			g, out, err := nin.Build(nin.Config{Model: c.model, Classes: 10, Size: c.size})
			if err != nil {
				t.Fatal(err)
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
				difference, greatest := worst(t, ours, runtimeLogits(t, model, x, c.size, batch))
				t.Logf("folded %v: the logits of %d images differ by %.1e; the greatest is %.2f", fold, data.Test.Len(), difference, greatest)
				if !(difference <= runtimeBound) || greatest < 0.1 {
					t.Errorf("folded %v: the logits differ by %.1e, more than %.0e, or say nothing; the greatest is %.2f", fold, difference, runtimeBound, greatest)
				}
			}
		})
	}
}

// runtimeLogits runs the model with ONNX Runtime.
func runtimeLogits(t *testing.T, model string, x []float32, size, batch int) []float32 {
	t.Helper()
	in, out := filepath.Join(t.TempDir(), "input"), filepath.Join(t.TempDir(), "logits")
	var raw bytes.Buffer
	if err := binary.Write(&raw, binary.LittleEndian, x); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(in, raw.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	if text, err := exec.Command("node", filepath.Join("testdata", "run.mjs"), model, in, out, fmt.Sprint(size), fmt.Sprint(batch)).CombinedOutput(); err != nil {
		t.Fatalf("node run.mjs: %v\n%s", err, text)
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
