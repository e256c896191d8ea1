package models

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"ninvk/nn"
	"ninvk/ops"
)

// FirstConv is a network's first convolution, and the place of its weights among the graph's parameters; nil where
// there is none.
func FirstConv(g *nn.Graph) (x *nn.Node, weights int) {
	for _, x := range g.Nodes() {
		if _, ok := x.Op().(ops.Conv); ok {
			return x, weights
		}
		weights += len(x.Params())
	}
	return nil, 0
}

// values are those of a layer's parameters, in their order; nil for counts.
func (n *Network) values(x *nn.Node) [][]float32 {
	at := 0
	for _, y := range n.Graph.Nodes() {
		if y == x {
			break
		}
		at += len(y.Params())
	}
	return n.Weights.values[at : at+len(x.Params())]
}

// UnknownLayerError says that a network has no such layer, and which it has.
type UnknownLayerError struct {
	Model, Layer string
	Known        []string // name, operator and output: all where no layer was named, else those with the nearest names
	More         int      // that are not among Known
}

// mostNear is the number of names suggested for one that is not known.
const mostNear = 12

func (e *UnknownLayerError) Error() string {
	list := "\n  " + strings.Join(e.Known, "\n  ")
	switch {
	case e.Layer == "":
		return fmt.Sprintf("%s has many layers; name one; its layers are%s", e.Model, list)
	case e.More == 0:
		return fmt.Sprintf("%s has no layer %q; its layers are%s", e.Model, e.Layer, list)
	}
	return fmt.Sprintf("%s has no layer %q; the nearest names are%s\nand %d others; ninvk models %s lists them", e.Model,
		e.Layer, list, e.More, e.Model)
}

// Layer finds a layer by its name. If there is none, the error is an *UnknownLayerError.
func (n *Network) Layer(name string) (*nn.Node, error) {
	all := slices.Clone(n.Graph.Nodes())
	for _, x := range all {
		if x.Name == name {
			return x, nil
		}
	}
	e := &UnknownLayerError{Model: n.Model, Layer: name}
	if name != "" && len(all) > mostNear {
		slices.SortStableFunc(all, func(a, b *nn.Node) int { return nearer(name, a.Name, b.Name) })
		all, e.More = all[:mostNear], len(all)-mostNear
	}
	var names, titles int // widths
	for _, x := range all {
		names, titles = max(names, len(x.Name)), max(titles, utf8.RuneCountInString(x.Title()))
	}
	for _, x := range all {
		s := x.Shape
		e.Known = append(e.Known, fmt.Sprintf("%-*s  %-*s  %d×%d×%d", names, x.Name, titles, x.Title(), s.C, s.H, s.W))
	}
	return nil, e
}
