package ref

// Linear is the shape of a fully connected layer: N images of In values each, M outputs.
type Linear struct{ N, In, M int }

// LinearForward gives y [N,M] of x [N,In], w [M,In] and b [M], which may be
// nil: y[n,m] = b[m] + Σ_k w[m,k]·x[n,k], torch.nn.Linear.
func LinearForward(l Linear, x, w, b []float64) []float64 {
	y := make([]float64, l.N*l.M)
	if b != nil {
		for i := range y {
			y[i] = b[i%l.M]
		}
	}
	l.each(func(n, m, k int) { y[n*l.M+m] += w[m*l.In+k] * x[n*l.In+k] })
	return y
}

// LinearInputGrad gives dx [N,In] from dy [N,M].
func LinearInputGrad(l Linear, dy, w []float64) []float64 {
	dx := make([]float64, l.N*l.In)
	l.each(func(n, m, k int) { dx[n*l.In+k] += w[m*l.In+k] * dy[n*l.M+m] })
	return dx
}

// LinearWeightGrad gives dw [M,In] and db [M], summed over the batch.
func LinearWeightGrad(l Linear, x, dy []float64) (dw, db []float64) {
	dw, db = make([]float64, l.M*l.In), make([]float64, l.M)
	l.each(func(n, m, k int) { dw[m*l.In+k] += dy[n*l.M+m] * x[n*l.In+k] })
	for i, g := range dy {
		db[i%l.M] += g
	}
	return dw, db
}

func (l Linear) each(f func(n, m, k int)) {
	for n := range l.N {
		for m := range l.M {
			for k := range l.In {
				f(n, m, k)
			}
		}
	}
}
