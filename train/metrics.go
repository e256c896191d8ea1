package train

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
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

// Metrics is the content of a metrics.jsonl.
type Metrics struct {
	Run       RunInfo
	Steps     []StepRecord
	Epochs    []EpochRecord
	Rollbacks []RollbackRecord
}

// ReadMetrics reads a metrics.jsonl, also of a run that is still going or was cut off: a last line that is not whole
// is left out. Lines of unknown type are skipped. Any other fault of the content is a *MetricsError that names the file
// and the line.
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

// readMetricsUpTo reads the first size bytes of a metrics.jsonl. Where they are not there, or not whole lines of
// metrics, the error is a *CheckpointError.
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
		run, err := decodeLine[RunInfo](kind.Type, line)
		if err != nil {
			return err
		}
		m.Run = run
	case "step":
		return addLine(&m.Steps, kind.Type, line)
	case "epoch":
		return addLine(&m.Epochs, kind.Type, line)
	case "rollback":
		return addLine(&m.Rollbacks, kind.Type, line)
	case "":
		return errors.New(`there is no "type"`)
	}
	return nil
}

// addLine reads a record of a line into a list of such.
func addLine[R any](list *[]R, kind string, line []byte) error {
	record, err := decodeLine[R](kind, line)
	if err == nil {
		*list = append(*list, record)
	}
	return err
}
