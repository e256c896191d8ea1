package train

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"path/filepath"
	"time"

	"ninvk/cifar10"
	"ninvk/gpu"
	"ninvk/nin"
	"ninvk/nn"
	"ninvk/ops"
	"ninvk/rng"
	"ninvk/safetensors"
)

// Job is everything a training run is made of.
type Job struct {
	Config  Config // resolved and valid
	Data    *cifar10.Dataset
	Device  *gpu.Device
	Version string
	Report  Reporter
}

// Reporter is told how a run goes. Its methods are called from one goroutine and should return at once.
type Reporter interface {
	// Begin comes once, before the first step.
	Begin(run *Run, info RunInfo, epochs, stepsPerEpoch, totalSteps int)
	// Step comes after every step whose loss is known, in order.
	Step(s StepRecord)
	// Evaluating comes while a split is evaluated: done of total images.
	Evaluating(split string, done, total int)
	// Epoch comes after every epoch.
	Epoch(e EpochRecord)
}

// Summary is what a run came to.
type Summary struct {
	Dir         string
	Steps       int
	Last        EpochRecord
	Best        float64 // test accuracy, NaN where none was measured
	BestEpoch   int
	Interrupted bool
}

// DivergedError says that the loss is no longer a number.
type DivergedError struct {
	Step int
	Loss float64
	Good string // path of the last good weights, "" if there are none
}

func (e *DivergedError) Error() string {
	s := fmt.Sprintf("training diverged: the loss of step %d is %v; try a smaller --lr", e.Step, e.Loss)
	if e.Good != "" {
		return s + "; the last good weights are in " + e.Good
	}
	return s + "; no weights were saved yet"
}

// Run trains. Everything about the input that can be wrong is checked before the run folder is made and before the adapter works. When ctx ends, the
// current step is finished, weights and plots are written, and the summary says Interrupted.
func (j *Job) Run(ctx context.Context) (Summary, error) {
	c := j.Config
	size := *c.Resize
	if size == 0 {
		size = cifar10.Width
	}
	if n := j.Data.Train.Len(); c.Batch > n {
		return Summary{}, &UsageError{"--batch", fmt.Sprint(c.Batch), fmt.Sprintf("the training split of %s has only %d images", j.Data.Name, n)}
	}
	schedule, err := ParseSchedule(c.Schedule)
	if err != nil {
		return Summary{}, err
	}
	augment, err := cifar10.ParseAugment(c.Augment)
	if err != nil {
		return Summary{}, &UsageError{"--augment", c.Augment, err.Error()}
	}
	graph, out, err := nin.Build(nin.Config{Model: c.Model, Classes: cifar10.Classes, Size: size, Dropout: c.Dropout})
	if err != nil {
		return Summary{}, err
	}
	var weights *nin.Weights
	if c.Init != "" {
		if weights, err = nin.ReadWeights(c.Init, graph); err != nil {
			return Summary{}, err
		}
	}
	net, err := nn.Build(j.Device, graph, out, nn.Options{
		Batch: c.Batch, Train: true,
		Loss:      ops.CrossEntropy{Smoothing: c.LabelSmoothing},
		Optimiser: ops.SGD{Momentum: c.Momentum, WeightDecay: c.WeightDecay, Nesterov: c.Nesterov},
		Augment:   ops.Augment{Size: size, Mean: cifar10.Mean, Std: cifar10.Std},
	})
	if err != nil {
		return Summary{}, err
	}
	defer net.Release()
	run, err := NewRun(c.Out, c)
	if err != nil {
		return Summary{}, err
	}
	l := &loop{
		Job: j, size: size, net: net, run: run, schedule: schedule, augment: augment,
		stepsPerEpoch: (j.Data.Train.Len() + c.Batch - 1) / c.Batch,
		summary:       Summary{Dir: run.Dir(), Best: math.NaN()},
	}
	defer l.release()
	if weights != nil {
		err = weights.Load(net)
	} else {
		err = nin.Init(net, c.Seed)
	}
	if err == nil {
		l.trainImages, err = Upload(j.Device, "training images", j.Data.Train)
	}
	if err == nil {
		l.testImages, err = Upload(j.Device, "test images", j.Data.Test)
	}
	if err != nil {
		run.Discard()
		return Summary{}, err
	}
	err = l.train(ctx)
	if closeErr := run.Close(); err == nil {
		err = closeErr
	}
	return l.summary, err
}

// Upload puts the images of a split on the adapter.
func Upload(d *gpu.Device, label string, s cifar10.Split) (*ops.Images, error) {
	return ops.NewImages(d, label, cifar10.Height, cifar10.Width, s.Images)
}

