package train

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/go-gl/mathgl/mgl32"

	"ninvk/dataset"
	"ninvk/nn"
	"ninvk/ops"
)

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

// epoch trains an epoch, or what is left of it, evaluates where it is time to, and saves. When ctx ends it returns
// early, before the epoch is recorded.
func (l *loop) epoch(ctx context.Context, epoch, total int) error {
	if err := l.epochSteps(ctx, epoch, total); err != nil || l.stopping(ctx) {
		return err
	}
	e := l.trained(epoch)
	// before the evaluation, which may take long, and in whose midst the run can then be resumed
	state, err := l.checkpoint()
	if err != nil {
		return err
	}
	var verdicts []Verdict
	if epoch%l.Config.EvalEvery == 0 || l.step >= total {
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

// epochSteps takes the steps of an epoch that are left, and waits for their results.
func (l *loop) epochSteps(ctx context.Context, epoch, total int) error {
	c := l.Config
	order := l.order(epoch, l.step-(epoch-1)*l.stepsPerEpoch)
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
		var err error
		if entries, err = l.entries(entries[:0], epoch, order[:min(c.Batch, len(order))]); err != nil {
			return err
		}
		rate := l.schedule.LR(l.Config.LR, Moment{l.step, total, epoch - 1, c.Epochs, losses}) * l.rateFactor()
		l.ask(ctx)
		l.pending = append(l.pending, pendingStep{StepRecord: StepRecord{Epoch: epoch, Step: l.step + 1, LearningRate: rate},
			images: len(entries)})
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
	return l.collect(l.net.Drain())
}

// entries appends those of a batch, each with how its image is varied. Images are read where they are this process's.
func (l *loop) entries(entries []nn.Entry, epoch int, batch []uint32) ([]nn.Entry, error) {
	size := l.net.Options.Augment.Size
	from, to := l.own(len(batch))
	var places []uint32
	if from < to {
		var err error
		if places, err = l.trainFeed.Batch(batch[from:to]); err != nil {
			return nil, err
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
		v := dataset.Transform(l.Config.Seed, epoch, i, l.augment, l.fit, l.Data.Train.Shape, size, grey)
		entries = append(entries,
			ops.BatchEntry(places[k-from], uint32(l.Data.Train.Labels[i]), v.Map).Coloured(v.Colour))
	}
	return entries, nil
}

// trained is the record of an epoch whose steps are done, but for what an evaluation tells.
func (l *loop) trained(epoch int) EpochRecord {
	c := l.Config
	first := (epoch - 1) * l.stepsPerEpoch // steps before the epoch
	seconds, waited := time.Since(l.epochStart).Seconds(), l.trainFeed.Waited()-l.waited
	l.waited = l.trainFeed.Waited()
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
	return e
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
