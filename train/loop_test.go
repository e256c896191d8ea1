package train

import (
	"bytes"
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"ninvk/cifar10"
	"ninvk/dataset"
	"ninvk/gpu"
	"ninvk/models"
	"ninvk/nn"
	"ninvk/safetensors"
)

// silent is a Reporter that calls a function after each step.
type silent struct{ step func(StepRecord) }

func (silent) Begin(*Run, RunInfo, int, int, int, int) {}
func (s silent) Step(r StepRecord) {
	if s.step != nil {
		s.step(r)
	}
}
func (silent) Evaluating(string, int, int) {}
func (silent) Reading(string, int, int)    {}
func (silent) Epoch(EpochRecord)           {}

// subset is the first images of the embedded sample: train of the training split, test of the test split.
func subset(t *testing.T, train, test int) *dataset.Set {
	t.Helper()
	d, err := cifar10.Sample()
	if err != nil {
		t.Fatal(err)
	}
	cut := func(s dataset.Split, n int) dataset.Split {
		return s.First(n)
	}
	return &dataset.Set{Name: "subset", Train: cut(d.Train, train), Test: cut(d.Test, test), SHA256: d.SHA256,
		Classes: d.Classes, Named: d.Named}
}

// device is opened once: its kernels are compiled once.
var device = sync.OnceValues(func() (*gpu.Device, error) { return gpu.Open("") })

// runJob trains resnet20 on 8×8 images, which is a sixteenth of the work, by the recipe fast as changed by change.
func runJob(t *testing.T, ctx context.Context, data *dataset.Set, report Reporter, change func(*Config)) (Summary,
	error) {
	t.Helper()
	return runJobOn(t, ctx, osDisk{}, data, report, change)
}

func runJobOn(t *testing.T, ctx context.Context, disk disk, data *dataset.Set, report Reporter,
	change func(*Config)) (Summary, error) {
	t.Helper()
	c, err := LoadRecipe("fast")
	if err != nil {
		t.Fatal(err)
	}
	size := 8
	c.Model, c.Resize, c.Out = "resnet20", &size, filepath.Join(t.TempDir(), "run")
	change(&c)
	c.Resolve()
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	d, err := device()
	if err != nil {
		t.Fatal(err)
	}
	return (&Job{Config: c, Data: data, Device: d, Version: "test", Report: report, disk: disk}).Run(ctx)
}

// A network that learns must be able to learn a few hundred images by heart.
func TestOverfits(t *testing.T) {
	s, err := runJob(t, context.Background(), subset(t, 200, 20), silent{}, func(c *Config) {
		c.Model, c.Batch, c.Epochs, c.EvalEvery = "resnet20", 40, 11, 11
		c.LR, c.Dropout, c.LabelSmoothing, c.Augment = 0.1, floatPtr(0), 0, "none"
	})
	if err != nil {
		t.Fatal(err)
	}
	if s.Last.TrainAccuracy < 0.95 {
		t.Errorf("training accuracy %.3f after %d steps (mean loss %.4f), want at least 0.95", s.Last.TrainAccuracy, s.Steps,
			s.Last.TrainLoss)
	}
}

// A batch computed in parts gives the same as at once where a network has no batch normalisation.
func TestMicroBatch(t *testing.T) {
	losses := func(micro int) (all []float64) {
		s, err := runJob(t, context.Background(), subset(t, 20, 10), silent{}, func(c *Config) {
			size, steps := models.LeastSize("lenet5"), 10
			c.Model, c.Resize, c.Batch, c.Micro, c.MaxSteps, c.EvalEvery = "lenet5", &size, 8, micro, &steps, 100
		})
		if err != nil {
			t.Fatal(err)
		}
		m, err := ReadMetrics(filepath.Join(s.Dir, MetricsFile))
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range m.Steps {
			all = append(all, x.Loss)
		}
		return all
	}
	whole := losses(0)
	if diff := cmp.Diff(whole, losses(3), cmpopts.EquateApprox(1e-5, 0)); diff != "" || len(whole) != 10 {
		t.Errorf("losses (-at once +in parts):\n%s", diff)
	}
}

// What batch normalisation sees of a batch in parts is said, and only where it matters.
func TestTellParts(t *testing.T) {
	for _, c := range []struct {
		model        string
		batch, micro int
		said         bool
	}{{"nin-bn", 64, 16, true}, {"nin", 64, 16, false}, {"nin-bn", 64, 0, false}, {"nin-bn", 16, 16, false}} {
		var notes []string
		l := &loop{Job: &Job{Config: Config{Model: c.model, Batch: c.batch, Micro: c.micro}}}
		l.Note = func(s string) { notes = append(notes, s) }
		g, _, err := models.Build(models.Config{Model: c.model, Classes: 10, Size: 32})
		if err != nil {
			t.Fatal(err)
		}
		l.tellParts(g)
		if said := len(notes) == 1 && strings.Contains(notes[0], "16 images at a time"); said != c.said {
			t.Errorf("%+v: %q", c, notes)
		}
	}
}

