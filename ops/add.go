package ops

import "errors"

// Add sums activations of one shape, with optional ReLU. It also joins the gradients of an activation that several
// layers read.
type Add struct {
	ReLU bool `json:"relu"`
}

// Forward records y = the sum of all x, then ReLU where o has it. One x may be y itself; another part of y's buffer
// none may be.
func (o Add) Forward(r *Recorder, y Tensor, x ...Tensor) error {
	var others []Tensor
	for _, t := range x {
		switch {
		case t.Buf != y.Buf:
			others = append(others, t)
		case t.At != y.At:
			return errors.New("a sum can't be written to the buffer that holds one of its terms, unless in place of that")
		}
	}
	switch own := len(x) - len(others); {
	case own > 1 || len(x) == 0:
		return errors.New("a sum is of one activation or more, and at most one of them is overwritten by it")
	case own == 0 && len(others) == 1:
		r.Tape.Copy(others[0].Buf, others[0].At, y.Buf, y.At, y.Bytes())
		others = nil
	case own == 0:
		if err := r.add(y, others[:2], o.ReLU && len(others) == 2); err != nil {
			return err
		}
		if others = others[2:]; len(others) == 0 {
			return nil
		}
	}
	for i := range others {
		if err := r.add(y, others[i:i+1], o.ReLU && i == len(others)-1); err != nil {
			return err
		}
	}
	if o.ReLU && len(others) == 0 {
		return ReLU{}.Forward(r, y)
	}
	return nil
}

// Accumulate records sum = sum + x.
func (Add) Accumulate(r *Recorder, x, sum Tensor) error { return r.add(sum, []Tensor{x}, false) }

// add records sum = the sum of two x, or sum = sum + x of one.
func (r *Recorder) add(sum Tensor, x []Tensor, relu bool) error {
	if len(x) == 1 {
		x = []Tensor{x[0], sum}
	}
	return r.elementwise("add", map[string]any{"ReLU": relu}, sum, x...)
}
