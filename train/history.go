package train

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
)

// State is how a run ended, or that it has not.
type State string

const (
	Running  State = "running"  // a process is at it
	Finished State = "finished" // all epochs or steps are done, or its patience was at an end
	Stopped  State = "stopped"  // interrupted, by whatever
	Diverged State = "diverged" // its last step came to what is no number
)

// PastRun is what a run folder tells of its run.
type PastRun struct {
	Dir        string
	Config     Config
	Metrics    *Metrics
	State      State
	Checkpoint string // path of the newest checkpoint, "" if there is none
}

// ReadRun reads a run folder. It changes nothing in it, so a run that is still going can be read. The error is a
// *UsageError where the folder holds no run, a *ConfigError or *MetricsError where a file of it is damaged.
func ReadRun(dir string) (*PastRun, error) {
	if !isRun(dir) {
		return nil, &UsageError{"RUN", dir, fmt.Sprintf("this is no run folder: it has no %s", ConfigFile)}
	}
	r := &PastRun{Dir: filepath.Clean(dir), Config: defaults()}
	if err := MergeFile(filepath.Join(dir, ConfigFile), &r.Config); err != nil {
		return nil, err
	}
	r.Config.Resolve()
	if err := r.Config.Validate(); err != nil {
		// a damaged file, no slip on the command line
		return nil, &ConfigError{filepath.Join(dir, ConfigFile), errors.New(err.Error())}
	}
	held, err := lockHeld(dir) // before the metrics: a run that ends meanwhile is then not taken for one that stopped
	if err != nil {
		return nil, err
	}
	r.Metrics, err = ReadMetrics(filepath.Join(dir, MetricsFile))
	if errors.Is(err, fs.ErrNotExist) { // stopped at once
		r.Metrics, err = &Metrics{}, nil
	}
	if err != nil {
		return nil, err
	}
	all, err := checkpoints(dir)
	if err != nil {
		return nil, err
	}
	if len(all) > 0 {
		r.Checkpoint = all[len(all)-1]
	}
	r.State = r.state(held)
	return r, nil
}

// isRun says whether a folder holds a run.
func isRun(dir string) bool {
	info, err := os.Stat(filepath.Join(dir, ConfigFile))
	return err == nil && info.Mode().IsRegular()
}

func (r *PastRun) state(held bool) State {
	m := r.Metrics
	recorded := 0 // steps whose epoch is recorded
	for _, e := range m.Epochs {
		recorded += e.Steps
	}
	c := r.Config
	switch {
	case held:
		return Running
	case recorded > 0 && recorded == len(m.Steps) && (len(m.Epochs) >= c.Epochs || r.Stall() != nil ||
		c.MaxSteps != nil && recorded >= *c.MaxSteps):
		return Finished
	case len(m.Steps) > 0:
		if last := m.Steps[len(m.Steps)-1]; broken(last.Loss) || broken(last.GradientNorm) {
			return Diverged
		}
	}
	return Stopped
}

// Best is the best test accuracy at the run's own image size, and its epoch; NaN where none was measured.
func (r *PastRun) Best() (accuracy float64, epoch int) {
	size := r.Config.size()
	accuracy = math.NaN()
	for _, e := range r.Metrics.Epochs {
		if e.Size == size && !math.IsNaN(e.TestAccuracy) && !(e.TestAccuracy <= accuracy) {
			accuracy, epoch = e.TestAccuracy, e.Epoch
		}
	}
	return accuracy, epoch
}

// Stall is why the run was over before its last epoch: its test loss had not improved for as long as its settings had
// patience. It is nil where they had.
func (r *PastRun) Stall() *Stall {
	s, over := stalled(r.Metrics.Epochs, r.Config.size(), r.Config.Patience)
	if !over || len(r.Metrics.Epochs) >= r.Config.Epochs {
		return nil
	}
	return &s
}

// Seconds is the time spent on training steps.
func (r *PastRun) Seconds() float64 {
	seconds, recorded := 0.0, 0
	for _, e := range r.Metrics.Epochs {
		seconds += e.Seconds
		recorded += e.Steps
	}
	for _, s := range r.Metrics.Steps[min(recorded, len(r.Metrics.Steps)):] {
		if s.ImagesPerSecond > 0 {
			seconds += float64(r.Config.Batch) / s.ImagesPerSecond
		}
	}
	return seconds
}

// TotalSteps is the number of steps that the run was to have, 0 where it can't be told because no epoch is recorded
// yet.
func (r *PastRun) TotalSteps() int {
	if n := r.StepsPerEpoch(); n > 0 {
		return r.Config.TotalSteps(n)
	}
	if len(r.Metrics.Epochs) > 0 {
		return *r.Config.MaxSteps
	}
	return 0
}

// StepsPerEpoch is the number of steps of a whole epoch, 0 where it can't be told because none is recorded: one that
// --max-steps ended may be a part.
func (r *PastRun) StepsPerEpoch() int {
	n := 0
	for _, e := range r.Metrics.Epochs {
		n = max(n, e.Steps)
	}
	if limit := r.Config.MaxSteps; len(r.Metrics.Epochs) == 1 && limit != nil && n >= *limit {
		return 0
	}
	return n
}

// FindRuns lists the run folders below a folder, itself included, in the order of their names.
func FindRuns(dir string) ([]string, error) {
	var runs []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case !d.IsDir():
			return nil
		case d.Name() == CheckpointDir:
			return fs.SkipDir
		case isRun(path):
			runs = append(runs, path)
		}
		return nil
	})
	slices.Sort(runs)
	return runs, err
}
