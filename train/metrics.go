package train

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"time"

	"github.com/pelletier/go-toml/v2"
)

// Names of the files in a run folder.
const (
	ConfigFile   = "config.toml"
	MetricsFile  = "metrics.jsonl"
	AccuracyPlot = "accuracy.png"
	LossPlot     = "loss.png"
	RatePlot     = "learning-rate.png"
	ModelFile    = "model.safetensors" // the last weights
	BrokenFile   = "broken.txt"        // images that could not be read and were left out, where there are such
	BestFile     = "best.safetensors"  // those with the best test accuracy
)

// RunInfo is the first line of metrics.jsonl: what is trained, on what.
type RunInfo struct {
	Version    string `json:"version"`    // of ninvk
	Model      string `json:"model"`      // such as "nin-bn"
	Parameters int    `json:"parameters"` // number of learned values
	Recipe     string `json:"recipe"`
	Adapter    string `json:"adapter"`
	Driver     string `json:"driver"`
	DataSet    string `json:"data_set"`    // a folder, or "sample"
	DataSHA256 string `json:"data_sha256"` // of the training records, in hexadecimal
	Classes    int    `json:"classes,omitempty"`

	Variants map[string]string `json:"variants,omitempty"` // of the kernels used, by pass and shape
}

// StepRecord is one step of training.
type StepRecord struct {
	Epoch           int     // from 1
	Step            int     // from 1 through the whole run
	Loss            float64 // mean over the batch, before the update
	LearningRate    float64
	ImagesPerSecond float64
	GradientNorm    float64 // of all gradients together, before clipping
}

// EpochRecord is one epoch of training and the evaluation after it. What was
// not measured is NaN (null in the file).
type EpochRecord struct {
	Epoch           int     // from 1
	Steps           int     // in this epoch
	LearningRate    float64 // of the epoch's last step
	TrainLoss       float64 // mean over the training steps
	TrainAccuracy   float64 // fraction from 0 to 1, whole split, dropout off
	TestLoss        float64
	TestAccuracy    float64
	Seconds         float64
	ImagesPerSecond float64
	Size            int     // pixels a side of the images evaluated, which is that of the last step
	TrainTop5       float64 // fraction of the images whose class is among the five of the largest logits; of
	TestTop5        float64 // MostPlain classes or fewer NaN
	Waited          float64 // seconds that steps waited for images to be read
}

// MostPlain is the number of classes up to which top-5 accuracy says little.
const MostPlain = 10

// RollbackRecord is a return to a checkpoint after training diverged. Steps from
// ToStep+1 on are done again and stand behind it.
type RollbackRecord struct {
	Epoch              int     // of the step that diverged
	Step               int     // that diverged
	Loss               float64 // of that step
	Reason             string
	ToStep             int     // the checkpoint's
	LearningRateFactor float64 // of all steps to come, against the schedule
}

// number is a float64 that JSON can hold whatever its value: NaN and
// infinities are written as null, and null is read as NaN.
type number float64

func (n number) MarshalJSON() ([]byte, error) {
	if math.IsNaN(float64(n)) || math.IsInf(float64(n), 0) {
		return []byte("null"), nil
	}
	return json.Marshal(float64(n))
}

func (n *number) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		*n = number(math.NaN())
		return nil
	}
	return json.Unmarshal(b, (*float64)(n))
}

// The lines as they stand in the file; their field names are a promise.

type runLine struct {
	Type string `json:"type"`
	RunInfo
}

type stepLine struct {
	Type            string `json:"type"`
	Epoch           int    `json:"epoch"`
	Step            int    `json:"step"`
	Loss            number `json:"loss"`
	LearningRate    number `json:"learning_rate"`
	ImagesPerSecond number `json:"images_per_second"`
	GradientNorm    number `json:"gradient_norm"`
}

type epochLine struct {
	Type            string `json:"type"`
	Epoch           int    `json:"epoch"`
	Steps           int    `json:"steps"`
	LearningRate    number `json:"learning_rate"`
	TrainLoss       number `json:"train_loss"`
	TrainAccuracy   number `json:"train_accuracy"`
	TestLoss        number `json:"test_loss"`
	TestAccuracy    number `json:"test_accuracy"`
	Seconds         number `json:"seconds"`
	ImagesPerSecond number `json:"images_per_second"`
	Size            int    `json:"size"`

	TrainTop5 *number `json:"train_top5_accuracy,omitempty"`
	TestTop5  *number `json:"test_top5_accuracy,omitempty"`
	Waited    number  `json:"waited_seconds,omitempty"`
}

// given is nil for NaN, so that the line has no such field.
func given(v float64) *number {
	if math.IsNaN(v) {
		return nil
	}
	n := number(v)
	return &n
}

// orNaN is the opposite of given.
func orNaN(n *number) float64 {
	if n == nil {
		return math.NaN()
	}
	return float64(*n)
}

