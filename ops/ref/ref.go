// Package ref holds the float64 twins of the operators, for tests alone. Every one is written as plainly as its formula
// allows, forward and backward. The twins are proven by finite differences and by values from PyTorch
// (testdata/golden.py), and the shaders are then proven against the twins.
//
// Tensors are flat slices in row-major order: activations NCHW (image, channel, row, column), convolution weights OIHW
// (output channel, input channel, row, column). Kernels are square. No function changes its inputs unless its comment
// says so. A slice shorter than its shape is a mistake in the test and panics as any index out of range does.
package ref

// Float32s rounds every element to float32, the type the shaders compute in.
func Float32s(x []float64) []float32 {
	y := make([]float32, len(x))
	for i, v := range x {
		y[i] = float32(v)
	}
	return y
}

// Float64s widens every element; the values stay exactly the same.
func Float64s(x []float32) []float64 {
	y := make([]float64, len(x))
	for i, v := range x {
		y[i] = float64(v)
	}
	return y
}

// windows is the number of places a window of k elements takes on size
// elements with pad elements added at both ends: the floor mode of PyTorch.
func windows(size, k, stride, pad int) int { return (size+2*pad-k)/stride + 1 }

// inside gives the half-open range of output places o in [0,out) for which
// the input place o*stride+offset lies in [0,in).
func inside(in, out, stride, offset int) (lo, hi int) {
	if offset < 0 {
		lo = (-offset + stride - 1) / stride
	}
	if last := in - 1 - offset; last >= 0 {
		hi = min(out, last/stride+1)
	}
	return lo, max(lo, hi)
}
