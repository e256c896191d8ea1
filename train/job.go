package train

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"strings"
	"time"

	"ninvk/dataset"
	"ninvk/dist"
	"ninvk/gpu"
	"ninvk/models"
	"ninvk/nn"
	"ninvk/ops"
	"ninvk/picture"
)

// Job is everything a training run is made of.
type Job struct {
	Config  Config // resolved and valid
	Data    *dataset.Set
	Device  *gpu.Device
	Version string
	Report  Reporter
	Resume  *Saved // a run to go on with; nil: a new one

	// Kernels chooses variants for the network once all input is known to be right, see nn.Options.Tuned; nil: the
	// heuristic does.
	Kernels func(*nn.Graph) (map[string]string, error)

	// Controls steer the run while it goes on; nil: nothing does.
	Controls *Controls

	// Observe is called at the end of every epoch, before Report.Epoch, and should return at once; nil: nobody looks. It
	// costs steps nothing, and changes no result: the weights are read back then anyway, and of an evaluation the logits
	// of the first images are.
	Observe func(Observation)

	// Note is told what a reader should know of the run and of the weights to start from, a sentence at a time; nil:
	// nobody wants to know.
	Note func(string)

	// Group is the processes that train together, each of which runs the same job but for Device; nil: this one alone.
	// Only rank 0 has a run folder, chooses kernels, and needs a Report, an Observe and a Note of its own.
	Group dist.Group

	disk disk // nil: the real one
}

// Reporter is told how a run goes. Its methods are called from one goroutine and should return at once.
type Reporter interface {
	// Begin comes once, before the first step. A resumed run has done some steps before.
	Begin(run *Run, info RunInfo, epochs, stepsPerEpoch, totalSteps, doneSteps int)
	// Step comes after every step whose loss is known, in order.
	Step(s StepRecord)
	// Evaluating comes while a split is evaluated: done of total images.
	Evaluating(split string, done, total int)
	// Reading comes while the images of a split are read, before the first step.
	Reading(split string, done, total int)
	// Epoch comes after every epoch.
	Epoch(e EpochRecord)
}

// ObservedImages is how many of the test split's first images are looked at one by one after each evaluation.
const ObservedImages = 20

// Observation is a look into the network at the end of an epoch.
type Observation struct {
	Epoch    int
	Layer    string    // the first convolution's name
	Conv     ops.Conv  // its shape
	Filters  []float32 // its weights [M][C][K][K], the averaged ones where there are such; not to be changed
	Verdicts []Verdict // on the first ObservedImages of the test split; nil where the epoch was not evaluated
}

// Summary is what a run came to.
type Summary struct {
	Dir         string
	Steps       int
	Last        EpochRecord
	Best        float64       // test accuracy, NaN where none was measured
	Waited      time.Duration // for images to be read
	BestEpoch   int
	Stall       *Stall // why the run ended before its last step; nil where it did not
	Interrupted bool
}

// Run trains. Everything about the input that can be wrong is checked before the run folder is made, and all but what
// is wrong with that folder before the adapter works. When ctx ends, the current step is finished, checkpoint, weights
// and plots are written, and the summary says Interrupted.
func (j *Job) Run(ctx context.Context) (Summary, error) {
	l, given, err := j.check()
	if err != nil {
		return Summary{}, err
	}
	defer l.release()
	graph, out, err := l.describe()
	if err != nil {
		return Summary{}, err
	}
	first, err := l.firstWeights(&given, graph)
	if err != nil {
		return Summary{}, err
	}
	if err := l.normalise(given); err != nil {
		return Summary{}, err
	}
	if err := l.agreeOnKernels(); err != nil {
		return Summary{}, err
	}
	if err := l.prepare(graph, out, first); err != nil {
		l.abandon()
		return Summary{}, err
	}
	l.run.events.every = max(1, (l.total+maxStepEvents-1)/maxStepEvents)
	err = l.end(l.train(ctx))
	return l.summary, err
}

// check checks settings and data against each other, also with those of the other processes, and makes the loop. given
// is what the settings say of the weights to start from.
func (j *Job) check() (l *loop, given models.Given, err error) {
	if err := j.Config.CheckModel(); err != nil {
		return nil, given, err
	}
	if err := j.Config.TakeSize(j.Data.Train.Shape); err != nil {
		return nil, given, err
	}
	if err := j.Config.TakeShards(j.group().Size()); err != nil {
		return nil, given, err
	}
	if err := j.agree(); err != nil {
		return nil, given, err
	}
	c := j.Config
	size := c.size()
	sizes, err := ParseSizes(c.Sizes)
	if err == nil && j.Resume == nil { // what was begun goes on
		err = sizes.above(c.Sizes, size)
	}
	if err != nil {
		return nil, given, err
	}
	if n := j.Data.Train.Len(); c.Batch > n {
		return nil, given, &UsageError{"--batch", fmt.Sprint(c.Batch),
			fmt.Sprintf("the training split of %s has only %d images", j.Data.Name, n)}
	}
	schedule, err := ParseSchedule(c.Schedule)
	if err != nil {
		return nil, given, err
	}
	augment, err := dataset.ParseAugment(c.Augment)
	if err != nil {
		return nil, given, &UsageError{"--augment", c.Augment, err.Error()}
	}
	if given, err = c.given(); err != nil {
		return nil, given, err
	}
	l = &loop{
		Job: j, size: size, sizes: sizes, tuned: map[string]string{}, schedule: schedule, augment: augment,
		fit:           dataset.Fit(c.Fit),
		stepsPerEpoch: (j.Data.Train.Len() + c.Batch - 1) / c.Batch,
		summary:       Summary{Dir: c.Out, Best: math.NaN()},
	}
	l.total = c.TotalSteps(l.stepsPerEpoch)
	return l, given, nil
}

