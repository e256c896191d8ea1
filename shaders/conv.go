package shaders

import (
	"fmt"
	"strings"
)

// LongestChain is the most products of a convolution that are added up one after the other before their sum joins
// another: rounding errors grow with the length. Of chains of 256 one sum in some millions is further off than the
// table of operators allows, of 128 none of many more.
const LongestChain = 128

// ConvTile is the shape of one straight-line convolution kernel (conv_straight.wgsl). Equal tiles share one pipeline.
type ConvTile struct {
	R           int  // output channels a workgroup computes, a multiple of 4
	TM          int  // output channels accumulated at a time, a multiple of 4 that divides R
	TP          int  // neighbouring output pixels an invocation owns; with more than one the stride is 1
	CH          int  // input channels a chunk
	KX, KY      int  // kernel columns (all) and kernel rows a chunk
	Chains      int  // sums that an output is the sum of
	WG          int  // invocations a workgroup
	Pointwise   bool // 1×1, stride 1, no padding: a pixel needs just itself
	Accumulate  bool // several chunks add to one output
	Fetched     bool // the weights lie in the texture, all taps of a kernel row, or of a kernel, side by side
	Masked      bool // the output is 0 where the output of a ReLU is (input gradient)
	MaskFetched bool // that lies in the texture
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

// RowGroups is the number of output channel groups of four.
func (t ConvTile) RowGroups() int { return t.R / 4 }

// Arrays are those in which the weights are staged, whole channels each, or four of them.
func (t ConvTile) Arrays() []Array {
	together := t.Taps()
	if t.Squares() {
		together = 4
	}
	return arrays(t.Row()/together, together)
}

// Squares says whether weights that are fetched are staged by squares of four input and four output channels.
func (t ConvTile) Squares() bool { return t.Taps() == 1 && t.CH%4 == 0 }

// Run is the number of weights of an output and an input channel that lie in a row and are staged together: those of a
// kernel, or of a row of a larger one.
func (t ConvTile) Run() int {
	const most = 12
	if t.Taps() <= most {
		return t.Taps()
	}
	return t.KX
}

// RunTexels is the most texels that a run lies in, wherever it begins.
func (t ConvTile) RunTexels() int { return (t.Run()+2)/4 + 1 }

// Component is float i of a run's texels.
func (ConvTile) Component(i int) string { return fmt.Sprintf("t%d.%c", i/4, "xyzw"[i%4]) }

// Array is one of workgroup memory that holds some of the staged rows.
type Array struct{ Index, From, Rows int }

// stages is how many arrays hold the staged values. Mesa compares each load of workgroup memory with all earlier ones
// of the same variable (nir_opt_copy_prop_vars): with one array that was half of what it does before LLVM begins. With
// four, filling them costs more than a start gains.
const stages = 2

// arrays hold so many stretches of rows.
func arrays(stretches, rows int) []Array {
	var a []Array
	for n, from := min(stages, stretches), 0; n > 0; n-- {
		k := (stretches - from) / n
		a = append(a, Array{len(a), from * rows, k * rows})
		from += k
	}
	return a
}

// staged is the name of the k-th of rows staged rows' value for output group g of groups.
func staged(arrays []Array, k, g, groups int) string {
	i := len(arrays) - 1
	for arrays[i].From > k {
		i--
	}
	return fmt.Sprintf("ws%d[%d]", i, (k-arrays[i].From)*groups+g)
}

// MulAdds counts the multiply-adds in the code, which decide how long it takes to compile.
func (t ConvTile) MulAdds() int { return t.Weights() * t.TP }

// Groups is the number of channel groups of four a chunk reads.
func (t ConvTile) Groups() int { return (t.CH + 3) / 4 }

// Texels is the number of neighbouring texels a kernel row of TP outputs needs.
func (t ConvTile) Texels() int { return t.TP - 1 + t.KX }

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

// PixelInside is the condition that output pixel p of the invocation exists.
func (t ConvTile) PixelInside(p int) string {
	if t.Pointwise {
		return fmt.Sprintf("p0 + %du < q.out_pixels", p)
	}
	return fmt.Sprintf("ox + %du < q.out_w", p)
}

// Pixel is the place of output pixel p of the invocation.
func (t ConvTile) Pixel(p int) string {
	if t.Pointwise || p == 0 {
		return fmt.Sprintf("p0 + %du", p)
	}
	return fmt.Sprintf("p0 + %du * q.step", p)
}

// Products is the straight-line arithmetic of one block: sums of immutable values, which compile faster than variables,
// four output channels to a vec4, which makes a quarter of the code for the compilers' first stages. Each output is the
// sum of Chains shorter sums: rounding errors grow with the length of a sum, and every sign that rounding turns at a
// ReLU is felt by all layers before it.
func (t ConvTile) Products(block int) string {
	var b strings.Builder
	arrays := t.Arrays()
	for ch := range t.CH {
		for tap := range t.Taps() {
			k := ch*t.Taps() + tap
			for _, g := range t.BlockGroups(block) {
				fmt.Fprintf(&b, "  let w%d_%d = %s;\n", g, k, staged(arrays, k, g, t.R/4))
				for p := range t.TP {
					fmt.Fprintf(&b, "  let %s = ", sum(g, p, k))
					if !t.begins(k) {
						fmt.Fprintf(&b, "%s + ", sum(g, p, k-1))
					}
					fmt.Fprintf(&b, "w%d_%d * v%d_%d_%d.%c;\n", g, k, ch/4, tap/t.KX, p+tap%t.KX, "xyzw"[ch%4])
				}
			}
		}
	}
	return b.String()
}

// begins says whether the k-th product of an output begins a sum.
func (t ConvTile) begins(k int) bool { return k*t.Chains/t.Row() != (k-1)*t.Chains/t.Row() || k == 0 }

func sum(group, pixel, k int) string { return fmt.Sprintf("s%d_%d_%d", group, pixel, k) }

// Sum is the finished sum of output group g and pixel p.
func (t ConvTile) Sum(g, p int) string {
	var parts []string
	for k := range t.Row() {
		if k == t.Row()-1 || t.begins(k+1) {
			parts = append(parts, sum(g, p, k))
		}
	}
	return "(" + strings.Join(parts, " + ") + ")"
}

// ConvGradTile is the shape of one straight-line weight-gradient kernel (conv_grad_straight.wgsl). Kernel size and
// channels are not part of it.
type ConvGradTile struct {
	R  int // output channels a workgroup computes, a multiple of 4
	TM int // output channels accumulated at a time, a multiple of 4 that divides R
	Q  int // output pixels a chunk, a multiple of 4
	WG int // invocations a workgroup
}

// Source is the kernel's WGSL.
func (t ConvGradTile) Source() string { return Source("conv_grad_straight", t) }

// RowGroups is the number of output channel groups of four.
func (t ConvGradTile) RowGroups() int { return t.R / 4 }

// Texels is the number of texels a chunk.
func (t ConvGradTile) Texels() int { return t.Q / 4 }

// Staged is the number of floats of workgroup memory: the gradients and the texels' positions.
func (t ConvGradTile) Staged() int { return t.R*t.Q + 2*t.Texels() }

// Arrays are those in which the gradients are staged, by texels.
func (t ConvGradTile) Arrays() []Array { return arrays(t.Texels(), 1) }

// Blocks is the number of accumulator blocks.
func (t ConvGradTile) Blocks() int { return t.R / t.TM }

// Products is the straight-line arithmetic of one block: by texels, a matrix times a vector.
func (t ConvGradTile) Products(block int) string {
	var b strings.Builder
	arrays := t.Arrays()
	for k := range t.Texels() {
		for _, g := range t.Groups(block) {
			fmt.Fprintf(&b, "  let s%d_%d = ", g, k)
			if k > 0 {
				fmt.Fprintf(&b, "s%d_%d + ", g, k-1)
			}
			fmt.Fprintf(&b, "%s * v%d;\n", staged(arrays, k, g, t.RowGroups()), k)
		}
	}
	return b.String()
}

// Groups lists the output channel groups of a block.
func (t ConvGradTile) Groups(block int) []int {
	g := seq(t.TM / 4)
	for i := range g {
		g[i] += block * t.TM / 4
	}
	return g
}

// Sum is the finished sum of output group g.
func (t ConvGradTile) Sum(g int) string { return fmt.Sprintf("s%d_%d", g, t.Texels()-1) }
