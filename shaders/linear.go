package shaders

import (
	"fmt"
	"strings"
)

// LinearTile is the shape of a straight-line kernel of a linear layer: linear_straight.wgsl or
// linear_grad_straight.wgsl. Its lanes are weights, fetched as vectors along rows.
type LinearTile struct {
	WG      int  // invocations a workgroup
	R       int  // sums of an invocation: images, or of the weight gradient outputs, a multiple of 4
	Q       int  // terms of each: values of an image, or of the weight gradient images; a multiple of 4
	Turned  bool // input gradient: terms are rows of weights, not along them
	Aligned bool // rows of weights begin where vectors do
	Added   bool // of the weight gradient: to that of other images
}

// Source is the kernel's WGSL.
func (t LinearTile) Source() string { return Source("linear_straight", t) }

// Grad is the weight gradient's WGSL.
func (t LinearTile) Grad() string { return Source("linear_grad_straight", t) }

// Staged is the number of vectors in workgroup memory.
func (t LinearTile) Staged() int { return t.R * t.Q / 4 }

// Fetched is the number of vectors that an invocation fetches.
func (t LinearTile) Fetched() int {
	if t.Turned {
		return t.Q
	}
	return t.Q / 4
}

// Groups is the number of groups of four terms.
func (t LinearTile) Groups() int { return t.Q / 4 }

// RowGroups is the number of groups of four sums.
func (t LinearTile) RowGroups() int { return t.R / 4 }

// Products is the straight-line arithmetic, in vectors: along rows of weights a sum is a vector of four, of every
// fourth product each; over rows it is that of four neighbours.
func (t LinearTile) Products() string {
	return t.products(t.Fetched(), func(r, k int) string {
		if t.Turned {
			return fmt.Sprintf("v%d * s[%d].%c", k, k/4*t.R+r, "xyzw"[k%4])
		}
		return fmt.Sprintf("v%d * s[%d]", k, k*t.R+r)
	})
}

// GradProducts is the straight-line arithmetic of the weight gradient: a sum over images is that of four neighbouring
// weights.
func (t LinearTile) GradProducts() string {
	return t.products(t.Q, func(r, n int) string { return fmt.Sprintf("v%d * s[%d].%c", n, n*t.R/4+r/4, "xyzw"[r%4]) })
}

// products writes a few sums at a time, so that they stay in registers.
func (t LinearTile) products(terms int, product func(r, k int) string) string {
	const block = 2
	var b strings.Builder
	for r0 := 0; r0 < t.R; r0 += block {
		for k := range terms {
			for r := r0; r < min(r0+block, t.R); r++ {
				fmt.Fprintf(&b, "  let s%d_%d = ", r, k)
				if k > 0 {
					fmt.Fprintf(&b, "s%d_%d + ", r, k-1)
				}
				fmt.Fprintf(&b, "%s;\n", product(r, k))
			}
		}
	}
	return b.String()
}

// Sum is the name of the finished sum r over so many fetched vectors.
func (LinearTile) Sum(r, terms int) string { return fmt.Sprintf("s%d_%d", r, terms-1) }

// MulAdds counts the multiply-adds in the code, which decide how long it takes to compile.
func (t LinearTile) MulAdds() int {
	if t.Turned {
		return 4 * t.R * t.Q
	}
	return t.R * t.Q
}

// LinearTiled is the shape of a kernel of a linear layer for GPUs (linear_tiled.wgsl): a workgroup computes a tile of
// BM×BN sums, an invocation 4×4 of them, in steps of S terms that go through workgroup memory.
type LinearTiled struct {
	BM   int    // outputs
	BN   int    // images, of the weight gradient inputs
	Pass string // "forward", "turned" (input gradient) or "grad" (weight gradient)

	Aligned bool // rows of weights begin where vectors do
}

// Source is the kernel's WGSL.
func (t LinearTiled) Source() string { return Source("linear_tiled", t) }

// S is the number of terms of a step.
func (LinearTiled) S() int { return 8 }

// WG is the number of invocations.
func (t LinearTiled) WG() int { return t.BM * t.BN / 16 }

// Bytes is the workgroup memory.
func (t LinearTiled) Bytes() int { return 4 * t.S() * (t.BM + t.BN) }
