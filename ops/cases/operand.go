package cases

import (
	"math"
	"math/rand/v2"

	"ninvk/ops"
)

// Use says what a pass does with an operand.
type Use int

const (
	Reads    Use = iota // and leaves unchanged
	Writes              // overwrites, whatever was there
	Updates             // changes in place
	Internal            // keeps something of its own between Prepare and Record
)

// Place says where an operand lives.
type Place int

const (
	Activation Place = iota // a Tensor of its own
	Weight                  // in Recorder.Weights
	// in Recorder.Grads, where the weight lies in Recorder.Weights; its name is that of the weight with a d before it
	Gradient
	State  // in Memory.State
	Floats // a buffer of its own
	Words  // a buffer of 32-bit whole numbers of its own
)

// Operand is a named piece of memory that a pass touches.
type Operand struct {
	Name  string
	Place Place
	Shape ops.Shape // of an Activation
	Len   int       // floats or words elsewhere
	Use   Use
	Value func(*rand.Rand) float64 // one input value; nil where Use is Writes or Internal, or Fixed is given
	Fixed []uint32                 // the very words of an input

	K     int     // of an output: how many terms are added up for one value
	Scale float64 // of an output: size of these terms
}

// Elements is the number of values.
func (o Operand) Elements() int {
	if o.Place == Activation {
		return o.Shape.Elements()
	}
	return o.Len
}

// Bound is the error allowed against the float64 twin: the rounding of K terms of size Scale grows as a random walk.
func (o Operand) Bound() float64 { return 1e-6*math.Sqrt(float64(max(1, o.K)))*o.Scale + 1e-6 }

// Inputs. Unit scale throughout, unless the name says otherwise.
func unit(r *rand.Rand) float64 { return 2*r.Float64() - 1 }

func positive(r *rand.Rand) float64 { return 0.5 + r.Float64() }

func negative(r *rand.Rand) float64 { return -0.1 - r.Float64() }

func halves(r *rand.Rand) float64 { return float64(r.IntN(5)-2) / 2 } // many are equal

func hundred(r *rand.Rand) float64 { return 100 + r.NormFloat64() }

func eighty(r *rand.Rand) float64 { return 80 * (2*r.Float64() - 1) }

func below(n int) func(*rand.Rand) float64 {
	return func(r *rand.Rand) float64 { return float64(r.IntN(n)) }
}

func reads(name string, s ops.Shape, value func(*rand.Rand) float64) Operand {
	return Operand{Name: name, Shape: s, Use: Reads, Value: value}
}

func writes(name string, s ops.Shape, k int, scale float64) Operand {
	return Operand{Name: name, Shape: s, Use: Writes, K: k, Scale: scale}
}

func updates(name string, s ops.Shape, value func(*rand.Rand) float64) Operand {
	return Operand{Name: name, Shape: s, Use: Updates, Value: value, Scale: 1}
}

func weight(name string, n int, value func(*rand.Rand) float64) Operand {
	return Operand{Name: name, Place: Weight, Len: n, Use: Reads, Value: value}
}

func gradient(name string, n, k int) Operand {
	return Operand{Name: name, Place: Gradient, Len: n, Use: Writes, K: k, Scale: 1}
}

// step is what the operator is told of the step: s, as of a part of a batch that begins at its fourth image.
func step(s ops.Step) Operand {
	s.FromImage = 3
	return Operand{Name: "step", Place: Words, Len: 8, Use: Reads, Fixed: append(s.Words(), 0)}
}
