package nn

import (
	"errors"
	"fmt"

	"ninvk/ops"
)

// Concat joins the channels of nodes with images of one size, in their order.
func (g *Graph) Concat(name string, x ...*Node) *Node { return g.add(name, concat{}, x...) }

// Concat is the operator of a layer that joins channels. It has no kernel: the layers before write into ranges of one
// buffer, where their channels are multiples of four; others are copied.
type Concat struct{}

type concat struct{ plain }

func (concat) out(in []ops.Shape) (ops.Shape, error) {
	if len(in) == 0 {
		return ops.Shape{}, errors.New("nothing to join")
	}
	s := in[0]
	for i, o := range in[1:] {
		if s.H != o.H || s.W != o.W {
			return s, fmt.Errorf("can't join images of %d×%d and %d×%d pixels", s.H, s.W, o.H, o.W)
		}
		if s.C%4 != 0 {
			return s, fmt.Errorf("input %d ends at channel %d; all but the last must end at a multiple of 4", i, s.C)
		}
		s.C += o.C
	}
	return s, nil
}

func (concat) traits(in []ops.Shape) traits {
	at := func(i int) (int, bool) {
		channel := 0
		for _, s := range in[:i] {
			channel += s.C
		}
		return channel, true
	}
	return traits{gradAt: at, joins: at}
}
func (concat) op() any                        { return Concat{} }
func (concat) title() string                  { return "concat" }
func (concat) visit(n *Node, v Visitor) error { return v.Concat(n) }

func (concat) forward(r *recorder, b *bound, _ bool) error {
	channel := 0
	for _, x := range b.in {
		if to := b.out.Range(channel, x.C); to != x {
			r.pass(b, forwardPass, 0, x, to)
			r.copy(x, to)
		}
		channel += x.C
	}
	return nil
}

func (concat) backward(*recorder, *bound) error { return nil }
