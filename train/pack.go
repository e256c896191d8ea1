package train

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"ninvk/safetensors"
)

// recordsKey is the key of a packed run's metadata that holds metrics.jsonl up to the checkpoint.
const recordsKey = "ninvk.metrics"

// Pack is the run in a folder as one file: its newest checkpoint, which beside that has what was recorded of the run up
// to there. Unpack makes a run folder of it that can be resumed; and as every checkpoint it is a weights file.
func Pack(dir string) ([]byte, error) {
	all, err := checkpoints(dir)
	if err != nil {
		return nil, err
	}
	if len(all) == 0 {
		return nil, errors.New("the run has no checkpoint yet")
	}
	c, err := readCheckpoint(all[len(all)-1])
	if err != nil {
		return nil, err
	}
	records, err := os.ReadFile(filepath.Join(dir, MetricsFile))
	if err != nil {
		return nil, err
	}
	if int64(len(records)) < c.MetricsBytes {
		return nil, &CheckpointError{c.Path, fmt.Sprintf("it counts on %d bytes of %s, which has %d", c.MetricsBytes,
			MetricsFile, len(records))}
	}
	c.tensors.Metadata[recordsKey] = string(records[:c.MetricsBytes])
	return seal(c.tensors)
}

// Packed says whether a path is a file that may be a packed run, rather than a run's folder.
func Packed(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// Unpack makes a run folder of a packed run. What is wrong with the file is a *CheckpointError, with the folder a
// *UsageError; nothing is left of the folder then.
func Unpack(path, dir string) (err error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("reading a packed run: %w", err)
	}
	c, err := decodeCheckpoint(b)
	if err != nil {
		what := err.Error()
		if f, e := safetensors.Decode(b); e == nil && f.Metadata[positionKey] == "" {
			what = "this is a weights file, not a run: start from its weights by --init"
		}
		return &CheckpointError{path, what}
	}
	records := c.tensors.Metadata[recordsKey]
	if int64(len(records)) != c.MetricsBytes {
		return &CheckpointError{path,
			fmt.Sprintf("it lacks what was recorded of the run up to step %d: this is a checkpoint "+
				"out of a run folder, and goes on with that folder alone", c.Step)}
	}
	c.Config.Out = dir
	text, err := configText(c.Config)
	if err != nil {
		return err
	}
	if err := noRunIn(dir); err != nil {
		return err
	}
	_, before := os.Stat(dir)
	if err := os.MkdirAll(filepath.Join(dir, CheckpointDir), 0o755); err != nil {
		return err
	}
	defer func() {
		if err != nil && errors.Is(before, os.ErrNotExist) {
			_ = os.RemoveAll(dir) // the error is told already
		}
	}()
	if err := writeWhole(osDisk{}, filepath.Join(dir, MetricsFile), []byte(records)); err != nil {
		return err
	}
	if _, err := saveCheckpoint(osDisk{}, dir, c.Step, b); err != nil {
		return err
	}
	return writeWhole(osDisk{}, filepath.Join(dir, ConfigFile), text)
}
