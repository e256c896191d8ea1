package tune

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ninvk/gpu"
	"ninvk/ops"
	"ninvk/ops/cases"
)

func open(t *testing.T) *gpu.Device {
	t.Helper()
	d := must(gpu.Open(""))(t)
	t.Cleanup(d.Close)
	return d
}

// collect keeps what the user would be told.
func collect(lines *[]string) Options {
	return Options{Budget: 10 * time.Minute, Progress: func(int, int) {},
		Warn: func(s string) { *lines = append(*lines, s) }}
}

var (
	tiny  = ops.Conv{C: 3, M: 5, K: 1, Stride: 1, ReLU: true}
	input = ops.Shape{N: 3, C: 3, H: 5, W: 4}
)

// Every pass is measured, every candidate that fits has the same result, and one of the fastest is chosen.
func TestMeasure(t *testing.T) {
	d := open(t)
	var warned []string
	calls := []Call{{ops.ConvForward, tiny, input}, {ops.ConvInputGrad, tiny, input}, {ops.ConvWeightGrad, tiny, input}}
	entries, err := Measure(t.Context(), d, calls, collect(&warned))
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != len(calls) || len(warned) > 0 {
		t.Fatalf("%d entries for %d calls, warnings %q", len(entries), len(calls), warned)
	}
	for i, e := range entries {
		if e.Key != calls[i].Key() || len(e.Candidates) != len(ops.Variants(calls[i].Pass)) {
			t.Errorf("entry %q with %d candidates for call %q", e.Key, len(e.Candidates), calls[i].Key())
		}
		if err := e.check(); err != nil {
			t.Errorf("%s: %v", e.Key, err)
		}
		chosen := e.Candidates[slices.IndexFunc(e.Candidates, func(c Candidate) bool { return c.Variant == e.Chosen })]
		if n := len(chosen.Milliseconds); n < leastRounds || n > mostRounds {
			t.Errorf("%s: %d samples of %s", e.Key, n, e.Chosen)
		}
		for _, c := range e.Candidates {
			if c.Dropped == "" && c.Median() < chosen.Median() {
				t.Errorf("%s: %s (%g ms) was chosen, %s takes %g ms", e.Key, e.Chosen, chosen.Median(), c.Variant, c.Median())
			}
		}
	}
}

// measureWith measures the forward pass with some candidates' kernels replaced.
func measureWith(t *testing.T, record map[string]func(*cases.Memory) error) (Entry, []string) {
	t.Helper()
	d := open(t)
	var warned []string
	change := func(x ops.Shape) []cases.Case {
		some := slices.DeleteFunc(cases.Candidates(ops.ConvForward, tiny, x),
			func(c cases.Case) bool { return !slices.Contains([]string{"straight", "tiled", "naive"}, c.Variant) })
		for i, c := range some {
			if f := record[c.Variant]; f != nil {
				some[i].Record = f
			}
		}
		return some
	}
	small := input
	small.N = 2
	m := meter{d, collect(&warned), map[string]string{}}
	e, err := m.call(t.Context(), Call{ops.ConvForward, tiny, input}, change(small), change(input), Budget)
	if err != nil {
		t.Fatal(err)
	}
	return e, warned
}

// A kernel that leaves its output as it was, and one of another convolution.
func nothing(m *cases.Memory) error { return nil }
func other(m *cases.Memory) error {
	m.Choice.Forced = map[ops.Pass]string{ops.ConvForward: "naive"}
	o := tiny
	o.ReLU = false
	return o.Forward(m.Recorder, m.Tensors["x"], m.Params["weight"], m.Params["bias"], m.Tensors["y"])
}

