package ref

import "math"

// Pool is the shape of a two-dimensional pooling: N images of C channels, H rows and W columns, a K×K window, Pad
// elements added on all four sides. With Ceil the last window may reach beyond the padding (torch's ceil_mode).
type Pool struct {
	N, C, H, W, K, Stride, Pad int
	Ceil                       bool
}

// OH is the number of rows of the output in floor mode: ⌊(H+2·Pad−K)/Stride⌋+1.
func (p Pool) OH() int { return p.count(p.H) }

// OW is the number of columns of the output.
func (p Pool) OW() int { return p.count(p.W) }

func (p Pool) count(size int) int {
	if !p.Ceil {
		return windows(size, p.K, p.Stride, p.Pad)
	}
	n := (size+2*p.Pad-p.K+p.Stride-1)/p.Stride + 1
	if (n-1)*p.Stride >= size+p.Pad { // a window must start inside
		n--
	}
	return n
}

// MaxPool gives y [N,C,OH,OW], the greatest element of each window of x [N,C,H,W], and its index in x. Padding counts
// as −∞; of equal elements the first in row-major order wins, as in torch.nn.MaxPool2d. A window that lies in the
// padding entirely gives −∞ and index −1.
func MaxPool(p Pool, x []float64) (y []float64, arg []int) {
	n := p.N * p.C * p.OH() * p.OW()
	y, arg = make([]float64, n), make([]int, n)
	for i := range y {
		y[i], arg[i] = math.Inf(-1), -1
	}
	p.each(func(yi, xi int) {
		if arg[yi] < 0 || x[xi] > y[yi] {
			y[yi], arg[yi] = x[xi], xi
		}
	})
	return y, arg
}

// MaxPoolGrad gives dx [N,C,H,W]: each dy goes to the element MaxPool chose.
func MaxPoolGrad(p Pool, arg []int, dy []float64) []float64 {
	dx := make([]float64, p.N*p.C*p.H*p.W)
	for i, xi := range arg {
		if xi >= 0 {
			dx[xi] += dy[i]
		}
	}
	return dx
}

// AvgPool gives y [N,C,OH,OW], the sum of each window of x divided by K². Padding counts as zeros and is part of the
// divisor: torch.nn.AvgPool2d with count_include_pad, its default.
func AvgPool(p Pool, x []float64) []float64 {
	y := make([]float64, p.N*p.C*p.OH()*p.OW())
	p.each(func(yi, xi int) { y[yi] += x[xi] })
	for i := range y {
		y[i] /= float64(p.K * p.K)
	}
	return y
}

// AvgPoolGrad gives dx [N,C,H,W]: each dy/K² goes to every element of its window.
func AvgPoolGrad(p Pool, dy []float64) []float64 {
	dx := make([]float64, p.N*p.C*p.H*p.W)
	p.each(func(yi, xi int) { dx[xi] += dy[yi] / float64(p.K*p.K) })
	return dx
}

// each calls f for each output element and each input element of its window
// that isn't padding, windows and elements both in row-major order.
func (p Pool) each(f func(yi, xi int)) {
	oh, ow := p.OH(), p.OW()
	for plane := range p.N * p.C {
		for i := range oh {
			for j := range ow {
				top, left := i*p.Stride-p.Pad, j*p.Stride-p.Pad
				for h := max(top, 0); h < min(top+p.K, p.H); h++ {
					for w := max(left, 0); w < min(left+p.K, p.W); w++ {
						f((plane*oh+i)*ow+j, (plane*p.H+h)*p.W+w)
					}
				}
			}
		}
	}
}

// GlobalAvgPool gives y [n,c], the mean of each plane of x [n,c,h,w] (Lin, Chen and Yan 2013, section 3.2).
func GlobalAvgPool(n, c, h, w int, x []float64) []float64 {
	y := make([]float64, n*c)
	for i := range y {
		for _, v := range x[i*h*w : (i+1)*h*w] {
			y[i] += v
		}
		y[i] /= float64(h * w)
	}
	return y
}

// GlobalAvgPoolGrad gives dx [n,c,h,w] from dy [n,c].
func GlobalAvgPoolGrad(n, c, h, w int, dy []float64) []float64 {
	dx := make([]float64, n*c*h*w)
	for i := range dx {
		dx[i] = dy[i/(h*w)] / float64(h*w)
	}
	return dx
}
