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

// openNetwork reads a weights file, or takes the embedded weights where path is empty, and builds its network as newNetwork does.
func openNetwork(path, model string, resize *int) (*nin.Network, error) {
	if path != "" {
		f, err := nin.ReadFile(path)
		if err != nil {
			return nil, err
		}
		return newNetwork(path, f, model, resize)
	}
	n, err := nin.Pretrained()
	if err != nil || model == "" && resize == nil {
		return n, err
	}
	return newNetwork(n.Path, n.File, model, resize)
}

// newNetwork builds the network of a weights file that was read from path: model, or if that is empty the one that the file tells, for images enlarged to resize pixels a side
// (nil: the size that the file tells, else the model's own; 0: the data's).
func newNetwork(path string, f *safetensors.File, model string, resize *int) (*nin.Network, error) {
	size := 0
	if resize != nil {
		if size = *resize; size < 0 {
			return nil, &train.UsageError{Flag: "--resize", Value: fmt.Sprint(size), Problem: "must be 0 (the data's own size) or a number of pixels"}
		}
		if size == 0 {
			size = cifar10.Width
		}
	}
	n, err := nin.NewNetwork(path, f, model, size)
	if err != nil && resize != nil {
		if _, e := nin.NewNetwork(path, f, model, 0); e == nil { // it is the size alone
			return nil, &train.UsageError{Flag: "--resize", Value: fmt.Sprint(*resize), Problem: err.Error()}
		}
	}
	if err == nil && len(n.Classes) != cifar10.Classes {
		return nil, &nin.WeightsError{Path: path, Problem: fmt.Sprintf("the network has %d classes, CIFAR-10 has %d", len(n.Classes), cifar10.Classes)}
	}
	return n, err
}

// tensors are a network's weights as safetensors: float32, in the network's order under the same names, with metadata that names the model.
func tensors(n *nin.Network) (*safetensors.File, error) {
	metadata := map[string]string{"format": "pt"}
	maps.Copy(metadata, n.File.Metadata)
	metadata[nin.ModelKey] = n.Model
	out := &safetensors.File{Metadata: metadata}
	for _, p := range n.Graph.Params() {
		t, ok := n.File.Tensor(p.Name)
		if !ok { // a count, see nin.ReadWeights
			continue
		}
		if p.Role != nn.BatchesTracked {
			v, err := t.Float32s()
			if err != nil {
				return nil, &nin.WeightsError{Path: n.Path, Problem: err.Error()}
			}
			t = safetensors.FromFloat32s(t.Name, t.Shape, v)
		}
		out.Tensors = append(out.Tensors, t)
	}
	return out, nil
}
