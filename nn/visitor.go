package nn

import "ninvk/ops"

// Visitor is told what a layer computes, in a method for each kind: whoever writes networks in another form handles all
// kinds, or does not compile.
type Visitor interface {
	Input(n *Node) error
	Conv(n *Node, o ops.Conv) error
	Linear(n *Node, o ops.Linear) error
	BatchNorm(n *Node, o ops.BatchNorm) error
	ReLU(n *Node) error
	MaxPool(n *Node, o ops.MaxPool) error
	AvgPool(n *Node, o ops.AvgPool) error
	GlobalAvgPool(n *Node) error
	AdaptiveAvgPool(n *Node, o ops.AdaptiveAvgPool) error
	Dropout(n *Node, o ops.Dropout) error
	Add(n *Node, o ops.Add) error
	Concat(n *Node) error
	Subsample(n *Node, o ops.Subsample) error
}

// Visit calls the visitor's method for the layer's kind.
func (n *Node) Visit(v Visitor) error { return n.layer.visit(n, v) }

// Nodes lists the layers in the order in which they were added: each comes after its inputs.
func (g *Graph) Nodes() []*Node { return g.nodes }

// Inputs are the layers that n reads.
func (n *Node) Inputs() []*Node { return n.inputs }

// Params lists the parameters and running values of the layer.
func (n *Node) Params() []ParamSpec { return n.params }

// Op is what the layer computes, as the operator of package ops with its attributes; nil for the input, Concat{} for
// what has no arithmetic.
func (n *Node) Op() any { return n.layer.op() }

// Title names what the layer computes, as "conv 3×3".
func (n *Node) Title() string { return n.layer.title() }

// MultiplyAdds counts those of the forward pass over one image.
func (n *Node) MultiplyAdds() float64 { return n.layer.multiplyAdds(n.inputShapes()) }
