package nin

import (
	"errors"
	"io/fs"
	"os"

	"ninvk/pth"
	"ninvk/safetensors"
)

// ReadFile reads a weights file of either format: safetensors, or a checkpoint of PyTorch's torch.save (see package pth). A file that
// can't be read is a *WeightsError.
func ReadFile(path string) (*safetensors.File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, unreadable(path, err)
	}
	defer f.Close()
	start := make([]byte, 4)
	if n, _ := f.Read(start); pth.Is(start[:n]) { // what can't be read, the readers report
		return ReadCheckpoint(path)
	}
	content, err := safetensors.Read(path)
	return content, unreadable(path, err)
}

// ReadCheckpoint is ReadFile for checkpoints of PyTorch alone.
func ReadCheckpoint(path string) (*safetensors.File, error) {
	content, err := pth.Read(path)
	return content, unreadable(path, err)
}

// unreadable is an error of the operating system about a weights file as a *WeightsError; others it leaves as they are.
func unreadable(path string, err error) error {
	if e := (*fs.PathError)(nil); errors.As(err, &e) {
		return &WeightsError{Path: path, Problem: e.Err.Error(), Err: err}
	}
	return err
}

// Values are the weights in the order of the graph's parameters; nil for counts.
func (w *Weights) Values() [][]float32 { return w.values }
