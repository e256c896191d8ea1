package ops

import (
	"ninvk/gpu"
	"ninvk/shaders"
)

// SGD is stochastic gradient descent with momentum and weight decay (added to the gradient), PyTorch's rule.
type SGD struct {
	Momentum, WeightDecay float64
	Nesterov              bool
	Scale                 float64 // factor of the step's learning rate; 0 stands for 1
}

// Update records one update of n parameters from the one numbered from on, a multiple of four, n being rounded up to
// one. The learning rate comes from step.
func (o SGD) Update(r *Recorder, step *gpu.Buffer, from, n int, velocity *gpu.Buffer) error {
	scale := o.Scale
	if scale == 0 {
		scale = 1
	}
	read := []*gpu.Buffer{r.Grads, r.Weights, velocity}
	return r.inBands(from/4, ceilDiv(n, 4), read, func(first, n int, at shaders.Bands) error {
		k, grads := bandKernel("sgd", at, r.Scratch, gpu.All(r.Grads))
		k.Bindings = append(k.Bindings, gpu.Write, gpu.Write)
		l := linesOf(4*n, 128)
		params := shaders.SGDParams{
			Vectors: l.Vectors, Momentum: float32(o.Momentum), Decay: float32(o.WeightDecay), Nesterov: o.Nesterov,
			First: first, Scale: float32(scale), Bands: at,
		}
		return r.dispatch(k, 0, params, l.x, l.y, 1, gpu.All(step), grads, gpu.All(r.Weights), gpu.All(velocity))
	})
}
