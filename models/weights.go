package models

import (
	"fmt"
	"math"

	"ninvk/nn"
	"ninvk/safetensors"
)

// WeightsError says that a weights file can't be read, or what in it does not suit the network.
type WeightsError struct {
	Path, Problem string
	Err           error // the operating system's; nil where the content is at fault
}

func (e *WeightsError) Error() string { return e.Path + ": " + e.Problem }

// Unwrap returns the cause.
func (e *WeightsError) Unwrap() error { return e.Err }

// Weights are values for all parameters of a network, as those of a file that was checked against it.
type Weights struct {
	values    [][]float32 // in the order of the graph's parameters
	tracked   int64
	countLost bool // what stands for tracked is no whole number, as in half precision
}

// checkWeights reads the values of a graph's parameters, which are all there: all must be finite.
func checkWeights(path string, f *safetensors.File, g *nn.Graph) (*Weights, error) {
	bad := func(format string, a ...any) (*Weights, error) {
		return nil, &WeightsError{Path: path, Problem: fmt.Sprintf(format, a...)}
	}
	specs := g.Params()
	w := &Weights{values: make([][]float32, len(specs))}
	for i, p := range specs {
		t, ok := f.Tensor(p.Name)
		if !ok { // a count, see fit
			continue
		}
		if p.Role == nn.BatchesTracked {
			count, err := t.Int64()
			w.countLost = w.countLost || err != nil
			w.tracked = count
			continue
		}
		v, err := t.Float32s()
		if err != nil {
			return bad("%v", err)
		}
		for j, x := range v {
			if math.IsNaN(float64(x)) || math.IsInf(float64(x), 0) {
				return bad("tensor %s: element %d is %v; weights must be finite", p.Name, j, x)
			}
			if p.Role == nn.RunningVariance && x < 0 {
				return bad("tensor %s: element %d is %v; a variance can't be negative", p.Name, j, x)
			}
		}
		w.values[i] = v
	}
	return w, nil
}

// Values are the weights in the order of the graph's parameters; nil for counts.
func (w *Weights) Values() [][]float32 { return w.values }

// Fold makes the weights of a folded graph, of those of the graph that it was made of.
func (w *Weights) Fold(f *nn.Folded) *Weights {
	return &Weights{values: f.Values(w.values), tracked: w.tracked}
}

// Load sets all parameters of the network, which must have the graph that the weights are for.
func (w *Weights) Load(n *nn.Net) error {
	for i, v := range w.values {
		if v == nil {
			continue
		}
		if err := n.SetParam(i, v); err != nil {
			return err
		}
	}
	n.SetTracked(w.tracked)
	return nil
}

// Export makes a weights file of a network's state, of its averages where it has them, with metadata that tell all.
func Export(m Metadata, params []nn.Param, s *nn.State) *safetensors.File {
	f := &safetensors.File{Metadata: m.Text()}
	f.Metadata["format"] = "pt"
	for i, p := range params {
		if p.Role == nn.BatchesTracked {
			f.Tensors = append(f.Tensors, safetensors.FromInt64(p.Name, s.Tracked))
			continue
		}
		f.Tensors = append(f.Tensors, safetensors.FromFloat32s(p.Name, p.Shape, s.Final()[i]))
	}
	return f
}
