package ref

// Subsample is the shortcut without weights of a residual network: of N images of C channels, H rows and W columns
// every Stride-th pixel of every Stride-th row, with Before channels of zeros in front and After behind: PyTorch's
// F.pad(x[:, :, ::stride, ::stride], (0, 0, 0, 0, before, after)).
type Subsample struct{ N, C, H, W, Stride, Before, After int }

// OC is the number of channels of the output.
func (s Subsample) OC() int { return s.Before + s.C + s.After }

// OH is the number of rows of the output, ⌈H/Stride⌉.
func (s Subsample) OH() int { return (s.H + s.Stride - 1) / s.Stride }

// OW is the number of columns of the output.
func (s Subsample) OW() int { return (s.W + s.Stride - 1) / s.Stride }

// Forward gives y [N,OC,OH,OW].
func (s Subsample) Forward(x []float64) []float64 {
	y := make([]float64, s.N*s.OC()*s.OH()*s.OW())
	s.each(func(xi, yi int) { y[yi] = x[xi] })
	return y
}

// Grad gives dx [N,C,H,W] from dy.
func (s Subsample) Grad(dy []float64) []float64 {
	dx := make([]float64, s.N*s.C*s.H*s.W)
	s.each(func(xi, yi int) { dx[xi] = dy[yi] })
	return dx
}

func (s Subsample) each(f func(xi, yi int)) {
	for n := range s.N {
		for c := range s.C {
			for i := range s.OH() {
				for j := range s.OW() {
					f(((n*s.C+c)*s.H+i*s.Stride)*s.W+j*s.Stride, ((n*s.OC()+s.Before+c)*s.OH()+i)*s.OW()+j)
				}
			}
		}
	}
}