type rollbackLine struct {
	Type               string  `json:"type"`
	Epoch              int     `json:"epoch"`
	Step               int     `json:"step"`
	Loss               number  `json:"loss"`
	Reason             string  `json:"reason"`
	ToStep             int     `json:"to_step"`
	LearningRateFactor float64 `json:"learning_rate_factor"`
}

// DefaultRunDir is the run folder where none is given:
// runs/<date>-<time>-<model>.
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

// flushBytes is how much of metrics.jsonl stays in memory at most, and of an event file.
const flushBytes = 1 << 16

// appended is a file that grows at its end by portions, each of them whole or not there.
type appended struct {
	path    string
	file    diskFile // nil where it is not open
	size    int64    // bytes in the file, all whole portions
	pending []byte   // portions still to be written
}

// flush writes the portions still in memory. Where that fails, the file is cut back to what it was.
func (a *appended) flush() error {
	if len(a.pending) == 0 {
		return nil
	}
	n, err := a.file.Write(a.pending)
	if err == nil && n < len(a.pending) {
		err = io.ErrShortWrite
	}
	if err != nil {
		_ = a.file.Truncate(a.size)
		return a.wrap(err)
	}
	a.size += int64(n)
	a.pending = a.pending[:0]
	return nil
}

// end is the size of the file once everything written is in it.
func (a *appended) end() int64 { return a.size + int64(len(a.pending)) }

// close closes the file if it is open, with what was flushed on the disk.
func (a *appended) close() error {
	if a.file == nil {
		return nil
	}
	err := a.file.Sync()
	if e := a.file.Close(); err == nil {
		err = e
	}
	a.file = nil
	return a.wrap(err)
}

func (a *appended) wrap(err error) error {
	if err != nil {
		return fmt.Errorf("writing %s: %w", a.path, err)
	}
	return nil
}

// NewRun makes the run folder, with config.toml and an empty metrics.jsonl. An
// existing folder is fine unless a run is in it. On an error nothing is left
// behind. Check all other input before, or call Discard when it turns out bad.
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
	return &Run{dir: dir, disk: d, metrics: appended{path: filepath.Join(dir, MetricsFile)}, events: events{dir: dir, disk: d, every: 1}}
}

// noRunIn says that a folder holds a run, if it does.
func noRunIn(dir string) error {
	for _, name := range []string{MetricsFile, ConfigFile, ModelFile, BestFile} {
		if _, err := os.Lstat(filepath.Join(dir, name)); err == nil {
			return &UsageError{"--out", dir, fmt.Sprintf("there is a run in this folder already (%s); choose another folder, or go on with it by --resume %s", name, dir)}
		}
	}
	return nil
}

// configText is the content of config.toml.
func configText(cfg Config) ([]byte, error) {
	text, err := toml.Marshal(cfg)
	if err != nil {
		return nil, fmt.Errorf("writing %s: %w", ConfigFile, err)
	}
	return append([]byte("# Every setting of this run; ninvk train --config FILE --out DIR repeats it.\n\n"), text...), nil
}

// resumeRun opens the folder of a saved run to go on from its checkpoint, or from the start where there is none: what was written to metrics.jsonl and event
// files after it is cut off. It takes over the folder's lock. cfg may differ from the settings of before in what Saved.Check allows.
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

// WriteRun writes the line about the run; it comes first and reaches the file
// at once.
func (r *Run) WriteRun(info RunInfo) error {
	if err := r.write(runLine{"run", info}); err != nil {
		return err
	}
	return r.flush()
}

// WriteStep adds a step. It may stay in memory until the epoch's end.
func (r *Run) WriteStep(s StepRecord) error {
	if err := r.write(stepLine{"step", s.Epoch, s.Step, number(s.Loss), number(s.LearningRate), number(s.ImagesPerSecond), number(s.GradientNorm)}); err != nil {
		return err
	}
	return r.events.addStep(s)
}

// WritePicture adds a picture, as it is after the last step, to the event file.
func (r *Run) WritePicture(tag string, img image.Image) error { return r.events.addPicture(tag, img) }

// WriteEpoch adds an epoch; it and all before it then are in the files.
func (r *Run) WriteEpoch(e EpochRecord) error {
	if err := r.write(epochLine{"epoch", e.Epoch, e.Steps, number(e.LearningRate),
		number(e.TrainLoss), number(e.TrainAccuracy), number(e.TestLoss), number(e.TestAccuracy),
		number(e.Seconds), number(e.ImagesPerSecond), e.Size, given(e.TrainTop5), given(e.TestTop5),
		number(e.Waited)}); err != nil {
		return err
	}
	if err := r.events.addEpoch(e); err != nil {
		return err
	}
	return r.flush()
}

// WriteRollback adds a return to a checkpoint; it and all before it then are in the file.
func (r *Run) WriteRollback(b RollbackRecord) error {
	if err := r.write(rollbackLine{"rollback", b.Epoch, b.Step, number(b.Loss), b.Reason, b.ToStep, b.LearningRateFactor}); err != nil {
		return err
	}
	return r.flush()
}

