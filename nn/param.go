package nn

import "math"

// Role says what a parameter or running value is.
type Role int

const (
	Weight Role = iota
	Bias
	Scale
	RunningMean     // not trained
	RunningVariance // not trained
	BatchesTracked  // a count kept by the host, int64, scalar
)

// ParamSpec is a parameter or running value of a layer.
type ParamSpec struct {
	Name  string // as in PyTorch's state_dict
	Shape []int
	Role  Role
	Init  Init
}

// Trained says whether the optimiser updates the parameter, unless it is frozen, see Rates.
func (p ParamSpec) Trained() bool { return p.Role <= Scale }

// Len is the number of values.
func (p ParamSpec) Len() int {
	n := 1
	for _, s := range p.Shape {
		n *= s
	}
	return n
}

// Init is what the values of a parameter are at the start: drawn from a normal distribution of deviation Normal around
// 0, or evenly from -Uniform to Uniform, or all Constant.
type Init struct{ Normal, Uniform, Constant float64 }

// Initialiser gives the Init of a weight: fanIn is the number of products that an output adds up, fanOut the number of
// outputs that an input's value goes into, as PyTorch counts them. A bias has those of its weight.
type Initialiser func(fanIn, fanOut int) Init

// HeFanIn keeps the variance of activations through layers with ReLU (He et al., 2015).
func HeFanIn(fanIn, _ int) Init { return Init{Normal: math.Sqrt(2 / float64(fanIn))} }

// HeFanOut keeps that of gradients.
func HeFanOut(_, fanOut int) Init { return Init{Normal: math.Sqrt(2 / float64(fanOut))} }

// UniformFanIn is what PyTorch's layers have when nothing else is said, for weights and biases: ±1/√fan-in.
func UniformFanIn(fanIn, _ int) Init { return Init{Uniform: 1 / math.Sqrt(float64(fanIn))} }

// Zero is for biases.
func Zero(int, int) Init { return Init{} }

// Normal draws from a normal distribution of this deviation.
func Normal(deviation float64) Initialiser {
	return func(int, int) Init { return Init{Normal: deviation} }
}

// or is i, or another where i is nil.
func (i Initialiser) or(other Initialiser) Initialiser {
	if i == nil {
		return other
	}
	return i
}
