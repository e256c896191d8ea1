package nin

import (
	"fmt"
	"os"

	"ninvk/pth"
	"ninvk/safetensors"
)

// ReadFile reads a weights file of either format: safetensors, or a checkpoint of PyTorch's torch.save (see package pth).
func ReadFile(path string) (*safetensors.File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("reading weights: %w", err)
	}
	defer f.Close()
	start := make([]byte, 4)
	if n, _ := f.Read(start); pth.Is(start[:n]) { // what can't be read, the readers report
		return pth.Read(path)
	}
	return safetensors.Read(path)
}

// Values are the weights in the order of the graph's parameters; nil for counts.
func (w *Weights) Values() [][]float32 { return w.values }
