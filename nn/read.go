package nn

import (
	"fmt"
	"slices"

	"ninvk/ops"
)

// Logits waits for the adapter and reads the logits [images][classes] of the last step, which must have been an
// evaluation of that many images.
func (n *Net) Logits(images int) ([]float32, error) { return n.read(n.heads[0].Logits, images) }

// Activation waits for the adapter and reads what layer x, one of Options.Keep, put out in the last step, which must
// have been one of that many images: [images][channels][rows][columns].
func (n *Net) Activation(x *Node, images int) ([]float32, error) {
	if !slices.Contains(n.Options.Keep, x) {
		return nil, fmt.Errorf("the output of layer %s was not kept", x.Name)
	}
	return n.read(x, images)
}

func (n *Net) read(x *Node, images int) ([]float32, error) {
	t := n.tensor(x, n.plan.act[x.id], images)
	packed, err := n.dev.ReadFloatsAt(t.Buf, t.At, int(t.Bytes()/4))
	if err != nil {
		return nil, err
	}
	return ops.Unpack(t.Shape, packed), nil
}