func (r *Run) write(line any) error {
	b, err := json.Marshal(line)
	if err != nil {
		return r.metrics.wrap(err)
	}
	r.metrics.pending = append(append(r.metrics.pending, b...), '\n')
	if len(r.metrics.pending) < flushBytes {
		return nil
	}
	return r.metrics.flush()
}

// flush writes what is still in memory. Where that fails, the file is cut back to what it was: metrics.jsonl never ends in a part of a line.
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

// saveCheckpoint writes a checkpoint and returns its path. The metrics it counts on, which were flushed before, are synced first. It may run beside the other
// methods.
func (r *Run) saveCheckpoint(step int, b []byte) (string, error) {
	if err := r.metrics.file.Sync(); err != nil {
		return "", r.metrics.wrap(err)
	}
	return saveCheckpoint(r.disk, r.dir, step, b)
}

// Close writes what is still in memory, closes the files and gives up the
// folder's lock. Closing twice is harmless.
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

// Discard takes back what NewRun made, for a run that fails before it begins.
// Folders that hold anything else stay.
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

// Metrics is the content of a metrics.jsonl.
type Metrics struct {
	Run       RunInfo
	Steps     []StepRecord
	Epochs    []EpochRecord
	Rollbacks []RollbackRecord
}

// ReadMetrics reads a metrics.jsonl, also of a run that is still going or was
// cut off: a last line that is not whole is left out. Lines of unknown type
// are skipped. Any other fault of the content is a *MetricsError that names the file and the line.
func ReadMetrics(path string) (*Metrics, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading metrics: %w", err)
	}
	m, err := decodeMetrics(b)
	if err != nil {
		return nil, &MetricsError{path, err}
	}
	return m, nil
}

// MetricsError says what in a metrics.jsonl can't be read.
type MetricsError struct {
	Path string
	Err  error // names the line
}

func (e *MetricsError) Error() string { return fmt.Sprintf("%s, %v", e.Path, e.Err) }

func (e *MetricsError) Unwrap() error { return e.Err }

// readMetricsUpTo reads the first size bytes of a metrics.jsonl. Where they are
// not there, or not whole lines of metrics, the error is a *CheckpointError.
func readMetricsUpTo(path string, size int64) (*Metrics, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading metrics: %w", err)
	}
	if int64(len(b)) < size {
		return nil, &CheckpointError{path, fmt.Sprintf("the file has %d bytes; when the checkpoint was made it had %d", len(b), size)}
	}
	b = b[:size]
	if size > 0 && b[size-1] != '\n' {
		return nil, &CheckpointError{path, fmt.Sprintf("byte %d, where the checkpoint was made, is no end of a line: the file was changed", size-1)}
	}
	m, err := decodeMetrics(b)
	if err != nil {
		return nil, &CheckpointError{path, err.Error()}
	}
	return m, nil
}

func decodeMetrics(b []byte) (*Metrics, error) {
	m := &Metrics{}
	for n := 1; len(b) > 0; n++ {
		line, rest, whole := bytes.Cut(b, []byte("\n"))
		b = rest
		if len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		if err := m.add(line); err != nil {
			if !whole { // the last line, cut off while being written
				break
			}
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
	}
	return m, nil
}

// add reads one line into m.
func (m *Metrics) add(line []byte) error {
	var kind struct {
		Type string `json:"type"`
	}
	if err := json.Unmarshal(line, &kind); err != nil {
		return fmt.Errorf("expected a JSON object: %w", err)
	}
	switch kind.Type {
	case "run":
		var l runLine
		if err := json.Unmarshal(line, &l); err != nil {
			return err
		}
		m.Run = l.RunInfo
	case "step":
		var l stepLine
		if err := json.Unmarshal(line, &l); err != nil {
			return err
		}
		m.Steps = append(m.Steps, StepRecord{l.Epoch, l.Step, float64(l.Loss), float64(l.LearningRate), float64(l.ImagesPerSecond), float64(l.GradientNorm)})
	case "epoch":
		var l epochLine
		if err := json.Unmarshal(line, &l); err != nil {
			return err
		}
		m.Epochs = append(m.Epochs, EpochRecord{l.Epoch, l.Steps, float64(l.LearningRate),
			float64(l.TrainLoss), float64(l.TrainAccuracy), float64(l.TestLoss), float64(l.TestAccuracy),
			float64(l.Seconds), float64(l.ImagesPerSecond), l.Size, orNaN(l.TrainTop5), orNaN(l.TestTop5),
			float64(l.Waited)})
	case "rollback":
		var l rollbackLine
		if err := json.Unmarshal(line, &l); err != nil {
			return err
		}
		m.Rollbacks = append(m.Rollbacks, RollbackRecord{l.Epoch, l.Step, float64(l.Loss), l.Reason, l.ToStep, l.LearningRateFactor})
	case "":
		return errors.New(`there is no "type"`)
	}
	return nil
}
