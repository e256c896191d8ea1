package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ninvk/cifar10"
	"ninvk/safetensors"
)

// A data set of four classes of its own trains a network of four, and all that follows speaks of them.
func TestOwnClasses(t *testing.T) {
	data, err := cifar10.Sample()
	if err != nil {
		t.Fatal(err)
	}
	var b []byte
	for one := range slices.Chunk(recordsOf(t, data.Train), cifar10.RecordBytes) {
		if one[0] < 4 && len(b) < 8*cifar10.RecordBytes {
			b = append(b, one...)
		}
	}
	dir := t.TempDir()
	names := "wren\nrobin\nowl\nold crow\n"
	write(t, dir, map[string][]byte{
		"birds/data_batch_1.bin": b, "birds/test_batch.bin": b[:2*cifar10.RecordBytes],
		"birds/" + cifar10.ClassesFile: []byte(names), "cat.png": documented(t, "cat.png"),
	})
	do := func(args ...string) (stdout, stderr string) {
		t.Helper()
		code, stdout, stderr := run(t, dir, args...)
		if code != 0 {
			t.Fatalf("ninvk %q: exit code %d\n%s%s", args, code, stdout, stderr)
		}
		return stdout, stderr
	}
	do("train", "--data", "birds", "--model", "nin-bn", "--batch", "8", "--max-steps", "1", "--resize", "8",
		"--no-tune", "--out", "run", "--mean", "0.5", "--std", "0.25,0.5,1")
	weights := filepath.Join("run", "model.safetensors")
	f, err := safetensors.Read(filepath.Join(dir, weights))
	if err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]string{
		"ninvk.model": "nin-bn", "ninvk.classes": `["wren","robin","owl","old crow"]`, "ninvk.mean": "[0.5,0.5,0.5]",
		"ninvk.std": "[0.25,0.5,1]", "ninvk.size": "8", "format": "pt",
	} {
		if f.Metadata[key] != want {
			t.Errorf("%s is %q, want %q", key, f.Metadata[key], want)
		}
	}

	stdout, stderr := do("eval", "--data", "birds", "--weights", weights, "--no-tune", "--batch", "1", "--json")
	var e struct {
		Classes   []struct{ Class string }
		Confusion [][]int
	}
	if err := json.Unmarshal([]byte(stdout), &e); err != nil {
		t.Fatal(err)
	}
	if len(e.Confusion) != 4 || len(e.Classes) != 4 || e.Classes[3].Class != "old crow" || strings.Contains(stderr,
		"assumed") {
		t.Errorf("evaluated %+v\n%s", e, stderr)
	}

	stdout, stderr = do("predict", "cat.png", "--weights", weights, "--top", "4")
	if !strings.Contains(stdout, "old crow ") || strings.Contains(stderr, "assumed") {
		t.Errorf("predicted\n%s%s", stdout, stderr)
	}

	// Flags win over the file, and are kept.
	do("export", "--weights", weights, "--format", "safetensors", "--out", "e.safetensors", "--classes", "a,b,c,d",
		"--mean", "0.25")
	stdout, stderr = do("export", "--weights", "e.safetensors", "--format", "onnx", "--out", "e.onnx")
	if !strings.Contains(stdout, "to logits [N, 4]") || stderr != "" {
		t.Errorf("exported\n%s%s", stdout, stderr)
	}
	model, err := os.ReadFile(filepath.Join(dir, "e.onnx"))
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{`["a","b","c","d"]`, "[0.25,0.25,0.25]", "[0.25,0.5,1]", "[8,8]"} {
		if !bytes.Contains(model, []byte(part)) {
			t.Errorf("the ONNX model lacks %s", part)
		}
	}
}

// What waits is given up when the program is interrupted.
func TestUntilStopped(t *testing.T) {
	if _, err := untilStopped(t.Context(),
		func() (int, error) { return 0, errors.ErrUnsupported }); err != errors.ErrUnsupported {
		t.Error(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	forever := make(chan bool)
	defer close(forever)
	stop()
	if _, err := untilStopped(ctx, func() (int, error) { <-forever; return 0, nil }); exitCode(err) != exitInterrupted {
		t.Error(err)
	}
}

// Import says what it did, and what it had to assume.
func TestImportTells(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, map[string][]byte{"w.safetensors": weights(t, func(f *safetensors.File) {
		for i := range f.Tensors {
			f.Tensors[i].Name = "module." + f.Tensors[i].Name
		}
		f.Tensors = append(f.Tensors, safetensors.FromFloat32s("step\x1b[2J", []int{2}, []float32{1, 2}))
	})})
	code, stdout, stderr := run(t, dir, "import", "--weights", "w.safetensors", "--out", "o.safetensors", "--std", "1")
	if code != 0 {
		t.Fatalf("exit code %d\n%s", code, stderr)
	}
	for _, part := range []string{"module.classifier.0.weight", "192×3×5×5", "\"step\\x1b[2J\"", "passed over\n",
		"o.safetensors: the weights of nin, 18 tensors\n"} {
		if !strings.Contains(stdout, part) {
			t.Errorf("stdout lacks %q:\n%s", part, stdout)
		}
	}
	want := "w.safetensors: prefix module. dropped; passed over: \"step\\x1b[2J\" [2]\n" +
		"w.safetensors does not tell all; assumed: mean 0.485,0.456,0.406; 10 classes named airplane, automobile, " +
		"bird, …; input of 32×32 pixels (flags: --mean, --classes)\n"
	if stderr != want {
		t.Errorf("stderr is\n%s\nwant\n%s", stderr, want)
	}
	f, err := safetensors.Read(filepath.Join(dir, "o.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	if f.Metadata["ninvk.std"] != "[1,1,1]" || f.Metadata["ninvk.mean"] != "" || f.Metadata["ninvk.classes"] != "" {
		t.Errorf("metadata %q", f.Metadata)
	}
}
