package cases

import (
	"fmt"
	"slices"

	"ninvk/ops"
)

// variants adds an entry for every variant that is offered for a pass.
func (t *table) variants(p ops.Pass, c Case, offers []ops.Offer) {
	c.key = p
	for _, v := range offers {
		one := c
		one.Name, one.Variant = fmt.Sprintf("%s [%s]", c.Name, v.Variant), v.Variant
		one.Fits = v.Fits
		if c.Need == nil { // else the variants share it
			one.Need = v.Need
		}
		one.Record = func(m *Memory) error {
			m.Choice.Forced = map[ops.Pass]string{p: v.Variant}
			return c.Record(m)
		}
		t.add(one)
	}
}

// weightGrads adds the entries of the weight gradient of c's operator, whose output has shape y: plain, and where it
// has a ReLU masked by that.
func (t *table) weightGrads(p ops.Pass, c Case, y ops.Shape, relu bool, grads []Operand, offers []ops.Offer) {
	o := c.Op.(interface {
		WeightGrad(r *ops.Recorder, x, dy ops.Tensor, y *ops.Tensor, weight, bias ops.Param) error
	})
	c.Pass = "weight gradient"
	c.Operands = slices.Concat([]Operand{reads("x", c.In, unit), reads("dy", y, unit)}, grads)
	c.Record = func(m *Memory) error {
		return o.WeightGrad(m.Recorder, m.Tensors["x"], m.Tensors["dy"], nil, m.Params["weight"], m.Params["bias"])
	}
	t.variants(p, c, offers)
	if !relu {
		return
	}
	c.Name, c.masked = c.Name+" masked", true
	c.Operands = slices.Concat([]Operand{reads("x", c.In, unit), updates("dy", y, unit), reads("y", y, halves)}, grads)
	c.Record = func(m *Memory) error {
		mask := m.Tensors["y"]
		return o.WeightGrad(m.Recorder, m.Tensors["x"], m.Tensors["dy"], &mask, m.Params["weight"], m.Params["bias"])
	}
	t.variants(p, c, offers)
}
