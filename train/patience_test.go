package train

import (
	"context"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ninvk/dataset"
)

func TestStalled(t *testing.T) {
	nan := math.NaN()
	for _, c := range []struct {
		name     string
		losses   []float64
		patience int
		want     Stall
		over     bool
	}{
		{"none yet", nil, 1, Stall{}, false},
		{"the first", []float64{2}, 1, Stall{0, 2, 1}, false},
		{"falling", []float64{3, 2, 1}, 1, Stall{0, 1, 3}, false},
		{"no better", []float64{2, 2}, 1, Stall{1, 2, 1}, true},
		{"patient", []float64{2, 3, 3}, 3, Stall{2, 2, 1}, false},
		{"patient no more", []float64{2, 3, 3, 2.5}, 3, Stall{3, 2, 1}, true},
		{"for ever", []float64{2, 3, 3, 3}, 0, Stall{3, 2, 1}, false},
		{"not evaluated", []float64{2, nan, nan, 3}, 2, Stall{1, 2, 1}, false},
		{"smaller images at first", []float64{-1, -1, 5, 6}, 2, Stall{1, 5, 3}, false},
	} {
		var epochs []EpochRecord
		for i, l := range c.losses {
			e := EpochRecord{Epoch: i + 1, TestLoss: l, Size: 32}
			if l < 0 {
				e.TestLoss, e.Size = 1, 16
			}
			epochs = append(epochs, e)
		}
		got, over := stalled(epochs, 32, c.patience)
		if diff := cmp.Diff(c.want, got); diff != "" || over != c.over {
			t.Errorf("%s: over %v, want %v; stall (-want +got):\n%s", c.name, over, c.over, diff)
		}
	}
}

// many is a subset whose images have one of many classes.
func many(t *testing.T, classes, train, test int) *dataset.Set {
	d := subset(t, train, test)
	d.Classes = nil
	for i := range classes {
		d.Classes = append(d.Classes, fmt.Sprintf("class %d", i))
	}
	for _, s := range []*dataset.Split{&d.Train, &d.Test} {
		s.Labels = make([]uint16, len(s.Labels))
		for i := range s.Labels {
			s.Labels[i] = uint16(i % classes)
		}
	}
	return d
}

// A run of many classes on labels that tell nothing gets no better on other images: its rate falls, then it stops. The
// same comes out where it is interrupted on the way. Top-5 accuracies are recorded, and are the verdicts'.
func TestPatienceAndPlateau(t *testing.T) {
	data := many(t, 12, 20, 24)
	recipe := func(c *Config) {
		resumeRecipe(c)
		c.Model, c.Resize, c.Sizes = "lenet5", intPtr(16), ""
		c.Batch, c.Epochs, c.EvalEvery, c.LR, c.Schedule, c.Patience = 10, 40, 1, 0.2, "plateau:0.5:1", 3
	}
	whole, err := runJob(t, context.Background(), data, silent{}, recipe)
	if err != nil {
		t.Fatal(err)
	}
	if whole.Stall == nil || whole.Stall.Evaluations != 3 || whole.Steps >= 80 {
		t.Fatalf("the run ended after step %d, stall %v", whole.Steps, whole.Stall)
	}
	m, err := ReadMetrics(filepath.Join(whole.Dir, MetricsFile))
	if err != nil {
		t.Fatal(err)
	}
	schedule, _ := ParseSchedule("plateau:0.5:1")
	var losses []float64
	lowered := false
	for _, e := range m.Epochs {
		want := schedule.LR(0.2, Moment{TestLosses: losses})
		lowered = lowered || want < 0.2
		if e.LearningRate != want {
			t.Errorf("epoch %d: rate %v, want %v", e.Epoch, e.LearningRate, want)
		}
		if !(e.TestTop5 >= e.TestAccuracy && e.TrainTop5 >= e.TrainAccuracy && e.TestTop5 > 0 && e.TestTop5 <= 1) {
			t.Errorf("epoch %d: %+v", e.Epoch, e)
		}
		losses = append(losses, e.TestLoss)
	}
	if !lowered || m.Run.Classes != 12 {
		t.Errorf("rate lowered: %v; classes: %d", lowered, m.Run.Classes)
	}
	past, err := ReadRun(whole.Dir)
	if err != nil || past.State != Finished || cmp.Diff(whole.Stall, past.Stall()) != "" {
		t.Errorf("the folder tells of a run that is %v, stall %v, %v", past.State, past.Stall(), err)
	}
	if b, err := os.ReadFile(filepath.Join(whole.Dir, MetricsFile)); err != nil ||
		strings.Count(string(b), "top5") != 2*len(m.Epochs) {
		t.Errorf("top-5 accuracies are not once an epoch in the file: %v", err)
	}

	want := outcome(t, whole.Dir)
	ctx, report := stopAt(whole.Steps/2 + 1)
	s, err := runJob(t, ctx, data, report, recipe)
	if err != nil || !s.Interrupted {
		t.Fatal(s, err)
	}
	for range 2 { // the second time it is over already
		if s, err = resume(t, context.Background(), s.Dir, silent{}, func(j *Job) { j.Data = data }); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, outcome(t, s.Dir)); diff != "" {
			t.Errorf("(-never interrupted +resumed):\n%s", diff)
		}
		if diff := cmp.Diff(whole.Stall, s.Stall); diff != "" || s.Steps != whole.Steps {
			t.Errorf("after %d steps; stall (-never interrupted +resumed):\n%s", s.Steps, diff)
		}
	}
	if past, err := ReadRun(s.Dir); err != nil || past.State != Finished {
		t.Errorf("%v, %v", past.State, err)
	}
}
