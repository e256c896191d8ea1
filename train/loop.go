// Package train trains a network from a configuration: the loop over steps and epochs, its checkpoints and how a run goes on from them, what it does when it diverges, and the
// run folder, which holds metrics, weights and pictures.
package train

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"image"
	"log/slog"
	"maps"
	"math"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/go-gl/mathgl/mgl32"

	"ninvk/dataset"
	"ninvk/dist"
	"ninvk/gpu"
	"ninvk/models"
	"ninvk/nn"
	"ninvk/ops"
	"ninvk/picture"
	"ninvk/safetensors"
)

// Job is everything a training run is made of.
type Job struct {
	Config  Config // resolved and valid
	Data    *dataset.Set
	Device  *gpu.Device
	Version string
	Report  Reporter
	Resume  *Saved // a run to go on with; nil: a new one

	// Kernels chooses variants for the network once all input is known to be right, see nn.Options.Tuned; nil: the heuristic does.
	Kernels func(*nn.Graph) (map[string]string, error)

	// Controls steer the run while it goes on; nil: nothing does.
	Controls *Controls

	// Observe is called at the end of every epoch, before Report.Epoch, and should return at once; nil: nobody looks. It costs steps nothing, and changes no
	// result: the weights are read back then anyway, and of an evaluation the logits of the first images are.
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

// DivergedError says that loss, gradient or weights are no longer numbers.
type DivergedError struct {
	Step      int
	Loss      float64
	Reason    string // what was found
	Good      string // path of the last checkpoint from before, "" if there is none
	GoodStep  int    // its step
	Rollbacks int    // returns to a checkpoint that did not help
	Dir       string // the run folder

	weights int // after this step the weights were those that gave what was found
}

func (e *DivergedError) Error() string {
	s := fmt.Sprintf("training diverged: step %d, loss %v: %s", e.Step, e.Loss, e.Reason)
	if e.Rollbacks > 0 {
		s += fmt.Sprintf("; %d rollbacks, each with half the learning rate, did not help", e.Rollbacks)
	}
	if e.Good == "" {
		return s + "; no checkpoint of better weights is there; try a smaller --lr"
	}
	s += fmt.Sprintf("; the last good checkpoint is %s, of step %d", e.Good, e.GoodStep)
	if e.Rollbacks == 0 {
		return s + fmt.Sprintf("; start again with a smaller --lr, or go on from there with half the rate: %s --on-divergence %s", ResumeCommand(e.Dir), RollbackOnDivergence)
	}
	return s + "; start again with a smaller --lr"
}

// StoppedError is an error in the midst of a run, whose folder can be resumed.
type StoppedError struct {
	Err  error
	Dir  string
	Path string // of the last checkpoint, "" if there is none
	Step int    // its step
	Rank int    // of the process, of which only the first knows of checkpoints
}

func (e *StoppedError) Error() string {
	if e.Rank > 0 {
		return fmt.Sprintf("%v; to go on from the last checkpoint: %s", e.Err, ResumeCommand(e.Dir))
	}
	if e.Path == "" {
		return fmt.Sprintf("%v; no checkpoint was saved yet; to start over: %s", e.Err, ResumeCommand(e.Dir))
	}
	return fmt.Sprintf("%v; the last checkpoint is %s, of step %d; to go on from it: %s", e.Err, e.Path, e.Step, ResumeCommand(e.Dir))
}

func (e *StoppedError) Unwrap() error { return e.Err }

// ResumeCommand is what to type to go on with the run in a folder.
func ResumeCommand(dir string) string {
	if strings.ContainsFunc(dir, func(r rune) bool {
		return !(r < unicode.MaxASCII && (unicode.IsLetter(r) || unicode.IsDigit(r)) || strings.ContainsRune("/\\._-+:", r))
	}) {
		dir = "'" + strings.ReplaceAll(dir, "'", `'\''`) + "'"
	}
	return "ninvk train --resume " + dir
}

// Run trains. Everything about the input that can be wrong is checked before the run folder is made, and all but what is wrong with that folder before the adapter works. When ctx ends, the
// current step is finished, checkpoint, weights and plots are written, and the summary says Interrupted.
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
		return Summary{}, &UsageError{"--batch", fmt.Sprint(c.Batch), fmt.Sprintf("the training split of %s has only %d images", j.Data.Name, n)}
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
		Job: j, size: size, sizes: sizes, tuned: map[string]string{}, schedule: schedule, augment: augment, fit: dataset.Fit(c.Fit),
		stepsPerEpoch: (j.Data.Train.Len() + c.Batch - 1) / c.Batch,
		summary:       Summary{Dir: c.Out, Best: math.NaN()},
	}
	defer l.release()
	l.total = c.TotalSteps(l.stepsPerEpoch)
	if l.samples, err = samples(j.Data.Test); err != nil {
		return Summary{}, err
	}
	l.about = models.Metadata{Model: c.Model, Size: size, Classes: j.Data.Classes, Channels: j.Data.Train.Shape.C, Fit: picture.Fit(l.fit)}
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

