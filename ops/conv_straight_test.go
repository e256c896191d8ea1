package ops

import (
	"maps"
	"slices"
	"testing"
)

// TestPhases: the phases of an input gradient hold each output pixel once, and each tap that reaches a pixel, from the
// place where it lies.
func TestPhases(t *testing.T) {
	for k := 1; k <= 7; k++ {
		for stride := 1; stride <= 4; stride++ {
			for pad := range k {
				for side := max(1, k-2*pad); side < 12; side++ {
					g := gemm{k: k, pad: k - 1 - pad, dilate: stride}
					seen := make([]bool, side)
					for _, p := range g.phases(side) {
						for i := range p.pixels {
							at := p.first + i*stride
							if seen[at] {
								t.Fatalf("kernel %d, stride %d, padding %d, side %d: pixel %d comes twice", k, stride, pad, side, at)
							}
							seen[at] = true
							reached := map[int]int{} // input pixel by tap
							for j := range g.taps() {
								if tap := p.tap + j*stride; tap < k {
									reached[tap] = i + p.from + j
								}
							}
							want := map[int]int{}
							for tap := range k {
								if from := at - g.pad + tap; from%stride == 0 {
									want[tap] = from / stride
								}
							}
							if !maps.Equal(reached, want) {
								t.Fatalf("kernel %d, stride %d, padding %d, pixel %d: taps reach %v, want %v",
									k, stride, pad, at, reached, want)
							}
						}
					}
					if slices.Contains(seen, false) {
						t.Fatalf("kernel %d, stride %d, padding %d, side %d: pixels %v", k, stride, pad, side, seen)
					}
				}
			}
		}
	}
}
