package train

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
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

// EpochRecord is one epoch of training and the evaluation after it. What was not measured is NaN (null in the file).
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
		return nil, &CheckpointError{path, fmt.Sprintf("the file has %d bytes; when the checkpoint was made it had %d",
			len(b), size)}
	}
	b = b[:size]
	if size > 0 && b[size-1] != '\n' {
		return nil, &CheckpointError{path,
			fmt.Sprintf("byte %d, where the checkpoint was made, is no end of a line: the file was changed", size-1)}
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
		m.Steps = append(m.Steps, StepRecord{l.Epoch, l.Step, float64(l.Loss), float64(l.LearningRate),
			float64(l.ImagesPerSecond), float64(l.GradientNorm)})
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
		m.Rollbacks = append(m.Rollbacks, RollbackRecord{l.Epoch, l.Step, float64(l.Loss), l.Reason, l.ToStep,
			l.LearningRateFactor})
	case "":
		return errors.New(`there is no "type"`)
	}
	return nil
}