// mostRead is the most training images that a batch is read of.
func (l *loop) mostRead() int {
	from, to := l.own(l.Config.Batch)
	return max(to-from, l.Config.Part()) // evaluations read parts
}

// readInit reads the weights to start from, for the graph that is trained.
func (l *loop) readInit(given models.Given, g *nn.Graph) (*models.Network, *models.Weights, error) {
	given.Size = l.size
	n, err := models.OpenNetwork(l.Config.Init, given)
	if err != nil {
		return nil, nil, err
	}
	if err := n.TakesChannels(l.about.Channels, l.Data.Name); err != nil {
		return nil, nil, err
	}
	if !l.Config.NewHead {
		err = n.NameClasses(l.Data.Classes)
	}
	if e := (*models.ClassesError)(nil); errors.As(err, &e) {
		return nil, nil, &models.WeightsError{Path: l.Config.Init, Problem: fmt.Sprintf("its network has %d classes, the data "+
			"set %s has %d; --new-head makes its last layer (%s) anew for these and starts from the rest", e.Have, l.Data.Name,
			e.Given, strings.Join(n.HeadLayers(), ", "))}
	}
	if err != nil {
		return nil, nil, err
	}
	weights, anew := n.Start(g, l.Config.Seed, models.RuleOf(l.Config.Initial), l.Config.NewHead)
	notes := n.Notes()
	if l.Config.NewHead {
		notes = n.Notes(models.ClassesKey)
	} else if s := n.OtherNames(l.Data.Classes, l.Data.Name); s != "" {
		notes = append(notes, s)
	}
	if len(anew) > 0 {
		notes = append(notes, fmt.Sprintf("made anew, as --init has no values for it: %s", strings.Join(anew, ", ")))
	}
	if l.Note != nil {
		for _, s := range notes {
			l.Note(s)
		}
	}
	return n, weights, nil
}

// graph is the network for images of size pixels a side, and its last node.
func (l *loop) graph(size int) (*nn.Graph, *nn.Node, error) {
	return models.Build(models.Config{Model: l.Config.Model, Classes: len(l.Data.Classes), Size: size,
		Channels: l.about.Channels,
		Dropout:  *l.Config.Dropout, Aux: l.Config.Aux})
}

// tellParts says what computing a batch in parts changes of the network's results.
func (l *loop) tellParts(g *nn.Graph) {
	c := l.Config
	normalises := slices.ContainsFunc(g.Nodes(), func(n *nn.Node) bool {
		_, ok := n.Op().(ops.BatchNorm)
		return ok
	})
	if l.Note != nil && normalises && c.Part() < c.Batch {
		flag := "--shards"
		if c.Part() == c.Micro {
			flag = "--micro-batch"
		}
		l.Note(fmt.Sprintf("batch normalisation takes its statistics from %d images at a time, as %s has it, "+
			"rather than from all %d of a batch", c.Part(), flag, c.Batch))
	}
}

// chooseKernels asks for the variants at all sizes of the run.
func (l *loop) chooseKernels() error {
	if l.Kernels == nil {
		return nil
	}
	for _, size := range append(l.sizes.Below(l.size), l.size) {
		g, _, err := l.graph(size)
		if err != nil {
			return err
		}
		tuned, err := l.Kernels(g)
		if err != nil {
			return err
		}
		maps.Copy(l.tuned, tuned)
	}
	return nil
}

// build allocates the network for the images of a step, which counts from 0.
func (l *loop) build(step int) (*nn.Net, error) {
	size, since := l.sizes.At(step, l.total, l.size)
	graph, out, err := l.graph(size)
	if err != nil {
		return nil, err
	}
	return nn.Build(l.Device, graph, out, l.options(size, since))
}

