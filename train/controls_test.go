package train

import (
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"ninvk/models"
)

// steered runs a job of 3 epochs of 3 steps with controls, which begin is given before the first step.
func steered(t *testing.T, dir string, c *Controls, report Reporter) Summary {
	t.Helper()
	d, err := device()
	if err != nil {
		t.Fatal(err)
	}
	config, err := LoadRecipe("fast")
	if err != nil {
		t.Fatal(err)
	}
	size := 8
	config.Model, config.Resize, config.Out = "resnet20", &size, dir
	resumeRecipe(&config)
	config.Augment, config.Sizes = "flip", ""
	config.Resolve()
	s, err := (&Job{Config: config, Data: subset(t, 20, 10), Device: d, Version: "test", Report: report, Controls: c}).Run(
		context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// A run that is paused, changed, saved and continued, and its saved file unpacked elsewhere, end in the same weights.
func TestControls(t *testing.T) {
	var saved []byte
	var told []bool
	var pausedAt int
	c := &Controls{}
	c.Told = func(paused bool, step int) {
		if told = append(told, paused); !paused {
			return
		}
		pausedAt = step
		if err := c.Change(0.02, "flip,color"); err != nil {
			t.Error(err)
		}
		c.Save(func(p Snapshot, err error) {
			if saved = p.File; err != nil || p.Step != pausedAt || p.Took <= 0 {
				t.Errorf("saved after step %d in %v, error %v, want step %d", p.Step, p.Took, err, pausedAt)
			}
			go c.Continue()
		})
	}
	dir := filepath.Join(t.TempDir(), "steered")
	s := steered(t, dir, c, silent{func(r StepRecord) {
		if r.Step == 1 {
			c.Pause()
		}
	}})
	if diff := cmp.Diff([]bool{true, false}, told); diff != "" || pausedAt < 1 || pausedAt >= s.Steps {
		t.Fatalf("told of pauses (-want +got):\n%s\nat step %d of %d", diff, pausedAt, s.Steps)
	}
	m := readRecords(t, dir)
	for _, r := range m.Steps {
		if before := r.Step <= pausedAt; before != (r.LearningRate > 0.02) && r.Step > 1 {
			t.Errorf("step %d of a run that was changed after step %d had the rate %v", r.Step, pausedAt, r.LearningRate)
		}
	}

	file, other := filepath.Join(t.TempDir(), "saved.safetensors"), filepath.Join(t.TempDir(), "other")
	if err := os.WriteFile(file, saved, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := Unpack(file, other); err != nil {
		t.Fatal(err)
	}
	if _, err := resume(t, context.Background(), other, silent{}, func(*Job) {}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{ModelFile} {
		if a, b := read(t, filepath.Join(dir, name)), read(t, filepath.Join(other, name)); string(a) != string(b) {
			t.Errorf("%s of the run that was unpacked differs", name)
		}
	}
	took := cmpopts.IgnoreFields(StepRecord{}, "ImagesPerSecond")
	if diff := cmp.Diff(m.Steps, readRecords(t, other).Steps, took); diff != "" {
		t.Errorf("steps (-whole +unpacked):\n%s", diff)
	}

	// The file is a weights file, too: with the averages that the run keeps.
	n, err := models.OpenNetwork(file, models.Given{})
	if err != nil {
		t.Fatal(err)
	}
	if n.Model != "resnet20" || n.Size != 8 || len(n.Notes()) > 0 {
		t.Errorf("the saved run as weights is of %s at %d pixels; notes %q", n.Model, n.Size, n.Notes())
	}

	// What ends a run packs as well.
	if last, err := Pack(dir); err != nil || len(last) == 0 {
		t.Errorf("packing the run that ended: %d bytes, %v", len(last), err)
	}
}

func readRecords(t *testing.T, dir string) *Metrics {
	t.Helper()
	m, err := ReadMetrics(filepath.Join(dir, MetricsFile))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestChangeRefuses(t *testing.T) {
	for _, c := range []struct {
		rate    float64
		augment string
		want    string
	}{
		{0, "none", "--lr"}, {-1, "none", "--lr"}, {math.Inf(1), "none", "--lr"}, {0.1, "turn", "--augment"},
		{0.1, "", "--augment"},
	} {
		var usage *UsageError
		if err := new(Controls).Change(c.rate, c.augment); !errors.As(err, &usage) || usage.Flag != c.want {
			t.Errorf("%v and %q: error %v", c.rate, c.augment, err)
		}
	}
}

func TestUnpackRefuses(t *testing.T) {
	whole := tinyCheckpoint(t, tinyPosition(0))
	recorded := tinyPosition(2)
	recorded.MetricsBytes = 100
	weights := read(t, filepath.Join("..", "models", "pretrained", "nin-bn-cifar10.safetensors"))
	for _, c := range []struct {
		name, want string
		content    []byte
		there      string // a file in the folder
	}{
		{"no file", "no such file", nil, ""},
		{"an empty file", "no checksum", []byte{}, ""},
		{"a cut file", "damaged", whole[:len(whole)-1], ""},
		{"weights", "--init", weights, ""},
		{"a checkpoint without its records", "lacks what was recorded of the run up to step 2", tinyCheckpoint(t, recorded),
			""},
		{"a folder with a run", "there is a run in this folder", whole, ConfigFile},
	} {
		t.Run(c.name, func(t *testing.T) {
			file, dir := filepath.Join(t.TempDir(), "saved"), filepath.Join(t.TempDir(), "run")
			if c.content != nil {
				if err := os.WriteFile(file, c.content, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if c.there != "" {
				if err := os.MkdirAll(dir, 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(dir, c.there), nil, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			before := folder(t, filepath.Dir(dir))
			if err := Unpack(file, dir); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want one that says %q", err, c.want)
			}
			if diff := cmp.Diff(before, folder(t, filepath.Dir(dir))); diff != "" {
				t.Errorf("it left (-before +after):\n%s", diff)
			}
		})
	}
}