// describe notes what there is to say of the run, and returns its network and the logits.
func (l *loop) describe() (graph *nn.Graph, out *nn.Node, err error) {
	c := l.Config
	if l.samples, err = samples(l.Data.Test); err != nil {
		return nil, nil, err
	}
	l.about = models.Metadata{Model: c.Model, Size: l.size, Classes: l.Data.Classes, Channels: l.Data.Train.Shape.C,
		Fit: picture.Fit(l.fit)}
	l.about.Mean, l.about.Std = models.Normalisation(l.about.Channels)
	if graph, out, err = l.graph(l.size); err != nil {
		return nil, nil, err
	}
	if l.rates, err = c.rates(graph); err != nil {
		return nil, nil, err
	}
	if c.ClassWeights == BalancedWeights {
		l.classWeights = balanced(l.Data.Train.Labels, len(l.Data.Classes))
	}
	l.tellParts(graph)
	return graph, out, nil
}

// firstWeights are those that the run begins with, once they are drawn or read; nil where a checkpoint has them. What
// their file tells is added to what is given.
func (l *loop) firstWeights(given *models.Given, graph *nn.Graph) (chan *models.Weights, error) {
	if l.Resume != nil && l.Resume.Checkpoint != nil {
		return nil, nil
	}
	c := l.Config
	first := make(chan *models.Weights, 1)
	if c.Init == "" {
		go func() { first <- models.Random(graph, c.Seed, models.RuleOf(c.Initial)) }()
		return first, nil
	}
	n, weights, err := l.readInit(*given, graph)
	if err != nil {
		return nil, err
	}
	first <- weights
	given.Mean, given.Std = n.Mean, n.Std
	// the run must not depend on the file any more
	l.Config.Mean, l.Config.Std = models.Values(n.Mean), models.Values(n.Std)
	return first, nil
}

// normalise takes the mean and the deviation that are given.
func (l *loop) normalise(given models.Given) (err error) {
	for _, x := range []struct {
		flag  string
		given []float64
		to    *[]float64
	}{{"--mean", given.Mean, &l.about.Mean}, {"--std", given.Std, &l.about.Std}} {
		if x.given == nil {
			continue
		}
		if *x.to, err = models.Spread(x.given, l.about.Channels); err != nil {
			return &UsageError{x.flag, models.Values(x.given), err.Error()}
		}
	}
	return nil
}

// prepare brings data and network to the adapter, opens the run folder, and puts the first weights in their place.
func (l *loop) prepare(graph *nn.Graph, out *nn.Node, first chan *models.Weights) (err error) {
	if err := l.openFeeds(); err != nil {
		return err
	}
	// The run may begin with smaller images: a batch too large for its own size is said now.
	if err := nn.Check(l.Device, graph, out, l.options(l.size, 0)); err != nil {
		return err
	}
	done := 0
	if l.Resume != nil && l.Resume.Checkpoint != nil {
		done = l.Resume.Checkpoint.Step
	}
	if l.net, err = l.build(done); err != nil {
		return err
	}
	if err := l.open(); err != nil {
		return err
	}
	if first != nil {
		if err := (<-first).Load(l.net); err != nil {
			return err
		}
	}
	if err := l.agreeOnWeights(); err != nil {
		return err
	}
	if broken := l.Data.Broken; len(broken) > 0 && l.leads() {
		return l.run.writeFile(BrokenFile, []byte(strings.Join(broken, "\n")+"\n"))
	}
	return nil
}

// openFeeds has both splits read.
func (l *loop) openFeeds() (err error) {
	defer l.dropImages() // before there is more on the adapter
	training := l.Data.Train
	if l.augment&dataset.AugmentColor != 0 || l.Controls != nil { // which may ask for it later
		training, l.greys = training.Measured()
	}
	if l.trainFeed, err = l.feed("training", training, l.mostRead()); err != nil {
		return err
	}
	l.testFeed, err = l.feed("test", l.Data.Test, l.Config.MicroBatch())
	return err
}

// abandon leaves the folder of a run that did not begin as it was.
func (l *loop) abandon() {
	switch {
	case l.run == nil:
	case l.Resume == nil:
		l.run.Discard()
	default:
		l.run.Close()
	}
}

// end waits for what is still being written, and says what the run came to.
func (l *loop) end(err error) error {
	for _, last := range []func() error{l.waitWriting, l.waitDrawing, l.run.Close} {
		if e := last(); err == nil {
			err = e
		}
	}
	if l.grouped() && (err == nil || errors.As(err, new(*DivergedError))) { // all have come to this
		_, e := l.group().Gather(nil) // once rank 0 has saved: the end of a process may be that of all
		err = cmp.Or(err, e)
	}
	if err != nil && !errors.As(err, new(*DivergedError)) {
		err = &StoppedError{err, l.run.Dir(), l.good.path, l.good.step, l.group().Rank()}
	}
	return err
}

func dataTitle(d *dataset.Set) string {
	return fmt.Sprintf("%s (%d training images)", cmp.Or(d.Title, filepath.Base(d.Name)), d.Train.Len())
}
