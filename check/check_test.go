package check

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ninvk/ci/slow"
	"ninvk/gpu"
	"ninvk/ops/cases"
	"ninvk/safetensors"
)

// childEnv makes this binary a child process that plays a part.
const childEnv = "NINVK_TEST_CHECK_CHILD"

func TestMain(m *testing.M) {
	part := os.Getenv(childEnv)
	if part == "" {
		os.Exit(m.Run())
	}
	if os.Getenv("NINVK_TEST_CHECK_ENV") != "1" {
		os.Exit(8)
	}
	say := func(x Message) {
		if err := json.NewEncoder(os.Stdout).Encode(x); err != nil {
			os.Exit(9)
		}
	}
	say(Message{Doing: "relu forward 1×3×7×5", Done: 1, Total: 3})
	cache := os.Getenv("MESA_SHADER_CACHE_DISABLE") != "true"
	switch {
	case part == "crashes" || part == "crashes by its cache" && cache:
		panic("a fault of the driver")
	case part == "lost":
		fmt.Fprintln(os.Stderr, "ninvk: the adapter failed")
		os.Exit(4)
	case part == "silent":
		os.Exit(0)
	}
	r := right
	if part == "wrong by its cache" && cache {
		r = wrong
	}
	say(Message{Turn: &Turn{Results: []Result{r}}})
	os.Exit(0)
}

var (
	right = Result{Operator: "relu", Pass: "forward", Shape: "1×3×7×5", Error: 1e-7, Bound: 1e-6}
	wrong = Result{Operator: "conv", Pass: "forward", Variant: "tiled", Shape: "1×3×7×5 to 5 k3",
		Error: Number(math.NaN()), Bound: 1e-6, Problem: "y[3] is NaN, not 1"}
)

// play runs this binary as both children.
func play(t *testing.T, part string) (Report, error) {
	t.Helper()
	t.Setenv(childEnv, part)
	t.Setenv("MESA_SHADER_CACHE_DISABLE", "true") // the second child is to have a cache all the same
	r := Report{Adapter: gpu.Adapter{Name: "an adapter", Driver: "its driver"}}
	var turns [2]Turn
	for i, cache := range []bool{false, true} {
		done := 0
		var err error
		turns[i], err = Isolate(t.Context(), cache, []string{"NINVK_TEST_CHECK_ENV=1"}, func(_ string, d, _ int) {
			done += d
		}, os.Args[0])
		if err != nil {
			return r, err
		}
		if done != 1 {
			t.Errorf("progress came to %d, want 1", done)
		}
	}
	r.Judge(turns[0], turns[1])
	return r, nil
}

func TestVerdicts(t *testing.T) {
	for _, c := range []struct {
		part  string
		right bool
		says  []string
		not   string
	}{
		{"right", true, []string{"right: all 1 comparisons on an adapter (its driver)"}, "WRONG"},
		{"wrong by its cache", false, []string{"cache on, right with it off", "is damaged",
			"conv forward 1×3×7×5 to 5 k3 [tiled]: y[3] is NaN, not 1",
			"delete the driver's shader cache"}, "computes wrongly"},
		{"crashes by its cache", false, []string{"is damaged", "the process ended during relu forward 1×3×7×5",
			"a fault of the driver"}, "computes wrongly"},
		{"crashes", false, []string{"computes wrongly, with its shader cache off and on",
			"the process ended during relu forward 1×3×7×5"}, "damaged"},
	} {
		t.Run(c.part, func(t *testing.T) {
			r, err := play(t, c.part)
			if err != nil {
				t.Fatal(err)
			}
			if r.Right != c.right || c.not != "" && strings.Contains(r.Verdict, c.not) {
				t.Errorf("right: %v, %s", r.Right, r.Verdict)
			}
			var table bytes.Buffer
			if err := r.WriteTable(&table); err != nil {
				t.Fatal(err)
			}
			for _, s := range c.says {
				if !strings.Contains(r.Verdict, s) || !strings.Contains(table.String(), s) {
					t.Errorf("%q is missing in the verdict or the table:\n%s", s, table.String())
				}
			}
		})
	}
	for part, want := range map[string]string{"lost": "the adapter failed", "silent": "no result"} {
		_, err := play(t, part)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want one with %q", part, err, want)
		}
		var child *ChildError
		if errors.As(err, &child) != (part == "lost") || part == "lost" && child.Code != 4 {
			t.Errorf("%s: error %#v", part, err)
		}
	}
}

// TestJudge: wrong without the cache alone, wrong both ways, many wrong results, and a cache of our own.
func TestJudge(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	own, _, err := gpu.ClearShaderCache()
	if err != nil {
		t.Fatal(err)
	}
	good, bad := Turn{Results: []Result{right}}, Turn{Results: []Result{right, wrong}}
	many := Turn{Results: slices.Repeat([]Result{wrong}, most+2)}
	for _, c := range []struct {
		off, on Turn
		cache   string
		says    string
	}{
		{bad, good, "", "does not compute the same every time"},
		{bad, bad, "", "conv forward 1×3×7×5 to 5 k3 [tiled]: y[3] is NaN, not 1; please report"},
		{many, many, "", "and 2 more"},
		{good, bad, own + "/x", "ninvk check --clear-cache deletes it"},
		{good, bad, "/elsewhere", "delete /elsewhere"},
	} {
		r := Report{Adapter: gpu.Adapter{ShaderCache: c.cache}}
		if r.Judge(c.off, c.on); r.Right || !strings.Contains(r.Verdict, c.says) {
			t.Errorf("right: %v, %q lacks %q", r.Right, r.Verdict, c.says)
		}
	}
}