// options are those of the network for images of size pixels a side, from a step on.
func (l *loop) options(size, since int) nn.Options {
	c := l.Config
	return nn.Options{
		Batch: c.Batch, Micro: c.Micro, Train: true, Shards: c.Shards, Group: l.Group,
		Loss:      ops.CrossEntropy{Smoothing: c.LabelSmoothing},
		Clip:      ops.GradNorm{Clip: c.ClipNorm},
		Optimiser: ops.SGD{Momentum: c.Momentum, WeightDecay: c.WeightDecay, Nesterov: c.Nesterov},
		Rates:     l.rates, ClassWeights: l.classWeights,
		Average: ops.Average{Decay: c.EMA},
		Since:   since,
		Augment: ops.Augment{Size: size, Mean: l.about.Mean, Std: l.about.Std},
		Tuned:   l.tuned,
	}
}

// resize makes the network one for the images of a step, which counts from 0, with the same state. All steps so far are waited for.
func (l *loop) resize(step int) error {
	if size, since := l.sizes.At(step, l.total, l.size); l.net.Options.Augment.Size == size && l.net.Options.Since == since {
		return nil
	}
	if err := l.collect(l.net.Drain()); err != nil {
		return err
	}
	if l.taking != nil { // its copy is the old network's
		if err := l.takeCheckpoint(); err != nil {
			return err
		}
	}
	snapshot, err := l.net.Snapshot()
	if err != nil {
		return err
	}
	state, err := snapshot.Wait()
	if err != nil {
		return err
	}
	l.net.Release()
	l.net = nil
	if err := l.Device.Wait("the change of the images' size"); err != nil { // which frees the old network before there is a new one
		return err
	}
	if l.net, err = l.build(step); err != nil {
		return err
	}
	if err := l.net.SetState(state); err != nil {
		return err
	}
	return l.net.Record(l.trainFeed.Images, l.Config.Batch, true)
}

// open makes the run folder, or opens that of a saved run and puts its state back.
func (l *loop) open() (err error) {
	d := l.disk
	if d == nil {
		d = osDisk{}
	}
	if l.Resume == nil || l.Resume.Checkpoint == nil {
		l.run, err = l.folder(d)
		return err
	}
	c := l.Resume.Checkpoint
	if c.DataSHA256 != l.Data.SHA256 {
		return &UsageError{"--data", l.Config.Data, fmt.Sprintf("the data have the SHA-256 %s; the run in %s was begun with those of %s, which have %s", l.Data.SHA256, l.Resume.Dir, c.DataSet, c.DataSHA256)}
	}
	if c.Step > l.total {
		return &UsageError{"--max-steps", fmt.Sprint(l.total), fmt.Sprintf("the run in %s has done %d already", l.Resume.Dir, c.Step)}
	}
	for _, x := range []struct{ what, was, now string }{
		{"adapter", c.Adapter, l.Device.Adapter.Name}, {"driver", c.Driver, l.Device.Adapter.Driver}, {"version of ninvk", c.Version, l.Version},
	} {
		if x.was != x.now && l.leads() {
			slog.Warn(fmt.Sprintf("the run was begun with another %s: from here on it may differ in the last bits from one that was never interrupted", x.what), "then", x.was, "now", x.now)
		}
	}
	state, err := c.state(l.net.Params())
	if err != nil {
		return err
	}
	m := l.Resume.metrics
	if m == nil {
		if m, err = readMetricsUpTo(filepath.Join(l.Resume.Dir, MetricsFile), c.MetricsBytes); err != nil {
			return err
		}
	}
	if len(m.Steps) != c.Step || len(m.Epochs) != c.Epochs {
		return &CheckpointError{c.Path, fmt.Sprintf("it stands at step %d with %d epochs done, but %s has %d steps and %d epochs up to there", c.Step, c.Epochs, MetricsFile, len(m.Steps), len(m.Epochs))}
	}
	best, err := l.evaluated(c, state)
	if err != nil {
		return err
	}
	if l.run, err = l.folder(d); err != nil {
		return err
	}
	l.steps, l.epochs, l.rollbacks = m.Steps, m.Epochs, c.Rollbacks
	if len(l.epochs) > 0 {
		l.summary.Last = l.epochs[len(l.epochs)-1]
	}
	l.good = written{path: c.Path, step: c.Step}
	if err := l.restore(c, state); err != nil {
		return err
	}
	if best != nil {
		l.summary.Best, l.summary.BestEpoch = best.TestAccuracy, best.Epoch
	}
	return nil
}

