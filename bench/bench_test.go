package bench

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"ninvk/cifar10"
	"ninvk/gpu"
	"ninvk/nn"
	"ninvk/tune"
)

func TestSampled(t *testing.T) {
	for _, c := range []struct {
		in   []float64
		want Sample
	}{
		{[]float64{3}, Sample{3, 3, 3, 1}},
		{[]float64{4, 2}, Sample{3, 2.5, 3.5, 2}},
		{[]float64{5, 1, 4, 2, 3}, Sample{3, 2, 4, 5}},
	} {
		if diff := cmp.Diff(c.want, sampled(c.in)); diff != "" {
			t.Errorf("%v (-want +got):\n%s", c.in, diff)
		}
	}
}

// timings are those of two operators: one of two kernels that run three times, one of a copy.
func timings() []gpu.Timing {
	conv := &nn.Phase{Layer: "classifier.0", Operator: "conv 5×5", Pass: "forward", Shape: "a → b", Flops: 3e9,
		Bytes: 1e6}
	pool := &nn.Phase{Layer: "classifier.6", Operator: "max pool", Pass: "input-gradient", Shape: "b → c", Flops: 1e6,
		Bytes: 1e9}
	return []gpu.Timing{
		{Phase: conv, Label: "copy x", Seconds: []float64{0.010, 0.010, 0.010}},
		{Phase: conv, Label: "conv", Dispatch: true, Seconds: []float64{0.020, 0.040, 0.030}},
		{Phase: conv, Label: "conv", Dispatch: true, Seconds: []float64{0.020, 0.030, 0.020}},
		{Phase: pool, Label: "maxpool", Dispatch: true, Seconds: []float64{0.5, 0.5, 0.5}},
	}
}

