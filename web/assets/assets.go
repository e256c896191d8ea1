// Package assets makes the files that the page's program loads when it needs them. It makes them of what is embedded in
// this one.
package assets

import (
	"ninvk/cifar10"
	"ninvk/models"
	"ninvk/nn"
	"ninvk/safetensors"
)

// Files are the files by their names, as package asset asks for them.
func Files() (map[string][]byte, error) {
	files := map[string][]byte{}
	var err error
	for _, name := range models.EmbeddedNames {
		if files[models.EmbeddedFile(name)], err = Weights(name); err != nil {
			return nil, err
		}
	}
	for _, name := range cifar10.SampleFiles {
		if files[name], err = cifar10.SampleFile(name); err != nil {
			return nil, err
		}
	}
	return files, nil
}

// Weights are embedded weights in half precision, those of convolutions and linear layers: biases and what normalises
// stay as they are, as they are few.
func Weights(name string) ([]byte, error) {
	n, err := models.OpenNetwork(name, models.Given{})
	if err != nil {
		return nil, err
	}
	f := n.Content()
	values := n.Weights.Values()
	for i, p := range n.Graph.Params() {
		if p.Role != nn.Weight {
			continue
		}
		for k := range f.Tensors {
			if f.Tensors[k].Name == p.Name {
				f.Tensors[k] = safetensors.FromFloat32sHalf(p.Name, p.Shape, values[i])
			}
		}
	}
	return safetensors.Encode(f)
}