// folder makes the run folder, or opens that of a saved run.
func (l *loop) folder(d disk) (*Run, error) {
	switch {
	case !l.leads():
		return followRun(l.Config.Out), nil
	case l.Resume == nil:
		return newRun(d, l.Config.Out, l.Config)
	}
	return resumeRun(d, l.Resume, l.Config)
}

// evaluated is the record of an evaluation of the state that a checkpoint holds, where the run has kept its weights as the best; else nil. The checkpoint is of before the
// evaluation and knows of neither.
func (l *loop) evaluated(c *Checkpoint, state *nn.State) (*EpochRecord, error) {
	if !l.leads() { // it keeps none
		return nil, nil
	}
	m, err := ReadMetrics(filepath.Join(l.Resume.Dir, MetricsFile))
	if err != nil || len(m.Steps) != c.Step || len(m.Epochs) <= c.Epochs {
		return nil, nil
	}
	weights, err := l.weights(state)
	if err != nil {
		return nil, err
	}
	if best, err := os.ReadFile(filepath.Join(l.Resume.Dir, BestFile)); err != nil || !bytes.Equal(best, weights) {
		return nil, nil
	}
	return &m.Epochs[len(m.Epochs)-1], nil
}

// feed brings the images of a split to the adapter.
func (l *loop) feed(name string, s dataset.Split, batch int) (*Feed, error) {
	return OpenFeed(l.Device, name+" images", l.Data, s, l.fit, batch, l.Config.Stream, func(done, total int) {
		l.Report.Reading(name, done, total)
	})
}

// dropImages lets go of the images in host memory which the adapter now has: on a software driver both are the same
// memory.
func (l *loop) dropImages() {
	d := *l.Data
	l.Job.Data = &d
	for _, x := range []struct {
		feed  *Feed
		split *dataset.Split
	}{{l.trainFeed, &d.Train}, {l.testFeed, &d.Test}} {
		if m, ok := x.split.Source.(dataset.Memory); ok && x.feed != nil && x.feed.reader == nil {
			m.Pixels = nil
			x.split.Source, x.feed.Split.Source = m, m
		}
	}
	go debug.FreeOSMemory() // the first step need not wait for it
}

// pendingStep is a step whose result has not come yet. It takes the time from the result before it to its own; but results may come two at a time, and some
// software drivers do their work inside the submit, so it takes no less than the submit.
type pendingStep struct {
	StepRecord
	images     int
	submitting time.Duration
}

// loop is the state of a run.
type loop struct {
	*Job
	size          int   // of the images at the end of the run, pixels a side
	sizes         Sizes // before
	total         int   // steps of the run
	tuned         map[string]string
	net           *nn.Net
	run           *Run
	about         models.Metadata // what the weights are written with
	schedule      Schedule
	augment       dataset.Augment
	fit           dataset.Fit
	stepsPerEpoch int
	trainFeed     *Feed
	reading       reading
	waited        time.Duration // for training images, up to the end of the last epoch
	testFeed      *Feed
	rates         nn.Rates
	classWeights  []float64     // nil: all weigh the same
	greys         []float32     // mean grey levels of the training images, where their colours are varied
	samples       []image.Image // the first ObservedImages of the test split

	info       RunInfo
	step       int // steps submitted
	pending    []pendingStep
	steps      []StepRecord
	epochs     []EpochRecord
	last       time.Time     // when the last result came
	epochStart time.Time     // when this process began with the epoch
	before     time.Duration // spent on the epoch by earlier processes
	stuck      int           // steps in a row with the loss of a dead network
	rollbacks  int
	stopped    bool     // all processes of a group know that one is to stop
	keys       []uint32 // of a step
	summary    Summary
	drawing    chan error // gives one value when the plots being drawn are written; nil where none are

	checkpointing
}

func (l *loop) release() {
	for _, f := range []*Feed{l.trainFeed, l.testFeed} {
		if f != nil {
			f.Release()
		}
	}
	if l.net != nil {
		l.net.Release()
	}
}

