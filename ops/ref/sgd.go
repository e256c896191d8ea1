package ref

// SGD is stochastic gradient descent by the rule of torch.optim.SGD (with dampening 0).
type SGD struct {
	LR, Momentum, WeightDecay float64
	Nesterov                  bool
}

// Step updates the weights w and the velocities v in place from the gradient
// g, which it leaves as it is. The velocities start as zeros.
//
//	d = g + WeightDecay·w
//	v = Momentum·v + d
//	w = w − LR·v, or with Nesterov w − LR·(d + Momentum·v)
func (s SGD) Step(w, g, v []float64) {
	for i := range w {
		d := g[i] + s.WeightDecay*w[i]
		v[i] = s.Momentum*v[i] + d
		if s.Nesterov {
			w[i] -= s.LR * (d + s.Momentum*v[i])
		} else {
			w[i] -= s.LR * v[i]
		}
	}
}
