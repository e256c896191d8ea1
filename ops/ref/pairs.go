package ref

// Pairs gives the mean of the two halves of v in place of both: of n images with c values each, image i and image i+n/2
// belong together.
func Pairs(n, c int, v []float64) []float64 {
	out := make([]float64, len(v))
	for i := range n {
		for j := range c {
			out[i*c+j] = (v[i*c+j] + v[(i+n/2)%n*c+j]) / 2
		}
	}
	return out
}
