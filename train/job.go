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
	if err := j.Config.CheckModel(); err != nil {
		return Summary{}, err
	}
	if err := j.Config.TakeSize(j.Data.Train.Shape); err != nil {
		return Summary{}, err
	}
	if err := j.Config.TakeShards(j.group().Size()); err != nil {
		return Summary{}, err
	}
	if err := j.agree(); err != nil {
		return Summary{}, err
	}
	c := j.Config
	size := c.size()
	sizes, err := ParseSizes(c.Sizes)
	if err == nil && j.Resume == nil { // what was begun goes on
		err = sizes.above(c.Sizes, size)
	}
	if err != nil {
		return Summary{}, err
	}
	if n := j.Data.Train.Len(); c.Batch > n {
		return Summary{}, &UsageError{"--batch", fmt.Sprint(c.Batch),
			fmt.Sprintf("the training split of %s has only %d images", j.Data.Name, n)}
	}
	schedule, err := ParseSchedule(c.Schedule)
	if err != nil {
		return Summary{}, err
	}
	augment, err := dataset.ParseAugment(c.Augment)
	if err != nil {
		return Summary{}, &UsageError{"--augment", c.Augment, err.Error()}
	}
	given, err := c.given()
	if err != nil {
		return Summary{}, err
	}
	l := &loop{
		Job: j, size: size, sizes: sizes, tuned: map[string]string{}, schedule: schedule, augment: augment,
		fit:           dataset.Fit(c.Fit),
		stepsPerEpoch: (j.Data.Train.Len() + c.Batch - 1) / c.Batch,
		summary:       Summary{Dir: c.Out, Best: math.NaN()},
	}
	defer l.release()
	l.total = c.TotalSteps(l.stepsPerEpoch)
	if l.samples, err = samples(j.Data.Test); err != nil {
		return Summary{}, err
	}
	l.about = models.Metadata{Model: c.Model, Size: size, Classes: j.Data.Classes, Channels: j.Data.Train.Shape.C,
		Fit: picture.Fit(l.fit)}
	l.about.Mean, l.about.Std = models.Normalisation(l.about.Channels)
	graph, out, err := l.graph(size)
	if err != nil {
		return Summary{}, err
	}
	if l.rates, err = c.rates(graph); err != nil {
		return Summary{}, err
	}
	if c.ClassWeights == BalancedWeights {
		l.classWeights = balanced(j.Data.Train.Labels, len(j.Data.Classes))
	}
	l.tellParts(graph)
	var initial chan *models.Weights // nil where a checkpoint has them
	if j.Resume == nil || j.Resume.Checkpoint == nil {
		initial = make(chan *models.Weights, 1)
		if c.Init == "" {
			go func() { initial <- models.Random(graph, c.Seed, models.RuleOf(c.Initial)) }()
		} else {
			n, weights, err := l.readInit(given, graph)
			if err != nil {
				return Summary{}, err
			}
			initial <- weights
			given.Mean, given.Std = n.Mean, n.Std
			// the run must not depend on the file any more
			l.Config.Mean, l.Config.Std = models.Values(n.Mean), models.Values(n.Std)
		}
	}
	for _, x := range []struct {
		flag      string
		given, to *[]float64
	}{{"--mean", &given.Mean, &l.about.Mean}, {"--std", &given.Std, &l.about.Std}} {
		if *x.given == nil {
			continue
		}
		if *x.to, err = models.Spread(*x.given, l.about.Channels); err != nil {
			return Summary{}, &UsageError{x.flag, models.Values(*x.given), err.Error()}
		}
	}
	if err := l.agreeOnKernels(); err != nil {
		return Summary{}, err
	}
	done := 0
	if j.Resume != nil && j.Resume.Checkpoint != nil {
		done = j.Resume.Checkpoint.Step
	}
	training := j.Data.Train
	if augment&dataset.AugmentColor != 0 || j.Controls != nil { // which may ask for it later
		training, l.greys = training.Measured()
	}
	if l.trainFeed, err = l.feed("training", training, l.mostRead()); err == nil {
		l.testFeed, err = l.feed("test", j.Data.Test, c.Part())
	}
	l.dropImages()  // before there is more on the adapter
	if err == nil { // the run may begin with smaller images: a batch too large for its own size is said now
		err = nn.Check(j.Device, graph, out, l.options(size, 0))
	}
	if err == nil {
		l.net, err = l.build(done)
	}
	if err == nil {
		err = l.open()
	}
	if err == nil && initial != nil {
		err = (<-initial).Load(l.net)
	}
	if err == nil {
		err = l.agreeOnWeights()
	}
	if broken := j.Data.Broken; err == nil && len(broken) > 0 && l.leads() {
		err = l.run.writeFile(BrokenFile, []byte(strings.Join(broken, "\n")+"\n"))
	}
	if err != nil {
		switch {
		case l.run == nil:
		case j.Resume == nil:
			l.run.Discard()
		default:
			l.run.Close()
		}
		return Summary{}, err
	}
	l.run.events.every = max(1, (l.total+maxStepEvents-1)/maxStepEvents)
	err = l.train(ctx)
	if e := l.waitWriting(); err == nil {
		err = e
	}
	if e := l.waitDrawing(); err == nil {
		err = e
	}
	if e := l.run.Close(); err == nil {
		err = e
	}
	if l.grouped() && (err == nil || errors.As(err, new(*DivergedError))) { // all have come to this
		_, e := l.group().Gather(nil) // once rank 0 has saved: the end of a process may be that of all
		err = cmp.Or(err, e)
	}
	if err != nil && !errors.As(err, new(*DivergedError)) {
		err = &StoppedError{err, l.run.Dir(), l.good.path, l.good.step, l.group().Rank()}
	}
	return l.summary, err
}

func dataTitle(d *dataset.Set) string {
	return fmt.Sprintf("%s (%d training images)", cmp.Or(d.Title, filepath.Base(d.Name)), d.Train.Len())
}
