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
	if err == nil {
		defer f.Close()
		start := make([]byte, 4)
		n, _ := f.Read(start) // what can't be read, the readers report
		read := safetensors.Read
		if pth.Is(start[:n]) {
			read = pth.Read
		}
		var content *safetensors.File
		if content, err = read(path); err == nil {
			return content, nil
		}
	}
	if e := (*fs.PathError)(nil); errors.As(err, &e) {
		err = &WeightsError{Path: path, Problem: e.Err.Error(), Err: err}
	}
	return nil, err
}

// Values are the weights in the order of the graph's parameters; nil for counts.
func (w *Weights) Values() [][]float32 { return w.values }
