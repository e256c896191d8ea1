package train

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"ninvk/dist"
)

// maxRollbacks is how often a run may go back to a checkpoint.
const maxRollbacks = 3

// rollBack goes back to the last checkpoint of weights before those that diverged, where that is wanted and may help,
// else it returns the error with what there is to say.
func (l *loop) rollBack(d *DivergedError) error {
	d, err := l.giveUp(d)
	if err != nil {
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
	epoch := l.steps[len(l.steps)-1].Epoch
	if err := l.goBack(good, c, later); err != nil {
		return err
	}
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

// giveUp ends what is under way: steps after the bad one are of no use; a checkpoint before it is. That may be of
// weights that diverged earlier, which is then what there is to say.
func (l *loop) giveUp(d *DivergedError) (*DivergedError, error) {
	if _, err := l.net.Drain(); err != nil {
		return nil, err
	}
	l.pending = nil
	var earlier *DivergedError
	if t := l.taking; t != nil {
		if t.position == nil || t.step >= d.Step {
			if _, err := t.snapshot.Wait(); err != nil {
				return nil, err
			}
			l.taking = nil
		} else if err := l.takeCheckpoint(); errors.As(err, &earlier) {
			d = earlier
		} else if err != nil {
			return nil, err
		}
	}
	if err := l.waitWriting(); err != nil {
		return nil, err
	}
	return d, l.waitDrawing() // of steps that are taken back
}

// goBack puts a checkpoint's state back, and takes back what is of later steps.
func (l *loop) goBack(good written, c *Checkpoint, later []string) error {
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
	l.steps, l.epochs = l.steps[:c.Step], l.epochs[:c.Epochs]
	if err := l.restore(c, state); err != nil {
		return err
	}
	l.epochStart = time.Now().Add(-l.before)
	return nil
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
