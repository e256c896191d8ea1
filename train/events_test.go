package train

import (
	"bytes"
	"context"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"ninvk/tensorboard"
	"ninvk/tensorboard/tbtest"
)

// point is a value of a tag.
type point struct {
	step  int
	value float32
	png   []byte
}

// readEvents reads all event files of a run folder as TensorBoard does, one after another. Each must have its head, and
// no tag may have a step twice.
func readEvents(t *testing.T, dir string) map[string][]point {
	t.Helper()
	names, err := eventFiles(dir)
	if err != nil {
		t.Fatal(err)
	}
	tags := map[string][]point{}
	for _, name := range names {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		events, err := tbtest.Read(b)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for i, e := range events {
			if i == 0 && e.Version != "brain.Event:2" || i == 1 && e.Session != 1 {
				t.Errorf("%s begins with %+v", name, events[:i+1])
			}
			for _, v := range e.Values {
				if p := tags[v.Tag]; len(p) > 0 && p[len(p)-1].step >= e.Step {
					t.Errorf("%s: step %d of %s comes after step %d", name, e.Step, v.Tag, p[len(p)-1].step)
				}
				tags[v.Tag] = append(tags[v.Tag], point{e.Step, v.Simple, v.PNG})
			}
		}
	}
	return tags
}

// checkEvents checks that the event files of a run folder have what its metrics.jsonl has.
func checkEvents(t *testing.T, dir string) {
	t.Helper()
	m, err := ReadMetrics(filepath.Join(dir, MetricsFile))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string][]point{}
	add := func(tag string, step int, v float64) {
		want[tag] = append(want[tag], point{step: step, value: float32(v)})
	}
	for _, s := range m.Steps {
		add("loss/batch", s.Step, s.Loss)
		add("training/learning_rate", s.Step, s.LearningRate)
		add("training/images_per_second", s.Step, s.ImagesPerSecond)
		add("training/gradient_norm", s.Step, s.GradientNorm)
	}
	step := 0
	for _, e := range m.Epochs {
		step += e.Steps
		add("loss/train", step, e.TrainLoss)
		if !math.IsNaN(e.TestAccuracy) {
			add("accuracy/train", step, e.TrainAccuracy)
			add("loss/test", step, e.TestLoss)
			add("accuracy/test", step, e.TestAccuracy)
			if m.Run.Classes > 10 {
				add("accuracy/train_top5", step, e.TrainTop5)
				add("accuracy/test_top5", step, e.TestTop5)
			}
		}
	}
	got := readEvents(t, dir)
	delete(got, tagFilters)
	delete(got, tagPredictions)
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(point{}), cmpopts.EquateNaNs()); diff != "" {
		t.Errorf("events of %s (-%s +events):\n%s", dir, MetricsFile, diff)
	}
}

// The pictures of a run: the filters of each epoch and, where it was evaluated, what the network says of an image of
// each class.
func TestEventPictures(t *testing.T) {
	data := subset(t, 20, 10)
	s, err := runJob(t, context.Background(), data, silent{}, func(c *Config) {
		c.Model, c.Batch, c.Epochs, c.EvalEvery = "nin-bn", 8, 3, 3
	})
	if err != nil {
		t.Fatal(err)
	}
	tags := readEvents(t, s.Dir)
	for tag, steps := range map[string][]int{tagFilters: {3, 6, 9}, tagPredictions: {9}} {
		var got []int
		for _, p := range tags[tag] {
			got = append(got, p.step)
			img, err := png.Decode(bytes.NewReader(p.png))
			if err != nil {
				t.Errorf("%s of step %d: %v", tag, p.step, err)
			} else if size := img.Bounds().Size(); size.X < 300 || size.Y < 150 {
				t.Errorf("%s of step %d is %v", tag, p.step, size)
			}
		}
		if diff := cmp.Diff(steps, got); diff != "" {
			t.Errorf("steps of %s (-want +got):\n%s", tag, diff)
		}
	}
}

func TestPicturesAreFew(t *testing.T) {
	for _, epochs := range []int{1, 2, 20, 21, 100, 1000} {
		n := 0
		for e := 1; e <= epochs; e++ {
			if picturesDue(e, epochs, e == epochs) {
				n++
			}
		}
		if n > maxPictures+2 || n < min(epochs, maxPictures/2) {
			t.Errorf("%d of %d epochs have pictures", n, epochs)
		}
	}
}

// A long run leaves steps out; its file stays small, and a checkpoint knows where it stands.
func TestLongRunsLeaveStepsOut(t *testing.T) {
	dir := t.TempDir()
	e := openRun(osDisk{}, dir).events
	e.every = 3
	for step := 1; step <= 10; step++ {
		if err := e.addStep(StepRecord{Step: step, Loss: 2}); err != nil {
			t.Fatal(err)
		}
	}
	if err := e.flush(); err != nil {
		t.Fatal(err)
	}
	var p Position
	e.mark(&p)
	if info, err := os.Stat(filepath.Join(dir, p.EventFile)); err != nil || info.Size() != p.EventBytes {
		t.Errorf("%+v against %v, %v", p, info, err)
	}
	if err := e.close(); err != nil {
		t.Fatal(err)
	}
	var steps []int
	for _, p := range readEvents(t, dir)["loss/batch"] {
		steps = append(steps, p.step)
	}
	if diff := cmp.Diff([]int{1, 3, 6, 9}, steps); diff != "" {
		t.Errorf("steps (-want +got):\n%s", diff)
	}
}

// A second process within the second gets a name behind the first one's, and what was written after the checkpoint is
// gone, in whatever file it is.
func TestEventsGoOn(t *testing.T) {
	dir := t.TempDir()
	var marks []Position
	at := Position{}
	for session := range 4 {
		e := openRun(osDisk{}, dir).events
		if err := e.restore(at); err != nil {
			t.Fatal(err)
		}
		for range 2 { // of which one is lost
			if err := e.addStep(StepRecord{Step: e.step + 1, Loss: float64(session)}); err != nil {
				t.Fatal(err)
			}
			p := Position{Step: e.step}
			e.mark(&p)
			marks = append(marks, p)
		}
		if err := e.flush(); err != nil {
			t.Fatal(err)
		}
		if err := e.close(); err != nil {
			t.Fatal(err)
		}
		at = marks[len(marks)-2]
		if session == 2 {
			at = marks[0] // two files are beyond it
		}
	}
	var got []point
	for _, p := range readEvents(t, dir)["loss/batch"] {
		got = append(got, point{step: p.step, value: p.value})
	}
	if diff := cmp.Diff([]point{{step: 1}, {step: 2, value: 3}, {step: 3, value: 3}}, got,
		cmp.AllowUnexported(point{})); diff != "" {
		t.Errorf("steps (-want +got):\n%s", diff)
	}
	names, err := eventFiles(dir)
	if err != nil || len(names) != 2 {
		t.Errorf("files %v, %v", names, err)
	}
	for _, n := range names {
		if begun, ok := tensorboard.Begun(n); !ok || time.Until(begun) > 10*time.Second {
			t.Errorf("%s is of the future", n)
		}
	}
}
