package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ninvk/models"
	"ninvk/safetensors"
)

// TestCheck checks one operator in two processes, against the twins' results and against others.
func TestCheck(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("XDG_CACHE_HOME", dir)
	write(t, dir, map[string][]byte{"ninvk/shaders/old/kernel": make([]byte, 2_000_000), "ninvk/tune-x.json": {}})
	code, stdout, stderr := run(t, dir, "check", "--only", "add forward", "--clear-cache")
	if code != 0 || !strings.Contains(stdout, "right: all 1 comparisons on ") || !strings.Contains(stderr,
		"2.0 MB of compiled kernels") {
		t.Errorf("exit code %d\n%s%s", code, stdout, stderr)
	}
	if _, err := os.Stat(filepath.Join(dir, "ninvk/shaders/old")); err == nil {
		t.Error("the cache is still there")
	}
	if _, err := os.Stat(filepath.Join(dir, "ninvk/tune-x.json")); err != nil {
		t.Error("more than the compiled kernels is gone")
	}

	const name = "add forward 1×3×7×5/sum"
	f := &safetensors.File{Tensors: []safetensors.Tensor{safetensors.FromFloat32s(name, []int{105}, make([]float32, 105))}}
	if err := safetensors.Write(filepath.Join(dir, "other.safetensors"), f); err != nil {
		t.Fatal(err)
	}
	code, stdout, stderr = run(t, dir, "check", "--only", "add forward", "--expected", "other.safetensors", "--json")
	if code != exitOther || !strings.Contains(stderr, "computes wrongly") || !strings.Contains(stderr,
		"add forward 1×3×7×5: sum[0] is") {
		t.Errorf("exit code %d\n%s%s", code, stdout, stderr)
	}
	var report struct {
		Adapter struct{ Name string }
		Right   *bool
		Verdict string
		Passes  []struct {
			Cache   string
			Seconds float64
			Results []struct {
				Operator, Pass, Shape, Problem string
				Error, Bound                   float64
			}
		}
	}
	if err := json.Unmarshal([]byte(stdout), &report); err != nil {
		t.Fatalf("%v\n%s", err, stdout)
	}
	if report.Adapter.Name == "" || report.Right == nil || *report.Right || report.Verdict == "" ||
		len(report.Passes) != 2 {
		t.Fatalf("%s", stdout)
	}
	for i, cache := range []string{"off", "on"} {
		p := report.Passes[i]
		if p.Cache != cache || !(p.Seconds > 0) || len(p.Results) != 1 {
			t.Fatalf("pass %d: %s", i, stdout)
		}
		if r := p.Results[0]; r.Operator != "add" || r.Pass != "forward" || r.Shape != "1×3×7×5" || r.Problem == "" ||
			!(r.Error > r.Bound) {
			t.Errorf("pass %d: %+v", i, r)
		}
	}

	code, _, stderr = run(t, dir, "check", "--adapter", "no-such-adapter")
	if code != exitNoAdapter || !strings.Contains(stderr, "no-such-adapter") {
		t.Errorf("exit code %d\n%s", code, stderr)
	}
}

// TestCheckModel checks a network in two processes; every network can be.
func TestCheckModel(t *testing.T) {
	dir := t.TempDir()
	code, stdout, stderr := run(t, dir, "check", "--model", "lenet5", "--json")
	var report struct {
		Right  bool
		Passes []struct {
			Results []struct{ Operator, Pass, Shape, Variant string }
		}
	}
	err := json.Unmarshal([]byte(stdout), &report)
	if err != nil || code != 0 || !report.Right || len(report.Passes) != 2 {
		t.Fatalf("exit code %d, error %v\n%s%s", code, err, stdout, stderr)
	}
	for _, p := range report.Passes {
		layers := 0
		for _, r := range p.Results {
			if r.Operator != "lenet5" {
				t.Errorf("%+v", r)
			}
			if r.Pass == "gradient" && strings.Contains(r.Shape, ".") && r.Variant != "" {
				layers++
			}
		}
		if layers != 10 {
			t.Errorf("%d gradients, want the weights and biases of five layers", layers)
		}
	}
	for _, m := range models.Names() {
		if list, err := (checkCommand{Model: m}).networks(); err != nil || len(list) == 0 {
			t.Errorf("%s: %d networks, error %v", m, len(list), err)
		}
	}
	code, _, stderr = run(t, dir, "check", "--model", "lenet6")
	if code != exitUsage || !strings.Contains(stderr, "unknown model") {
		t.Errorf("exit code %d: %s", code, stderr)
	}
}