// loop is the state of a run.
type loop struct {
	*Job
	size          int
	net           *nn.Net
	run           *Run
	schedule      Schedule
	augment       cifar10.Augment
	stepsPerEpoch int
	trainImages   *ops.Images
	testImages    *ops.Images

	step    int // steps submitted
	pending []StepRecord
	steps   []StepRecord
	epochs  []EpochRecord
	last    time.Time // when the last result came
	stuck   int       // steps in a row with the loss of a dead network
	summary Summary
}

func (l *loop) release() {
	for _, i := range []*ops.Images{l.trainImages, l.testImages} {
		if i != nil {
			i.Release()
		}
	}
}

func (l *loop) train(ctx context.Context) error {
	parameters := 0
	for _, p := range l.net.Params() {
		if p.Trained() {
			parameters += p.Len()
		}
	}
	info := RunInfo{
		Version: l.Version, Model: l.Config.Model, Parameters: parameters, Recipe: l.Config.Recipe,
		Adapter: l.Device.Adapter.Name, Driver: l.Device.Adapter.Driver, DataSet: l.Data.Name, DataSHA256: l.Data.SHA256,
	}
	if err := l.run.WriteRun(info); err != nil {
		return err
	}
	total := l.Config.TotalSteps(l.stepsPerEpoch)
	l.Report.Begin(l.run, info, l.Config.Epochs, l.stepsPerEpoch, total)
	for epoch := 1; l.step < total; epoch++ {
		if err := l.epoch(ctx, epoch, total); err != nil {
			return err
		}
		if ctx.Err() != nil {
			l.summary.Interrupted = true
			break
		}
	}
	l.summary.Steps = l.step
	return nil
}

// epoch trains one epoch, evaluates where it is time to, and saves.
func (l *loop) epoch(ctx context.Context, epoch, total int) error {
	c := l.Config
	order := cifar10.Order(c.Seed, epoch, l.Data.Train.Len(), c.Shuffle)
	start, first := time.Now(), len(l.steps)
	l.last = start
	entries := make([]nn.Entry, 0, c.Batch)
	rate := 0.0
	for from := 0; from < len(order) && l.step < total && ctx.Err() == nil; from += c.Batch {
		entries = entries[:0]
		for _, i := range order[from:min(from+c.Batch, len(order))] {
			m := cifar10.Transform(c.Seed, epoch, i, l.augment, l.size)
			entries = append(entries, ops.BatchEntry(i, uint32(l.Data.Train.Labels[i]), m))
		}
		rate = l.schedule.LR(c.LR, l.step, total, epoch-1, c.Epochs)
		key := rng.New(c.Seed, "dropout", uint64(l.step), 0).Uint32()
		l.pending = append(l.pending, StepRecord{Epoch: epoch, Step: l.step + 1, LearningRate: rate, ImagesPerSecond: float64(len(entries))})
		done, err := l.net.TrainStep(l.trainImages, entries, l.step+1, rate, key)
		l.step++
		if err := l.collect(done, err); err != nil {
			return err
		}
	}
	if err := l.collect(l.net.Drain()); err != nil {
		return err
	}
	seconds := time.Since(start).Seconds()
	e := EpochRecord{
		Epoch: epoch, Steps: len(l.steps) - first, LearningRate: rate, Seconds: seconds,
		TrainLoss: math.NaN(), TrainAccuracy: math.NaN(), TestLoss: math.NaN(), TestAccuracy: math.NaN(),
	}
	images, loss := 0, 0.0
	for _, s := range l.steps[first:] {
		n := min(c.Batch, l.Data.Train.Len()-(s.Step-1)%l.stepsPerEpoch*c.Batch)
		images += n
		loss += s.Loss * float64(n)
	}
	if images == 0 {
		return nil // interrupted before the first step
	}
	e.TrainLoss = loss / float64(images)
	e.ImagesPerSecond = float64(images) / seconds
	if epoch%c.EvalEvery == 0 || l.step >= total {
		if err := l.evaluate(ctx, &e); err != nil {
			return err
		}
	}
	return l.finish(e)
}

// collect takes the results of steps, in order, to the metrics and the reporter; then err, which came with them, is returned.
func (l *loop) collect(results []nn.StepResult, err error) error {
	for _, r := range results {
		s := l.pending[0]
		l.pending = l.pending[1:]
		now := time.Now()
		s.Loss, s.ImagesPerSecond = r.Loss, s.ImagesPerSecond/max(1e-9, now.Sub(l.last).Seconds())
		l.last = now
		l.steps = append(l.steps, s)
		if err := l.run.WriteStep(s); err != nil {
			return err
		}
		l.Report.Step(s)
		if math.IsNaN(s.Loss) || math.IsInf(s.Loss, 0) {
			good := ""
			if !math.IsNaN(l.summary.Best) {
				good = l.run.Path(BestFile)
			}
			return &DivergedError{s.Step, s.Loss, good}
		}
		l.watchDead(s)
	}
	return err
}

