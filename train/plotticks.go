//go:build !js

package train

import (
	"math"
	"strconv"

	"gonum.org/v1/plot"
)

// tickStep is a round distance (1, 2 or 5 times a power of ten) that puts at most n ticks over a span.
func tickStep(span float64, n int) float64 {
	if !(span > 0) {
		return 1
	}
	step := math.Pow(10, math.Floor(math.Log10(span/float64(n))))
	for _, m := range []float64{1, 2, 5, 10} {
		if span/(m*step) <= float64(n) {
			return m * step
		}
	}
	return 10 * step
}

// wholeTicks marks first and the round whole numbers up to last that don't crowd it.
type wholeTicks struct{ first, last float64 }

// Ticks implements plot.Ticker.
func (w wholeTicks) Ticks(_, _ float64) []plot.Tick {
	step := max(tickStep(w.last-w.first, 12), 1)
	at := []float64{w.first}
	for v := math.Ceil(w.first/step) * step; v <= w.last; v += step {
		if v-w.first >= 0.45*step {
			at = append(at, v)
		}
	}
	ticks := make([]plot.Tick, len(at))
	for i, v := range at {
		ticks[i] = plot.Tick{Value: v, Label: thousands(int64(v))}
	}
	return ticks
}

// evenTicks marks round values.
type evenTicks struct{}

// Ticks implements plot.Ticker.
func (evenTicks) Ticks(low, high float64) []plot.Tick {
	step := tickStep(high-low, 10)
	decimals := max(0, int(math.Ceil(-math.Log10(step)-1e-9)))
	var ticks []plot.Tick
	// Counted in whole steps, so that no error builds up.
	for k := math.Ceil(low/step - 1e-9); k*step <= high+1e-9*step; k++ {
		v := k*step + 0 // + 0 makes a zero of −0
		label := strconv.FormatFloat(v, 'f', decimals, 64)
		if step >= 1e6 || step < 1e-6 { // the loss of a run that diverged, or of one that can't fall further
			label = strconv.FormatFloat(v, 'g', 4, 64)
		}
		ticks = append(ticks, plot.Tick{Value: v, Label: label})
	}
	return ticks
}

// thousands writes a number from 0 with commas: 78,200.
func thousands(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