func TestSameSeedSameBytes(t *testing.T) {
	data := subset(t, 20, 10) // the last batch of an epoch is a smaller one
	var first []byte
	for range 2 {
		s, err := runJob(t, context.Background(), data, silent{}, func(c *Config) {
			c.Model, c.Batch, c.Epochs, c.Dropout, c.Seed = "nin-bn", 8, 2, floatPtr(0.5), 7
		})
		if err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(filepath.Join(s.Dir, ModelFile))
		if err != nil {
			t.Fatal(err)
		}
		if first == nil {
			first = b
			checkRunFolder(t, s, 2, 6)
			checkEvaluation(t, s, data.Test)
		} else if !bytes.Equal(first, b) {
			t.Error("two runs with the same seed gave different weights")
		}
	}
}

// A look into the network changes nothing, and shows what is kept.
func TestObserve(t *testing.T) {
	data := subset(t, 20, 24)
	var weights [2][]byte
	var seen []Observation
	for i := range weights {
		d, err := device()
		if err != nil {
			t.Fatal(err)
		}
		c, err := LoadRecipe("fast")
		if err != nil {
			t.Fatal(err)
		}
		size := 8
		c.Model, c.Resize, c.Sizes, c.Out = "resnet20", &size, "", filepath.Join(t.TempDir(), "run")
		c.Batch, c.Epochs, c.EvalEvery = 8, 3, 2
		c.Resolve()
		j := Job{Config: c, Data: data, Device: d, Version: "test", Report: silent{}}
		if i == 1 {
			j.Observe = func(o Observation) { seen = append(seen, o) }
		}
		s, err := j.Run(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		if weights[i], err = os.ReadFile(filepath.Join(s.Dir, ModelFile)); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(weights[0], weights[1]) {
		t.Error("a run that is observed gives other weights")
	}
	if len(seen) != 3 {
		t.Fatalf("%d observations in 3 epochs", len(seen))
	}
	for i, o := range seen {
		verdicts := ObservedImages
		if i == 0 { // not evaluated
			verdicts = 0
		}
		if o.Epoch != i+1 || o.Layer != "conv1" || o.Conv.M != 16 || len(o.Filters) != 16*3*3*3 ||
			len(o.Verdicts) != verdicts {
			t.Errorf("observation %d: epoch %d, layer %s, %d weights, %d verdicts", i, o.Epoch, o.Layer, len(o.Filters),
				len(o.Verdicts))
		}
	}
	f, err := safetensors.Decode(weights[1])
	if err != nil {
		t.Fatal(err)
	}
	kept, ok := f.Tensor("conv1.weight")
	if !ok {
		t.Fatal("no conv1.weight")
	}
	if v, err := kept.Float32s(); err != nil || !slices.Equal(v, seen[2].Filters) {
		t.Errorf("the last filters shown are not the ones kept (%v)", err)
	}
}

// checkRunFolder checks that the folder holds what the README says.
func checkRunFolder(t *testing.T, s Summary, epochs, steps int) {
	t.Helper()
	for _, name := range []string{ConfigFile, AccuracyPlot, LossPlot, RatePlot, ModelFile, BestFile} {
		if info, err := os.Stat(filepath.Join(s.Dir, name)); err != nil || info.Size() == 0 {
			t.Errorf("%s: missing or empty (%v)", name, err)
		}
	}
	m, err := ReadMetrics(filepath.Join(s.Dir, MetricsFile))
	if err != nil {
		t.Fatal(err)
	}
	if len(m.Epochs) != epochs || len(m.Steps) != steps {
		t.Fatalf("%d epochs and %d steps recorded, want %d and %d", len(m.Epochs), len(m.Steps), epochs, steps)
	}
	// Convolutions of 8 shapes, each in three passes but the first in two, and batch normalisations of 6 in two.
	if len(m.Run.Variants) != 23+12 {
		t.Errorf("variants used: %v", m.Run.Variants)
	}
	for i, r := range m.Steps {
		if r.Step != i+1 || math.IsNaN(r.Loss) || r.Loss <= 0 || r.ImagesPerSecond <= 0 {
			t.Errorf("step %d: %+v", i+1, r)
		}
	}
	for _, e := range m.Epochs {
		if e.Steps != steps/epochs || math.IsNaN(e.TrainAccuracy) || math.IsNaN(e.TestLoss) || e.TestAccuracy < 0 ||
			e.TestAccuracy > 1 {
			t.Errorf("epoch %+v", e)
		}
	}
	f, err := safetensors.Read(filepath.Join(s.Dir, ModelFile))
	if err != nil {
		t.Fatal(err)
	}
	if n, ok := f.Tensor("classifier.1.num_batches_tracked"); !ok {
		t.Error("num_batches_tracked is missing")
	} else if v, err := n.Int64(); err != nil || v != int64(steps) {
		t.Errorf("num_batches_tracked is %d (%v), want %d", v, err, steps)
	}
}

// checkEvaluation evaluates the saved weights by themselves, as ninvk eval does: it must give what the run recorded,
// label smoothing or not.
func checkEvaluation(t *testing.T, s Summary, split dataset.Split) {
	t.Helper()
	d, err := device()
	if err != nil {
		t.Fatal(err)
	}
	n, err := models.OpenNetwork(filepath.Join(s.Dir, ModelFile), models.Given{})
	if err != nil {
		t.Fatal(err)
	}
	net, err := n.Put(d, n.Graph.Fold(n.Logits), nn.Options{Batch: 8})
	if err != nil {
		t.Fatal(err)
	}
	defer net.Release()
	images, err := Upload(d, "test images", split, dataset.Crop, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer images.Release()
	e, err := Evaluate(context.Background(), net, images, func(int, int) {})
	if err != nil {
		t.Fatal(err)
	}
	if math.Abs(e.Loss-s.Last.TestLoss) > 1e-5*e.Loss || e.Accuracy != s.Last.TestAccuracy {
		t.Errorf("the saved weights have test loss %.6f and accuracy %.3f, the run recorded %.6f and %.3f", e.Loss,
			e.Accuracy, s.Last.TestLoss, s.Last.TestAccuracy)
	}
}

func TestInterruptionSavesWeights(t *testing.T) {
	ctx, stop := context.WithCancel(context.Background())
	s, err := runJob(t, ctx, subset(t, 40, 10), silent{func(StepRecord) { stop() }},
		func(c *Config) { c.Batch, c.Epochs = 8, 5 })
	if err != nil {
		t.Fatal(err)
	}
	if !s.Interrupted || s.Steps < 1 || s.Steps >= 25 {
		t.Errorf("interrupted %v after %d steps, want an end soon after the first", s.Interrupted, s.Steps)
	}
	if _, err := safetensors.Read(filepath.Join(s.Dir, ModelFile)); err != nil {
		t.Error(err)
	}
}

func TestDivergenceStops(t *testing.T) {
	_, err := runJob(t, context.Background(), subset(t, 40, 10), silent{}, func(c *Config) {
		c.Batch, c.Epochs, c.LR, c.Schedule = 8, 10, 1e30, "constant"
	})
	var d *DivergedError
	if !errors.As(err, &d) {
		t.Fatalf("got %v, want a DivergedError", err)
	}
	if d.Step < 1 || d.Step > 10 {
		t.Errorf("diverged at step %d, want within ten", d.Step)
	}
}

// Clipped below their norm, gradients of plain descent move the weights by no more than rate times clip a step.
func TestClipNorm(t *testing.T) {
	const rate, clip, steps = 0.5, 0.01, 4
	settings := func(c *Config) {
		c.Batch, c.Epochs, c.LR, c.Schedule, c.ClipNorm = 8, 1, rate, "constant", clip
		c.Momentum, c.Nesterov, c.WeightDecay, c.MaxSteps = 0, false, 0, intPtr(steps)
	}
	s, err := runJob(t, context.Background(), subset(t, 32, 10), silent{}, settings)
	if err != nil {
		t.Fatal(err)
	}
	m, err := ReadMetrics(filepath.Join(s.Dir, MetricsFile))
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range m.Steps {
		if !(r.GradientNorm > clip) {
			t.Errorf("step %d: norm %v before clipping, expected one above %v", r.Step, r.GradientNorm, clip)
		}
	}
	var weights []*Checkpoint
	all, err := checkpoints(s.Dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range all {
		c, err := readCheckpoint(path)
		if err != nil {
			t.Fatal(err)
		}
		weights = append(weights, c)
	}
	if len(weights) != 2 || weights[0].Step != 0 || weights[1].Step != steps {
		t.Fatalf("checkpoints %v, want those of the start and the end", all)
	}
	moved := 0.0
	for _, x := range weights[0].tensors.Tensors {
		if _, trained := weights[0].tensors.Tensor(momentumPrefix + x.Name); !trained {
			continue
		}
		y, _ := weights[1].tensors.Tensor(x.Name)
		from, err := x.Float32s()
		if err != nil {
			t.Fatal(err)
		}
		to, err := y.Float32s()
		if err != nil {
			t.Fatal(err)
		}
		for i := range from {
			moved += math.Pow(float64(to[i]-from[i]), 2)
		}
	}
	if d := math.Sqrt(moved); !(d > 0) || d > 1.001*rate*clip*steps {
		t.Errorf("the weights moved by %v in %d steps, want at most %v", d, steps, rate*clip*steps)
	}
}
