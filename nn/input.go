package nn

import (
	"fmt"

	"ninvk/ops"
)

// input is the batch of images that augmentation writes.
type input struct{ shape ops.Shape }

func (l input) out([]ops.Shape) (ops.Shape, error) {
	if l.shape.C < 1 || l.shape.H < 1 || l.shape.W < 1 {
		return l.shape, fmt.Errorf("impossible image size %d×%d×%d", l.shape.C, l.shape.H, l.shape.W)
	}
	return l.shape, nil
}
func (input) params([]ops.Shape) []ParamSpec        { return nil }
func (input) traits([]ops.Shape) traits             { return traits{} }
func (input) op() any                               { return nil }
func (input) title() string                         { return "image, normalised" }
func (input) multiplyAdds([]ops.Shape) float64      { return 0 }
func (input) visit(n *Node, v Visitor) error        { return v.Input(n) }
func (input) forward(*recorder, *bound, bool) error { return nil }
func (input) backward(*recorder, *bound) error      { return nil }