func TestWrongResults(t *testing.T) {
	for _, v := range []struct {
		name   string
		record map[string]func(*cases.Memory) error
		wrong  []string
	}{
		{"unwritten", map[string]func(*cases.Memory) error{"straight": nothing}, []string{"straight"}},
		{"another arithmetic", map[string]func(*cases.Memory) error{"tiled": other}, []string{"tiled"}},
		{"the naive one", map[string]func(*cases.Memory) error{"naive": other}, []string{"naive"}},
		{"no two agree", map[string]func(*cases.Memory) error{"straight": nothing, "tiled": other},
			[]string{"straight", "tiled", "naive"}},
	} {
		t.Run(v.name, func(t *testing.T) {
			e, warned := measureWith(t, v.record)
			if len(warned) != 1 || !strings.Contains(warned[0], "WRONG RESULT") {
				t.Errorf("told: %q", warned)
			}
			if slices.Contains(v.wrong, e.Chosen) || len(v.wrong) < 3 && e.Chosen == "" {
				t.Errorf("%q was chosen", e.Chosen)
			}
			for _, c := range e.Candidates {
				if wrong := slices.Contains(v.wrong, c.Variant); wrong && (c.Dropped == "" || len(c.Milliseconds) > 0) {
					t.Errorf("%s: dropped %q, times %v; its result is wrong", c.Variant, c.Dropped, c.Milliseconds)
				}
			}
		})
	}
}