// TestSections: llvmpipe with wide vectors has two, which together are the whole; what one of them finds wrong or fails
// at stays.
func TestSections(t *testing.T) {
	for _, a := range []gpu.Adapter{{Type: "discrete"}, {VectorWidth: 256}} {
		if p := Sections(a); len(p) != 1 || p[0].Name != "" || p[0].Env != nil {
			t.Errorf("%+v: %+v", a, p)
		}
	}
	p := Sections(gpu.Adapter{VectorWidth: 512})
	if len(p) != 2 || p[0].Env != nil || !slices.Contains(p[1].Env, "LP_NATIVE_VECTOR_WIDTH=256") ||
		!strings.Contains(p[1].Note, "256 bits") {
		t.Errorf("%+v", p)
	}
	a, b := Turn{Seconds: 1, Results: []Result{right}},
		Turn{Seconds: 2, Results: []Result{wrong}, Failure: "a crash", During: "x"}
	for _, j := range []Turn{a.Join(b), b.Join(a)} {
		if j.Seconds != 3 || len(j.Results) != 2 || len(j.Wrong()) != 1 || j.Failure != "a crash" || j.During != "x" {
			t.Errorf("%+v", j)
		}
	}
}

func TestJSON(t *testing.T) {
	b, err := json.Marshal([]Result{right, wrong})
	if err != nil {
		t.Fatal(err)
	}
	const want = `[{"operator":"relu","pass":"forward","shape":"1×3×7×5","error":1e-07,"bound":1e-06},` +
		`{"operator":"conv","pass":"forward","variant":"tiled","shape":"1×3×7×5 to 5 k3","error":null,` +
		`"bound":1e-06,"problem":"y[3] is NaN, not 1"}]`
	if diff := cmp.Diff(want, string(b)); diff != "" {
		t.Error(diff)
	}
	var back []Result
	if err := json.Unmarshal(b, &back); err != nil || back[0] != right || !math.IsNaN(float64(back[1].Error)) {
		t.Errorf("read back as %+v, error %v", back, err)
	}
}

// TestCompare: the worst place is that closest to its bound, and NaN is wrong.
func TestCompare(t *testing.T) {
	nan := float32(math.NaN())
	bound := func(w float32) float64 { return float64(w) / 10 }
	for _, c := range []struct {
		got     []float32
		error   float64
		problem string
	}{
		{[]float32{1, 100}, 0, ""},
		{[]float32{1.0625, 101}, 0.0625, ""},
		{[]float32{1.03125, 108}, 8, ""},
		{[]float32{1.5, 100}, 0.5, "y[0] is 1.5, not 1"},
		{[]float32{1, nan}, math.NaN(), "y[1] is NaN, not 100"},
	} {
		var r Result
		r.compare("y", c.got, []float32{1, 100}, bound)
		if e := float64(r.Error); r.Problem != c.problem || e != c.error && !(math.IsNaN(e) && math.IsNaN(c.error)) {
			t.Errorf("%v: error %g, %q; want %g, %q", c.got, e, r.Problem, c.error, c.problem)
		}
	}
}

// TestRun checks the adapter of this machine, and shows that a result other than expected is found where it is.
func TestRun(t *testing.T) {
	d, err := gpu.Open("")
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	only := "average pool"
	if slow.Wanted() {
		only = "" // all, with the training steps
	}
	silent := func(string, int, int) {}
	results, err := Run(t.Context(), d, Options{Only: only, Progress: silent})
	if err != nil {
		t.Fatal(err)
	}
	if len(results) < 4 {
		t.Errorf("only %d results", len(results))
	}
	for _, r := range results {
		if r.Problem != "" || float64(r.Error) > float64(r.Bound) || r.Bound == 0 {
			t.Errorf("%v, error %g, bound %g", r, r.Error, r.Bound)
		}
	}

	have, err := expected()
	if err != nil {
		t.Fatal(err)
	}
	other := &safetensors.File{Tensors: slices.Clone(have.Tensors)}
	for i, x := range other.Tensors {
		if strings.HasPrefix(x.Name, "average pool gradient") {
			v, err := x.Float32s()
			if err != nil {
				t.Fatal(err)
			}
			v[len(v)-1] += 1e-4
			other.Tensors[i] = safetensors.FromFloat32s(x.Name, x.Shape, v)
		}
	}
	results, err = Run(t.Context(), d, Options{Only: "average pool", Expected: other, Progress: silent})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range results {
		if changed := r.Operator == "average pool" && r.Pass == "gradient"; changed != (r.Problem != "") {
			t.Errorf("%v", r)
		}
	}
	if _, err := Run(t.Context(), d, Options{Only: "average pool", Expected: &safetensors.File{},
		Progress: silent}); err == nil {
		t.Error("no error without expected results")
	}

	// A kernel that the adapter refuses is named.
	c := Cases("average pool forward")[0]
	c.Record = func(m *cases.Memory) error {
		m.Tape.Dispatch(gpu.Kernel{Name: "broken", Source: "fn main( {"}, nil, 1, 1, 1)
		return nil
	}
	r := runner{d: d, Options: Options{Expected: have}}
	if got, err := r.run(c); err != nil || !strings.Contains(got.Problem, "kernel broken does not compile") {
		t.Errorf("%+v, error %v", got, err)
	}
}
