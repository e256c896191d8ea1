// Package nn builds networks: a graph of named layers whose shapes are checked as it is built, a memory plan by lifetime, and the recorded tapes
// of training and evaluation steps.
package nn

import (
	"fmt"

	"ninvk/ops"
)

// Graph is a directed acyclic graph of layers. Build it with its methods, which take and return nodes; the first error is kept, names the layer, and
// is returned by Err and Build.
type Graph struct {
	nodes []*Node
	err   error
}

// Node is the output of one layer.
type Node struct {
	Name  string
	Shape ops.Shape // of one image: N is 1

	id     int
	layer  layer
	inputs []*Node
	params []ParamSpec
}

// layer is what a kind of layer implements, one file each.
type layer interface {
	// out is the output shape for the inputs' shapes, or why there is none.
	out(in []ops.Shape) (ops.Shape, error)
	// params lists the layer's parameters and running state, by the last part of their names.
	params(in []ops.Shape) []ParamSpec
	// traits says what memory the layer needs when.
	traits(in []ops.Shape) traits
	// forward records the layer.
	forward(r *recorder, b *bound, train bool) error
	// backward records the gradients of parameters, and of the inputs as far as b.dIn asks for them.
	backward(r *recorder, b *bound) error
}

// traits tells the memory plan about a layer.
type traits struct {
	inPlace     bool                       // the output overwrites the (only) input
	gradInPlace bool                       // the gradient of the (only) input overwrites that of the output
	needsInput  bool                       // backward reads the input
	needsOutput bool                       // backward reads the output
	centresGrad bool                       // the gradient of the (only) input sums to zero over the pixels of a channel
	marksReLU   bool                       // after a ReLU (bound.afterReLU), forward notes where the (only) input is 0, and backward masks its gradient
	relu        bool                       // the output is that of a ReLU, and backward takes its gradient masked (bound.masked) or not
	aux         func(out ops.Shape) uint64 // bytes kept from forward to backward for output shape out; nil for none

	// need is the memory, shared by all layers, that recording takes for input shape in; nil for none
	need func(r *ops.Recorder, in ops.Shape, train bool) (ops.Need, error)
	// masksInput says whether backward can mask the gradient of the (only) input by that input's ReLU; nil for never
	masksInput func(r *ops.Recorder, in ops.Shape) bool
}

// Role says how a parameter is initialised.
type Role int

const (
	Weight          Role = iota // of a convolution: He
	Bias                        // zeros
	Scale                       // ones
	RunningMean                 // zeros, not trained
	RunningVariance             // ones, not trained
	BatchesTracked              // a count kept by the host, int64, scalar
)

// ParamSpec is a parameter or running value of a layer.
type ParamSpec struct {
	Name  string // as in PyTorch's state_dict
	Shape []int
	Role  Role
	FanIn int // of a Weight
}

// Trained says whether the optimiser updates the parameter.
func (p ParamSpec) Trained() bool { return p.Role <= Scale }

// Len is the number of values.
func (p ParamSpec) Len() int {
	n := 1
	for _, s := range p.Shape {
		n *= s
	}
	return n
}

// NewGraph starts an empty graph.
func NewGraph() *Graph { return &Graph{} }

// Err is the first error met while building.
func (g *Graph) Err() error { return g.err }

// Input is the image batch, C channels of H×W pixels.
func (g *Graph) Input(c, h, w int) *Node {
	return g.add("input", input{ops.Shape{N: 1, C: c, H: h, W: w}})
}

// Conv is a convolution, with a fused ReLU where relu is set.
func (g *Graph) Conv(name string, x *Node, channels, kernel, stride, pad int, relu bool) *Node {
	return g.add(name, conv{ops.Conv{C: x.Shape.C, M: channels, K: kernel, Stride: stride, Pad: pad, ReLU: relu}}, x)
}

// BatchNorm is a batch normalisation (eps 1e-5, momentum 0.1), with a fused ReLU where relu is set.
func (g *Graph) BatchNorm(name string, x *Node, relu bool) *Node {
	return g.add(name, batchNorm{ops.BatchNorm{Eps: 1e-5, Momentum: 0.1, ReLU: relu}}, x)
}

// ReLU is max(x, 0).
func (g *Graph) ReLU(name string, x *Node) *Node { return g.add(name, relu{}, x) }

// MaxPool is max pooling.
func (g *Graph) MaxPool(name string, x *Node, op ops.MaxPool) *Node {
	return g.add(name, maxPool{op}, x)
}

// AvgPool is average pooling; the divisor counts padding.
func (g *Graph) AvgPool(name string, x *Node, kernel, stride, pad int) *Node {
	return g.add(name, avgPool{op: ops.AvgPool{K: kernel, Stride: stride, Pad: pad}}, x)
}

// GlobalAvgPool is the mean of each channel over the image.
func (g *Graph) GlobalAvgPool(name string, x *Node) *Node { return g.add(name, globalAvgPool{}, x) }

// Dropout drops elements with probability p while training.
func (g *Graph) Dropout(name string, x *Node, p float64) *Node {
	return g.add(name, dropout{ops.Dropout{P: p, Layer: uint32(len(g.nodes))}}, x)
}

// Add is the sum of two nodes of one shape.
func (g *Graph) Add(name string, a, b *Node) *Node { return g.add(name, add{}, a, b) }

func (g *Graph) add(name string, l layer, inputs ...*Node) *Node {
	n := &Node{Name: name, id: len(g.nodes), layer: l, inputs: inputs}
	g.nodes = append(g.nodes, n)
	if g.err != nil {
		return n
	}
	shapes := n.inputShapes()
	var err error
	if n.Shape, err = l.out(shapes); err != nil {
		g.err = fmt.Errorf("layer %s: %w", name, err)
		return n
	}
	for _, p := range l.params(shapes) {
		p.Name = name + "." + p.Name
		n.params = append(n.params, p)
	}
	return n
}

// soleAfterReLU says whether x alone takes the output of a layer with a ReLU.
func (g *Graph) soleAfterReLU(x *Node) bool {
	if len(x.inputs) != 1 {
		return false
	}
	in := x.inputs[0]
	return g.consumers()[in.id] == 1 && in.layer.traits(in.inputShapes()).relu
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