// On a software driver nothing is measured unasked: what was measured before counts; a broken file is told in one line.
func TestChooseOnSoftwareDriver(t *testing.T) {
	d := open(t)
	d.Adapter.Type = "cpu"
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	path := must(File(d.Adapter))(t)
	first := Call{ops.ConvForward, ops.Conv{C: 3, M: 192, K: 5, Stride: 1, Pad: 2, ReLU: true},
		ops.Shape{N: 64, C: 3, H: 32, W: 32}}
	unknown := Call{ops.ConvForward, tiny, input}
	choose := func(want string, lines int) {
		t.Helper()
		var warned []string
		got := must(Choose(t.Context(), d, []Call{first, unknown}, collect(&warned)))(t)
		if got[first.Key()] != want || got[unknown.Key()] != "" || len(warned) != lines {
			t.Errorf("chosen %v, told %q; want %s and %d lines", got, warned, want, lines)
		}
	}
	const usual = "" // the rule's
	choose(usual, 0)
	e := Entry{Key: first.Key(), Chosen: "naive", Candidates: []Candidate{{Variant: "naive", Milliseconds: []float64{1}}}}
	if err := Save(path, d.Adapter, []Entry{e}); err != nil {
		t.Fatal(err)
	}
	choose("naive", 0)
	if err := os.WriteFile(path, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	choose(usual, 1)
	choose(usual, 0)                                                                    // it is told once
	if left := must(filepath.Glob(filepath.Dir(path) + "/tune-*"))(t); len(left) != 2 { // the file and its lock
		t.Errorf("files in the cache: %q", left)
	}
}

// On another adapter the first time measures and the second takes the same choice from the file.
func TestChooseMeasuresOnce(t *testing.T) {
	d := open(t)
	d.Adapter.Type = "discrete"
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	var warned []string
	o := collect(&warned)
	measured := 0
	o.Progress = func(int, int) { measured++ }
	calls := []Call{{ops.ConvForward, tiny, input}}
	first := must(Choose(t.Context(), d, calls, o))(t)
	if measured == 0 || first[calls[0].Key()] == "" {
		t.Fatalf("the first time measured nothing: %v", first)
	}
	measured = 0
	second := must(Choose(t.Context(), d, calls, o))(t)
	if measured != 0 || second[calls[0].Key()] != first[calls[0].Key()] || len(warned) > 0 {
		t.Errorf("the second time chose %v after %v, measured %v, told %q", second, first, measured > 0, warned)
	}
}

func TestMeasureEnds(t *testing.T) {
	d := open(t)
	var warned []string
	o := collect(&warned)
	o.Budget = 1 // a nanosecond
	calls := []Call{{ops.ConvForward, tiny, input}, {ops.ConvWeightGrad, tiny, input}}
	if entries, err := Measure(t.Context(), d, calls, o); err != nil || len(entries) != 0 || len(warned) != 1 {
		t.Errorf("without time: %v, %v, told %q", entries, err, warned)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Measure(ctx, d, calls, collect(&warned)); err != context.Canceled {
		t.Errorf("after Ctrl-C: %v", err)
	}
}

// The budget goes to what is most promising on a GPU first: what suits it, what results are compared with, the other
// candidates as the table has them, and last what is made for another adapter.
func TestPromisingFirst(t *testing.T) {
	a := gpu.Adapter{Name: "a GPU", Type: "discrete", Limits: gpu.Limits{
		MaxComputeInvocationsPerWorkgroup: 1024, MaxComputeWorkgroupSizeX: 1024, MaxComputeWorkgroupStorageSize: 48 << 10,
		MaxComputeWorkgroupsPerDimension: 65535, MaxBufferSize: 4 << 30, MaxStorageBufferBindingSize: 2 << 30,
		MaxStorageBuffersPerShaderStage: 16, MaxTextureDimension2D: 16384, MaxUnrolledProducts: gpu.UnrolledElsewhere,
	}}
	m := meter{d: gpu.Described(a), far: map[string]string{}}
	order := func(p ops.Pass, k, size int) (names []string) {
		c := Call{p, ops.Conv{C: 192, M: 192, K: k, Stride: 1, Pad: k / 2}, ops.Shape{N: 64, C: 192, H: size, W: size}}
		full := cases.Candidates(c.Pass, c.Op, c.In)
		few := cases.Candidates(c.Pass, c.Op, ops.Shape{N: probeBatch, C: 192, H: size, W: size})
		trials, _ := m.eligible(c, few, full, make([]Candidate, len(full)))
		for _, x := range trials {
			names = append(names, x.Variant)
		}
		return names
	}
	for _, c := range []struct {
		pass    ops.Pass
		k, size int
		want    []string
	}{
		{ops.ConvForward, 3, 8, []string{"tiled", "naive", "winograd", "tiled-split", "tiled-8x8", "straight",
			"winograd-straight"}},
		{ops.ConvInputGrad, 1, 8, []string{"tiled", "naive", "tiled-split", "tiled-8x8", "straight"}},
		{ops.ConvForward, 5, 32, []string{"tiled", "naive", "tiled-8x8", "straight"}}, // enough workgroups
		{ops.ConvWeightGrad, 1, 8, []string{"tiled", "naive", "tiled-wide", "tiled-short", "tiled-8x8", "straight"}},
		{ops.ConvWeightGrad, 3, 8, []string{"tiled", "naive", "tiled-8x8", "straight"}},
	} {
		if diff := cmp.Diff(c.want, order(c.pass, c.k, c.size)); diff != "" {
			t.Errorf("%s k%d at %d×%[3]d (-want +got):\n%[4]s", c.pass, c.k, c.size, diff)
		}
	}
}

// A variant that was far behind once is not tried in the same pass of other layers; the naive one, whose results the
// others are compared with, always is.
func TestFarBehind(t *testing.T) {
	d := open(t)
	var warned []string
	o := collect(&warned)
	o.Progress = func(int, int) {}
	layer := func(c, m int) Call {
		return Call{ops.ConvForward, ops.Conv{C: c, M: m, K: 1, Stride: 1}, ops.Shape{N: 1, C: c, H: 2, W: 2}}
	}
	m := meter{d, o, map[string]string{}}
	trials := func(naive, tiled, other float64) []*trial {
		return []*trial{
			{Candidate: &Candidate{Variant: "naive", Predicted: naive}},
			{Candidate: &Candidate{Variant: "tiled", Milliseconds: []float64{tiled}}},
			{Candidate: &Candidate{Variant: "tiled-8x8", Milliseconds: []float64{other}}},
		}
	}
	m.remember(layer(4, 4), trials(100, 2, 1))
	if len(m.far) != 0 {
		t.Fatalf("%v are far behind", m.far)
	}
	m.remember(layer(4, 4), trials(100, 6, 1))
	if diff := cmp.Diff(map[string]string{"conv/forward=tiled": "4×2×2 to 4 k1 s1 p0"}, m.far); diff != "" {
		t.Fatal(diff)
	}
	c := layer(8, 4)
	all := cases.Candidates(c.Pass, c.Op, c.In)
	e, err := m.call(t.Context(), c, all, all, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range e.Candidates {
		if skipped := strings.Contains(x.Dropped, "at 4×2×2"); skipped != (x.Variant == "tiled") || x.Variant == "naive" &&
			x.Predicted == 0 {
			t.Errorf("%+v", x)
		}
	}
}
