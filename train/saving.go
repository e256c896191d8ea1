package train

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"ninvk/dist"
	"ninvk/nn"
)

// checkpointPause is the time between checkpoints where no number of steps is given.
var checkpointPause = 5 * time.Minute

// checkpointing is how far the loop's checkpoints are. One at a time goes through three stages: a copy of the state is
// made on the adapter behind the steps submitted so far; it is read back, and the results of these steps come in, while
// later steps go on; a goroutine writes the file.
type checkpointing struct {
	taking  *taking
	kept    *nn.State // of the newest checkpoint read back
	at      *Position // its position
	began   time.Time // when the newest one was begun
	writing chan written
	good    written // the newest one whose file is whole
}

// taking is a checkpoint being read back.
type taking struct {
	snapshot *nn.Snapshot
	step     int
	position *Position // nil until the results of all steps before it have come
}

// written is what came of writing a checkpoint.
type written struct {
	path string
	step int
	err  error
}

// beginCheckpoint takes a checkpoint after the steps submitted so far.
func (l *loop) beginCheckpoint() error {
	s, err := l.net.Snapshot()
	if err != nil {
		return err
	}
	l.taking = &taking{snapshot: s, step: l.step}
	l.began = time.Now()
	if len(l.pending) == 0 {
		l.markCheckpoint(l.step)
	}
	if !l.grouped() {
		return nil
	}
	// All processes look at once at what they have got, so that all find the same in it.
	if err := l.collect(l.net.Drain()); err != nil {
		return err
	}
	return l.takeCheckpoint()
}

// markCheckpoint notes the run's position for a checkpoint taken after this step, whose result has just been recorded.
func (l *loop) markCheckpoint(step int) {
	if l.taking == nil || l.taking.step != step || l.taking.position != nil {
		return
	}
	l.taking.position = &Position{
		Version: l.Version, Adapter: l.info.Adapter, Driver: l.info.Driver, DataSet: l.info.DataSet,
		DataSHA256: l.info.DataSHA256, Config: l.Config,
		Step: step, Epochs: len(l.epochs), EpochSeconds: time.Since(l.epochStart).Seconds(),
		Best: number(l.summary.Best), BestEpoch: l.summary.BestEpoch, Stuck: l.stuck, Rollbacks: l.rollbacks,
	}
	l.run.mark(l.taking.position)
}

// tendCheckpoint does what can be done without waiting, and begins a checkpoint where one is due.
func (l *loop) tendCheckpoint() error {
	select {
	case w := <-l.writing:
		if err := l.wrote(w); err != nil {
			return err
		}
	default:
	}
	if t := l.taking; t != nil && t.position != nil && t.snapshot.Ready() {
		if err := l.takeCheckpoint(); err != nil {
			return err
		}
	}
	if every := l.Config.CheckpointEvery; every > 0 {
		if l.step%every != 0 {
			return nil
		}
		// The steps are promised: the one before is waited for.
		if l.taking != nil {
			if err := l.collect(l.net.Drain()); err != nil {
				return err
			}
			if err := l.takeCheckpoint(); err != nil {
				return err
			}
		}
		return l.beginCheckpoint()
	}
	due := l.checkpointDue()
	if l.grouped() { // by the clock of rank 0
		due = l.net.Raised(nn.Save)
	}
	if due {
		return l.beginCheckpoint()
	}
	return nil
}

// checkpointDue says whether it is time for a checkpoint where no number of steps between them is given.
func (l *loop) checkpointDue() bool {
	return l.Config.CheckpointEvery == 0 && l.taking == nil && l.writing == nil &&
		time.Since(l.began) >= checkpointPause
}

// takeCheckpoint waits for the state of the checkpoint under way and hands it to a goroutine that writes it. Its
// position must be known.
func (l *loop) takeCheckpoint() error {
	t := l.taking
	state, err := t.snapshot.Wait()
	if err != nil {
		return err
	}
	l.taking = nil
	if what := notFinite(l.net.Params(), state); what != "" {
		return l.diverged(t.step, what)
	}
	l.kept, l.at = state, t.position
	if !l.leads() {
		return nil
	}
	if err := l.waitWriting(); err != nil {
		return err
	}
	if err := l.run.flush(); err != nil {
		return err
	}
	b, err := encodeCheckpoint(*t.position, l.about, l.net.Params(), state)
	if err != nil {
		return err
	}
	done := make(chan written, 1)
	l.writing = done
	go func() {
		path, err := l.run.saveCheckpoint(t.step, b)
		done <- written{path, t.step, err}
	}()
	return nil
}

// diverged is the error about the weights after a step whose result is known.
func (l *loop) diverged(step int, reason string) *DivergedError {
	e := &DivergedError{Step: step, Reason: reason, weights: step}
	if step > 0 {
		e.Loss = l.steps[step-1].Loss
	}
	return e
}

// checkpoint waits until the state after the last step is read back, while its file is being written, and returns it.
// Steps must have been drained.
func (l *loop) checkpoint() (*nn.State, error) {
	if l.taking != nil {
		if err := l.takeCheckpoint(); err != nil {
			return nil, err
		}
	}
	if l.kept == nil || l.at.Step != l.step || l.at.Epochs != len(l.epochs) {
		if err := l.beginCheckpoint(); err != nil {
			return nil, err
		}
		if l.taking != nil {
			if err := l.takeCheckpoint(); err != nil {
				return nil, err
			}
		}
	}
	return l.kept, nil
}

