package train

import (
	"time"

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
