package shaders

// WeightPlace says where a convolution's weights lie: that of output m, input channel c and tap t at W0 + m·WM + c·WC +
// t·WT.
type WeightPlace struct{ W0, WM, WC, WT int32 }

// RowDivisor is the width of a texture, and what divides a place by it without dividing: place / Width is
// (place >> Shift)·Factor >> 17.
type RowDivisor struct{ Width, Shift, Factor int }

// ConvNaiveParams are those of conv_naive.wgsl.
type ConvNaiveParams struct {
	OutPixels, OutPlane, OutW, OutH int
	OutGroup0, OutGroups            int // the channel groups bound: from the one up to the other
	M                               int // output channels
	C0, C1                          int // the input channels bound: from the one up to the other
	InPlane, InW, InH               int
	Accumulate                      bool // to what is there
	Bias0                           int
	HasBias                         bool
	K                               int32
	WeightPlace
	Slope               float32 // of the negative half
	Stride, Pad, Dilate int32
	Chain               int // channels whose products are added up before the sum joins the total
}

// ConvStraightParams are those of conv_straight.wgsl.
type ConvStraightParams struct {
	Blocks    int // invocations with an output
	RowBlocks int // those of a row
	OutW      int // of a phase of the output, as is OutH
	OutH      int
	OutPlane  int
	OutPixels int
	OutGroup0 int // the channel groups bound: from this one
	OutGroups int // up to this one
	Strip     int // texels of the stretches of all channel groups
	InW, InH  int
	Zero      int // the texture's row of zeros
	M         int // output channels
	M0        int // the first bound
	C         int // input channels
	C0        int // the chunk's first
	K         int
	KX0, KY0  int // the chunk's first tap
	Earlier   int // channel groups of sums of the chunks before
	WeightPlace
	Bias0     int
	HasBias   bool
	Slope     float32 // of the negative half
	Stride    int32
	Left, Top int32 // of the first output pixel's window
	Fold      int   // stretches side by side in a row of the texture, less one
	FoldShift int   // their binary logarithm
	InGroups  int
	Rows      int // channel groups of a workgroup
	Four      int // 4, not to be unrolled
	Step      int // from one pixel of a phase to the next
	FullW     int // of the whole output
	FullImage int // its pixels
	First     int // the phase's first pixel
	Before    int // the texel from which on the sums of the chunks before lie in the texture
	Mask      int // from which on a ReLU's output
	Weights   int // and from which on the weights
	RowDivisor
}

// ConvTiledParams are those of conv_tiled.wgsl.
type ConvTiledParams struct {
	OutPixels, OutPlane, OutW, OutH int
	OutGroup0, OutGroups            int // the channel groups bound: from the one up to the other
	M                               int // output channels
	Pairs                           int // of tap and channel group bound
	InPlane, InW, InH               int
	C, C0                           int // input channels, and the first bound
	Accumulate                      bool
	Bias0                           int
	HasBias                         bool
	WeightPlace
	Slope               float32 // of the negative half
	Stride, Pad, Dilate int32
	Sums                int  // vectors of sums of an invocation
	Masked              bool // the output is 0 where that of a ReLU is
	InGroups            int
	Rows                int // vectors of weights in order that a channel has at a tap
	Stretch             int // pairs of a partial sum
	Part0               int // the first partial sum
}

// ConvTiledSumParams are those of conv_tiled_sum.wgsl.
type ConvTiledSumParams struct {
	OutPixels, OutPlane  int
	OutGroup0, OutGroups int // the channel groups bound: from the one up to the other
	M                    int // output channels
	Parts                int
	Bias0                int
	HasBias              bool
	Slope                float32 // of the negative half
	Masked               bool    // the output is 0 where that of a ReLU is
}

