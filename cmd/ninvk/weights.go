package main

import (
	"fmt"
	"maps"

	"ninvk/cifar10"
	"ninvk/nin"
	"ninvk/nn"
	"ninvk/safetensors"
	"ninvk/train"
)

// network is a weights file with the network it was found to fit.
type network struct {
	path    string
	file    *safetensors.File
	model   string
	size    int // pixels a side of its images
	graph   *nn.Graph
	logits  *nn.Node
	weights *nin.Weights
}

// openNetwork reads a weights file and builds its network, see newNetwork.
func openNetwork(path, model string, resize *int) (*network, error) {
	f, err := nin.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return newNetwork(path, f, model, resize)
}

// newNetwork builds the network of a weights file that was read from path: model, or if that is empty the one that the file tells, for images enlarged to resize pixels a side
// (nil: the model's own size, 0: the data's).
func newNetwork(path string, f *safetensors.File, model string, resize *int) (*network, error) {
	found, classes, err := nin.ModelOf(path, f)
	if err != nil {
		return nil, err
	}
	cfg := train.Config{Model: model, Resize: resize}
	if cfg.Model == "" {
		cfg.Model = found
	}
	if cfg.Model == "" {
		return nil, &usageError{fmt.Sprintf("%s does not tell which network it is of; give --model", path)}
	}
	if classes != cifar10.Classes && classes != 0 {
		return nil, &nin.WeightsError{Path: path, Problem: fmt.Sprintf("the network has %d classes, CIFAR-10 has %d", classes, cifar10.Classes)}
	}
	cfg.Resolve()
	n := &network{path: path, file: f, model: cfg.Model, size: *cfg.Resize}
	if n.size < 0 {
		return nil, &train.UsageError{Flag: "--resize", Value: fmt.Sprint(n.size), Problem: "must be 0 (the data's own size) or a number of pixels"}
	}
	if n.size == 0 {
		n.size = cifar10.Width
	}
	if n.graph, n.logits, err = nin.Build(nin.Config{Model: n.model, Classes: cifar10.Classes, Size: n.size}); err != nil {
		return nil, err
	}
	n.weights, err = nin.CheckWeights(path, f, n.graph)
	return n, err
}

// tensors are the weights as safetensors: float32, in the network's order under the same names, with metadata that names the model.
func (n *network) tensors() (*safetensors.File, error) {
	metadata := map[string]string{"format": "pt"}
	maps.Copy(metadata, n.file.Metadata)
	metadata[nin.ModelKey] = n.model
	out := &safetensors.File{Metadata: metadata}
	for _, p := range n.graph.Params() {
		t, ok := n.file.Tensor(p.Name)
		if !ok { // a count, see nin.ReadWeights
			continue
		}
		if p.Role != nn.BatchesTracked {
			v, err := t.Float32s()
			if err != nil {
				return nil, &nin.WeightsError{Path: n.path, Problem: err.Error()}
			}
			t = safetensors.FromFloat32s(t.Name, t.Shape, v)
		}
		out.Tensors = append(out.Tensors, t)
	}
	return out, nil
}
