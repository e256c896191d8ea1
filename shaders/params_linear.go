package shaders

// LinearNaiveParams are those of linear_naive.wgsl.
type LinearNaiveParams struct {
	Images, Pixels      int
	InPlane, OutPlane   int
	InGroup0, OutGroup0 int // the first channel groups bound
	K0, K1              int // the values of an image: from the one up to the other
	M0, M1              int // the outputs: from the one up to the other
	C, M                int // all channels and outputs
	W0                  int
	Row                 int // the length of one of weights
	Longest             int // chain of products
	Accumulate, HasBias bool
	Bias0               int
	Slope               float32 // of the negative half
}

// LinearStraightParams are those of linear_straight.wgsl.
type LinearStraightParams struct {
	Images, InPlane, InGroups, OutGroups int
	Row                                  int // the length of one of weights
	Lanes                                int
	W0                                   int
	First                                int // the first part's first term
	RowDivisor
	Last  int // place of the texture
	Terms int
	Part0 int
}

// LinearGradStraightParams are those of linear_grad_straight.wgsl.
type LinearGradStraightParams struct {
	Images, Plane, InGroups, OutGroups int
	Row, Rows                          int // the length of a row of weights, and how many there are
	W0                                 int
	First                              int // image
	RowDivisor
	DYPlane int
}

// LinearTiledParams are those of linear_tiled.wgsl.
type LinearTiledParams struct {
	Images, XPlane, XGroups, OutGroups int
	Row, Rows                          int // the length of a row of weights, and how many there are
	W0                                 int
	First                              int // the first part's first term
	Terms                              int // of a part
	All                                int // where terms end
	DYPlane                            int
	Accumulate                         bool
}

// LinearSumParams are those of linear_sum.wgsl.
type LinearSumParams struct {
	Images, Pixels, Plane int
	Group0, End           int // the channel groups bound: from the one up to the other
	Channels, Groups      int
	Parts                 int
	Accumulate, HasBias   bool
	Bias0                 int
	Slope                 float32 // of the negative half
	RowDivisor                    // of the texture, where the parts are fetched
}

// LinearFlattenParams are those of linear_flatten.wgsl.
type LinearFlattenParams struct {
	Images, Pixels, Plane int
	Group0                int // the first channel group bound
	K0, K1                int // the values of an image: from the one up to the other
	ToPlane               int
}

// LinearBiasParams are those of linear_bias.wgsl.
type LinearBiasParams struct {
	Images, Plane int
	Groups        int // bound
	Outputs       int // all
	Bias0         int
	First         int // output bound
}
