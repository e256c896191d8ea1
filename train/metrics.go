package train

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"time"

	"github.com/google/renameio/v2/maybe"
	"github.com/pelletier/go-toml/v2"
)

// Names of the files in a run folder.
const (
	ConfigFile   = "config.toml"
	MetricsFile  = "metrics.jsonl"
	AccuracyPlot = "accuracy.png"
	LossPlot     = "loss.png"
	ModelFile    = "model.safetensors" // the last weights
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
}

// StepRecord is one step of training.
type StepRecord struct {
	Epoch           int     // from 1
	Step            int     // from 1 through the whole run
	Loss            float64 // mean over the batch, before the update
	LearningRate    float64
	ImagesPerSecond float64
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
}

// DefaultRunDir is the run folder where none is given:
// runs/<date>-<time>-<model>.
func DefaultRunDir(now time.Time, model string) string {
	return filepath.Join("runs", now.Format("20060102-150405")+"-"+model)
}

// Run is a run folder being written. It belongs to one goroutine.
type Run struct {
	dir     string
	made    []string // folders that NewRun made, the innermost first
	file    *os.File
	metrics *bufio.Writer
}

// NewRun makes the run folder, with config.toml and an empty metrics.jsonl. An
// existing folder is fine unless a run is in it. On an error nothing is left
// behind. Check all other input before, or call Discard when it turns out bad.
func NewRun(dir string, cfg Config) (*Run, error) {
	text, err := toml.Marshal(cfg)
	if err != nil {
		return nil, fmt.Errorf("writing %s: %w", ConfigFile, err)
	}
	text = append([]byte("# Every setting of this run; ninvk train --config FILE --out DIR repeats it.\n\n"), text...)

	for _, name := range []string{MetricsFile, ConfigFile, ModelFile, BestFile} {
		if _, err := os.Lstat(filepath.Join(dir, name)); err == nil {
			return nil, &UsageError{"--out", dir, fmt.Sprintf("there is a run in this folder already (%s); choose another folder or move it away", name)}
		}
	}
	r := &Run{dir: dir}
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
	r.file, err = os.OpenFile(r.Path(MetricsFile), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return fail(err)
	}
	r.metrics = bufio.NewWriterSize(r.file, 1<<16)
	if err := maybe.WriteFile(r.Path(ConfigFile), text, 0o644); err != nil {
		return fail(err)
	}
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
	return r.write(stepLine{"step", s.Epoch, s.Step, number(s.Loss), number(s.LearningRate), number(s.ImagesPerSecond)})
}

// WriteEpoch adds an epoch; it and all before it then are in the file.
func (r *Run) WriteEpoch(e EpochRecord) error {
	if err := r.write(epochLine{"epoch", e.Epoch, e.Steps, number(e.LearningRate),
		number(e.TrainLoss), number(e.TrainAccuracy), number(e.TestLoss), number(e.TestAccuracy),
		number(e.Seconds), number(e.ImagesPerSecond)}); err != nil {
		return err
	}
	return r.flush()
}

func (r *Run) write(line any) error {
	b, err := json.Marshal(line)
	if err == nil {
		_, err = r.metrics.Write(append(b, '\n'))
	}
	return r.wrap(err)
}

func (r *Run) flush() error { return r.wrap(r.metrics.Flush()) }

func (r *Run) wrap(err error) error {
	if err != nil {
		return fmt.Errorf("writing %s: %w", r.Path(MetricsFile), err)
	}
	return nil
}

// Close writes what is still in memory and closes the file. Closing twice is
// harmless.
func (r *Run) Close() error {
	if r.file == nil {
		return nil
	}
	err := r.metrics.Flush()
	if e := r.file.Sync(); err == nil {
		err = e
	}
	if e := r.file.Close(); err == nil {
		err = e
	}
	r.file = nil
	return r.wrap(err)
}

// Discard takes back what NewRun made, for a run that fails before it begins.
// Folders that hold anything else stay.
func (r *Run) Discard() {
	if r.file != nil {
		r.file.Close()
		r.file = nil
		os.Remove(r.Path(MetricsFile))
		os.Remove(r.Path(ConfigFile))
	}
	for _, d := range r.made {
		os.Remove(d) // fails where it is not empty, as it should
	}
}

// Metrics is the content of a metrics.jsonl.
type Metrics struct {
	Run    RunInfo
	Steps  []StepRecord
	Epochs []EpochRecord
}

// ReadMetrics reads a metrics.jsonl, also of a run that is still going or was
// cut off: a last line that is not whole is left out. Lines of unknown type
// are skipped. Any other fault is an error that names the file and the line.
func ReadMetrics(path string) (*Metrics, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading metrics: %w", err)
	}
	m, err := decodeMetrics(b)
	if err != nil {
		return nil, fmt.Errorf("%s, %w", path, err)
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
		m.Steps = append(m.Steps, StepRecord{l.Epoch, l.Step, float64(l.Loss), float64(l.LearningRate), float64(l.ImagesPerSecond)})
	case "epoch":
		var l epochLine
		if err := json.Unmarshal(line, &l); err != nil {
			return err
		}
		m.Epochs = append(m.Epochs, EpochRecord{l.Epoch, l.Steps, float64(l.LearningRate),
			float64(l.TrainLoss), float64(l.TrainAccuracy), float64(l.TestLoss), float64(l.TestAccuracy),
			float64(l.Seconds), float64(l.ImagesPerSecond)})
	case "":
		return errors.New(`there is no "type"`)
	}
	return nil
}