func (l *loop) train(ctx context.Context) error {
	parameters := 0
	for _, p := range l.net.Params() {
		if p.Trained() {
			parameters += p.Len()
		}
	}
	if err := l.net.Record(l.trainFeed.Images, l.Config.Batch, true); err != nil {
		return err
	}
	l.info = RunInfo{
		Version: l.Version, Model: l.Config.Model, Parameters: parameters, Recipe: l.Config.Recipe,
		Adapter: l.Device.Adapter.Name, Driver: l.Device.Adapter.Driver, DataSet: l.Data.Name, DataSHA256: l.Data.SHA256,
		Classes:  len(l.Data.Classes),
		Variants: maps.Clone(l.tuned), // also of the sizes to come, so that a resumed run stays with them
	}
	maps.Copy(l.info.Variants, l.net.Variants())
	if l.run.metrics.end() == 0 {
		if err := l.run.WriteRun(l.info); err != nil {
			return err
		}
	}
	total := l.total
	l.Report.Begin(l.run, l.info, l.Config.Epochs, l.stepsPerEpoch, total, l.step)
	l.epochStart = time.Now().Add(-l.before)
	if l.step == 0 {
		if err := l.beginCheckpoint(); err != nil {
			return err
		}
	}
	for (l.step < total || len(l.epochs)*l.stepsPerEpoch < total) && !l.stalled() {
		err := l.epoch(ctx, len(l.epochs)+1, total)
		if err == nil && l.stopping(ctx) {
			if err = l.interrupt(); err == nil {
				l.summary.Interrupted = true
				break
			}
		}
		var diverged *DivergedError
		if errors.As(err, &diverged) {
			err = l.rollBack(diverged)
		}
		if err != nil {
			return err
		}
	}
	l.summary.Steps, l.summary.Waited = l.step, l.trainFeed.Waited()+l.testFeed.Waited()
	if s, over := stalled(l.epochs, l.size, l.Config.Patience); over && l.step < total {
		l.summary.Stall = &s
	}
	return nil
}

// stalled says whether the test loss has not improved for as long as the settings have patience.
func (l *loop) stalled() bool {
	_, over := stalled(l.epochs, l.size, l.Config.Patience)
	return over
}

