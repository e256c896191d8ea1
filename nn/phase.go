package nn

import (
	"errors"
	"fmt"

	"ninvk/gpu"
	"ninvk/ops"
)

// Phase is a piece of a step: one pass of one layer or of what every network has: the tape's commands carry it, so that
// their times can be told apart.
type Phase struct {
	Layer    string // name of the layer, or "input", "loss", "update"
	Operator string // as "conv 5×5"
	Pass     string // as below: forward, input-gradient, …
	Shape    string // what is read and written, NCHW
	Flops    float64
	Bytes    float64 // of the tensors that must be read or written, each once
}

// The passes.
const (
	forwardPass    = "forward"
	inputGradPass  = "input-gradient"
	weightGradPass = "weight-gradient"
	againPass      = "forward-again" // of what backward reads and is not kept
	updatePass     = "update"
)

// begin names what is recorded from now on.
func (r *recorder) begin(p Phase, touched ...ops.Tensor) {
	for _, t := range touched {
		if t.Buf != nil {
			p.Bytes += 4 * float64(t.Elements())
		}
	}
	r.Tape.Phase = &p
}

// pass is begin for a pass of a layer.
func (r *recorder) pass(b *bound, pass string, flops float64, touched ...ops.Tensor) {
	r.begin(Phase{
		Layer: b.layer, Operator: b.title, Pass: pass, Flops: flops,
		Shape: fmt.Sprintf("%v → %v", b.in[0].Shape, b.out.Shape),
	}, touched...)
}

// weight is a parameter seen as a tensor, for counting its bytes.
func (r *recorder) weight(p ops.Param) ops.Tensor {
	return ops.Tensor{Shape: ops.Shape{N: 1, C: p.Len, H: 1, W: 1}, Buf: r.Weights}
}

// Tape writes what a step over these images needs to the adapter and returns the recorded step, whose commands carry a
// *Phase each. It is for measuring; TrainStep and EvalStep submit steps.
func (n *Net) Tape(images *ops.Images, entries []Entry, train bool) (*gpu.Tape, error) {
	n.told = ops.Step{Balance: n.balance(entries)}
	if train && (n.Options.inParts() || n.tree != nil) {
		return nil, errors.New("a step whose batch is computed in parts is no single tape")
	}
	return n.prepare(n.key(images, len(entries), train), entries)
}
