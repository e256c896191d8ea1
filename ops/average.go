package ops

import (
	"ninvk/gpu"
	"ninvk/shaders"
)

// Average is an exponential moving average of the weights, which evaluates better than the last weights while the
// learning rate is high (Polyak and Juditsky, 1992; Tarvainen and Valpola, arXiv 1703.01780). With a Decay of 0 there
// is none.
type Average struct{ Decay float64 }

// Rate is how far the average moves towards the weights after a step, which counts from 1: 1 - Decay, and more in the
// first steps, so that the random weights of the start are soon forgotten (1 - (1+n)/(10+n), as in TensorFlow's
// ExponentialMovingAverage).
func (o Average) Rate(step int) float64 {
	n := float64(step)
	return 1 - min(o.Decay, (1+n)/(10+n))
}

// Update records the move of n averages towards their values (buffers of n floats rounded up to 4). The rate comes from
// step, which has one for weights and one for running statistics.
func (o Average) Update(r *Recorder, step *gpu.Buffer, n int, values, averages *gpu.Buffer, statistics bool) error {
	k := gpu.Kernel{Name: "average", Source: shaders.Source("average", nil), Bindings: []gpu.Kind{gpu.Params, gpu.Uniform,
		gpu.Read, gpu.Write}}
	l := linesOf(n, 256)
	params := shaders.AverageParams{Vectors: l.Vectors, Statistics: statistics}
	return r.dispatch(k, 0, params, l.x, l.y, 1, gpu.All(step), gpu.All(values), gpu.All(averages))
}
