package ref

import "math"

// GradNorm returns the Euclidean norm of the gradients g, and how many values of g and of the weights w are NaN or
// infinite. Where clip is above 0 it then scales g in place by the rule of torch.nn.utils.clip_grad_norm_:
//
//	g = g · min(1, clip/(norm + 1e-6))
func GradNorm(g, w []float64, clip float64) (norm float64, broken int) {
	var sum float64
	for _, v := range [][]float64{g, w} {
		for _, x := range v {
			if math.IsNaN(x) || math.IsInf(x, 0) {
				broken++
			}
		}
	}
	for _, x := range g {
		sum += x * x
	}
	norm = math.Sqrt(sum)
	if clip > 0 {
		factor := min(1, clip/(norm+1e-6))
		for i := range g {
			g[i] *= factor
		}
	}
	return norm, broken
}
