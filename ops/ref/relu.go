package ref

// ReLU gives max(x, 0), element by element.
func ReLU(x []float64) []float64 {
	y := make([]float64, len(x))
	for i, v := range x {
		y[i] = max(v, 0)
	}
	return y
}

// ReLUGrad passes dy where the output y is above 0 and gives 0 elsewhere, so
// that the gradient at exactly 0 is 0, as in PyTorch.
func ReLUGrad(y, dy []float64) []float64 {
	dx := make([]float64, len(dy))
	for i, v := range y {
		if v > 0 {
			dx[i] = dy[i]
		}
	}
	return dx
}
