package ops

import "fmt"

// Linear is a fully connected layer with optional ReLU: y[n][m] = Σ w[m][k]·x[n][k] + b[m]. The input is flattened as
// in PyTorch: k = (c·H + h)·W + w. Weights are row-major [M][In], the bias [M].
type Linear struct {
	In   int  `json:"in_features"`
	M    int  `json:"out_features"`
	ReLU bool `json:"relu"`
}

// Out is the output shape for input x, N×M×1×1, or an error that says why there is none.
func (o Linear) Out(x Shape) (Shape, error) {
	if n := x.C * x.H * x.W; n != o.In {
		return Shape{}, fmt.Errorf("the linear layer takes %d values an image, its input has %d (%d×%d×%d)",
			o.In, n, x.C, x.H, x.W)
	}
	if o.M < 1 {
		return Shape{}, fmt.Errorf("a linear layer with %d outputs; at least 1 is needed", o.M)
	}
	return Shape{x.N, o.M, 1, 1}, nil
}

// Flops counts the multiplications and additions of one pass (forward, input gradient or weight gradient) for input x.
func (o Linear) Flops(x Shape) float64 { return 2 * float64(x.N) * float64(o.In) * float64(o.M) }

// Forward records y = x·weightᵀ + bias, then ReLU where o has it. A bias of length 0 is none.
func (o Linear) Forward(r *Recorder, x Tensor, weight, bias Param, y Tensor) error {
	return linearVariants.record(r, LinearForward, LinearCall{Linear: o, In: x, Out: y, Weight: weight, Bias: bias})
}

// InputGrad records dx = dy·weight, or with accumulate the addition of that to dx. Where the layer has a ReLU, dy must
// already be masked by it.
func (o Linear) InputGrad(r *Recorder, dy Tensor, weight Param, dx Tensor, accumulate bool) error {
	c := LinearCall{Linear: o, In: dx, Out: dy, Weight: weight, Accumulate: accumulate}
	return linearVariants.record(r, LinearInputGrad, c)
}

// WeightGrad records the gradients of weight and bias (of the weight alone where the bias has length 0) from the input
// x and the output's gradient dy. Where the layer has a ReLU and dy is not masked yet, y is its output and dy is masked
// in place; otherwise y is nil.
func (o Linear) WeightGrad(r *Recorder, x, dy Tensor, y *Tensor, weight, bias Param) error {
	if y != nil {
		if err := (ReLU{}).Grad(r, *y, dy); err != nil {
			return err
		}
	}
	if bias.Len > 0 {
		if err := BiasGrad(r, dy, bias); err != nil {
			return err
		}
	}
	return linearVariants.record(r, LinearWeightGrad, LinearCall{Linear: o, In: x, Out: dy, Weight: weight})
}

// Need is the memory that recording the passes for input x takes from r: forward alone, or in training all of them.
func (o Linear) Need(r *Recorder, x Shape, train bool) (Need, error) {
	call, err := o.call(x)
	if err != nil {
		return Need{}, err
	}
	if !train {
		return linearVariants.need(r, call, LinearForward)
	}
	need, err := linearVariants.need(r, call, LinearForward, LinearInputGrad, LinearWeightGrad)
	return need.Max(Need{Partial: reduceBytes(r.planned(call.Out.Shape))}), err // of the bias
}

// call is a pass for input x without its buffers.
func (o Linear) call(x Shape) (LinearCall, error) {
	y, err := o.Out(x)
	return LinearCall{Linear: o, In: Tensor{Shape: x}, Out: Tensor{Shape: y}}, err
}

// slope is that of the negative half of the output: 1 none, 0 ReLU.
func (o Linear) slope() float32 {
	if o.ReLU {
		return 0
	}
	return 1
}
