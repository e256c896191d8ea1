package ops

import (
	"ninvk/gpu"
	"ninvk/shaders"
)

// SGD is stochastic gradient descent with momentum and weight decay (added to the gradient), PyTorch's rule.
type SGD struct {
	Momentum, WeightDecay float64
	Nesterov              bool
}

// Update records one update of all n parameters (buffers of n floats rounded up to 4). The learning rate comes from step.
func (o SGD) Update(r *Recorder, step *gpu.Buffer, n int, velocity *gpu.Buffer) error {
	k := gpu.Kernel{Name: "sgd", Source: shaders.Source("sgd", nil), Bindings: []gpu.Kind{gpu.Params, gpu.Uniform, gpu.Read, gpu.Write, gpu.Write}}
	params := []uint32{bits(float32(o.Momentum)), bits(float32(o.WeightDecay)), flag(o.Nesterov)}
	return r.floats(k, n, 128, params, gpu.All(step), gpu.All(r.Grads), gpu.All(r.Weights), gpu.All(velocity))
}
