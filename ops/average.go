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
	read := []*gpu.Buffer{values, averages}
	return r.inBands(0, ceilDiv(n, 4), read, func(first, n int, at shaders.Bands) error {
		k, from := bandKernel("average", at, r.Scratch, gpu.All(values))
		k.Bindings = append(k.Bindings, gpu.Write)
		l := linesOf(4*n, 256)
		params := shaders.AverageParams{Vectors: l.Vectors, Statistics: statistics, First: first, Bands: at}
		return r.dispatch(k, 0, params, l.x, l.y, 1, gpu.All(step), from, gpu.All(averages))
	})
}
