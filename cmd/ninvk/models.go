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
	"ninvk/ops"
)

type modelsCommand struct {
	Name string `arg:"" optional:"" help:"Print the layers of this network."`
	JSON bool   `help:"Print what machines read."`
}

// model is a network as --json prints it.
type model struct {
	Name         string  `json:"model"`
	Size         int     `json:"size"`          // pixels a side of the images that it is for
	LeastSize    int     `json:"smallest_size"` // of those that it takes
	Definition   string  `json:"definition"`    // whose it is
	Parameters   int     `json:"parameters"`
	MultiplyAdds float64 `json:"multiply_adds"` // an image, of one forward pass
	Layers       []layer `json:"layers,omitempty"`
}

// layer is one of a network, after those that it reads.
type layer struct {
	Name         string          `json:"name"`
	Kind         string          `json:"kind"` // Input, Conv, BatchNorm and so on
	Inputs       []string        `json:"inputs"`
	Output       [3]int          `json:"output"` // channels, rows, columns
	Parameters   int             `json:"parameters"`
	MultiplyAdds float64         `json:"multiply_adds"`
	Attributes   json.RawMessage `json:"attributes,omitempty"`
}

// Run lists the networks, each for its own size of images and for CIFAR-10's classes.
func (c modelsCommand) Run() error {
	if c.Name != "" {
		m, err := describeModel(c.Name)
		if err != nil {
			return err
		}
		if c.JSON {
			return printJSON(m)
		}
		return writeLayers(stdout, m)
	}
	var all []model
	for _, name := range models.Names() {
		m, err := describeModel(name)
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
	fmt.Fprintln(t, "model\timages\tsmallest\tparameters\tmultiply-adds an image\tdefinition")
	for _, m := range all {
		fmt.Fprintf(t, "%s\t%d×%[2]d\t%d×%[3]d\t%d\t%.4g M\t%s\n", m.Name, m.Size, m.LeastSize, m.Parameters,
			m.MultiplyAdds/1e6, m.Definition)
	}
	return t.Flush()
}

// describeModel builds a network's graph and tells what is in it.
func describeModel(name string) (model, error) {
	m := model{Name: name, Size: models.Size(name), LeastSize: models.LeastSize(name), Definition: models.Source(name)}
	g, _, err := models.Build(models.Config{Model: name, Classes: cifar10.Classes, Size: m.Size, Dropout: 0.5})
	if err != nil {
		return m, err
	}
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
		if p.Trained() {
			l.Parameters += p.Len()
		}
	}
	op := n.Op()
	if op == nil {
		return l, nil
	}
	l.Kind = reflect.TypeOf(op).Name()
	if conv, ok := op.(ops.Conv); ok {
		l.MultiplyAdds = conv.Flops(n.Inputs()[0].Shape) / 2
	}
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
	return t.Flush()
}
