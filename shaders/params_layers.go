package shaders

// ElementwiseParams are those of relu.wgsl and add.wgsl.
type ElementwiseParams struct {
	Pixels, Plane int
	Each          int // pixels of an invocation
	Bands             // of what is read, where it is fetched
}

// BatchNormParams are those of batchnorm.wgsl.
type BatchNormParams struct {
	Pixels, Plane int
	Stretches     int // partial sums of a channel group
	Channels      int
	Weight, Bias  int // where they lie
	Mean          int
	Variance      int
	Momentum, Eps float32
	Group0        int // the first channel group bound
	Groups        int // bound
	Each          int // pixels of an invocation
	Summed        int // pixels that the statistics are of, 0 for the running ones, where an invocation has all pixels
	Slope         float32
	Bands         // of input and gradient, where they are fetched
}

// ReduceParams are those of reduce.wgsl.
type ReduceParams struct {
	Pixels, Plane      int
	Stretch, Stretches int // pixels of a workgroup, and workgroups of a channel group
	Group0             int // the first channel group bound
	Bands                  // of input and gradient, where they are fetched
}

// BiasParams are those of bias.wgsl.
type BiasParams struct{ Channels, Stretches, Out0 int }

// PoolParams are those of maxpool.wgsl and avgpool.wgsl: in is the image or its gradient, out the pooled one.
type PoolParams struct {
	Invocations          int
	Plane, InPlane       int
	InH, InW, OutH, OutW int32
	Rows, Columns        int32 // of blocks of 2×2 pixels, of a gradient
	K, Stride, Pad       int32
	Bands                // of what is read, where it is fetched
}

// AdaptiveParams are those of adaptive.wgsl.
type AdaptiveParams struct{ Invocations, InPlane, OutPlane, InH, InW, OutH, OutW int }

// GlobalAvgPoolParams are those of globalavgpool.wgsl.
type GlobalAvgPoolParams struct {
	Images, Plane, InPlane int
	HW                     int // pixels of an image
}

// DropoutParams are those of dropout.wgsl.
type DropoutParams struct {
	Pixels, Plane int
	HW            int // pixels of an image
	Channels      int
	Group0        int // the first channel group bound
	Layer         int // tells a network's dropouts apart
	Threshold     int // of 2²⁴, below which an element is dropped
	Scale         float32
	Each          int // pixels of an invocation
}

// SubsampleParams are those of subsample.wgsl.
type SubsampleParams struct {
	Pixels, FromPlane, ToPlane int
	FromH, FromW, ToH, ToW     int
	Stride                     int
	Group0, Groups             int32 // of what is read: the group that the first written begins in, and how many are bound
	Shift                      int
	Channels                   int // of what is written, from its first group on
}
