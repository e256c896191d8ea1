//go:build !js

package train

import (
	"fmt"
	"math"
	"slices"

	"gonum.org/v1/plot/plotter"
)

// appendDrawable adds a point if it can be drawn: not NaN, and small enough that
// ranges and sums of such values stay finite.
func appendDrawable(p plotter.XYs, x, y float64) plotter.XYs {
	if !(math.Abs(y) < 1e30) {
		return p
	}
	return append(p, plotter.XY{X: x, Y: y})
}

// label names a curve together with its last value.
func label(name string, p plotter.XYs, format string) string {
	if len(p) == 0 {
		return name
	}
	return fmt.Sprintf("%s (last "+format+")", name, p[len(p)-1].Y)
}

// spread is the least and the greatest Y; 0 and 1 where there are no points.
func spread(p plotter.XYs) (low, high float64) {
	if len(p) == 0 {
		return 0, 1
	}
	low, high = math.Inf(1), math.Inf(-1)
	for _, q := range p {
		low, high = min(low, q.Y), max(high, q.Y)
	}
	return low, high
}

// withoutTails drops the highest and the lowest half per cent of the points.
func withoutTails(p plotter.XYs) plotter.XYs {
	sorted := slices.Clone(p)
	slices.SortFunc(sorted, func(a, b plotter.XY) int {
		switch {
		case a.Y < b.Y:
			return -1
		case a.Y > b.Y:
			return 1
		}
		return 0
	})
	cut := len(sorted) / 200
	return sorted[cut : len(sorted)-cut]
}

// smoothed is the mean of the points around each one, about a fiftieth of them (at least 7), at up to 1,000 places.
// Towards the ends the window is cut, not narrowed, so the curve neither lags nor trembles there.
func smoothed(p plotter.XYs) plotter.XYs {
	half := max(3, len(p)/100)
	places := min(len(p), 1000)
	out := make(plotter.XYs, places)
	for k := range out {
		i := k
		if len(p) > places { // the first and the last point are among them
			i = k * (len(p) - 1) / (places - 1)
		}
		window := p[max(0, i-half):min(len(p), i+half+1)]
		var sum float64
		for _, q := range window {
			sum += q.Y
		}
		out[k] = plotter.XY{X: p[i].X, Y: sum / float64(len(window))}
	}
	return out
}

// thinned keeps at most about 2,000 points, the least and the greatest of each
// stretch, so that a long run draws fast and looks the same.
func thinned(p plotter.XYs) plotter.XYs {
	const stretches = 1000
	if len(p) <= 2*stretches {
		return p
	}
	out := make(plotter.XYs, 0, 2*stretches)
	for i := range stretches {
		part := p[i*len(p)/stretches : (i+1)*len(p)/stretches]
		least, greatest := 0, 0
		for k := range part {
			if part[k].Y < part[least].Y {
				least = k
			}
			if part[k].Y > part[greatest].Y {
				greatest = k
			}
		}
		out = append(out, part[min(least, greatest)], part[max(least, greatest)])
	}
	return out
}
