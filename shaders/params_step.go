package shaders

import "unsafe"

// Step is what kernels are told anew for each step.
type Step struct {
	LearningRate   float32
	Key            uint32  // of the dropouts
	AverageRate    float32 // by which averages of weights move
	StatisticsRate float32 // by which those of running statistics do
	FromImage      uint32  // the batch's image that a part of it begins with
	Balance        float32 // of the classes, see ops.Balance
	Share          float32 // that a shard's images have in the batch
}

// Words views the step as its uniform holds it: all of its fields are words.
func (s *Step) Words() []uint32 {
	return unsafe.Slice((*uint32)(unsafe.Pointer(s)), unsafe.Sizeof(*s)/unsafe.Sizeof(uint32(0)))
}

// Vectors says how kernels number floats by fours: how many vectors there are, and how many a line of workgroups takes.
type Vectors struct{ Count, Line int }

// Bands says where kernels fetch vectors of several buffers: of each the texture has a band of so many texels, one
// behind the other.
type Bands struct {
	Band int
	RowDivisor
}

// Image is one image of a batch, as augment.wgsl reads it from a buffer. It lies so in Go's memory, too.
type Image struct {
	ScaleX, ShiftX, ScaleY, ShiftY float32 // from output pixel to source pixel
	Place, Label                   uint32  // which image of the data set, and its class
	_                              [2]uint32
	Red, Green, Blue               [4]float32 // what the new colours have of the old ones, and in addition
}

// AugmentParams are those of augment.wgsl.
type AugmentParams struct {
	Pixels, Size  int // of the batch, and a side of its images
	Width, Height int // of the images it is made of
	LayerImages   int
	RowImages     int
	ImageRows     int // rows of texels
	Stored        int // bytes of an image in a row of texels
	Lines         int
	InverseLines  float32
	Mean, Inverse [4]float32
}

// LossParams are those of loss.wgsl.
type LossParams struct {
	Images, Classes, Plane int
	Lanes                  int // invocations of an image
	Smoothing, Weight      float32
	Added                  bool // to the loss of the heads before
	Whole                  int  // images of the batch
}

// MetricsParams are those of metrics.wgsl.
type MetricsParams struct {
	Images int
	Zero   int  // 0, which no compiler knows
	Whole  int  // images of the whole batch
	Added  bool // to the sums of the images before
	K      float32
}

// PairsParams are those of pairs.wgsl.
type PairsParams struct{ Half, Plane int }

// GradNormParams are those of gradnorm.wgsl.
type GradNormParams struct {
	N      int // floats
	Groups int // workgroups, or the sums that they leave
	Clip   float32
	First  int  // vector
	Added  bool // to the sums of the vectors before
	Bands       // of gradients and weights, where they are fetched
}

// SGDParams are those of sgd.wgsl.
type SGDParams struct {
	Vectors
	Momentum, Decay float32
	Nesterov        bool
	First           int // vector
	Scale           float32
	Bands           // of gradients, weights and velocities, where they are fetched
}

// AverageParams are those of average.wgsl.
type AverageParams struct {
	Vectors
	Statistics bool // rather than weights
	First      int  // vector
	Bands           // of values and averages, where they are fetched
}

// SumsParams are those of sums.wgsl.
type SumsParams struct {
	Vectors
	First int // vector
}