// epoch trains an epoch, or what is left of it, evaluates where it is time to, and saves. When ctx ends it returns early, before the epoch is recorded.
func (l *loop) epoch(ctx context.Context, epoch, total int) error {
	c := l.Config
	first := (epoch - 1) * l.stepsPerEpoch // steps before the epoch
	order := l.order(epoch, l.step-first)
	l.last = time.Now()
	losses := testLosses(l.epochs, l.size)
	entries := make([]nn.Entry, 0, c.Batch)
	for ; len(order) > 0 && l.step < total && !l.stopping(ctx); order = order[min(c.Batch, len(order)):] {
		if err := l.steer(ctx); err != nil {
			return err
		}
		if l.stopping(ctx) {
			break
		}
		if err := l.resize(l.step); err != nil {
			return err
		}
		size := l.net.Options.Augment.Size
		entries = entries[:0]
		batch := order[:min(c.Batch, len(order))]
		from, to := l.own(len(batch))
		var places []uint32
		if from < to {
			var err error
			if places, err = l.trainFeed.Batch(batch[from:to]); err != nil {
				return err
			}
		}
		for k, i := range batch {
			if k < from || k >= to { // another process's
				entries = append(entries, ops.BatchEntry(0, uint32(l.Data.Train.Labels[i]), mgl32.Ident3()))
				continue
			}
			var grey float32
			if l.greys != nil {
				grey = l.greys[i]
			}
			v := dataset.Transform(c.Seed, epoch, i, l.augment, l.fit, l.Data.Train.Shape, size, grey)
			entries = append(entries,
				ops.BatchEntry(places[k-from], uint32(l.Data.Train.Labels[i]), v.Map).Coloured(v.Colour))
		}
		rate := l.schedule.LR(l.Config.LR, Moment{l.step, total, epoch - 1, c.Epochs, losses}) * l.rateFactor()
		l.ask(ctx)
		l.pending = append(l.pending, pendingStep{StepRecord: StepRecord{Epoch: epoch, Step: l.step + 1, LearningRate: rate}, images: len(entries)})
		start := time.Now()
		done, err := l.net.TrainStep(l.trainFeed.Images, entries, l.step+1, rate, l.dropoutKeys()...)
		l.pending[len(l.pending)-1].submitting = time.Since(start)
		l.step++
		l.stopped = l.stopped || l.net.Raised(nn.Stop)
		if err := l.collect(done, err); err != nil {
			return err
		}
		if err := l.tendCheckpoint(); err != nil {
			return err
		}
	}
	if err := l.collect(l.net.Drain()); err != nil {
		return err
	}
	if l.stopping(ctx) {
		return nil
	}
	seconds, waited := time.Since(l.epochStart).Seconds(), l.trainFeed.Waited()-l.waited
	l.waited = l.trainFeed.Waited()
	state, err := l.checkpoint() // before the evaluation, which may take long, and in whose midst the run can then be resumed
	if err != nil {
		return err
	}
	e := EpochRecord{
		Epoch: epoch, Steps: len(l.steps) - first, LearningRate: l.steps[len(l.steps)-1].LearningRate, Seconds: seconds,
		TrainLoss: math.NaN(), TrainAccuracy: math.NaN(), TestLoss: math.NaN(), TestAccuracy: math.NaN(),
		TrainTop5: math.NaN(), TestTop5: math.NaN(), Waited: waited.Seconds(),
	}
	e.Size, _ = l.sizes.At(l.step-1, l.total, l.size)
	images, loss := 0, 0.0
	for _, s := range l.steps[first:] {
		n := min(c.Batch, l.Data.Train.Len()-(s.Step-1)%l.stepsPerEpoch*c.Batch)
		images += n
		loss += s.Loss * float64(n)
	}
	e.TrainLoss = loss / float64(images)
	e.ImagesPerSecond = float64(images) / seconds
	var verdicts []Verdict
	if epoch%c.EvalEvery == 0 || l.step >= total {
		if err := l.resize(l.step - 1); err != nil { // a run that was interrupted here has the next step's already
			return err
		}
		if verdicts, err = l.evaluate(ctx, &e); err != nil || l.stopping(ctx) {
			return err
		}
		if broken(e.TestLoss) {
			return l.diverged(l.step, fmt.Sprintf("the loss over the test split is %v", e.TestLoss))
		}
	}
	if l.step < l.total {
		l.readAhead(epoch+1, 0)
	}
	return l.finish(e, state, verdicts)
}

// reading is an epoch whose images are read already, from one of its steps on.
type reading struct {
	epoch, step int
	order       []uint32
}

// readAhead has the images of an epoch read before it begins.
func (l *loop) readAhead(epoch, step int) {
	c := l.Config
	order := dataset.Order(c.Seed, epoch, l.Data.Train.Len(), c.Shuffle)
	order = order[min(step*c.Batch, len(order)):]
	own := order
	if l.grouped() {
		own = nil
		for batch := range slices.Chunk(order, c.Batch) {
			from, to := l.own(len(batch))
			own = append(own, batch[from:to]...)
		}
	}
	from, to := l.own(c.Batch) // of the last batch it may be fewer
	l.trainFeed.Begin(own, to-from)
	l.reading = reading{epoch, step, order}
}

// order is that of an epoch's images from one of its steps on, which are being read.
func (l *loop) order(epoch, step int) []uint32 {
	if l.reading.order == nil || l.reading.epoch != epoch || l.reading.step != step {
		l.readAhead(epoch, step)
	}
	order := l.reading.order
	l.reading = reading{}
	return order
}

// rateFactor is by what the rollbacks lower the learning rate.
func (l *loop) rateFactor() float64 { return math.Ldexp(1, -l.rollbacks) }

// collect takes the results of steps, in order, to the metrics and the reporter; then err, which came with them, is returned.
func (l *loop) collect(results []nn.StepResult, err error) error {
	for _, r := range results {
		p := l.pending[0]
		s := p.StepRecord
		l.pending = l.pending[1:]
		now := time.Now()
		took := max(now.Sub(l.last), p.submitting, time.Microsecond)
		s.Loss, s.GradientNorm, s.ImagesPerSecond = r.Loss, r.GradientNorm, float64(p.images)/took.Seconds()
		l.last = now
		l.steps = append(l.steps, s)
		if err := l.run.WriteStep(s); err != nil {
			return err
		}
		l.Report.Step(s)
		if reason := divergence(r); reason != "" {
			return &DivergedError{Step: s.Step, Loss: s.Loss, Reason: reason, weights: s.Step - 1}
		}
		l.watchDead(s)
		l.markCheckpoint(s.Step)
	}
	return err
}