// waitWriting waits until the file being written, if there is one, is whole.
func (l *loop) waitWriting() error {
	if l.writing == nil {
		return nil
	}
	return l.wrote(<-l.writing)
}

func (l *loop) wrote(w written) error {
	l.writing = nil
	if w.err == nil {
		l.good = w
	}
	return w.err
}

// maxRollbacks is how often a run may go back to a checkpoint.
const maxRollbacks = 3

// rollBack goes back to the last checkpoint of weights before those that diverged, where that is wanted and may help,
// else it returns the error with what there is to say.
func (l *loop) rollBack(d *DivergedError) error {
	// Steps after the bad one are of no use; a checkpoint before it is.
	if _, err := l.net.Drain(); err != nil {
		return err
	}
	l.pending = nil
	var earlier *DivergedError
	if t := l.taking; t != nil {
		if t.position == nil || t.step >= d.Step {
			if _, err := t.snapshot.Wait(); err != nil {
				return err
			}
			l.taking = nil
		} else if err := l.takeCheckpoint(); errors.As(err, &earlier) {
			d = earlier
		} else if err != nil {
			return err
		}
	}
	if err := l.waitWriting(); err != nil {
		return err
	}
	if err := l.waitDrawing(); err != nil { // of steps that are taken back
		return err
	}
	wanted := l.Config.OnDivergence == RollbackOnDivergence && l.rollbacks < maxRollbacks
	good, c, later, err := l.earlier(d.weights, wanted)
	if err != nil {
		return err
	}
	d.Good, d.GoodStep, d.Rollbacks, d.Dir = good.path, good.step, l.rollbacks, l.run.Dir()
	if c == nil {
		return d
	}
	state, err := c.state(l.net.Params())
	if err != nil {
		return err
	}
	for _, path := range later { // before the metrics that they count on are cut off
		if err := l.run.disk.Remove(path); err != nil {
			return fmt.Errorf("removing the checkpoint %s: %w", path, err)
		}
	}
	if l.leads() {
		if err := l.run.goBack(c.Position); err != nil {
			return err
		}
	}
	l.good = good
	epoch := l.steps[len(l.steps)-1].Epoch
	l.steps, l.epochs = l.steps[:c.Step], l.epochs[:c.Epochs]
	if err := l.restore(c, state); err != nil {
		return err
	}
	l.epochStart = time.Now().Add(-l.before)
	l.rollbacks++
	l.warn(fmt.Sprintf("training diverged: step %d, loss %v: %s; going back to the checkpoint of step %d, with %v of the "+
		"schedule's learning rate (rollback %d of at most %d)",
		d.Step, d.Loss, d.Reason, c.Step, l.rateFactor(), l.rollbacks, maxRollbacks))
	if err := l.run.WriteRollback(RollbackRecord{epoch, d.Step, d.Loss, d.Reason, c.Step, l.rateFactor()}); err != nil {
		return err
	}
	// The rollback is part of the run from here on: a resumed run must know of it.
	l.kept = nil
	if _, err := l.checkpoint(); err != nil {
		return err
	}
	return l.waitWriting()
}

// earlier finds the newest checkpoint of weights from before a step, and the files of later ones. It is read, where
// that is wanted and there is one, else nil. All processes get it from rank 0, which has the run folder.
func (l *loop) earlier(step int, wanted bool) (good written, c *Checkpoint, later []string, err error) {
	type message struct {
		Path string
		Step int
		File []byte
	}
	m, err := dist.First(l.group(), func() (m message, err error) {
		if good, later, err = checkpointBefore(l.run.Dir(), step); err != nil || good.path == "" || !wanted {
			return message{Path: good.path, Step: good.step}, err
		}
		if c, err = readCheckpoint(good.path); err == nil && l.grouped() {
			m.File, err = os.ReadFile(good.path)
		}
		m.Path, m.Step = good.path, good.step
		return m, err
	})
	if err != nil || l.leads() {
		return good, c, later, err
	}
	if good = (written{path: m.Path, step: m.Step}); len(m.File) == 0 {
		return good, nil, nil, nil
	}
	if c, err = decodeCheckpoint(m.File); err != nil {
		return good, nil, nil, &CheckpointError{m.Path, err.Error()}
	}
	return good, c, nil, nil
}

// warn warns, once for all processes.
func (l *loop) warn(message string) {
	if l.leads() {
		slog.Warn(message)
	}
}

// restore puts the state of a checkpoint back, but for the records of steps and epochs.
func (l *loop) restore(c *Checkpoint, state *nn.State) error {
	if err := l.net.SetState(state); err != nil {
		return err
	}
	l.step, l.stuck = c.Step, c.Stuck
	l.summary.Best, l.summary.BestEpoch = float64(c.Best), c.BestEpoch
	l.before = time.Duration(c.EpochSeconds * float64(time.Second))
	l.kept, l.at = state, &c.Position
	l.began = time.Now()
	return nil
}
