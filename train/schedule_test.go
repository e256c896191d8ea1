package train

import (
	"encoding/json"
	"errors"
	"math"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestScheduleValues(t *testing.T) {
	type at struct {
		step, epoch int
		want        float64
	}
	const base, totalSteps, totalEpochs = 0.1, 1001, 100
	for spec, points := range map[string][]at{
		"constant": {{0, 0, 0.1}, {1000, 99, 0.1}},
		"step:10:0.6": {{0, 0, 0.1}, {999, 9, 0.1}, {5, 10, 0.06}, {5, 19, 0.06}, {5, 20, 0.036},
			{5, 99, 0.1 * math.Pow(0.6, 9)}},
		"step:80:0.1": {{0, 79, 0.1}, {0, 80, 0.01}, {0, 160, 0.001}},
		"cosine":      {{0, 0, 0.1}, {1001, 0, 0}, {2000, 0, 0}, {500, 0, 0.05 * (1 + math.Cos(math.Pi*500/1001))}},
		"onecycle": {
			{0, 0, 0.1 / 25}, {150, 0, (0.1 + 0.1/25) / 2}, {300, 0, 0.1},
			{650, 0, (0.1 + 1e-5) / 2}, {1000, 0, 1e-5}, {5000, 0, 1e-5},
		},
	} {
		s, err := ParseSchedule(spec)
		if err != nil {
			t.Fatal(err)
		}
		if s.String() != spec {
			t.Errorf("%q became %q", spec, s)
		}
		for _, p := range points {
			if got := s.LR(base, Moment{Step: p.step, Steps: totalSteps, Epoch: p.epoch, Epochs: totalEpochs}); math.Abs(
				got-p.want) > 1e-12 {
				t.Errorf("%s at step %d, epoch %d: %v, want %v", spec, p.step, p.epoch, got, p.want)
			}
		}
	}
}

// Whatever the length of the run, rates stay finite and within the base rate.
func TestScheduleShortRuns(t *testing.T) {
	for _, spec := range []string{"constant", "step:1:0.5", "cosine", "onecycle", "plateau"} {
		s, err := ParseSchedule(spec)
		if err != nil {
			t.Fatal(err)
		}
		for total := range 6 {
			for step := range total + 2 {
				lr := s.LR(0.1, Moment{Step: step, Steps: total, Epoch: step, Epochs: total})
				if !(lr >= 0 && lr <= 0.1) || (step < total && lr == 0) {
					t.Errorf("%s, step %d of %d: %v", spec, step, total, lr)
				}
			}
		}
	}
}

// testdata/plateau.json was written by PyTorch, see plateau.py there.
func TestPlateauAsInPyTorch(t *testing.T) {
	var golden []struct {
		Schedule      string
		Base          float64
		Losses, Rates []float64 // Rates[i] is the rate of the steps before loss i
	}
	b, err := os.ReadFile("testdata/plateau.json")
	if err == nil {
		err = json.Unmarshal(b, &golden)
	}
	if err != nil || len(golden) == 0 {
		t.Fatal(len(golden), err)
	}
	for _, g := range golden {
		s, err := ParseSchedule(g.Schedule)
		if err != nil {
			t.Fatal(err)
		}
		rates := make([]float64, len(g.Rates))
		for i := range rates {
			rates[i] = s.LR(g.Base, Moment{TestLosses: g.Losses[:i]})
		}
		if diff := cmp.Diff(g.Rates, rates); diff != "" {
			t.Errorf("%s from %v (-PyTorch +here):\n%s", g.Schedule, g.Base, diff)
		}
	}
}

func TestParseScheduleErrors(t *testing.T) {
	for _, spec := range []string{
		"", "steps", "step", "step:", "step:10", "step:0:0.5", "step:-1:0.5", "step:1.5:0.5",
		"step:10:0", "step:10:-1", "step:10:2", "step:10:NaN", "step:10:Inf", "step:10:0.5:1", "step:x:0.5",
		"plateau:", "plateau:0.1", "plateau:0.1:", "plateau:0:1", "plateau:1:1", "plateau:NaN:1", "plateau:0.5:-1",
		"plateau:0.5:1.5", "plateau:0.5:1:1", "cosine:3", "onecycle:", "constant:1", "Cosine",
	} {
		_, err := ParseSchedule(spec)
		var usage *UsageError
		if !errors.As(err, &usage) || usage.Flag != "--schedule" || usage.Problem == "" {
			t.Errorf("%q: error %v, expected a *UsageError", spec, err)
		}
	}
}

func FuzzParseSchedule(f *testing.F) {
	f.Add("step:10:0.6")
	f.Add("onecycle")
	f.Add("plateau")
	f.Add("plateau:0.25:3")
	f.Fuzz(func(t *testing.T, spec string) {
		s, err := ParseSchedule(spec)
		if err != nil {
			return
		}
		again, err := ParseSchedule(s.String())
		if err != nil || again != s {
			t.Fatalf("%q was read as %v, which reads as %v, %v", spec, s, again, err)
		}
	})
}
