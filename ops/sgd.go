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
	k := gpu.Kernel{
		Name: "sgd", Source: shaders.Source("sgd", nil),
		Bindings: []gpu.Kind{gpu.Params, gpu.Uniform, gpu.Read, gpu.Write, gpu.Write},
	}
	scale := o.Scale
	if scale == 0 {
		scale = 1
	}
	params := []uint32{
		bits(float32(o.Momentum)), bits(float32(o.WeightDecay)), flag(o.Nesterov), uint32(from / 4), bits(float32(scale)),
	}
	return r.floats(k, n, 128, params, gpu.All(step), gpu.All(r.Grads), gpu.All(r.Weights), gpu.All(velocity))
}
