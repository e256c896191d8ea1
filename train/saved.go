package train

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Saved is a run folder to go on with. It is locked until Close.
type Saved struct {
	Dir        string
	Config     Config      // the run's settings
	Checkpoint *Checkpoint // nil where the run was stopped before the first one: it then starts over
	Run        RunInfo     // what the run said of itself; empty where it was stopped before
	metrics    *Metrics    // up to the checkpoint; nil where they are in the folder
	lock       *folderLock
}

// OpenSaved locks a run folder and reads its newest checkpoint. The error is a *UsageError where the folder holds no
// run, a *LockedError where a process trains in it, and a *CheckpointError where the checkpoint is damaged.
func OpenSaved(dir string) (*Saved, error) {
	dir = filepath.Clean(dir)
	if _, err := os.Stat(filepath.Join(dir, ConfigFile)); err != nil {
		return nil, &UsageError{"--resume", dir, fmt.Sprintf("this is no run folder: it has no %s", ConfigFile)}
	}
	lock, err := lockFolder(dir)
	if err != nil {
		return nil, err
	}
	s := &Saved{Dir: dir, lock: lock}
	if err := s.read(); err != nil {
		s.Close()
		return nil, err
	}
	s.Config.Out = dir
	return s, nil
}

func (s *Saved) read() error {
	all, err := checkpoints(s.Dir)
	if err != nil {
		return err
	}
	if len(all) == 0 {
		s.Config = defaults()
		if err := MergeFile(filepath.Join(s.Dir, ConfigFile), &s.Config); err != nil {
			return err
		}
		s.resolve()
		return s.Config.Validate()
	}
	s.Checkpoint, err = readCheckpoint(all[len(all)-1])
	var damaged *CheckpointError
	if errors.As(err, &damaged) && len(all) > 1 {
		if before, e := readCheckpoint(all[len(all)-2]); e == nil {
			damaged.Problem += fmt.Sprintf("; the one before it, of step %d, is whole: to go on from that, delete the damaged "+
				"file", before.Step)
		}
	}
	if err != nil {
		return err
	}
	s.Config = s.Checkpoint.Config
	s.resolve()
	// what is wrong with it is told when the run goes on
	if m, err := readMetricsUpTo(filepath.Join(s.Dir, MetricsFile), s.Checkpoint.MetricsBytes); err == nil {
		s.Run = m.Run
	}
	return nil
}

// resolve fills in what the run's settings leave open. A run of before there were shards has one.
func (s *Saved) resolve() {
	s.Config.Resolve()
	s.Config.Shards = cmp.Or(s.Config.Shards, 1)
}

// Close gives the folder's lock up, unless a run has taken it over.
func (s *Saved) Close() { s.lock.release() }

// Check compares the settings a run is to be resumed with with those it was begun with. A difference that would give
// another run is a *UsageError that names both values.
func (s *Saved) Check(c Config) error {
	was := s.Config
	for _, x := range settings {
		if before, now := x.given(&was), x.given(&c); x.fixed && before != now {
			return &UsageError{"--" + x.flag(), fmt.Sprint(now),
				fmt.Sprintf("the run in %s was begun with %v; leave the flag out to go on, or start a new run", s.Dir, before)}
		}
	}
	if c.Epochs < was.Epochs {
		return &UsageError{"--epochs", fmt.Sprint(c.Epochs),
			fmt.Sprintf("the run in %s was begun with %d; it can be made longer, not shorter", s.Dir, was.Epochs)}
	}
	return nil
}
