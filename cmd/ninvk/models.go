package main

import (
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"strings"
	"text/tabwriter"

	"ninvk/cifar10"
	"ninvk/models"
	"ninvk/nn"
	"ninvk/train"
)

type modelsCommand struct {
	Name string `arg:"" optional:"" help:"Print the layers of this network."`
	Size *int   `help:"Pixels a side of the images (default: the network's own size)." placeholder:"N"`
	JSON bool   `help:"Print what machines read."`
}

// memoryBatch is the batch for which memory is told.
const memoryBatch = 64

// model is a network as --json prints it.
type model struct {
	Name         string  `json:"model"`
	OwnSize      int     `json:"own_size"`      // pixels a side of the images that it is for
	Size         int     `json:"size"`          // of those that the figures are for
	LeastSize    int     `json:"smallest_size"` // of those that it takes
	Definition   string  `json:"definition"`    // whose it is
	Parameters   int     `json:"parameters"`
	MultiplyAdds float64 `json:"multiply_adds"` // an image, of one forward pass
	// Memory is what training takes with batches of 64, without what an adapter's kernels take beside: planned, so that
	// no adapter is needed.
	Memory uint64  `json:"training_bytes_batch_64"`
	Layers []layer `json:"layers,omitempty"`
}

// layer is one of a network, after those that it reads.
type layer struct {
	Name         string          `json:"name"`
	Kind         string          `json:"kind"` // Input, Conv, BatchNorm and so on
	Inputs       []string        `json:"inputs"`
	Output       [3]int          `json:"output"` // channels, rows, columns
	Parameters   int             `json:"parameters"`
	Tensors      []tensor        `json:"tensors,omitempty"` // parameters and running values
	MultiplyAdds float64         `json:"multiply_adds"`
	Attributes   json.RawMessage `json:"attributes,omitempty"`
}

// tensor is one of a layer as PyTorch's state_dict has it.
type tensor struct {
	Name  string `json:"name"`
	Shape []int  `json:"shape"`
}

// Run lists the networks, or the layers of one, for CIFAR-10's number of classes.
func (c modelsCommand) Run() error {
	if c.Size != nil && *c.Size < 1 {
		return &train.UsageError{Flag: "--size", Value: fmt.Sprint(*c.Size), Problem: "must be a number of pixels"}
	}
	if c.Name != "" {
		m, err := describeModel(c.Name, c.Size)
		if err != nil {
			return err
		}
		if c.JSON {
			return printJSON(m)
		}
		return writeLayers(stdout, m)
	}
	if c.Size != nil {
		return &usageError{"--size goes with the name of a network"}
	}
	var all []model
	for _, name := range models.Names() {
		m, err := describeModel(name, nil)
		if err != nil {
			return err
		}
		m.Layers = nil
		all = append(all, m)
	}
	if c.JSON {
		return printJSON(all)
	}
	t := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "model\timages\tsmallest\tparameters\tmultiply-adds an image\ttraining, batch %d\tdefinition\n",
		memoryBatch)
	for _, m := range all {
		fmt.Fprintf(t, "%s\t%d×%[2]d\t%d×%[3]d\t%d\t%s M\t%.0f MB\t%s\n", m.Name, m.Size, m.LeastSize, m.Parameters,
			millions(m.MultiplyAdds), float64(m.Memory)/1e6, m.Definition)
	}
	return t.Flush()
}

func millions(v float64) string {
	if v < 1e7 {
		return fmt.Sprintf("%.2f", v/1e6)
	}
	return fmt.Sprintf("%.0f", v/1e6)
}

// describeModel builds a network's graph, for images of size pixels a side or of its own, and tells what is in it.
func describeModel(name string, size *int) (model, error) {
	m := model{Name: name, OwnSize: models.Size(name), LeastSize: models.LeastSize(name), Definition: models.Source(name)}
	if m.Size = m.OwnSize; size != nil {
		m.Size = *size
	}
	g, out, err := models.Build(models.Config{Model: name, Classes: cifar10.Classes, Size: m.Size,
		Dropout: train.OwnDropout})
	if err != nil {
		return m, err
	}
	m.Memory = nn.TrainingBytes(g, out, memoryBatch)
	for _, n := range g.Nodes() {
		l, err := describeLayer(n)
		if err != nil {
			return m, fmt.Errorf("layer %s: %w", n.Name, err)
		}
		m.Layers = append(m.Layers, l)
		m.Parameters += l.Parameters
		m.MultiplyAdds += l.MultiplyAdds
	}
	return m, nil
}

func describeLayer(n *nn.Node) (layer, error) {
	l := layer{Name: n.Name, Kind: "Input", Inputs: []string{}, Output: [3]int{n.Shape.C, n.Shape.H, n.Shape.W}}
	for _, in := range n.Inputs() {
		l.Inputs = append(l.Inputs, in.Name)
	}
	for _, p := range n.Params() {
		l.Tensors = append(l.Tensors, tensor{p.Name, append([]int{}, p.Shape...)})
		if p.Trained() {
			l.Parameters += p.Len()
		}
	}
	op := n.Op()
	if op == nil {
		return l, nil
	}
	l.Kind, l.MultiplyAdds = reflect.TypeOf(op).Name(), n.MultiplyAdds()
	var err error
	l.Attributes, err = json.Marshal(op)
	return l, err
}

func writeLayers(w io.Writer, m model) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "layer\tkind\toutput\tparameters\tmultiply-adds\tattributes")
	for _, l := range m.Layers {
		attributes := strings.NewReplacer(`"`, "", "{", "", "}", "", ":", " ", ",", ", ").Replace(string(l.Attributes))
		fmt.Fprintf(t, "%s\t%s\t%d×%d×%d\t%d\t%.0f\t%s\n",
			l.Name, l.Kind, l.Output[0], l.Output[1], l.Output[2], l.Parameters, l.MultiplyAdds, attributes)
	}
	fmt.Fprintf(t, "%s\t\t\t%d\t%.0f\t\n", m.Name, m.Parameters, m.MultiplyAdds)
	if err := t.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w,
		"\n%d layers; training with batches of %d takes %.0f MB of memory (planned); definition: %s\n",
		len(m.Layers), memoryBatch, float64(m.Memory)/1e6, m.Definition)
	return err
}
