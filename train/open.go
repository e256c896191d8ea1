package train

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"ninvk/nn"
)

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
	if err := l.checkSaved(c); err != nil {
		return err
	}
	state, err := c.state(l.net.Params())
	if err != nil {
		return err
	}
	m, err := l.recorded(c)
	if err != nil {
		return err
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

// checkSaved checks that the run can go on from a checkpoint, and warns where it may differ from one without an
// interruption.
func (l *loop) checkSaved(c *Checkpoint) error {
	if c.DataSHA256 != l.Data.SHA256 {
		return &UsageError{"--data", l.Config.Data,
			fmt.Sprintf("the data have the SHA-256 %s; the run in %s was begun with those of %s, which have %s",
				l.Data.SHA256, l.Resume.Dir, c.DataSet, c.DataSHA256)}
	}
	if c.Step > l.total {
		return &UsageError{"--max-steps", fmt.Sprint(l.total), fmt.Sprintf("the run in %s has done %d already", l.Resume.Dir,
			c.Step)}
	}
	for _, x := range []struct{ what, was, now string }{
		{"adapter", c.Adapter, l.Device.Adapter.Name}, {"driver", c.Driver, l.Device.Adapter.Driver},
		{"version of ninvk", c.Version, l.Version},
	} {
		if x.was != x.now && l.leads() {
			slog.Warn(fmt.Sprintf("the run was begun with another %s: from here on it may differ in the last bits from "+
				"one that was never interrupted", x.what), "then", x.was, "now", x.now)
		}
	}
	return nil
}

// recorded is what was recorded of the run up to a checkpoint.
func (l *loop) recorded(c *Checkpoint) (m *Metrics, err error) {
	if m = l.Resume.metrics; m == nil {
		if m, err = readMetricsUpTo(filepath.Join(l.Resume.Dir, MetricsFile), c.MetricsBytes); err != nil {
			return nil, err
		}
	}
	if len(m.Steps) != c.Step || len(m.Epochs) != c.Epochs {
		return nil, &CheckpointError{c.Path,
			fmt.Sprintf("it stands at step %d with %d epochs done, but %s has %d steps and %d epochs up to there", c.Step,
				c.Epochs, MetricsFile, len(m.Steps), len(m.Epochs))}
	}
	return m, nil
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

// evaluated is the record of an evaluation of the state that a checkpoint holds, where the run has kept its weights as
// the best; else nil. The checkpoint is of before the evaluation and knows of neither.
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
