package train

import (
	"context"
	"path/filepath"
	"slices"
	"testing"

	"ninvk/ci/slow"
	"ninvk/cifar10"
	"ninvk/models"
)

// Every network learns the sample when nothing but its name is given: in 60 steps the loss falls. Images are small, and
// batches half as large as usual, for the time that it takes.
func TestEveryNetworkLearns(t *testing.T) {
	const (
		steps = 60
		ends  = 5 // steps at the beginning and at the end that are compared
		least = 0.1
	)
	data, err := cifar10.Sample()
	if err != nil {
		t.Fatal(err)
	}
	d, err := device()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range models.Names() {
		if name != "lenet5" && !slow.Wanted() {
			continue
		}
		t.Run(name, func(t *testing.T) {
			c, err := LoadConfig("", "", name)
			if err != nil {
				t.Fatal(err)
			}
			c.Model, c.Out, c.MaxSteps = name, filepath.Join(t.TempDir(), "run"), intPtr(steps)
			c.Resize, c.Batch = intPtr(max(cifar10.Width, models.LeastSize(name))), 32
			c.EvalEvery, c.EvalTrain = steps, 1
			c.Resolve()
			if err := c.Validate(); err != nil {
				t.Fatal(err)
			}
			var losses []float64
			report := silent{func(s StepRecord) { losses = append(losses, s.Loss) }}
			job := Job{Config: c, Data: data, Device: d, Version: "test", Report: report}
			if _, err := job.Run(context.Background()); err != nil {
				t.Fatal(err)
			}
			if len(losses) != steps {
				t.Fatalf("%d steps, want %d", len(losses), steps)
			}
			first, last := mean(losses[:ends]), mean(losses[steps-ends:])
			t.Logf("the loss falls from %.3f to %.3f, at most %.3f", first, last, slices.Max(losses))
			if !(last < first-least) {
				t.Errorf("the loss goes from %.3f to %.3f, want it to fall by %v; all: %.3f", first, last, least, losses)
			}
		})
	}
}

func mean(v []float64) (m float64) {
	for _, x := range v {
		m += x / float64(len(v))
	}
	return m
}
