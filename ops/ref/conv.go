package ref

// Conv is the shape of a two-dimensional convolution with dilation 1 and one group: N images of C channels, H rows and
// W columns, M output channels, a K×K kernel. Pad zeros are added on all four sides.
type Conv struct{ N, C, H, W, M, K, Stride, Pad int }

// OH is the number of rows of the output, ⌊(H+2·Pad−K)/Stride⌋+1.
func (c Conv) OH() int { return windows(c.H, c.K, c.Stride, c.Pad) }

// OW is the number of columns of the output.
func (c Conv) OW() int { return windows(c.W, c.K, c.Stride, c.Pad) }

// ConvForward gives y [N,M,OH,OW] of x [N,C,H,W], w [M,C,K,K] and b [M], which may be nil:
//
//	y[n,m,i,j] = b[m] + Σ_{c,k,l} w[m,c,k,l] · x[n,c,i·Stride+k−Pad,j·Stride+l−Pad]
//
// This is the cross-correlation torch.nn.Conv2d calls convolution: the kernel is not flipped.
func ConvForward(c Conv, x, w, b []float64) []float64 {
	y := make([]float64, c.N*c.M*c.OH()*c.OW())
	if b != nil {
		plane := c.OH() * c.OW()
		for i := range y {
			y[i] = b[i/plane%c.M]
		}
	}
	c.rows(func(wi, xi, yi, n int) {
		k := w[wi]
		for range n {
			y[yi] += k * x[xi]
			yi++
			xi += c.Stride
		}
	})
	return y
}

// ConvInputGrad gives dx [N,C,H,W], the gradient of the loss in x, from dy
// [N,M,OH,OW]: every product of ConvForward read the other way.
func ConvInputGrad(c Conv, dy, w []float64) []float64 {
	dx := make([]float64, c.N*c.C*c.H*c.W)
	c.rows(func(wi, xi, yi, n int) {
		k := w[wi]
		for range n {
			dx[xi] += k * dy[yi]
			yi++
			xi += c.Stride
		}
	})
	return dx
}

// ConvWeightGrad gives dw [M,C,K,K] and db [M], the gradients of the loss in
// the weights and the bias, summed over the batch.
func ConvWeightGrad(c Conv, x, dy []float64) (dw, db []float64) {
	dw = make([]float64, c.M*c.C*c.K*c.K)
	db = make([]float64, c.M)
	c.rows(func(wi, xi, yi, n int) {
		var sum float64
		for range n {
			sum += x[xi] * dy[yi]
			yi++
			xi += c.Stride
		}
		dw[wi] += sum
	})
	plane := c.OH() * c.OW()
	for i, g := range dy[:c.N*c.M*plane] {
		db[i/plane%c.M] += g
	}
	return dw, db
}

// rows calls f for each weight wi and each output row it takes part in: the n products of the row pair y[yi], y[yi+1],
// … with x[xi], x[xi+Stride], … . Places that fall into the padding are left out.
func (c Conv) rows(f func(wi, xi, yi, n int)) {
	oh, ow := c.OH(), c.OW()
	for n := range c.N {
		for m := range c.M {
			for ch := range c.C {
				for k := range c.K {
					top, bottom := inside(c.H, oh, c.Stride, k-c.Pad)
					for l := range c.K {
						left, right := inside(c.W, ow, c.Stride, l-c.Pad)
						if left == right {
							continue
						}
						wi := ((m*c.C+ch)*c.K+k)*c.K + l
						for i := top; i < bottom; i++ {
							xi := ((n*c.C+ch)*c.H+i*c.Stride+k-c.Pad)*c.W + left*c.Stride + l - c.Pad
							yi := ((n*c.M+m)*oh+i)*ow + left
							f(wi, xi, yi, right-left)
						}
					}
				}
			}
		}
	}
}
