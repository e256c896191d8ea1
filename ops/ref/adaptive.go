package ref

// AdaptivePool is the shape of an adaptive average pooling: planes of H×W elements become planes of OH×OW.
type AdaptivePool struct{ N, C, H, W, OH, OW int }

// AdaptiveAvgPool gives y [N,C,OH,OW], torch.nn.AdaptiveAvgPool2d: along an axis of n elements, output i of m is the
// mean of the elements from ⌊i·n/m⌋ to below ⌈(i+1)·n/m⌉.
func AdaptiveAvgPool(p AdaptivePool, x []float64) []float64 {
	y := make([]float64, p.N*p.C*p.OH*p.OW)
	p.each(func(yi, xi, size int) { y[yi] += x[xi] / float64(size) })
	return y
}

// AdaptiveAvgPoolGrad gives dx [N,C,H,W] from dy.
func AdaptiveAvgPoolGrad(p AdaptivePool, dy []float64) []float64 {
	dx := make([]float64, p.N*p.C*p.H*p.W)
	p.each(func(yi, xi, size int) { dx[xi] += dy[yi] / float64(size) })
	return dx
}

// each calls f for each output element and each input element of its window, with the window's size.
func (p AdaptivePool) each(f func(yi, xi, size int)) {
	for plane := range p.N * p.C {
		for i := range p.OH {
			top, bottom := i*p.H/p.OH, ((i+1)*p.H+p.OH-1)/p.OH
			for j := range p.OW {
				left, right := j*p.W/p.OW, ((j+1)*p.W+p.OW-1)/p.OW
				for h := top; h < bottom; h++ {
					for w := left; w < right; w++ {
						f((plane*p.OH+i)*p.OW+j, (plane*p.H+h)*p.W+w, (bottom-top)*(right-left))
					}
				}
			}
		}
	}
}
