package shaders

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
	Ordered   bool // Whole, and the weights come in order (conv_tiled_weights.wgsl)
	Chained   bool // a sum is longer than a chain
	Rolled    bool // sums are stored in a loop, for drivers of CPUs
}

// Source is the kernel's WGSL.
func (t ConvTiled) Source() string { return Source("conv_tiled", t) }

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

// Weights is the number of vectors of weights a step, each of four output channels.
func (t ConvTiled) Weights() int { return t.GC * t.BM }

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
}

// Source is the kernel's WGSL.
func (t ConvGradTiled) Source() string { return Source("conv_grad_tiled", t) }

// Chain is the number of steps whose products are added up before the sum joins the total.
func (t ConvGradTiled) Chain() int { return LongestChain / t.BP }

// Columns is the number of invocations side by side along the pairs.
func (t ConvGradTiled) Columns() int { return t.BN / t.TN }

// WG is the number of invocations of a workgroup.
func (t ConvGradTiled) WG() int { return t.BM / t.TM * t.Columns() }

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
