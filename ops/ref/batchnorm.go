package ref

import "math"

// BatchNorm normalises each of C channels over N images of HW pixels (Ioffe and Szegedy 2015). Eps is added to the
// variance. Momentum is the weight of the new batch in the running statistics, PyTorch's sense of the word.
type BatchNorm struct {
	N, C, HW      int
	Eps, Momentum float64
}

// Train gives y [N,C,HW] = (x−mean)·invstd·gamma + beta with the mean [C] and invstd [C] = 1/√(var+Eps) of this batch,
// var being the biased variance. It moves runMean and runVar [C] in place by Momentum towards the mean and the unbiased
// variance (that of torch.nn.BatchNorm2d). Where N·HW is 1 the unbiased variance doesn't exist, and PyTorch refuses;
// here the biased one stands in.
func (b BatchNorm) Train(x, gamma, beta, runMean, runVar []float64) (y, mean, invstd []float64) {
	mean, invstd = make([]float64, b.C), make([]float64, b.C)
	count := float64(b.N * b.HW)
	for c := range b.C {
		var sum, squares float64
		b.channel(c, func(i int) { sum += x[i] })
		mean[c] = sum / count
		b.channel(c, func(i int) { d := x[i] - mean[c]; squares += d * d })
		invstd[c] = 1 / math.Sqrt(squares/count+b.Eps)
		runMean[c] += b.Momentum * (mean[c] - runMean[c])
		runVar[c] += b.Momentum * (squares/max(count-1, 1) - runVar[c])
	}
	return b.apply(x, gamma, beta, mean, invstd), mean, invstd
}

// TrainGrad gives the gradients dx [N,C,HW], dgamma [C] and dbeta [C] from dy,
// with the mean and invstd that Train gave. With x̂ = (x−mean)·invstd:
//
//	dbeta = Σ dy    dgamma = Σ dy·x̂
//	dx = gamma·invstd·(dy − dbeta/(N·HW) − x̂·dgamma/(N·HW))
func (b BatchNorm) TrainGrad(x, gamma, mean, invstd, dy []float64) (dx, dgamma, dbeta []float64) {
	dx = make([]float64, len(x))
	dgamma, dbeta = make([]float64, b.C), make([]float64, b.C)
	count := float64(b.N * b.HW)
	for c := range b.C {
		hat := func(i int) float64 { return (x[i] - mean[c]) * invstd[c] }
		b.channel(c, func(i int) {
			dbeta[c] += dy[i]
			dgamma[c] += dy[i] * hat(i)
		})
		b.channel(c, func(i int) {
			dx[i] = gamma[c] * invstd[c] * (dy[i] - dbeta[c]/count - hat(i)*dgamma[c]/count)
		})
	}
	return dx, dgamma, dbeta
}

// Eval gives y [N,C,HW], normalised by the running statistics.
func (b BatchNorm) Eval(x, gamma, beta, runMean, runVar []float64) []float64 {
	invstd := make([]float64, b.C)
	for c, v := range runVar {
		invstd[c] = 1 / math.Sqrt(v+b.Eps)
	}
	return b.apply(x, gamma, beta, runMean, invstd)
}

// EvalGrad gives the gradient dx [N,C,HW] of Eval: dx = gamma·dy/√(variance+eps).
func (b BatchNorm) EvalGrad(gamma, runVar, dy []float64) []float64 {
	dx := make([]float64, len(dy))
	for i, v := range dy {
		c := i / b.HW % b.C
		dx[i] = gamma[c] / math.Sqrt(runVar[c]+b.Eps) * v
	}
	return dx
}

func (b BatchNorm) apply(x, gamma, beta, mean, invstd []float64) []float64 {
	y := make([]float64, len(x))
	for i, v := range x {
		c := i / b.HW % b.C
		y[i] = (v-mean[c])*invstd[c]*gamma[c] + beta[c]
	}
	return y
}

// channel calls f with the index of each element of channel c.
func (b BatchNorm) channel(c int, f func(i int)) {
	for n := range b.N {
		start := (n*b.C + c) * b.HW
		for i := start; i < start+b.HW; i++ {
			f(i)
		}
	}
}
