package ops

import (
	"fmt"
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

// EachTile calls do with the name of every straight tile that adds chunks up, or of every one of weight gradients (of
// one width each), in turn the only one of its list.
func EachTile(gradients bool, do func(name string)) {
	pointwise, window, grads := pointwiseTiles, windowTiles, gradTiles
	defer func() { pointwiseTiles, windowTiles, gradTiles = pointwise, window, grads }()
	if gradients {
		for i, t := range grads {
			if gradTiles = grads[i : i+1]; i == 0 || t.R != grads[i-1].R || t.Q != grads[i-1].Q {
				do(fmt.Sprintf("%d outputs, %d pixels", t.R, t.Q))
			}
		}
		return
	}
	for _, list := range []struct {
		of  *[]straightTile
		all []straightTile
	}{{&pointwiseTiles, pointwise}, {&windowTiles, window}} {
		for i, t := range list.all {
			if *list.of = list.all[i : i+1]; t.adds {
				do(fmt.Sprintf("%d outputs, %d channels, %d rows", t.rows, t.channels, t.ky))
			}
		}
		*list.of = list.all
	}
}
