package train

import (
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// pastRun makes a run folder with some steps, two an epoch, and epochs.
func pastRun(t *testing.T, dir string, change func(*Config), steps []StepRecord, epochs []EpochRecord) *Run {
	t.Helper()
	cfg := seedConfig(t)
	cfg.Out, cfg.Epochs = dir, 2
	change(&cfg)
	cfg.Resolve()
	r, err := NewRun(dir, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	if err := r.WriteRun(RunInfo{Model: cfg.Model, DataSet: "sample"}); err != nil {
		t.Fatal(err)
	}
	for _, s := range steps {
		if err := r.WriteStep(s); err != nil {
			t.Fatal(err)
		}
	}
	for _, e := range epochs {
		if err := r.WriteEpoch(e); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.flush(); err != nil {
		t.Fatal(err)
	}
	return r
}

func stepsTo(n int) []StepRecord {
	out := make([]StepRecord, n)
	for i := range out {
		out[i] = StepRecord{Epoch: 1 + i/2, Step: i + 1, Loss: 2, LearningRate: 0.1, ImagesPerSecond: 8}
	}
	return out
}

func TestReadRun(t *testing.T) {
	nan := math.NaN()
	epochs := []EpochRecord{
		{1, 2, 0.1, 2, 0.3, 2, 0.4, 10, 8, 16, nan, nan, 0}, // at a smaller size
		{2, 2, 0.1, 2, 0.3, 2, 0.3, 10, 8, 32, nan, nan, 0},
		{3, 2, 0.1, 2, nan, nan, nan, 10, 8, 32, nan, nan, 0},
	}
	four := 4
	bad := stepsTo(3)
	bad[2].Loss = nan
	steep := stepsTo(3) // the gradient is infinite before the loss is
	steep[2].GradientNorm = math.Inf(1)
	for _, c := range []struct {
		name    string
		change  func(*Config)
		steps   []StepRecord
		epochs  int
		open    bool // the run is going on
		state   State
		best    float64
		seconds float64
		total   int
	}{
		{"not begun", func(*Config) {}, nil, 0, false, Stopped, nan, 0, 0},
		{"within the first epoch", func(c *Config) { c.Batch = 8 }, stepsTo(1), 0, false, Stopped, nan, 1, 0},
		{"after an epoch", func(c *Config) { c.Batch = 8 }, stepsTo(3), 1, false, Stopped, nan, 11, 4},
		{"going on", func(*Config) {}, stepsTo(2), 1, true, Running, nan, 10, 4},
		{"finished", func(*Config) {}, stepsTo(4), 2, false, Finished, 0.3, 20, 4},
		{"made longer", func(c *Config) { c.Epochs = 3 }, stepsTo(4), 2, false, Stopped, 0.3, 20, 6},
		{"ended by its steps", func(c *Config) { c.Epochs, c.MaxSteps = 9, &four }, stepsTo(4), 2, false, Finished, 0.3, 20,
			4},
		{"ended by its steps within an epoch", func(c *Config) { c.Epochs, c.MaxSteps = 9, intPtr(2) }, stepsTo(2), 1, false,
			Finished, nan, 10, 2},
		{"an epoch not evaluated", func(c *Config) { c.Epochs = 3 }, stepsTo(6), 3, false, Finished, 0.3, 30, 6},
		{"diverged", func(c *Config) { c.Batch = 8 }, bad, 1, false, Diverged, nan, 11, 4},
		{"diverged by its gradient", func(c *Config) { c.Batch = 8 }, steep, 1, false, Diverged, nan, 11, 4},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "run")
			w := pastRun(t, dir, c.change, c.steps, epochs[:c.epochs])
			if !c.open {
				if err := w.Close(); err != nil {
					t.Fatal(err)
				}
			}
			before := outcomeOfFiles(t, dir)
			r, err := ReadRun(dir)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(before, outcomeOfFiles(t, dir)); diff != "" {
				t.Errorf("reading changed the folder (-before +after):\n%s", diff)
			}
			best, _ := r.Best()
			if r.State != c.state || best != c.best && !(math.IsNaN(best) && math.IsNaN(c.best)) || r.Seconds() != c.seconds ||
				r.TotalSteps() != c.total {
				t.Errorf("state %s, best %v, %v s, %d steps in all; want %s, %v, %v s, %d", r.State, best, r.Seconds(),
					r.TotalSteps(), c.state, c.best, c.seconds, c.total)
			}
		})
	}
}

func TestReadRunFaults(t *testing.T) {
	dir := t.TempDir()
	if _, err := ReadRun(dir); !errors.As(err, new(*UsageError)) || !strings.Contains(err.Error(), dir) {
		t.Errorf("an empty folder: %v", err)
	}
	run := filepath.Join(dir, "run")
	pastRun(t, run, func(*Config) {}, stepsTo(1), nil).Close()
	for _, name := range []string{MetricsFile, ConfigFile} {
		if err := os.WriteFile(filepath.Join(run, name), []byte("{\n\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		_, err := ReadRun(run)
		if !errors.As(err, new(*MetricsError)) && !errors.As(err, new(*ConfigError)) || !strings.Contains(err.Error(), name) {
			t.Errorf("damaged %s: %v", name, err)
		}
	}
}

func TestFindRuns(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"b", "a", "a/within", "plain"} {
		if err := os.MkdirAll(filepath.Join(dir, name, CheckpointDir), 0o755); err != nil {
			t.Fatal(err)
		}
		if name != "plain" {
			if err := os.WriteFile(filepath.Join(dir, name, ConfigFile), nil, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	got, err := FindRuns(dir)
	if diff := cmp.Diff([]string{filepath.Join(dir, "a"), filepath.Join(dir, "a", "within"), filepath.Join(dir, "b")},
		got); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	if _, err := FindRuns(filepath.Join(dir, "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing folder: %v", err)
	}
}
