package nn

import (
	"fmt"
	"slices"

	"ninvk/ops"
)

// Nodes lists the layers in the order in which they were added: each comes after its inputs.
func (g *Graph) Nodes() []*Node { return g.nodes }

// Inputs are the layers that n reads.
func (n *Node) Inputs() []*Node { return n.inputs }

// Params lists the parameters and running values of the layer.
func (n *Node) Params() []ParamSpec { return n.params }

// Op is what the layer computes, as the operator with its attributes: ops.Conv, ops.BatchNorm, ops.ReLU, ops.MaxPool, ops.AvgPool,
// ops.GlobalAvgPool, ops.Dropout or ops.Add; nil for the input.
func (n *Node) Op() any {
	switch l := n.layer.(type) {
	case conv:
		return l.op
	case batchNorm:
		return l.op
	case relu:
		return ops.ReLU{}
	case maxPool:
		return l.op
	case avgPool:
		return l.op
	case globalAvgPool:
		return ops.GlobalAvgPool{}
	case dropout:
		return l.op
	case add:
		return ops.Add{}
	}
	return nil
}

// Logits waits for the adapter and reads the logits [images][classes] of the last step, which must have been an evaluation of that many images.
func (n *Net) Logits(images int) ([]float32, error) { return n.read(n.out, images) }

// Activation waits for the adapter and reads what layer x, one of Options.Keep, put out in the last step, which must have been one of that many images:
// [images][channels][rows][columns].
func (n *Net) Activation(x *Node, images int) ([]float32, error) {
	if !slices.Contains(n.Options.Keep, x) {
		return nil, fmt.Errorf("the output of layer %s was not kept", x.Name)
	}
	return n.read(x, images)
}

func (n *Net) read(x *Node, images int) ([]float32, error) {
	t := n.tensor(x, n.plan.act[x.id], images)
	packed, err := n.dev.ReadFloats(t.Buf, int(t.Bytes()/4))
	if err != nil {
		return nil, err
	}
	return ops.Unpack(t.Shape, packed), nil
}