// watchDead warns once where the loss sits at that of a network which knows nothing.
func (l *loop) watchDead(s StepRecord) {
	if math.Abs(s.Loss-math.Log(cifar10.Classes)) > 1e-4 {
		l.stuck = 0
		return
	}
	if l.stuck++; l.stuck == 200 {
		slog.Warn(fmt.Sprintf("the loss has been ln %d for 200 steps: the network is dead (every last ReLU gives 0); try another --seed, a smaller --lr, or --model nin-bn", cifar10.Classes), "step", s.Step)
	}
}

// evaluate fills in loss and accuracy over both whole splits, dropout off.
func (l *loop) evaluate(ctx context.Context, e *EpochRecord) error {
	train, err := Evaluate(ctx, l.net, l.trainImages, l.Data.Train, func(done, total int) { l.Report.Evaluating("train", done, total) })
	if err != nil {
		return err
	}
	test, err := Evaluate(ctx, l.net, l.testImages, l.Data.Test, func(done, total int) { l.Report.Evaluating("test", done, total) })
	if err != nil {
		return err
	}
	if ctx.Err() != nil {
		return nil // only part of the split was seen: no figure is better than a wrong one
	}
	e.TrainAccuracy, e.TestAccuracy = train.Accuracy, test.Accuracy
	e.TestLoss = test.Loss
	return nil
}

// finish saves weights, metrics and plots after an epoch.
func (l *loop) finish(e EpochRecord) error {
	l.epochs = append(l.epochs, e)
	if err := l.run.WriteEpoch(e); err != nil {
		return err
	}
	weights, err := nin.Export(l.Config.Model, l.net)
	if err != nil {
		return err
	}
	if err := safetensors.Write(l.run.Path(ModelFile), weights); err != nil {
		return err
	}
	if better := e.TestAccuracy > l.summary.Best || math.IsNaN(l.summary.Best); better && !math.IsNaN(e.TestAccuracy) {
		l.summary.Best, l.summary.BestEpoch = e.TestAccuracy, e.Epoch
		if err := safetensors.Write(l.run.Path(BestFile), weights); err != nil {
			return err
		}
	}
	l.summary.Last = e
	title := fmt.Sprintf("%s on %s, recipe %s", l.Config.Model, dataTitle(l.Data), l.Config.Recipe)
	if err := PlotAccuracy(l.run.Path(AccuracyPlot), l.epochs, title); err != nil {
		return err
	}
	if err := PlotLoss(l.run.Path(LossPlot), l.steps, l.epochs, title); err != nil {
		return err
	}
	l.Report.Epoch(e)
	return nil
}

func dataTitle(d *cifar10.Dataset) string {
	name := filepath.Base(d.Name)
	if d.Train.Len() == 50000 {
		name = "CIFAR-10"
	}
	return fmt.Sprintf("%s (%d training images)", name, d.Train.Len())
}

// Evaluation is the mean loss and the accuracy over a split.
type Evaluation struct {
	Images   int
	Loss     float64
	Accuracy float64
}

// Evaluate runs the network over a whole split, dropout off, batch normalisation with its running statistics. When ctx ends it stops early with the figures
// so far.
func Evaluate(ctx context.Context, net *nn.Net, images *ops.Images, split cifar10.Split, progress func(done, total int)) (Evaluation, error) {
	if err := net.ResetTotals(); err != nil {
		return Evaluation{}, err
	}
	batch := net.Options.Batch
	entries := make([]nn.Entry, 0, batch)
	for from := 0; from < split.Len() && ctx.Err() == nil; from += batch {
		entries = entries[:0]
		for i := from; i < min(from+batch, split.Len()); i++ {
			m := cifar10.Transform(0, 0, uint32(i), cifar10.AugmentNone, net.Options.Augment.Size)
			entries = append(entries, ops.BatchEntry(uint32(i), uint32(split.Labels[i]), m))
		}
		if err := net.EvalStep(images, entries); err != nil {
			return Evaluation{}, err
		}
		progress(min(from+batch, split.Len()), split.Len())
	}
	t, err := net.Totals()
	if err != nil || t.Images == 0 {
		return Evaluation{}, err
	}
	return Evaluation{Images: t.Images, Loss: t.Loss / float64(t.Images), Accuracy: float64(t.Correct) / float64(t.Images)}, nil
}
