package nin

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"ninvk/nn"
	"ninvk/rng"
	"ninvk/safetensors"
)

// Init sets all parameters: weights normal with variance 2/fan-in (He et al., 2015, for ReLU), biases 0, scales 1, running mean 0 and variance 1.
// The values depend on the seed and a parameter's place alone.
func Init(n *nn.Net, seed uint64) error { return Random(n.Graph, seed).Load(n) }

// Random is what Init sets, for networks with graph g. Nothing of an adapter is needed.
func Random(g *nn.Graph, seed uint64) *Weights {
	specs := g.Params()
	w := &Weights{values: make([][]float32, len(specs))}
	for i, p := range specs {
		v := make([]float32, p.Len())
		switch p.Role {
		case nn.Weight:
			r := rng.New(seed, "init", uint64(i), 0)
			deviation := math.Sqrt(2 / float64(p.FanIn))
			for j := range v {
				v[j] = float32(deviation * r.NormFloat64())
			}
		case nn.Scale, nn.RunningVariance:
			for j := range v {
				v[j] = 1
			}
		case nn.BatchesTracked:
			continue
		}
		w.values[i] = v
	}
	return w
}

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
	values  [][]float32 // in the order of the graph's parameters
	tracked int64
}

// ReadWeights reads a weights file and checks it against the graph: every tensor there, none left over, right shapes, all values finite. Nothing of an adapter is
// needed, so a bad file is refused before any work.
func ReadWeights(path string, g *nn.Graph) (*Weights, error) {
	f, err := ReadFile(path)
	if err != nil {
		return nil, err
	}
	return CheckWeights(path, f, g)
}

// CheckWeights is ReadWeights for a file that was read before.
func CheckWeights(path string, f *safetensors.File, g *nn.Graph) (*Weights, error) {
	bad := func(format string, a ...any) (*Weights, error) {
		return nil, &WeightsError{Path: path, Problem: fmt.Sprintf(format, a...)}
	}
	specs := g.Params()
	w := &Weights{values: make([][]float32, len(specs))}
	known := map[string]bool{}
	var missing []string
	for i, p := range specs {
		known[p.Name] = true
		t, ok := f.Tensor(p.Name)
		if !ok {
			if p.Role != nn.BatchesTracked { // only a count, which files of old PyTorch versions lack
				missing = append(missing, p.Name)
			}
			continue
		}
		if !slices.Equal(t.Shape, p.Shape) {
			of := ""
			if model := f.Metadata[ModelKey]; model != "" {
				of = fmt.Sprintf("; the file says that it has weights of %s: choose that by --model", model)
			}
			return bad("tensor %s has shape %v, the network needs %v%s", p.Name, t.Shape, p.Shape, of)
		}
		if p.Role == nn.BatchesTracked {
			count, err := t.Int64()
			if err != nil {
				return bad("tensor %s: %v", p.Name, err)
			}
			w.tracked = count
			continue
		}
		v, err := t.Float32s()
		if err != nil {
			return bad("tensor %s: %v", p.Name, err)
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
	if len(missing) > 0 {
		return bad("tensor %s is missing (%d of the network's %d are); is it of another model?", missing[0], len(missing), len(specs))
	}
	for _, t := range f.Tensors {
		if !known[t.Name] {
			return bad("tensor %s does not belong to the network; is it of another model?", t.Name)
		}
	}
	return w, nil
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

// Export makes a weights file of a network's state, of its averages where it has them. Its metadata tell the model, its input of size×size pixels, and CIFAR-10's classes and normalisation.
func Export(model string, size int, params []nn.Param, s *nn.State) *safetensors.File {
	f := &safetensors.File{Metadata: metadataOf(model, size)}
	for i, p := range params {
		if p.Role == nn.BatchesTracked {
			f.Tensors = append(f.Tensors, safetensors.FromInt64(p.Name, s.Tracked))
			continue
		}
		f.Tensors = append(f.Tensors, safetensors.FromFloat32s(p.Name, p.Shape, s.Final()[i]))
	}
	return f
}

// ModelOf tells the network that a weights file, read from path, is of: by its metadata, else by the names and shapes of its tensors ("" if neither tells), and the number of classes.
func ModelOf(path string, f *safetensors.File) (model string, classes int, err error) {
	model = f.Metadata[ModelKey]
	if model != "" && !slices.Contains(Models, model) {
		return "", 0, &WeightsError{Path: path, Problem: fmt.Sprintf("its metadata names the unknown model %q; known are %s", model, strings.Join(Models, ", "))}
	}
	for _, m := range Models {
		g, _, err := Build(Config{Model: m, Classes: 10, Size: 64})
		if err != nil {
			return "", 0, err
		}
		specs := g.Params()
		hit := 0
		for _, p := range specs {
			if t, ok := f.Tensor(p.Name); ok && (slices.Equal(t.Shape, p.Shape) || len(p.Shape) > 0 && p.Shape[0] == 10) {
				hit++
			}
		}
		if model == m || model == "" && hit == len(specs) && len(f.Tensors) == hit {
			for i := len(specs) - 1; i >= 0; i-- {
				if specs[i].Role == nn.Weight {
					if t, ok := f.Tensor(specs[i].Name); ok && len(t.Shape) == 4 {
						return m, t.Shape[0], nil
					}
					break
				}
			}
			return m, 10, nil
		}
	}
	return "", 0, nil
}