func broken(v float64) bool { return math.IsNaN(v) || math.IsInf(v, 0) }

// divergence says what in a step's result is no longer a number, "" where all is well.
func divergence(r nn.StepResult) string {
	switch {
	case broken(r.Loss):
		return fmt.Sprintf("the loss is %v", r.Loss)
	case r.NotFinite > 0:
		return fmt.Sprintf("%d gradients or weights are NaN or infinite", r.NotFinite)
	case broken(r.GradientNorm):
		return fmt.Sprintf("the norm of the gradients is %v", r.GradientNorm)
	}
	return ""
}

// watchDead warns once where the loss sits at that of a network which knows nothing.
func (l *loop) watchDead(s StepRecord) {
	classes := len(l.Data.Classes)
	if math.Abs(s.Loss-math.Log(float64(classes))) > 1e-4 {
		l.stuck = 0
		return
	}
	if l.stuck++; l.stuck == 200 {
		slog.Warn(fmt.Sprintf("the loss has been ln %d for 200 steps: the network is dead (every last ReLU gives 0); "+
			"try another --seed, a smaller --lr, or --model nin-bn", classes), "step", s.Step)
	}
}

// evaluate fills in loss and accuracy over both splits, dropout off, and returns the verdicts on the first test images.
func (l *loop) evaluate(ctx context.Context, e *EpochRecord) ([]Verdict, error) {
	images := l.Data.Train.Len()
	if n := l.Config.EvalTrain; n > 0 {
		images = min(images, n)
	}
	d := division{l.group(), l.Config.Shards}
	train, stopped, err := evaluate(ctx, d, l.net, l.trainFeed, images, func(done, total int) {
		l.Report.Evaluating("train", done, total)
	}, func(int, int) error { return nil })
	var test Evaluation
	var verdicts []Verdict
	if err == nil && !stopped {
		test, verdicts, stopped, err = judge(ctx, d, l.net, l.testFeed, ObservedImages, func(done, total int) {
			l.Report.Evaluating("test", done, total)
		})
	}
	if l.stopped = l.stopped || stopped; err != nil || l.stopping(ctx) { // then only part of the splits was seen
		return nil, err
	}
	e.TrainAccuracy, e.TestAccuracy = train.Accuracy, test.Accuracy
	e.TestLoss = test.Loss
	if len(l.Data.Classes) > MostPlain {
		e.TrainTop5, e.TestTop5 = train.Top5, test.Top5
	}
	return verdicts, nil
}

// finish saves metrics, weights and plots after an epoch.
func (l *loop) finish(e EpochRecord, state *nn.State, verdicts []Verdict) error {
	l.epochs = append(l.epochs, e)
	l.epochStart = time.Now()
	last := l.step >= l.total || l.stalled()
	o := l.observation(e.Epoch, state, verdicts)
	if l.leads() && picturesDue(e.Epoch, l.Config.Epochs, last) {
		if err := l.run.writePictures(o, l.samples, l.Data.Classes); err != nil {
			return err
		}
	}
	if err := l.run.WriteEpoch(e); err != nil {
		return err
	}
	better := e.TestAccuracy > l.summary.Best || math.IsNaN(l.summary.Best) && !math.IsNaN(e.TestAccuracy)
	if better = better && e.Size == l.size; better { // weights are kept for the run's own size
		l.summary.Best, l.summary.BestEpoch = e.TestAccuracy, e.Epoch
	}
	l.summary.Last = e
	if err := l.save(state, better); err != nil {
		return err
	}
	if err := l.draw(last); err != nil {
		return err
	}
	if l.Observe != nil {
		l.Observe(o)
	}
	l.Report.Epoch(e)
	slog.Debug("on the adapter", "bytes", l.Device.Allocated(), "resources", l.Device.Live())
	return nil
}

// observation is what there is to look at after an epoch.
func (l *loop) observation(epoch int, state *nn.State, verdicts []Verdict) Observation {
	first, weights := models.FirstConv(l.net.Graph) // every network has one
	conv := first.Op().(ops.Conv)
	return Observation{Epoch: epoch, Layer: first.Name, Conv: conv, Filters: state.Final()[weights], Verdicts: verdicts}
}

