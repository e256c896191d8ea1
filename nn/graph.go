// Package nn turns a graph of layers into a network that an adapter trains. Layers have names, their shapes are checked
// as the graph is built, memory is planned by lifetime, and steps of training and evaluation are recorded as tapes.
package nn

import (
	"fmt"

	"ninvk/ops"
)

// Graph is a directed acyclic graph of layers. Build it with its methods, which take and return nodes; the first error
// is kept, names the layer, and is returned by Err and Build.
type Graph struct {
	*layers
	scope string // in front of the names of what is added, with its dot
}

// layers are those of a graph, which all its scopes share.
type layers struct {
	nodes []*Node
	names map[string]bool
	heads []Head
	err   error
}

// Node is the output of one layer.
type Node struct {
	Name  string
	Shape ops.Shape // of one image: N is 1

	id     int
	layer  layer
	traits traits
	inputs []*Node
	params []ParamSpec
}

// layer is what a kind of layer implements, one file each, with all that is to be said of it.
type layer interface {
	// out is the output shape for the inputs' shapes, or why there is none.
	out(in []ops.Shape) (ops.Shape, error)
	// params lists the layer's parameters and running state, by the last part of their names.
	params(in []ops.Shape) []ParamSpec
	// traits says what memory the layer needs when.
	traits(in []ops.Shape) traits
	// op is the operator with its attributes, and title names it for people; see Node.Op and Node.Title.
	op() any
	title() string
	// multiplyAdds counts those of the forward pass.
	multiplyAdds(in []ops.Shape) float64
	// visit calls the visitor's method for this kind.
	visit(n *Node, v Visitor) error
	// forward records the layer.
	forward(r *recorder, b *bound, train bool) error
	// backward records the gradients of parameters, and of the inputs as far as b.dIn asks for them.
	backward(r *recorder, b *bound) error
}

// plain gives a layer without parameters and products its defaults.
type plain struct{}

func (plain) params([]ops.Shape) []ParamSpec      { return nil }
func (plain) traits([]ops.Shape) traits           { return traits{} }
func (plain) multiplyAdds(in []ops.Shape) float64 { return 0 }

// traits tells the memory plan about a layer.
type traits struct {
	inPlace    bool // the output overwrites the first input, where no other layer takes that
	overwrites bool // in place, the output tells nothing of the first input's layer: that must not need its own output
	needsInput bool // backward reads the inputs, before it writes their gradients
	// the gradient of the (only) input sums to zero over the pixels of a channel, where the layer is not still
	centresGrad bool
	// after a ReLU (bound.afterReLU), forward notes where the (only) input is 0, and backward masks its gradient
	marksReLU bool
	// the output is that of a ReLU, which the gradient goes through before backward gets it; of a normalisation with a
	// ReLU it is not set, as that masks the gradient itself, by its input
	relu      bool
	forParams bool // needsInput is for the gradients of parameters alone: without these the inputs are not read
	cuts      bool // parameters may be cut along their first dimension, which is that of the output's channels

	// gradAt says from which channel of the output's gradient on the gradient of input i lies there already, or comes to
	// lie by backward; nil for never
	gradAt func(i int) (channel int, ok bool)
	// joins says that input i may be written straight into the output, from a channel on; nil for never
	joins func(i int) (channel int, ok bool)
	// again records the forward pass once more, from the input and what is kept; nil where that can't be
	again        func(r *recorder, b *bound) error
	againInPlace bool // it may overwrite the input
	// aux is the memory in bytes that is kept from forward to backward for output shape out; nil for none
	aux func(out ops.Shape) uint64
	// need is the memory, shared by all layers, that recording takes for input shape in; nil for none
	need func(r *ops.Recorder, in ops.Shape, train bool) (ops.Need, error)
	// masksInput says whether backward can mask the gradient of the (only) input by that input's ReLU; nil for never
	masksInput func(r *ops.Recorder, in ops.Shape) bool
}

// first is gradAt for layers whose backward pass turns the output's gradient into that of the first input in place.
func first(i int) (int, bool) { return 0, i == 0 }

// NewGraph starts an empty graph.
func NewGraph() *Graph { return &Graph{layers: &layers{names: map[string]bool{}}} }

// In is the same graph with a scope: the names of layers added by it have the scope and a dot in front.
func (g *Graph) In(scope string) *Graph { return &Graph{g.layers, g.scope + scope + "."} }

// Err is the first error met while building.
func (g *Graph) Err() error { return g.err }

// Input is the image batch, C channels of H×W pixels.
func (g *Graph) Input(c, h, w int) *Node {
	return g.add("input", input{ops.Shape{N: 1, C: c, H: h, W: w}})
}

// Head is an output with a loss of its own, which in training is added to that of the logits.
type Head struct {
	Logits *Node
	Weight float64
}

// AddLoss makes x an output that has a loss of its own in training, times weight.
func (g *Graph) AddLoss(x *Node, weight float64) { g.heads = append(g.heads, Head{x, weight}) }

// Heads lists the outputs that AddLoss was told of.
func (g *Graph) Heads() []Head { return g.heads }

func (g *Graph) add(name string, l layer, inputs ...*Node) *Node {
	n := &Node{Name: g.scope + name, id: len(g.nodes), layer: l, inputs: inputs}
	g.nodes = append(g.nodes, n)
	if g.err != nil {
		return n
	}
	if g.names[n.Name] {
		g.err = fmt.Errorf("layer %s: another layer has this name", n.Name)
		return n
	}
	g.names[n.Name] = true
	shapes := n.inputShapes()
	var err error
	if n.Shape, err = l.out(shapes); err != nil {
		g.err = fmt.Errorf("layer %s: %w", n.Name, err)
		return n
	}
	n.traits = l.traits(shapes)
	for _, p := range l.params(shapes) {
		p.Name = n.Name + "." + p.Name
		n.params = append(n.params, p)
	}
	return n
}

// soleAfterReLU says whether x alone takes the output of a layer whose traits have a ReLU.
func (x *Node) soleAfterReLU(consumers []int) bool {
	return len(x.inputs) == 1 && consumers[x.inputs[0].id] == 1 && x.inputs[0].traits.relu
}

func (n *Node) inputShapes() []ops.Shape {
	s := make([]ops.Shape, len(n.inputs))
	for i, in := range n.inputs {
		s[i] = in.Shape
	}
	return s
}

// Params lists the parameters and running values of all layers in order.
func (g *Graph) Params() []ParamSpec {
	var out []ParamSpec
	for _, n := range g.nodes {
		out = append(out, n.params...)
	}
	return out
}

// consumersAmong counts the layers among the used ones that take each layer's output.
func (g *Graph) consumersAmong(used []bool) []int {
	c := make([]int, len(g.nodes))
	for _, n := range g.nodes {
		for _, in := range n.inputs {
			if used[n.id] {
				c[in.id]++
			}
		}
	}
	return c
}

// leadingTo marks the layers that the given ones depend on, and those themselves.
func (g *Graph) leadingTo(ends ...*Node) []bool {
	wanted := make([]bool, len(g.nodes))
	for _, x := range ends {
		wanted[x.id] = true
	}
	for i := len(g.nodes) - 1; i >= 0; i-- {
		if wanted[i] {
			for _, in := range g.nodes[i].inputs {
				wanted[in.id] = true
			}
		}
	}
	return wanted
}
