package shaders

import (
	"fmt"
	"strings"
)

// ConvTile is the shape of one straight-line convolution kernel (conv_straight.wgsl). Equal tiles share one pipeline.
type ConvTile struct {
	R          int  // output channels a workgroup computes, a multiple of 4
	TM         int  // output channels accumulated at a time, a multiple of 4 that divides R
	TP         int  // neighbouring output pixels an invocation owns
	CH         int  // input channels a chunk
	KX, KY     int  // kernel columns (all) and kernel rows a chunk
	Stride     int  // of the output over the input
	Dilated    bool // the input is read as if stride-1 zeros stood between its pixels (input gradient of a strided convolution)
	WG         int  // invocations a workgroup
	Pointwise  bool // 1×1, stride 1, no padding: a pixel needs just itself
	Accumulate bool // several chunks add to one output
}

// Source is the kernel's WGSL.
func (t ConvTile) Source() string { return Source("conv_straight", t) }

// Taps is the number of kernel elements of a chunk.
func (t ConvTile) Taps() int { return t.KX * t.KY }

// Row is the number of weights of one output channel in a chunk.
func (t ConvTile) Row() int { return t.CH * t.Taps() }

// Weights is the number of weights staged.
func (t ConvTile) Weights() int { return t.R * t.Row() }

// Staged is the number of floats of workgroup memory: weights and biases.
func (t ConvTile) Staged() int { return t.Weights() + t.R }

// MulAdds counts the multiply-adds in the code, which decide how long it takes to compile.
func (t ConvTile) MulAdds() int { return t.Weights() * t.TP }

// Groups is the number of channel groups of four a chunk reads.
func (t ConvTile) Groups() int { return (t.CH + 3) / 4 }

// Span is the number of neighbouring texels a kernel row of TP outputs needs.
func (t ConvTile) Span() int { return (t.TP-1)*t.Stride + t.KX }

// Blocks is the number of accumulator blocks.
func (t ConvTile) Blocks() int { return t.R / t.TM }

// BlockGroups lists the output channel groups of a block.
func (t ConvTile) BlockGroups(block int) []int {
	g := seq(t.TM / 4)
	for i := range g {
		g[i] += block * t.TM / 4
	}
	return g
}

// BiasIndex is where the bias of channel j of output group g is staged.
func (t ConvTile) BiasIndex(g, j int) int { return t.Weights() + 4*g + j }

// Coordinate is the input coordinate that lies i beyond base.
func (t ConvTile) Coordinate(base string, i int) string {
	if t.Dilated {
		return fmt.Sprintf("(%s + %d) / q.dilate", base, i)
	}
	return fmt.Sprintf("%s + %d", base, i)
}

// Inside is the condition that the coordinate is not negative and is a real pixel of a dilated input.
func (t ConvTile) Inside(base string, i int) string {
	s := fmt.Sprintf("%s + %d >= 0", base, i)
	if t.Dilated {
		s += fmt.Sprintf(" && (%s + %d) %% q.dilate == 0", base, i)
	}
	return s
}

// PixelInside is the condition that output pixel p of the invocation exists.
func (t ConvTile) PixelInside(p int) string {
	if t.Pointwise {
		return fmt.Sprintf("p0 + %du < q.out_pixels", p)
	}
	return fmt.Sprintf("ox + %du < q.out_w", p)
}

// chain is how many products are summed before the sum joins the total: rounding errors grow with the length of a chain, and every sign that
// rounding turns at a ReLU is felt by all layers before it.
const chain = 32

// Products is the straight-line arithmetic of one block: chains of immutable sums, which compile faster than variables.
func (t ConvTile) Products(block int) string {
	var b strings.Builder
	for ch := range t.CH {
		for tap := range t.Taps() {
			for r := block * t.TM; r < (block+1)*t.TM; r++ {
				for p := range t.TP {
					k := ch*t.Taps() + tap
					fmt.Fprintf(&b, "  let %s = ", t.sum(r, p, k))
					if k%chain > 0 {
						fmt.Fprintf(&b, "%s + ", t.sum(r, p, k-1))
					}
					fmt.Fprintf(&b, "ws[%d] * v%d_%d_%d.%c;\n", r*t.Row()+k, ch/4, tap/t.KX, p*t.Stride+tap%t.KX, "xyzw"[ch%4])
					if k >= chain && (k%chain == chain-1 || k == t.Row()-1) {
						fmt.Fprintf(&b, "  let %s = %s + %s;\n", t.total(r, p, k), t.total(r, p, k/chain*chain-1), t.sum(r, p, k))
					}
				}
			}
		}
	}
	return b.String()
}

func (t ConvTile) sum(row, pixel, k int) string { return fmt.Sprintf("s%d_%d_%d", row, pixel, k) }

// total names the sum of all products up to k, the last of a chain.
func (t ConvTile) total(row, pixel, k int) string {
	if k < chain {
		return t.sum(row, pixel, k)
	}
	return fmt.Sprintf("t%d_%d_%d", row, pixel, k)
}

// Sum is the vec4 of the finished sums of output group g and pixel p.
func (t ConvTile) Sum(g, p int) string {
	k := t.Row() - 1
	return fmt.Sprintf("vec4<f32>(%s, %s, %s, %s)", t.total(4*g, p, k), t.total(4*g+1, p, k), t.total(4*g+2, p, k), t.total(4*g+3, p, k))
}

// ConvGradTile is the shape of one straight-line weight-gradient kernel (conv_grad_straight.wgsl). Kernel size and channels are not part of it.
type ConvGradTile struct {
	R         int // output channels a workgroup computes, a multiple of 4
	TM        int // output channels accumulated at a time, each with four sums; divides R
	Q         int // output pixels a chunk
	WG        int // invocations a workgroup
	Pointwise bool
}

// Source is the kernel's WGSL.
func (t ConvGradTile) Source() string { return Source("conv_grad_straight", t) }

// Staged is the number of floats of workgroup memory: the gradients and the pixels' positions.
func (t ConvGradTile) Staged() int {
	if t.Pointwise {
		return t.R * t.Q
	}
	return (t.R + 3) * t.Q
}

// Blocks is the number of accumulator blocks.
func (t ConvGradTile) Blocks() int { return t.R / t.TM }

// Rows lists the output channels of a block.
func (t ConvGradTile) Rows(block int) []int {
	r := seq(t.TM)
	for i := range r {
		r[i] += block * t.TM
	}
	return r
}

// Products is the straight-line arithmetic of one block.
func (t ConvGradTile) Products(block int) string {
	var b strings.Builder
	for k := range t.Q {
		for _, r := range t.Rows(block) {
			for j := range 4 {
				fmt.Fprintf(&b, "  let s%d_%d_%d = ", r, j, k)
				if k > 0 {
					fmt.Fprintf(&b, "s%d_%d_%d + ", r, j, k-1)
				}
				fmt.Fprintf(&b, "ws[%d] * v%d.%c;\n", k*t.R+r, k, "xyzw"[j])
			}
		}
	}
	return b.String()
}

// Sum is the vec4 of the finished sums of row r.
func (t ConvGradTile) Sum(r int) string {
	k := t.Q - 1
	return fmt.Sprintf("vec4<f32>(s%d_0_%d, s%d_1_%d, s%d_2_%d, s%d_3_%d)", r, k, r, k, r, k, r, k)
}
