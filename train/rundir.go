package train

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/pelletier/go-toml/v2"
)

// DefaultRunDir is the run folder where none is given: runs/<date>-<time>-<model>.
func DefaultRunDir(now time.Time, model string) string {
	return filepath.Join("runs", now.Format("20060102-150405")+"-"+model)
}

// Run is a run folder being written, locked until Close. It belongs to one goroutine, but for saveCheckpoint.
type Run struct {
	dir     string
	disk    disk
	lock    *folderLock
	made    []string // folders that NewRun made, the innermost first
	metrics appended // metrics.jsonl
	events  events
}

// NewRun makes the run folder, with config.toml and an empty metrics.jsonl. An existing folder is fine unless a run is
// in it. On an error nothing is left behind. Check all other input before, or call Discard when it turns out bad.
func NewRun(dir string, cfg Config) (*Run, error) { return newRun(osDisk{}, dir, cfg) }

func newRun(d disk, dir string, cfg Config) (*Run, error) {
	text, err := configText(cfg)
	if err != nil {
		return nil, err
	}
	if err := noRunIn(dir); err != nil {
		return nil, err
	}
	r := openRun(d, dir)
	for d := filepath.Clean(dir); ; d = filepath.Dir(d) {
		if _, err := os.Lstat(d); !errors.Is(err, fs.ErrNotExist) {
			break
		}
		r.made = append(r.made, d)
	}
	fail := func(err error) (*Run, error) {
		r.Discard()
		return nil, fmt.Errorf("can't write the run folder %s: %w; choose another with --out", dir, err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fail(err)
	}
	if r.lock, err = lockFolder(dir); err != nil {
		var locked *LockedError
		if errors.As(err, &locked) {
			return nil, err
		}
		return fail(err)
	}
	if err := noRunIn(dir); err != nil { // begun between the first look and the lock
		r.lock.release()
		return nil, err
	}
	if err := os.MkdirAll(r.Path(CheckpointDir), 0o755); err != nil {
		return fail(err)
	}
	// From config.toml on the folder holds a run, which can be resumed.
	if err := r.writeFile(ConfigFile, text); err != nil {
		return fail(err)
	}
	if r.metrics.file, err = d.Create(r.metrics.path); err != nil {
		return fail(err)
	}
	for _, folder := range []string{dir, filepath.Dir(filepath.Clean(dir))} {
		if err := d.SyncDir(folder); err != nil {
			return fail(err)
		}
	}
	return r, nil
}

// openRun is a run folder whose files are not open yet.
func openRun(d disk, dir string) *Run {
	return &Run{dir: dir, disk: d, metrics: appended{path: filepath.Join(dir, MetricsFile)},
		events: events{dir: dir, disk: d, every: 1}}
}

// noRunIn says that a folder holds a run, if it does.
func noRunIn(dir string) error {
	for _, name := range []string{MetricsFile, ConfigFile, ModelFile, BestFile} {
		if _, err := os.Lstat(filepath.Join(dir, name)); err == nil {
			return &UsageError{"--out", dir,
				fmt.Sprintf("there is a run in this folder already (%s); choose another folder, or go on with it by --resume %s",
					name, dir)}
		}
	}
	return nil
}

// configText is the content of config.toml.
func configText(cfg Config) ([]byte, error) {
	text, err := toml.Marshal(cfg.file())
	if err != nil {
		return nil, fmt.Errorf("writing %s: %w", ConfigFile, err)
	}
	return append([]byte("# Every setting of this run; ninvk train --config FILE --out DIR repeats it.\n\n"), text...), nil
}

// resumeRun opens the folder of a saved run to go on from its checkpoint, or from the start where there is none: what
// was written to metrics.jsonl and event files after it is cut off. It takes over the folder's lock. cfg may differ
// from the settings of before in what Saved.Check allows.
func resumeRun(d disk, s *Saved, cfg Config) (*Run, error) {
	text, err := configText(cfg)
	if err != nil {
		return nil, err
	}
	r := openRun(d, s.Dir)
	var at Position
	if s.Checkpoint != nil {
		at = s.Checkpoint.Position
	}
	if err := os.MkdirAll(r.Path(CheckpointDir), 0o755); err != nil {
		return nil, err
	}
	if err := removeTorn(d, s.Dir); err != nil {
		return nil, err
	}
	if old, err := os.ReadFile(r.Path(ConfigFile)); err != nil || !bytes.Equal(old, text) {
		if err := r.writeFile(ConfigFile, text); err != nil {
			return nil, err
		}
	}
	if r.metrics.file, err = d.Append(r.metrics.path, at.MetricsBytes); err != nil {
		return nil, r.metrics.wrap(err)
	}
	r.metrics.size = at.MetricsBytes
	if err := r.events.restore(at); err != nil {
		r.metrics.file.Close()
		return nil, err
	}
	r.lock, s.lock = s.lock, nil
	return r, nil
}

// Dir is the run folder.
func (r *Run) Dir() string { return r.dir }

// Path is the path of a file in the run folder.
func (r *Run) Path(name string) string { return filepath.Join(r.dir, name) }

// WriteRun writes the line about the run; it comes first and reaches the file at once.
func (r *Run) WriteRun(info RunInfo) error {
	if err := r.write("run", info); err != nil {
		return err
	}
	return r.flush()
}

// WriteStep adds a step. It may stay in memory until the epoch's end.
func (r *Run) WriteStep(s StepRecord) error {
	if err := r.write("step", s); err != nil {
		return err
	}
	return r.events.addStep(s)
}

// WritePicture adds a picture, as it is after the last step, to the event file.
func (r *Run) WritePicture(tag string, img image.Image) error { return r.events.addPicture(tag, img) }

// WriteEpoch adds an epoch; it and all before it then are in the files.
func (r *Run) WriteEpoch(e EpochRecord) error {
	if err := r.write("epoch", e); err != nil {
		return err
	}
	if err := r.events.addEpoch(e); err != nil {
		return err
	}
	return r.flush()
}

// WriteRollback adds a return to a checkpoint; it and all before it then are in the file.
func (r *Run) WriteRollback(b RollbackRecord) error {
	if err := r.write("rollback", b); err != nil {
		return err
	}
	return r.flush()
}

func (r *Run) write(kind string, record any) error {
	b, err := encodeLine(kind, record)
	if err != nil {
		return r.metrics.wrap(err)
	}
	r.metrics.pending = append(append(r.metrics.pending, b...), '\n')
	if len(r.metrics.pending) < flushBytes {
		return nil
	}
	return r.metrics.flush()
}

// flush writes what is still in memory. Where that fails, the file is cut back to what it was: metrics.jsonl never ends
// in a part of a line.
func (r *Run) flush() error {
	if err := r.metrics.flush(); err != nil {
		return err
	}
	return r.events.flush()
}

// mark notes in a position where the files stand.
func (r *Run) mark(p *Position) {
	p.MetricsBytes = r.metrics.end()
	r.events.mark(p)
}

// goBack takes back all that was written after a position.
func (r *Run) goBack(p Position) error {
	if err := r.flush(); err != nil {
		return err
	}
	if err := r.metrics.file.Truncate(p.MetricsBytes); err != nil {
		return r.metrics.wrap(err)
	}
	r.metrics.size = p.MetricsBytes
	return r.events.restore(p)
}

// writeFile writes a file of the run folder whole, or leaves the old one.
func (r *Run) writeFile(name string, b []byte) error { return writeWhole(r.disk, r.Path(name), b) }

// saveCheckpoint writes a checkpoint and returns its path. The metrics it counts on, which were flushed before, are
// synced first. It may run beside the other methods.
func (r *Run) saveCheckpoint(step int, b []byte) (string, error) {
	if err := r.metrics.file.Sync(); err != nil {
		return "", r.metrics.wrap(err)
	}
	return saveCheckpoint(r.disk, r.dir, step, b)
}

// Close writes what is still in memory, closes the files and gives up the folder's lock. Closing twice is harmless.
func (r *Run) Close() error {
	if r.metrics.file == nil {
		return nil
	}
	err := r.flush()
	for _, a := range []*appended{&r.metrics, &r.events.appended} {
		if e := a.close(); err == nil {
			err = e
		}
	}
	r.lock.release()
	return err
}

// Discard takes back what NewRun made, for a run that fails before it begins. Folders that hold anything else stay.
func (r *Run) Discard() {
	if r.metrics.file != nil {
		r.metrics.file.Close()
		r.metrics.file = nil
	}
	if r.lock != nil {
		os.Remove(r.Path(MetricsFile))
		os.Remove(r.Path(ConfigFile))
		os.Remove(r.Path(CheckpointDir))
		r.lock.release()
		r.lock = nil
	}
	for _, d := range r.made {
		os.Remove(d) // fails where it is not empty, as it should
	}
}
