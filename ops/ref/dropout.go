package ref

// PCG is the 32-bit hash pcg_hash of Jarzynski and Olano, "Hash Functions for
// GPU Rendering" (2020), all of it modulo 2³². It is a bijection.
func PCG(v uint32) uint32 {
	s := v*747796405 + 2891336453
	w := ((s >> ((s >> 28) + 4)) ^ s) * 277803737
	return (w >> 22) ^ w
}

// DropoutKeep tells whether dropout of probability p in [0,1) keeps an element. The answer depends on nothing but the
// arguments: key names the run and the step, layer the layer, index the element's linear place in NCHW.
func DropoutKeep(key, layer, index uint32, p float64) bool {
	h := PCG(index + PCG(layer+PCG(key)))
	return h>>8 >= uint32(p*(1<<24))
}

// Dropout keeps the elements DropoutKeep says, scaled by 1/(1−p), and sets the others to 0. x begins with element
// first. Its gradient in x is the same function of dy.
func Dropout(key, layer, first uint32, p float64, x []float64) []float64 {
	y := make([]float64, len(x))
	for i, v := range x {
		if DropoutKeep(key, layer, first+uint32(i), p) {
			y[i] = v / (1 - p)
		}
	}
	return y
}
