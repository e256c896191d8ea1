package shaders

import "strings"

// ConvTiled is the shape of one tiled convolution kernel (conv_tiled.wgsl). Equal tiles share one pipeline.
type ConvTiled struct {
	BM, BN int  // output channels and output pixels of a workgroup
	TM, TN int  // those of an invocation; TM is a multiple of 4
	GC     int  // pairs of kernel tap and input channel group a step
	K      int  // kernel side
	Turned bool // input gradient: weights are fetched along output channels
	// the input is read as if stride-1 zeros stood between its pixels (input gradient of a strided convolution)
	Dilated   bool
	Pointwise bool // 1×1, stride 1, no padding: a pixel needs just itself
	Aligned   bool // channels and pairs fill all tiles, so that the weights need no bounds
	Whole     bool // channel groups fill the steps, so that all pairs of a step have the same tap
	Ordered   bool // Whole or Points, and the weights come in order (conv_tiled_weights.wgsl)
	Chained   bool // a sum is longer than a chain
	Rolled    bool // sums are stored in a loop, for drivers of CPUs
	Missing   int  // input channels that the one group lacks: their products are left out
	Split     bool // the pairs are cut into stretches, each of which has a partial sum
	Points    bool // Pointwise and Ordered, once for each point of Winograd's form
}

// Source is the kernel's WGSL.
func (t ConvTiled) Source() string { return Source("conv_tiled", t) }

// Partial says whether the sums are stored as they are, in parts by wid.z, for another kernel to finish.
func (t ConvTiled) Partial() bool { return t.Split || t.Points }

// Bound are the buffers bound behind the parameters, in order: y is written. Weights that come in order need no others,
// but for the bias.
func (t ConvTiled) Bound() []string {
	bound := []string{"x", "y"}
	if !t.Ordered || !t.Partial() {
		bound = append(bound, "w")
	}
	if !t.Partial() {
		bound = append(bound, "mask")
	}
	if t.Ordered {
		bound = append(bound, "ordered")
	}
	return bound
}

// Chain is the number of steps whose products are added up before the sum joins the total.
func (t ConvTiled) Chain() int { return LongestChain / 4 / t.GC }

// Columns is the number of invocations side by side along the pixels.
func (t ConvTiled) Columns() int { return t.BN / t.TN }

// Square says whether neighbouring invocations can be laid out in rectangles of 8 columns and 4 rows.
func (t ConvTiled) Square() bool { return t.Columns()%8 == 0 && t.BM/t.TM%4 == 0 }

// WG is the number of invocations of a workgroup.
func (t ConvTiled) WG() int { return t.BM / t.TM * t.Columns() }

// Taps is the number of kernel elements.
func (t ConvTiled) Taps() int { return t.K * t.K }

// Fetched is the number of different pixels that an invocation stages.
func (t ConvTiled) Fetched() int { return max(1, t.BN/t.WG()) }

// Staging is how often each invocation stages a vector of the input, StagingW of the weights.
func (t ConvTiled) Staging() int  { return t.BN * t.GC / t.WG() }
func (t ConvTiled) StagingW() int { return (t.Weights() + t.WG() - 1) / t.WG() }

// Channels is the number of input channels of a group.
func (t ConvTiled) Channels() int { return 4 - t.Missing }

// Lines is the number of input channels a step, counted for each of its pairs.
func (t ConvTiled) Lines() int { return t.Channels() * t.GC }

// Weights is the number of vectors of weights a step, each of four output channels.
func (t ConvTiled) Weights() int { return t.Lines() * t.BM / 4 }

// Row is the distance in vectors between the weights of neighbouring input channels. Where neighbouring invocations
// store those, the odd one keeps them out of one bank.
func (t ConvTiled) Row() int {
	if t.Turned || t.Ordered {
		return t.BM / 4
	}
	return t.BM/4 + 1
}

// Bytes is the most workgroup memory that the tile takes.
func (t ConvTiled) Bytes() int { return 16 * (t.BN*t.GC + 4*t.GC*(t.BM/4+1)) }

// ConvGradTiled is the shape of one tiled weight-gradient kernel (conv_grad_tiled.wgsl).
type ConvGradTiled struct {
	BM, BN    int  // output channels, and pairs of kernel tap and input channel group, of a workgroup
	TM, TN    int  // those of an invocation; TM is a multiple of 4
	BP        int  // output pixels a step, a multiple of 8
	Double    bool // workgroup memory holds two steps, so that one barrier a step is enough
	K         int  // kernel side
	Pointwise bool // 1×1, stride 1, no padding: a pixel needs just itself
	Chained   bool // a sum is longer than a chain
	Rolled    bool // sums are stored in a loop, for drivers of CPUs
	Missing   int  // input channels that the one group lacks: their sums are left out
}

// Source is the kernel's WGSL.
func (t ConvGradTiled) Source() string { return Source("conv_grad_tiled", t) }

// Chain is the number of steps whose products are added up before the sum joins the total.
func (t ConvGradTiled) Chain() int { return LongestChain / t.BP }

// Columns is the number of invocations side by side along the pairs.
func (t ConvGradTiled) Columns() int { return t.BN / t.TN }

// WG is the number of invocations of a workgroup.
func (t ConvGradTiled) WG() int { return t.BM / t.TM * t.Columns() }

// Vector is the type of an invocation's sums, one for each input channel of a group.
func (t ConvGradTiled) Vector() string {
	return []string{"vec4<f32>", "vec3<f32>", "vec2<f32>", "f32"}[t.Missing]
}

// Channels takes these channels out of a vector of four.
func (t ConvGradTiled) Channels() string {
	return []string{"", ".xyz", ".xy", ".x"}[t.Missing]
}

// Zeros makes a vector of four of them again.
func (t ConvGradTiled) Zeros() string { return strings.Repeat(", 0.0", t.Missing) }

// Lines is how many vectors of one pixel's step are staged at a time.
func (t ConvGradTiled) Lines() int { return t.WG() / t.BP }

// Staging is how often each invocation stages a vector of the input, StagingD of the gradient.
func (t ConvGradTiled) Staging() int  { return (t.BN + t.Lines() - 1) / t.Lines() }
func (t ConvGradTiled) StagingD() int { return (t.BM/4 + t.Lines() - 1) / t.Lines() }

// Row and RowD are the distances in vectors between neighbouring pixels of the two tiles; the odd one keeps stores out
// of one bank.
func (t ConvGradTiled) Row() int  { return t.BN + 1 }
func (t ConvGradTiled) RowD() int { return t.BM/4 + 1 }

// Buffers is the number of steps that workgroup memory holds.
func (t ConvGradTiled) Buffers() int {
	if t.Double {
		return 2
	}
	return 1
}

// Bytes is the workgroup memory.
func (t ConvGradTiled) Bytes() int { return 16 * t.Buffers() * t.BP * (t.Row() + t.RowD()) }