// ConvWinogradParams are those of conv_winograd_input.wgsl and conv_winograd_output.wgsl.
type ConvWinogradParams struct {
	Width, Height      int   // of the activation that is read, or written
	Plane              int   // of that
	Pad                int32 // of the input
	Group0, Group1     int   // the channel groups bound: from the one up to the other
	Groups             int   // all
	TilesX, TilesImage int   // tiles of a row, and of an image
	Tile0, Tiles       int   // the first now, and how many
	TilePlane          int   // vectors from one channel group's tiles to the next's
	M                  int   // output channels
	Bias0              int
	HasBias            bool
	Slope              float32 // of the negative half
	Masked             bool    // the output is 0 where that of a ReLU is
}

// ConvTiledWeightsParams are those of conv_tiled_weights.wgsl.
type ConvTiledWeightsParams struct {
	M, C, Taps, InGroups int
	Rows                 int // vectors that an input channel has at a tap
	WeightPlace
}

// ConvGradNaiveParams are those of conv_grad_naive.wgsl.
type ConvGradNaiveParams struct {
	OutPixels, OutPlane, OutW, OutH int
	M0, M1                          int // the output channels bound: from the one up to the other
	M                               int // all
	Stretch                         int // pixels of a partial result
	InPlane, InW, InH, InGroup0     int
	Span                            int // input channel groups bound
	Groups                          int // all
	K                               int
	Stride, Pad                     int32
}

// ConvGradStraightParams are those of conv_grad_straight.wgsl.
type ConvGradStraightParams struct {
	OutW, OutH  int
	Columns     int // texels of a row
	Texels      int // of an output channel
	InH         int32
	Pitch       int // texels from a channel to the next
	Zero        int // the texture's row of zeros
	C           int
	Lanes       int // weights of an output channel
	GradRow     int // the texture's row that the output's gradients begin in
	Pixel0      int // and the first pixel that is there
	Chunk0      int // the first chunk of pixels
	Stride, Pad int32
	OutGroups   int
	KX          int // kernel columns
	RowDivisor
	Spare    int // a place of the partial results that nobody reads
	AllLanes int // with the bias
	Parts    int // partial results of a lane
}

// ConvGradStraightSumParams are those of conv_grad_straight_sum.wgsl.
type ConvGradStraightSumParams struct {
	M, C, Taps int
	Tap0       int // the first tap computed
	Computed   int // and how many are
	Parts      int // added up now
	Out0       int
	Accumulate bool
	Lanes      int // computed
	All        int // of all taps
	Bias0      int
	Pitch      int // parts that there is room for
	Begin      int // their first texel
	RowDivisor
}

// ConvGradTiledParams are those of conv_grad_tiled.wgsl.
type ConvGradTiledParams struct {
	OutPixels, OutPlane, OutW, OutH int
	OutGroup0, OutGroups            int // the channel groups bound: from the one up to the other
	M                               int
	Stretch                         int // pixels of a partial result
	InPlane, InW, InH, InGroup0     int
	Span                            int // input channel groups bound
	Groups                          int // all
	Bias0                           int // where the partial sums of the bias begin
	HasBias                         bool
	Stride, Pad                     int32
	Start, Length                   int // the pixels of a stretch that this dispatch walks over
	Sums                            int // of an invocation
	Right, Down, Images             int // by how much a step moves on
}

// ConvGradSumParams are those of conv_grad_sum.wgsl.
type ConvGradSumParams struct {
	M          int
	Lanes      int // taps × channel groups
	Groups     int
	C, Taps    int
	Parts      int
	Out0       int
	Bias0      int
	BiasGroups int // 0 where there are no sums of the bias
}

// UnfoldParams are those of unfold.wgsl.
type UnfoldParams struct {
	Rows, Columns, InW, OutW, InPlane, Pitch int
	Stride, Pad                              int32
	Channels                                 int
	KX, Kernels                              int // the first kernel column, and how many
	First                                    int // the texel from which on the input lies in the texture
	Zero                                     int // the texture's row of zeros
	RowDivisor
}
