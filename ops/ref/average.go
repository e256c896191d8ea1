package ref

// Average moves the averages a in place towards the values v:
//
//	a = a + rate·(v − a)
func Average(a, v []float64, rate float64) {
	for i := range a {
		a[i] += rate * (v[i] - a[i])
	}
}