// weights is the weights file of a state.
func (l *loop) weights(state *nn.State) ([]byte, error) {
	return safetensors.Encode(models.Export(l.about, l.net.Params(), state))
}

// save writes the weights, also as the best ones where they are.
func (l *loop) save(state *nn.State, best bool) error {
	if !l.leads() {
		return nil
	}
	weights, err := l.weights(state)
	if err != nil {
		return err
	}
	if err := l.run.writeFile(ModelFile, weights); err != nil || !best {
		return err
	}
	return l.run.writeFile(BestFile, weights)
}

// interrupt saves what there is: a checkpoint to go on from, the weights and the plots.
func (l *loop) interrupt() error {
	state, err := l.checkpoint()
	if err != nil {
		return err
	}
	if err := l.save(state, false); err != nil {
		return err
	}
	if err := l.draw(true); err != nil {
		return err
	}
	return l.waitWriting()
}

func dataTitle(d *dataset.Set) string {
	return fmt.Sprintf("%s (%d training images)", cmp.Or(d.Title, filepath.Base(d.Name)), d.Train.Len())
}

// Evaluation is the mean loss and the accuracy over a split.
type Evaluation struct {
	Images   int
	Loss     float64
	Accuracy float64 // fraction of the images whose class has the largest logit
	Top5     float64 // fraction of those whose class has one of the five largest
}

// Evaluate runs the network over a whole split, dropout off, batch normalisation with its running statistics. When ctx ends it stops early with the figures
// so far. Where the network takes pairs, each image is seen together with its mirror image.
func Evaluate(ctx context.Context, net *nn.Net, f *Feed, progress func(done, total int)) (Evaluation, error) {
	e, _, err := evaluate(ctx, undivided, net, f, f.Split.Len(), progress, func(int, int) error { return nil })
	return e, err
}

// evaluate is Evaluate of the split's first images, with each called after every batch that this process has: the n
// images of the split from its image from on. The work is divided, and all processes return the same. When ctx ends at
// any of them, they stop early.
func evaluate(ctx context.Context, d division, net *nn.Net, f *Feed, images int, progress func(done, total int),
	each func(from, n int) error) (e Evaluation, stopped bool, err error) {
	size := net.Options.Augment.Size
	views := []mgl32.Mat3{dataset.Plain(f.Fit, f.Split.Shape, size)}
	if net.Options.Pairs {
		views = append(views, dataset.Mirror(f.Fit, f.Split.Shape, size))
	}
	batch := net.EvalBatch() / len(views)
	batches := (images + batch - 1) / batch
	entries := make([]nn.Entry, 0, net.EvalBatch())
	order := dataset.Order(0, 0, images, false)
	begin, end := shareOf(batches, d.shards, d.group)
	f.Begin(order[begin*batch:min(end*batch, images)], batch)
	own, pause := portion{}, pauses{division: d, ctx: ctx, stopped: d.group.Size() == 1 && ctx.Err() != nil}
	for shard := range d.shards / d.group.Size() {
		if err := net.ResetTotals(); err != nil {
			return e, false, err
		}
		from, to := nn.Cut(batches, d.shards, d.group.Rank()*d.shards/d.group.Size()+shard)
		for at := from * batch; at < min(to*batch, images) && !pause.stopped; at += batch {
			entries = entries[:0]
			places, err := f.Batch(order[at:min(at+batch, images)])
			if err != nil {
				return e, false, err
			}
			for _, m := range views {
				for k, place := range places {
					entries = append(entries, ops.BatchEntry(place, uint32(f.Split.Labels[at+k]), m))
				}
			}
			if err = net.EvalStep(f.Images, entries); err == nil {
				err = each(at, len(places))
			}
			if err == nil {
				err = pause.next()
			}
			if err != nil {
				return e, false, err
			}
			progress(min((at-begin*batch+batch)*d.group.Size(), images), images)
		}
		t, err := net.Totals()
		if err != nil {
			return e, false, err
		}
		own.Totals = append(own.Totals, t)
	}
	_, most := nn.Cut(batches, d.shards, d.shards/d.group.Size()-1) // of rank 0, which has no fewer than others
	for pause.done < most && !pause.stopped {
		if err := pause.next(); err != nil {
			return e, false, err
		}
	}
	return d.join(own, pause.stopped)
}
