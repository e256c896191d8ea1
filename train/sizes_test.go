package train

import (
	"context"
	"errors"
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSizes(t *testing.T) {
	for _, c := range []struct {
		spec        string
		total       int
		want, since []int // of each step
	}{
		{"", 3, []int{32, 32, 32}, []int{0, 0, 0}},
		{"16:0.5", 4, []int{16, 16, 32, 32}, []int{0, 0, 2, 2}},
		{"16:0.5,24:0.25", 5, []int{16, 16, 16, 24, 32}, []int{0, 0, 0, 3, 4}},
		{"16:0.9,24:0.05", 4, []int{16, 16, 16, 32}, []int{0, 0, 0, 3}}, // the last step has the run's own size
		{"16:0.5", 1, []int{32}, []int{0}},
		{"40:0.5,16:0.2", 6, []int{32, 32, 32, 16, 16, 32}, []int{0, 0, 0, 3, 3, 5}},
		{"48:0.5,32:0.2", 4, []int{32, 32, 32, 32}, []int{0, 0, 0, 0}},
	} {
		s, err := ParseSizes(c.spec)
		if err != nil {
			t.Fatal(err)
		}
		var sizes, since []int
		for step := range c.total {
			a, b := s.At(step, c.total, 32)
			sizes, since = append(sizes, a), append(since, b)
		}
		if diff := cmp.Diff([][]int{c.want, c.since}, [][]int{sizes, since}); diff != "" {
			t.Errorf("%q, %d steps (-want +got):\n%s", c.spec, c.total, diff)
		}
	}
	for _, spec := range []string{"16", "16:", "a:0.5", "0:0.5", "16:0", "16:1", "16:NaN", "16:0.5,24:0.5", "16:0.5,"} {
		if _, err := ParseSizes(spec); !errors.As(err, new(*UsageError)) {
			t.Errorf("%q: error %v, want a usage error", spec, err)
		}
	}
}

// The work of a run's parts adds up, and goes by the pixels.
func TestWork(t *testing.T) {
	for _, c := range []struct {
		spec            string
		from, to, total int
		want            float64
	}{
		{"", 0, 10, 10, 10},
		{"", 3, 10, 10, 7},
		{"16:0.6,24:0.3", 0, 10, 10, 6*0.25 + 3*0.5625 + 1},
		{"16:0.6,24:0.3", 5, 7, 10, 0.25 + 0.5625},
		{"16:0.6,24:0.3", 9, 10, 10, 1},
		{"40:0.5,16:0.2", 0, 6, 6, 3 + 2*0.25 + 1},
		{"16:0.5", 4, 4, 10, 0},
	} {
		s, err := ParseSizes(c.spec)
		if err != nil {
			t.Fatal(err)
		}
		if got := s.Work(c.from, c.to, c.total, 32); math.Abs(got-c.want) > 1e-9 {
			t.Errorf("%q, steps %d to %d of %d: %v, want %v", c.spec, c.from, c.to, c.total, got, c.want)
		}
	}
}

// The network is built anew where the size of the images changes, with weights, momenta and averages carried over: an
// interruption before, at or after the change, or in the epoch's evaluation behind it, must not show.
func TestResumeAcrossSizes(t *testing.T) {
	data := subset(t, 20, 10)
	recipe := func(c *Config) {
		resumeRecipe(c)
		size := 12
		// steps 1 to 3, 4 to 6, 7 to 18: by epochs
		c.Resize, c.Sizes, c.EMA, c.EvalEvery, c.EvalTrain = &size, "8:0.16,10:0.16", 0.9, 1, 10
		c.Epochs = 6
	}
	whole, err := runJob(t, context.Background(), data, silent{}, recipe)
	if err != nil {
		t.Fatal(err)
	}
	want := outcome(t, whole.Dir)
	if got := whole.Last.Size; got != 12 {
		t.Errorf("the last evaluation is at size %d, want 12", got)
	}
	for _, stops := range [][]int{{1, 2, 4, 5}} { // losses are told some steps later: the run is long enough for that
		ctx, report := stopAt(stops[0])
		s, err := runJob(t, ctx, data, report, recipe)
		for _, next := range stops[1:] {
			if err != nil {
				t.Fatal(err)
			}
			ctx, report = stopAt(next)
			s, err = resume(t, ctx, s.Dir, report, nil)
		}
		if err != nil || !s.Interrupted {
			t.Fatalf("interrupted %v, error %v", s.Interrupted, err)
		}
		if s, err = resume(t, context.Background(), s.Dir, silent{}, nil); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, outcome(t, s.Dir)); diff != "" {
			t.Errorf("stops at %v (-never interrupted +resumed):\n%s", stops, diff)
		}
	}
}

// Of a recipe's sizes those at the end that are not below the run's are left out, as they change nothing; what somebody
// asks for is refused there.
func TestSizesNotBelow(t *testing.T) {
	for _, c := range []struct {
		spec    string
		full    int
		trimmed string
		refused bool // as it was given
	}{
		{"", 32, "", false}, {"16:0.6,24:0.3", 32, "16:0.6,24:0.3", false}, {"16:0.6,24:0.3", 24, "16:0.6", true},
		{"16:0.6,24:0.3", 20, "16:0.6", true},
		{"16:0.6,24:0.3", 16, "", true}, {"24:0.3,16:0.3", 24, "24:0.3,16:0.3", true}, {"64:0.5", 32, "", true},
	} {
		if got := trimSizes(c.spec, c.full); got != c.trimmed {
			t.Errorf("%q below %d: %q, want %q", c.spec, c.full, got, c.trimmed)
		}
		s, err := ParseSizes(c.spec)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.above(c.spec, c.full); (err != nil) != c.refused {
			t.Errorf("%q below %d: error %v", c.spec, c.full, err)
		}
		small, err := ParseSizes(trimSizes(c.spec, c.full))
		if err != nil {
			t.Fatal(err)
		}
		for step := range 10 {
			was, _ := s.At(step, 10, c.full)
			if now, _ := small.At(step, 10, c.full); now != was {
				t.Errorf("%q below %d, step %d: %d pixels, before trimming %d", c.spec, c.full, step, now, was)
			}
		}
	}
	recipe, err := LoadRecipe("fast")
	if err != nil {
		t.Fatal(err)
	}
	size := 24
	recipe.Resize = &size
	if recipe.Resolve(); recipe.Sizes != "16:0.6" {
		t.Errorf("the recipe's sizes for 24 pixels are %q", recipe.Sizes)
	}
}