func TestOperators(t *testing.T) {
	got := operators(timings(), Limits{GFlops: 100, GBytesPerSecond: 10})
	want := []Operator{
		{
			Layer: "classifier.0", Operator: "conv 5×5", Pass: "forward", Shape: "a → b", Variant: "conv", Milliseconds: 60,
			Dispatches: 2,
			GFlops:     50, GBytesPerSecond: 1.0 / 60, PercentOfLimit: 50, Bound: "arithmetic", ShareOfStep: 60.0 / 560,
			Spread:  7.5 / 60,
			Samples: []float64{50, 80, 60}, Commands: []Command{{"copy x", 1, 10}, {"conv", 2, 50}},
		},
		{
			Layer: "classifier.6", Operator: "max pool", Pass: "input-gradient", Shape: "b → c", Variant: "maxpool",
			Milliseconds: 500, Dispatches: 1,
			GFlops: 0.002, GBytesPerSecond: 2, PercentOfLimit: 20, Bound: "memory", ShareOfStep: 500.0 / 560,
			Samples: []float64{500, 500, 500}, Commands: []Command{{"maxpool", 1, 500}},
		},
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateApprox(1e-9, 1e-9)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// sample is a result as ninvk bench gives it.
func sample() Result {
	r := Result{
		Time:   time.Date(2026, 1, 2, 3, 4, 0, 0, time.UTC),
		Limits: Limits{GFlops: 100, GBytesPerSecond: 10, Spread: map[string]float64{"gflops": 0.01}},
		Networks: []Network{{Model: "nin", Batch: 64, Train: 20, Infer: 60, TrainSpread: 0.01, InferSpread: 0.02,
			TrainSamples: []float64{19, 20, 21}, InferSamples: []float64{60}}},
		Steps: []Step{{Model: "nin", Batch: 64, Step: "training", Milliseconds: 570, Operators: 560, Host: 3, Submit: 2,
			Gaps: 5, Submits: 2, Dispatches: 3}},
		StartUps: []StartUp{{Model: "nin", Batch: 64, Caches: "cold", Seconds: 30}},
	}
	r.Operators = operators(timings(), r.Limits)
	for i := range r.Operators {
		r.Operators[i].Model, r.Operators[i].Batch, r.Operators[i].Step = "nin", 64, "training"
	}
	return r
}

// The field names are a promise to those who read the JSON.
func TestPromisedFieldNames(t *testing.T) {
	raw, err := json.Marshal(sample())
	if err != nil {
		t.Fatal(err)
	}
	var r map[string]any
	if err := json.Unmarshal(raw, &r); err != nil {
		t.Fatal(err)
	}
	first := func(v any) any { return v.([]any)[0] }
	for _, c := range []struct {
		where string
		in    any
		names string
	}{
		{"the object", r, "adapter limits networks operators"},
		{"limits", r["limits"], "gflops gbytes_per_second"},
		{"a network", first(r["networks"]), "model batch train_images_per_second infer_images_per_second planned_bytes " +
			"peak_rss_bytes"},
		{"an operator", first(r["operators"]), "operator pass shape variant milliseconds gflops gbytes_per_second " +
			"percent_of_limit"},
	} {
		for _, name := range strings.Fields(c.names) {
			if _, ok := c.in.(map[string]any)[name]; !ok {
				t.Errorf("%s has no field %s", c.where, name)
			}
		}
	}
	var back Result
	if err := json.Unmarshal(raw, &back); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(sample(), back, cmpopts.IgnoreUnexported(gpu.Adapter{})); diff != "" {
		t.Errorf("what is read back differs (-written +read):\n%s", diff)
	}
}

func TestReadResultRefuses(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"empty.json": "", "text.json": "hello", "other.json": `{"a": 1}`,
		"list.json": "[]"} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		_, err := ReadResult(path)
		if bad := new(FileError); !errors.As(err, &bad) || bad.Path != path ||
			!strings.Contains(bad.Problem, "ninvk bench --json") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := ReadResult(filepath.Join(dir, "none.json")); !errors.As(err, new(*FileError)) {
		t.Errorf("a missing file: %v", err)
	}
}

func FuzzResult(f *testing.F) {
	raw, err := json.Marshal(sample())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Add([]byte(`{"operators":[{"milliseconds":-1}],"steps":null}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		r, err := parseResult("f.json", raw)
		if err != nil {
			return
		}
		var out bytes.Buffer
		if err := sample().WriteComparison(&out, r); err != nil {
			t.Fatal(err)
		}
		if err := r.WriteTable(&out, true); err != nil {
			t.Fatal(err)
		}
	})
}

func TestComparison(t *testing.T) {
	now, before := sample(), sample()
	before.Operators[1].Milliseconds = 1000
	before.Networks[0].Train = 40
	before.Networks[0].Infer = 60.5
	var out bytes.Buffer
	if err := now.WriteComparison(&out, before); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`max pool input-gradient +1000 → 500 ms +2\.00 times as fast\n`,
		`batch 64: training +40 → 20 images/s +0\.50 times as fast: slower\n`,
		`batch 64: inference +60\.5 → 60 images/s +the same\n`,
	} {
		if !regexp.MustCompile(want).MatchString(out.String()) {
			t.Errorf("no line matches %s in\n%s", want, out.String())
		}
	}
	out.Reset()
	if err := now.WriteComparison(&out, Result{Operators: []Operator{{Layer: "another"}}}); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), "nothing in common") {
		t.Errorf("nothing can be compared, and it is not said:\n%s", out.String())
	}
}

// benchLine is a line of Go's benchmark format: a name, a number of iterations, pairs of value and unit.
var benchLine = regexp.MustCompile(`^Benchmark[A-Z][\w=.\-/]*( 1)( [0-9.e+-]+ [\w/]+)+$`)

func TestGoLines(t *testing.T) {
	var out bytes.Buffer
	if err := sample().WriteGo(&out); err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, line := range strings.Split(strings.TrimSpace(out.String()), "\n") {
		if strings.HasPrefix(line, "Benchmark") {
			n++
			if !benchLine.MatchString(line) {
				t.Errorf("not a line of a benchmark: %q", line)
			}
		} else if !regexp.MustCompile(`^[a-z]+: `).MatchString(line) {
			t.Errorf("neither a benchmark nor a setting: %q", line)
		}
	}
	if want := 1 + 2*3 + 3 + 1 + 1; n != want {
		t.Errorf("%d benchmarks, want %d:\n%s", n, want, out.String())
	}
}

func TestPlot(t *testing.T) {
	path := filepath.Join(t.TempDir(), "bench.png")
	if err := sample().Plot(path); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := png.Decode(f); err != nil {
		t.Error(err)
	}
	if err := (Result{}).Plot(path); err == nil {
		t.Error("a picture of nothing was drawn")
	}
}

func TestBatches(t *testing.T) {
	for asked, want := range map[int][]int{64: {64, 1, 16, 256}, 8: {8, 1, 16, 64, 256}} {
		if diff := cmp.Diff(want, Options{Batch: asked, Others: []int{1, 16, 64, 64, 256}}.batches()); diff != "" {
			t.Errorf("%d (-want +got):\n%s", asked, diff)
		}
	}
}

// TestMeasures runs the instrument on the adapter and checks what must hold whatever the machine.
func TestMeasures(t *testing.T) {
	data, err := cifar10.Sample()
	if err != nil {
		t.Fatal(err)
	}
	dev, err := gpu.Open("")
	if err != nil {
		t.Fatal(err)
	}
	defer dev.Close()
	b := New(dev, data, Options{Model: "nin", Batch: 2, Budget: time.Second, Progress: func(string, int, int) {},
		Tune: tune.Options{Progress: func(int, int) {}, Warn: func(string) {}}})
	l, err := b.Limits(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for name, v := range map[string]float64{
		"GFLOP/s": l.GFlops, "GB/s": l.GBytesPerSecond, "copy": l.CopyKernel, "triad": l.Triad, "copy command": l.CopyCommand,
		"dispatch": l.DispatchSeconds, "submit": l.SubmitSeconds, "up": l.HostToAdapter, "down": l.AdapterToHost,
	} {
		if !(v > 0) || math.IsInf(v, 0) {
			t.Errorf("%s: %v", name, v)
		}
	}
	rows, steps, err := b.Operators(t.Context(), l)
	if err != nil {
		t.Fatal(err)
	}
	if len(steps) != 2 {
		t.Fatalf("%d steps measured", len(steps))
	}
	for _, s := range steps {
		sum, share, dispatches := 0.0, 0.0, 0
		for _, o := range rows {
			if o.Step == s.Step {
				sum, share, dispatches = sum+o.Milliseconds, share+o.ShareOfStep, dispatches+o.Dispatches
			}
		}
		if math.Abs(share-1) > 1e-9 || dispatches != s.Dispatches {
			t.Errorf("%s step: the shares add up to %v, %d of %d dispatches belong to operators", s.Step, share, dispatches,
				s.Dispatches)
		}
		if rest := s.Milliseconds - s.Operators - s.Host - s.Submit - s.Gaps; math.Abs(rest) > 1e-6*s.Milliseconds {
			t.Errorf("%s step: %v ms have no name", s.Step, rest)
		}
	}
}

// Lines about kernels are taken out of a process's messages, in whatever pieces they come.
func TestMessages(t *testing.T) {
	first, last := fmt.Sprintf(CompilingLine, 3, 57), fmt.Sprintf(CompilingLine, 57, 57)
	text := "first\n" + first + "second\n" + last + "ninvk: the last"
	for size := 1; size <= len(text); size++ {
		var told [][2]int
		m := messages{compiling: func(done, total int) { told = append(told, [2]int{done, total}) }}
		for part := range slices.Chunk([]byte(text), size) {
			if n, err := m.Write(part); n != len(part) || err != nil {
				t.Fatal(n, err)
			}
		}
		if diff := cmp.Diff([][2]int{{3, 57}, {57, 57}}, told); diff != "" {
			t.Errorf("by %d bytes (-want +told):\n%s", size, diff)
		}
		if got := string(m.text); got != "first\nsecond\nninvk: the last" {
			t.Errorf("by %d bytes: left is %q", size, got)
		}
	}
}
