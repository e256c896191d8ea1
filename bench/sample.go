package bench

import "slices"

// Sample is what repetitions of one measurement gave.
type Sample struct {
	Median, Low, High float64 // Low and High are the quartiles
	Count             int
}

// sampled summarises repetitions; at least one is needed.
func sampled(v []float64) Sample {
	s := slices.Clone(v)
	slices.Sort(s)
	at := func(q float64) float64 {
		x := q * float64(len(s)-1)
		i := min(int(x), max(0, len(s)-2))
		j := min(i+1, len(s)-1)
		return s[i] + (s[j]-s[i])*(x-float64(i))
	}
	return Sample{Median: at(0.5), Low: at(0.25), High: at(0.75), Count: len(s)}
}

// Spread is half the distance between the quartiles, over the median.
func (s Sample) Spread() float64 {
	if s.Median == 0 {
		return 0
	}
	return (s.High - s.Low) / 2 / s.Median
}
