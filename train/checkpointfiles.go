package train

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

var checkpointName = regexp.MustCompile(`^step-(\d+)\.safetensors$`)

// checkpoints lists the checkpoint files of a run folder, the oldest first.
func checkpoints(dir string) ([]string, error) {
	entries, err := os.ReadDir(filepath.Join(dir, CheckpointDir)) // sorted, and the numbers have leading zeros
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var paths []string
	for _, e := range entries {
		if checkpointName.MatchString(e.Name()) {
			paths = append(paths, filepath.Join(dir, CheckpointDir, e.Name()))
		}
	}
	return paths, err
}

// checkpointBefore finds the newest checkpoint of a run folder from before a step, the zero value where there is none,
// and those after it.
func checkpointBefore(dir string, step int) (found written, later []string, err error) {
	all, err := checkpoints(dir)
	for _, path := range slices.Backward(all) {
		n, e := strconv.Atoi(checkpointName.FindStringSubmatch(filepath.Base(path))[1])
		if e == nil && n < step {
			return written{path: path, step: n}, later, err
		}
		later = append(later, path)
	}
	return written{}, later, err
}

// removeTorn removes what a killed process left of the checkpoint that it was writing.
func removeTorn(d disk, dir string) error {
	entries, err := os.ReadDir(filepath.Join(dir, CheckpointDir))
	if err != nil {
		return err
	}
	for _, e := range entries {
		if name, torn := strings.CutSuffix(e.Name(), temporary); torn && checkpointName.MatchString(name) {
			if err := d.Remove(filepath.Join(dir, CheckpointDir, e.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

// saveCheckpoint writes a checkpoint whole, or leaves those that were there, and returns its path. Then all but the
// newest two are removed.
func saveCheckpoint(d disk, dir string, step int, b []byte) (string, error) {
	path := filepath.Join(dir, CheckpointDir, fmt.Sprintf("step-%012d.safetensors", step))
	if err := writeWhole(d, path, b); err != nil {
		return "", err
	}
	all, err := checkpoints(dir)
	if err != nil {
		return "", err
	}
	for _, old := range all[:max(0, len(all)-2)] {
		if err := d.Remove(old); err != nil {
			return "", fmt.Errorf("removing the old checkpoint %s: %w", old, err)
		}
	}
	return path, nil
}
