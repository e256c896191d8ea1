package ops

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"

	"ninvk/gpu"
)

// Case is one entry of the table of operators: an operator with its attributes, in one pass, at one shape. It names all
// the memory the pass touches, so that a test can compare it with its float64 twin and a benchmark can time it without
// knowing the operator.
type Case struct {
	Operator string // as "conv"; with Pass it names the twin
	Pass     string // "forward", "input gradient", …
	Name     string // attributes, shape and variant
	Variant  string // of the pass, where it has several
	Op       any    // the operator with its attributes
	In       Shape  // input of the forward pass
	Operands []Operand
	Flops    float64 // 0 where the pass only moves memory
	Large    bool    // takes long on a software driver: a kernel of full size to compile, or much arithmetic

	Fits    func(l gpu.Limits) error // why the variant can't run on an adapter of these limits; nil for always
	Need    func(l gpu.Limits) Need  // memory that the variant takes from the recorder; nil for partial sums of any size
	Prepare func(m *Memory) error    // records what must have run before; may be nil
	Record  func(m *Memory) error    // records the pass

	Batch  int  // largest batch of the network that the pass is of, see Recorder.Batch; 0 for the batch of In
	key    Pass // where it has variants
	masked bool // the gradient goes through a ReLU, or is added to another
}

func (c Case) String() string { return c.Operator + " " + c.Pass + " " + c.Name }

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
	Shape Shape // of an Activation
	Len   int   // floats or words elsewhere
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

// Memory holds the operands of a case on the adapter.
type Memory struct {
	*Recorder
	Tensors map[string]Tensor
	Params  map[string]Param
	Buffers map[string]*gpu.Buffer
	State   *gpu.Buffer
}

// gap is the number of floats between parameters, so that none begins where a vector does by chance and writes past an
// end are seen.
const gap = 3

// Allocate makes the memory of the case; r lends the device, and scratch texture and partial sums as Need says.
// Everything else is the memory's own.
func (c Case) Allocate(r *Recorder) (*Memory, error) {
	own := *r
	m := &Memory{Recorder: &own, Tensors: map[string]Tensor{}, Params: map[string]Param{},
		Buffers: map[string]*gpu.Buffer{}}
	m.Batch = max(c.In.N, c.Batch)
	var weights, state int
	place := func(name string, end *int, n int) {
		if _, ok := m.Params[name]; !ok {
			m.Params[name] = Param{Offset: *end, Len: n}
			*end += n + gap
		}
	}
	var err error
	buffer := func(name string, size int) *gpu.Buffer {
		if err != nil {
			return nil
		}
		var b *gpu.Buffer
		b, err = r.Dev.NewBuffer(c.Operator+" "+name, uint64(size))
		return b
	}
	for _, o := range c.Operands {
		switch o.Place {
		case Activation:
			m.Tensors[o.Name] = Tensor{Shape: o.Shape, Buf: buffer(o.Name, int(o.Shape.Bytes()))}
		case Weight:
			place(o.Name, &weights, o.Len)
		case Gradient:
			place(strings.TrimPrefix(o.Name, "d"), &weights, o.Len)
		case State:
			place(o.Name, &state, o.Len)
		default:
			m.Buffers[o.Name] = buffer(o.Name, 4*o.Len)
		}
	}
	m.Weights, m.Grads, m.State = buffer("weights", 4*weights), buffer("gradients", 4*weights), buffer("state", 4*state)
	if err != nil {
		m.Release()
		return nil, err
	}
	return m, nil
}

// Release frees the memory, but for what the recorder lent.
func (m *Memory) Release() {
	for _, t := range m.Tensors {
		t.Buf.Release()
	}
	for _, b := range m.Buffers {
		b.Release()
	}
	for _, b := range []*gpu.Buffer{m.Weights, m.Grads, m.State} {
		b.Release()
	}
}

// Where is the buffer that holds an operand and the byte offset in it.
func (m *Memory) Where(o Operand) (*gpu.Buffer, uint64) {
	at := func(name string) uint64 { return 4 * uint64(m.Params[name].Offset) }
	switch o.Place {
	case Activation:
		return m.Tensors[o.Name].Buf, 0
	case Weight:
		return m.Weights, at(o.Name)
	case Gradient:
		return m.Grads, at(strings.TrimPrefix(o.Name, "d"))
	case State:
		return m.State, at(o.Name)
	}
	return m.Buffers[o.Name], 0
}

// Inputs. Unit scale throughout, unless the name says otherwise.
func unit(r *rand.Rand) float64     { return 2*r.Float64() - 1 }
func positive(r *rand.Rand) float64 { return 0.5 + r.Float64() }
func negative(r *rand.Rand) float64 { return -0.1 - r.Float64() }
func halves(r *rand.Rand) float64   { return float64(r.IntN(5)-2) / 2 } // many are equal
func hundred(r *rand.Rand) float64  { return 100 + r.NormFloat64() }
func eighty(r *rand.Rand) float64   { return 80 * (2*r.Float64() - 1) }
func below(n int) func(*rand.Rand) float64 {
	return func(r *rand.Rand) float64 { return float64(r.IntN(n)) }
}

func reads(name string, s Shape, value func(*rand.Rand) float64) Operand {
	return Operand{Name: name, Shape: s, Use: Reads, Value: value}
}

func writes(name string, s Shape, k int, scale float64) Operand {
	return Operand{Name: name, Shape: s, Use: Writes, K: k, Scale: scale}
}

func updates(name string, s Shape, value func(*rand.Rand) float64) Operand {
	return Operand{Name: name, Shape: s, Use: Updates, Value: value, Scale: 1}
}

func weight(name string, n int, value func(*rand.Rand) float64) Operand {
	return Operand{Name: name, Place: Weight, Len: n, Use: Reads, Value: value}
}

func gradient(name string, n, k int) Operand {
	return Operand{Name: name, Place: Gradient, Len: n, Use: Writes, K: k, Scale: 1}
}

func step(learningRate float64, key uint32) Operand {
	return Operand{Name: "step", Place: Words, Len: 8, Use: Reads, Fixed: []uint32{bits(float32(learningRate)), key, 0, 0,
		3, 0, 0, 0}}
}

// Cases is the table of operators. Whoever adds an operator, an attribute or a kernel that is picked by shape adds an
// entry; the tests then compare it with its twin. The kernels at the two ends of a step, Augment and Metrics, have
// tests of their own.
func Cases() []Case {
	var t table
	t.convolutions()
	t.linears()
	t.pools()
	t.elementwise()
	t.batchNorms()
	t.losses()
	t.optimisers()
	return t
}

type table []Case

func (t *table) add(c Case) { *t = append(*t, c) }

// shapes are those for operators that treat each channel alike.
var shapes = []Shape{
	{1, 1, 1, 1}, {1, 3, 7, 5}, {65, 5, 1, 1}, {65, 10, 7, 5}, {1, 96, 7, 5}, {8, 192, 1, 1},
	{65, 3, 32, 32}, // more pixels than some drivers make loop passes
}

func (t *table) convolutions() {
	for _, v := range []struct {
		n, h, w int
		o       Conv
		noBias  bool
		large   bool
	}{
		{n: 1, h: 1, w: 1, o: Conv{C: 1, M: 1, K: 1, Stride: 1}},
		{n: 1, h: 1, w: 1, o: Conv{C: 3, M: 5, K: 3, Stride: 1, Pad: 1}},
		{n: 1, h: 7, w: 5, o: Conv{C: 1, M: 3, K: 3, Stride: 1, Pad: 0}, noBias: true},
		{n: 2, h: 7, w: 5, o: Conv{C: 5, M: 3, K: 1, Stride: 1, ReLU: true}, noBias: true},
		{n: 1, h: 7, w: 5, o: Conv{C: 3, M: 5, K: 3, Stride: 1, Pad: 2, ReLU: true}},
		{n: 65, h: 7, w: 5, o: Conv{C: 3, M: 5, K: 3, Stride: 1, Pad: 1, ReLU: true}},
		{n: 65, h: 7, w: 5, o: Conv{C: 10, M: 3, K: 1, Stride: 1, ReLU: true}},
		{n: 1, h: 7, w: 5, o: Conv{C: 5, M: 3, K: 1, Stride: 2}},
		{n: 2, h: 7, w: 5, o: Conv{C: 3, M: 3, K: 1, Stride: 4, Pad: 0}}, // windows that leave pixels out
		{n: 1, h: 5, w: 7, o: Conv{C: 3, M: 3, K: 1, Stride: 1, Pad: 1}}, // padding beyond K-1
		{n: 1, h: 7, w: 5, o: Conv{C: 3, M: 5, K: 2, Stride: 2}},         // an even kernel, a row left over
		{n: 2, h: 7, w: 5, o: Conv{C: 3, M: 3, K: 3, Stride: 4, Pad: 1}}, // K < stride
		{n: 65, h: 7, w: 5, o: Conv{C: 5, M: 10, K: 5, Stride: 2, Pad: 2}},
		{n: 1, h: 32, w: 32, o: Conv{C: 3, M: 10, K: 5, Stride: 1, Pad: 2, ReLU: true}},
		{n: 1, h: 32, w: 32, o: Conv{C: 3, M: 5, K: 11, Stride: 4, Pad: 0}},
		{n: 1, h: 11, w: 13, o: Conv{C: 1, M: 3, K: 11, Stride: 1, Pad: 2}},
		// the first layer of networks for grey images
		{n: 2, h: 7, w: 5, o: Conv{C: 1, M: 32, K: 5, Stride: 1, Pad: 2, ReLU: true}},
		{n: 2, h: 9, w: 7, o: Conv{C: 1, M: 16, K: 7, Stride: 2, Pad: 3}, noBias: true},
		{n: 65, h: 32, w: 32, o: Conv{C: 3, M: 5, K: 3, Stride: 1, Pad: 1}}, // more pixels than some drivers make loop passes
		{n: 65, h: 7, w: 5, o: Conv{C: 3, M: 40, K: 3, Stride: 1, Pad: 1}},  // output groups beyond one tile
		{n: 65, h: 7, w: 5, o: Conv{C: 40, M: 3, K: 3, Stride: 1, Pad: 1}},
		{n: 1, h: 7, w: 5, o: Conv{C: 96, M: 192, K: 1, Stride: 1}},
		{n: 2, h: 7, w: 5, o: Conv{C: 16, M: 64, K: 3, Stride: 1, Pad: 1}},     // whole tiles
		{n: 2, h: 7, w: 5, o: Conv{C: 32, M: 32, K: 1, Stride: 1, ReLU: true}}, // whole tiles that compile fast
		// weights in order, which a small binding cuts
		{n: 65, h: 7, w: 5, o: Conv{C: 32, M: 32, K: 3, Stride: 1, Pad: 1}},
		{n: 1, h: 7, w: 5, o: Conv{C: 192, M: 10, K: 3, Stride: 1, Pad: 1, ReLU: true}},
		// phases of an input gradient, channels beyond a chunk
		{n: 2, h: 7, w: 5, o: Conv{C: 36, M: 20, K: 3, Stride: 2, Pad: 1}},
		{n: 1, h: 9, w: 6, o: Conv{C: 5, M: 3, K: 5, Stride: 3, Pad: 1}},          // phases of unequal taps
		{n: 2, h: 7, w: 5, o: Conv{C: 36, M: 100, K: 1, Stride: 2}, noBias: true}, // phases without taps
		{n: 1, h: 9, w: 11, o: Conv{C: 3, M: 36, K: 7, Stride: 2, Pad: 3}},
		{n: 2, h: 2, w: 2, o: Conv{C: 100, M: 36, K: 3, Stride: 1, Pad: 1}, noBias: true}, // few pixels
		{n: 1, h: 7, w: 5, o: Conv{C: 100, M: 36, K: 1, Stride: 1, ReLU: true}, large: true},
		{n: 3, h: 2, w: 2, o: Conv{C: 992, M: 128, K: 1, Stride: 1}, noBias: true, large: true}, // many chunks
		{n: 65, h: 7, w: 5, o: Conv{C: 192, M: 96, K: 1, Stride: 1}, large: true},
		{n: 2, h: 7, w: 5, o: Conv{C: 96, M: 192, K: 5, Stride: 1, Pad: 2}, large: true},
		{n: 2, h: 7, w: 5, o: Conv{C: 96, M: 96, K: 3, Stride: 2, Pad: 1}, large: true},
		{n: 1, h: 32, w: 32, o: Conv{C: 3, M: 192, K: 5, Stride: 1, Pad: 2}, large: true},
		{n: 2, h: 32, w: 32, o: Conv{C: 3, M: 96, K: 11, Stride: 4}, large: true},
		{n: 65, h: 32, w: 32, o: Conv{C: 3, M: 192, K: 5, Stride: 1, Pad: 2}, large: true},
	} {
		t.convolution(v.o, Shape{v.n, v.o.C, v.h, v.w}, v.noBias, v.large)
	}
}

// ConvCases are the entries of a convolution with a bias at one shape: every pass in every variant.
func ConvCases(o Conv, x Shape) []Case {
	var t table
	t.convolution(o, x, false, true)
	return t
}

// LinearCases are the entries of a linear layer with a bias at one shape: every pass in every variant.
func LinearCases(o Linear, x Shape) []Case {
	var t table
	t.linear(o, x, false, true)
	return t
}

// CasesOf are the entries of one operator at one shape, x being the input of its forward pass: all passes, variants and
// kinds of input. op has the attributes and is one of the types that Case.Op has; nil is the gradient of a bias. An
// operator on parameters takes x.C of them.
func CasesOf(op any, x Shape) []Case {
	var t table
	switch o := op.(type) {
	case Conv:
		t.convolution(o, x, false, true)
		t.convolution(o, x, true, true)
	case Linear:
		t.linear(o, x, false, true)
		t.linear(o, x, true, true)
	case AdaptiveAvgPool:
		t.adaptiveAvgPool(o, x)
	case Subsample:
		t.subsample(o, x)
	case MaxPool:
		for _, in := range poolInputs {
			t.maxPool(o, x, in.kind, in.value)
		}
	case AvgPool:
		t.avgPool(o, x)
	case GlobalAvgPool:
		t.globalAvgPool(x)
	case ReLU:
		t.relu(x)
	case Add:
		t.sum(o, x)
	case Dropout:
		t.dropout(o, x, 0x9e3779b9)
	case nil:
		t.bias(x)
	case BatchNorm:
		t.batchNorm(o, x, "", unit, 1)
	case Pairs:
		t.pairs(x)
	case CrossEntropy:
		for _, in := range lossInputs {
			t.crossEntropy(o, x, in, false)
			t.crossEntropy(o, x, in, true)
		}
	case Average:
		t.average(x.C, o.Rate(1000))
	case GradNorm:
		t.gradNorm(o, x.C)
		t.gradNormInParts(o, x.C)
	case SGD:
		t.sgd(o, x.C, 0.1)
	default:
		panic(fmt.Sprintf("the table has no operator %T", op))
	}
	return t
}

// Planned is c as it runs in a network whose largest batch is that of larger, the same entry at a larger batch: kernels
// and memory are chosen for that.
func (c Case) Planned(larger Case) Case {
	c.Batch, c.Fits, c.Need = larger.In.N, larger.Fits, larger.Need
	return c
}

// Varied is an operator whose passes have variants: Conv or Linear.
type Varied interface {
	Out(x Shape) (Shape, error)
	Flops(x Shape) float64
	Key(p Pass, x Shape) string // of one pass in tables of choices
	Passes() (forward, inputGrad, weightGrad Pass)
	cases(x Shape) []Case // every pass in every variant, with a bias
}

// Candidates are the entries of one pass of an operator at one shape, one a variant, as every variant can do it: no
// gradient is masked or added to another.
func Candidates(p Pass, o Varied, x Shape) []Case {
	return slices.DeleteFunc(o.cases(x), func(c Case) bool { return c.key != p || c.masked })
}

// Passes names the passes.
func (Conv) Passes() (forward, inputGrad, weightGrad Pass) {
	return ConvForward, ConvInputGrad, ConvWeightGrad
}

// Passes names the passes.
func (Linear) Passes() (forward, inputGrad, weightGrad Pass) {
	return LinearForward, LinearInputGrad, LinearWeightGrad
}

func (c Conv) cases(x Shape) []Case   { return ConvCases(c, x) }
func (o Linear) cases(x Shape) []Case { return LinearCases(o, x) }

func (t *table) convolution(o Conv, x Shape, noBias, large bool) {
	y, _ := o.Out(x)
	taps := o.K * o.K
	name := fmt.Sprintf("%v to %d k%d s%d p%d", x, o.M, o.K, o.Stride, o.Pad)
	if o.ReLU {
		name += " relu"
	}
	forward := []Operand{reads("x", x, unit), weight("bias", o.M, unit), weight("weight", o.M*o.C*taps, unit),
		writes("y", y, o.C*taps, 1)}
	if noBias {
		name += " no bias"
		forward = slices.Delete(forward, 1, 2)
	}
	gradients := []Operand{weight("guard", 5, unit), gradient("dbias", o.M, y.Pixels()),
		gradient("dweight", o.M*o.C*taps, y.Pixels())}
	if noBias {
		gradients = slices.Delete(gradients, 1, 2)
	}
	t.variants(ConvForward, Case{
		Pass: "forward", Name: name, Op: o, In: x, Flops: o.Flops(x), Large: large,
		Operands: forward,
		Record: func(m *Memory) error {
			return o.Forward(m.Recorder, m.Tensors["x"], m.Params["weight"], m.Params["bias"], m.Tensors["y"])
		},
	}, "")
	inputGrad := []Operand{weight("bias", o.M, unit), weight("weight", o.M*o.C*taps, unit), reads("dy", y, unit),
		writes("dx", x, o.M*taps, 1)}
	t.variants(ConvInputGrad, Case{
		Pass: "input gradient", Name: name, Op: o, In: x, Flops: o.Flops(x), Large: large,
		Operands: inputGrad,
		Record: func(m *Memory) error {
			return o.InputGrad(m.Recorder, m.Tensors["dy"], m.Params["weight"], m.Tensors["dx"], nil)
		},
	}, "")
	t.variants(ConvInputGrad, Case{
		Pass: "input gradient", Name: name, Op: o, In: x, Flops: o.Flops(x), Large: large,
		Operands: append(slices.Clone(inputGrad), reads("x", x, halves)),
		Record: func(m *Memory) error {
			mask := m.Tensors["x"]
			return o.InputGrad(m.Recorder, m.Tensors["dy"], m.Params["weight"], m.Tensors["dx"], &mask)
		},
	}, "x")
	t.variants(ConvWeightGrad, Case{
		Pass: "weight gradient", Name: name, Op: o, In: x, Flops: o.Flops(x), Large: large,
		Operands: append([]Operand{reads("x", x, unit), reads("dy", y, unit)}, gradients...),
		Record: func(m *Memory) error {
			return o.WeightGrad(m.Recorder, m.Tensors["x"], m.Tensors["dy"], nil, m.Params["weight"], m.Params["bias"])
		},
	}, "")
	if !o.ReLU {
		return
	}
	t.variants(ConvWeightGrad, Case{
		Pass: "weight gradient", Name: name, Op: o, In: x, Flops: o.Flops(x), Large: large,
		Operands: append([]Operand{reads("x", x, unit), updates("dy", y, unit), reads("y", y, halves)}, gradients...),
		Record: func(m *Memory) error {
			mask := m.Tensors["y"]
			return o.WeightGrad(m.Recorder, m.Tensors["x"], m.Tensors["dy"], &mask, m.Params["weight"], m.Params["bias"])
		},
	}, "y")
}

// variants adds an entry for every variant of a convolution's pass. mask names the operand that masks the gradient, ""
// for none.
func (t *table) variants(p Pass, c Case, mask string) {
	c.Operator, c.masked = "conv", mask != ""
	o := c.Op.(Conv)
	call, _ := o.call(c.In)
	if c.masked {
		c.Name += " masked"
	}
	if mask == "x" {
		call.Mask = &call.In
	}
	addVariants(t, convVariants, p, c, call)
}

// addVariants adds an entry for every variant of a pass that can record the call.
func addVariants[C call[C]](t *table, w ways[C], p Pass, c Case, call C) {
	c.key = p
	for _, v := range w[p] {
		if call.masks() && !v.Masks {
			continue
		}
		one := c
		one.Name, one.Variant = fmt.Sprintf("%s [%s]", c.Name, v.Name), v.Name
		one.Fits = func(l gpu.Limits) error { return v.Fits(l, call) }
		one.Need = func(l gpu.Limits) Need {
			if v.Need == nil {
				return Need{}
			}
			return v.Need(l, call)
		}
		one.Record = func(m *Memory) error {
			m.Choice.Forced = map[Pass]string{p: v.Name}
			return c.Record(m)
		}
		t.add(one)
	}
}

func (t *table) linears() {
	for _, v := range []struct {
		n, c, h, w, m int
		relu, noBias  bool
		large         bool
	}{
		{n: 1, c: 1, h: 1, w: 1, m: 1},
		{n: 1, c: 3, h: 1, w: 1, m: 5, relu: true},
		{n: 2, c: 10, h: 1, w: 1, m: 3, noBias: true},
		{n: 3, c: 5, h: 7, w: 5, m: 10, relu: true}, // flattened
		{n: 65, c: 6, h: 3, w: 3, m: 17},
		{n: 1, c: 400, h: 1, w: 1, m: 120, relu: true},
		{n: 64, c: 400, h: 1, w: 1, m: 120},
		{n: 17, c: 1030, h: 1, w: 1, m: 66},
		{n: 17, c: 1032, h: 1, w: 1, m: 65}, // rows of weights that begin where vectors do
		{n: 3, c: 8, h: 3, w: 3, m: 7, noBias: true},
		{n: 2, c: 1, h: 150, w: 130, m: 6}, // longer than an invocation's loop may be
		{n: 2, c: 6, h: 1, w: 1, m: 16500},
		{n: 300, c: 12, h: 2, w: 2, m: 40},
		{n: 4, c: 512, h: 7, w: 7, m: 64, relu: true, large: true},
		{n: 64, c: 2048, h: 1, w: 1, m: 1000, large: true},
		{n: 2, c: 20000, h: 1, w: 1, m: 265, large: true}, // more weights than are copied together
	} {
		t.linear(Linear{In: v.c * v.h * v.w, M: v.m, ReLU: v.relu}, Shape{v.n, v.c, v.h, v.w}, v.noBias, v.large)
	}
}

func (t *table) linear(o Linear, x Shape, noBias, large bool) {
	y, _ := o.Out(x)
	call, _ := o.call(x)
	c := Case{Operator: "linear", Name: fmt.Sprintf("%v to %d", x, o.M), Op: o, In: x, Flops: o.Flops(x), Large: large}
	if o.ReLU {
		c.Name += " relu"
	}
	// Weights begin where vectors do, those without a bias elsewhere.
	params := []Operand{weight("guard", 5, unit), weight("weight", o.M*o.In, unit), weight("bias", o.M, unit)}
	grads := []Operand{weight("guard", 5, unit), gradient("dweight", o.M*o.In, x.N), gradient("dbias", o.M, x.N)}
	call.Bias = Param{Len: o.M}
	if noBias {
		c.Name += " no bias"
		params, grads, call.Bias = params[:2], grads[:2], Param{}
		params[0].Len, grads[0].Len = 6, 6
	}
	c.Pass, c.Operands = "forward", append(slices.Clone(params), reads("x", x, unit), writes("y", y, o.In, 1))
	c.Record = func(m *Memory) error {
		return o.Forward(m.Recorder, m.Tensors["x"], m.Params["weight"], m.Params["bias"], m.Tensors["y"])
	}
	addVariants(t, linearVariants, LinearForward, c, call)

	for _, accumulate := range []bool{false, true} {
		grad := c
		dx := writes("dx", x, o.M, 1)
		if accumulate {
			grad.Name += " accumulated"
			dx.Use, dx.Value = Updates, unit
		}
		grad.Pass, grad.Operands = "input gradient", append(slices.Clone(params), reads("dy", y, unit), dx)
		grad.masked = accumulate
		grad.Record = func(m *Memory) error {
			return o.InputGrad(m.Recorder, m.Tensors["dy"], m.Params["weight"], m.Tensors["dx"], accumulate)
		}
		call.Accumulate = accumulate
		addVariants(t, linearVariants, LinearInputGrad, grad, call)
	}
	call.Accumulate = false

	for _, masked := range []bool{false, true} {
		if masked && !o.ReLU {
			continue
		}
		grad := c
		grad.Pass, grad.masked = "weight gradient", masked
		grad.Operands = append([]Operand{reads("x", x, unit), reads("dy", y, unit)}, grads...)
		if masked {
			grad.Name += " masked"
			grad.Operands = append([]Operand{reads("x", x, unit), updates("dy", y, unit), reads("y", y, halves)}, grads...)
		}
		grad.Record = func(m *Memory) error {
			var mask *Tensor
			if y, ok := m.Tensors["y"]; ok {
				mask = &y
			}
			return o.WeightGrad(m.Recorder, m.Tensors["x"], m.Tensors["dy"], mask, m.Params["weight"], m.Params["bias"])
		}
		addVariants(t, linearVariants, LinearWeightGrad, grad, call)
	}
}

func (t *table) pools() {
	type pool struct {
		x              Shape
		k, stride, pad int
	}
	pools := []pool{
		{Shape{1, 1, 1, 1}, 1, 1, 0},
		{Shape{1, 3, 7, 5}, 3, 2, 1},
		{Shape{65, 5, 7, 5}, 2, 2, 0},
		{Shape{1, 10, 32, 32}, 3, 2, 1},
		{Shape{1, 96, 8, 8}, 8, 8, 0},
		{Shape{2, 192, 7, 5}, 3, 2, 1},
		{Shape{1, 5, 7, 5}, 3, 1, 1},  // overlapping
		{Shape{2, 10, 7, 5}, 2, 1, 1}, // more outputs than inputs
		{Shape{65, 10, 1, 1}, 2, 1, 1},
		{Shape{1, 3, 7, 5}, 2, 4, 1}, // K < stride: pixels in no window
		{Shape{1, 3, 12, 13}, 11, 1, 2},
		{Shape{65, 3, 32, 32}, 3, 2, 1},
	}
	for _, p := range pools {
		for _, in := range poolInputs {
			if in.kind != "" && p.x.N*p.x.C > 65 {
				continue
			}
			for _, ceil := range []bool{false, true} {
				for _, relu := range []bool{false, true} {
					t.maxPool(MaxPool{K: p.k, Stride: p.stride, Pad: p.pad, Ceil: ceil, AfterReLU: relu}, p.x, in.kind, in.value)
				}
			}
		}
		t.avgPool(AvgPool{K: p.k, Stride: p.stride, Pad: p.pad}, p.x)
	}
	for _, x := range shapes {
		t.globalAvgPool(x)
	}
	for _, v := range []struct {
		x Shape
		o AdaptiveAvgPool
	}{
		{Shape{1, 1, 1, 1}, AdaptiveAvgPool{1, 1}},
		{Shape{2, 10, 1, 1}, AdaptiveAvgPool{6, 6}}, // copies
		{Shape{65, 5, 7, 5}, AdaptiveAvgPool{6, 6}},
		{Shape{65, 10, 7, 5}, AdaptiveAvgPool{7, 5}},
		{Shape{1, 3, 13, 11}, AdaptiveAvgPool{4, 3}}, // overlapping windows
		{Shape{2, 10, 7, 5}, AdaptiveAvgPool{1, 1}},
		{Shape{2, 96, 14, 14}, AdaptiveAvgPool{7, 7}},
		{Shape{1, 5, 3, 40}, AdaptiveAvgPool{7, 7}},
		{Shape{65, 3, 32, 32}, AdaptiveAvgPool{5, 2}},
	} {
		t.adaptiveAvgPool(v.o, v.x)
	}
	for _, v := range []struct {
		x Shape
		o Subsample
	}{
		{Shape{1, 1, 1, 1}, Subsample{Stride: 1}},
		{Shape{2, 16, 8, 8}, Subsample{Stride: 2, Before: 8, After: 8}},
		{Shape{65, 5, 7, 5}, Subsample{Stride: 2, Before: 1, After: 2}},
		{Shape{1, 3, 7, 5}, Subsample{Stride: 3, Before: 6}},
		{Shape{2, 10, 7, 5}, Subsample{Stride: 1, Before: 3, After: 9}},
		{Shape{65, 10, 7, 5}, Subsample{Stride: 1, Before: 3, After: 2}},
		{Shape{3, 8, 6, 9}, Subsample{Stride: 4, Before: 12, After: 5}},
		{Shape{65, 10, 1, 1}, Subsample{Stride: 2, After: 3}},
	} {
		t.subsample(v.o, v.x)
	}
}

func (t *table) adaptiveAvgPool(o AdaptiveAvgPool, x Shape) {
	y, _ := o.Out(x)
	name := fmt.Sprintf("%v to %d×%d", x, o.H, o.W)
	t.add(Case{
		Operator: "adaptive average pool", Pass: "forward", Name: name, Op: o, In: x,
		Operands: []Operand{reads("x", x, unit), writes("y", y, 1, 1)},
		Record:   func(m *Memory) error { return o.Forward(m.Recorder, m.Tensors["x"], m.Tensors["y"]) },
	})
	t.add(Case{
		Operator: "adaptive average pool", Pass: "gradient", Name: name, Op: o, In: x,
		Operands: []Operand{reads("dy", y, unit), writes("dx", x, window(y.H, x.H)*window(y.W, x.W), 1)},
		Record:   func(m *Memory) error { return o.Grad(m.Recorder, m.Tensors["dy"], m.Tensors["dx"]) },
	})
}

func (t *table) subsample(o Subsample, x Shape) {
	y, _ := o.Out(x)
	name := fmt.Sprintf("%v s%d, %d before, %d after", x, o.Stride, o.Before, o.After)
	t.add(Case{
		Operator: "subsample", Pass: "forward", Name: name, Op: o, In: x,
		Operands: []Operand{reads("x", x, unit), writes("y", y, 1, 0)},
		Record:   func(m *Memory) error { return o.Forward(m.Recorder, m.Tensors["x"], m.Tensors["y"]) },
	})
	t.add(Case{
		Operator: "subsample", Pass: "gradient", Name: name, Op: o, In: x,
		Operands: []Operand{reads("dy", y, unit), writes("dx", x, 1, 0)},
		Record:   func(m *Memory) error { return o.Grad(m.Recorder, m.Tensors["dy"], m.Tensors["dx"]) },
	})
}

// poolInputs are what the maxima are taken of.
var poolInputs = []struct {
	kind  string
	value func(*rand.Rand) float64
}{{"", unit}, {" ties", halves}, {" negative", negative}}

func (t *table) globalAvgPool(x Shape) {
	y, _ := GlobalAvgPool{}.Out(x)
	t.add(Case{
		Operator: "global average pool", Pass: "forward", Name: x.String(), Op: GlobalAvgPool{}, In: x,
		Flops:    float64(x.Elements()),
		Operands: []Operand{reads("x", x, unit), writes("y", y, 1, 1)},
		Record:   func(m *Memory) error { return GlobalAvgPool{}.Forward(m.Recorder, m.Tensors["x"], m.Tensors["y"]) },
	})
	t.add(Case{
		Operator: "global average pool", Pass: "gradient", Name: x.String(), Op: GlobalAvgPool{}, In: x,
		Operands: []Operand{reads("dy", y, unit), writes("dx", x, 1, 1)},
		Record:   func(m *Memory) error { return GlobalAvgPool{}.Grad(m.Recorder, m.Tensors["dy"], m.Tensors["dx"]) },
	})
}

func (t *table) maxPool(o MaxPool, x Shape, kind string, value func(*rand.Rand) float64) {
	y, _ := o.Out(x)
	name := fmt.Sprintf("%v k%d s%d p%d%s", x, o.K, o.Stride, o.Pad, kind)
	if o.Ceil {
		if floor, _ := (MaxPool{K: o.K, Stride: o.Stride, Pad: o.Pad}).Out(x); floor == y {
			return
		}
		name += " ceil"
	}
	if o.AfterReLU {
		name += " after relu"
	}
	places := Operand{Name: "places", Place: Words, Len: int(o.Places(y) / 4), Use: Internal}
	forward := func(m *Memory) error {
		return o.Forward(m.Recorder, m.Tensors["x"], m.Tensors["y"], gpu.All(m.Buffers["places"]))
	}
	t.add(Case{
		Operator: "max pool", Pass: "forward", Name: name, Op: o, In: x,
		Operands: []Operand{reads("x", x, value), writes("y", y, 1, 0), places},
		Record:   forward,
	})
	windows := ceilDiv(o.K, o.Stride)
	t.add(Case{
		Operator: "max pool", Pass: "gradient", Name: name, Op: o, In: x,
		Operands: []Operand{
			reads("x", x, value), {Name: "y", Shape: y, Use: Internal}, places, reads("dy", y, unit),
			writes("dx", x, windows*windows, 1),
		},
		Prepare: forward,
		Record: func(m *Memory) error {
			return o.Grad(m.Recorder, m.Tensors["dy"], gpu.All(m.Buffers["places"]), m.Tensors["dx"])
		},
	})
}

func (t *table) avgPool(o AvgPool, x Shape) {
	y, _ := o.Out(x)
	name := fmt.Sprintf("%v k%d s%d p%d", x, o.K, o.Stride, o.Pad)
	t.add(Case{
		Operator: "average pool", Pass: "forward", Name: name, Op: o, In: x, Flops: float64(y.Elements() * o.K * o.K),
		Operands: []Operand{reads("x", x, unit), writes("y", y, 1, 1)},
		Record:   func(m *Memory) error { return o.Forward(m.Recorder, m.Tensors["x"], m.Tensors["y"]) },
	})
	t.add(Case{
		Operator: "average pool", Pass: "gradient", Name: name, Op: o, In: x, Flops: float64(y.Elements() * o.K * o.K),
		Operands: []Operand{reads("dy", y, unit), writes("dx", x, 1, 1)},
		Record:   func(m *Memory) error { return o.Grad(m.Recorder, m.Tensors["dy"], m.Tensors["dx"]) },
	})
}

func (t *table) elementwise() {
	for _, x := range shapes {
		t.relu(x)
		t.sum(Add{}, x)
		t.sum(Add{ReLU: true}, x)
		for i, p := range []float64{0.1, 0.5, 0.9} {
			t.dropout(Dropout{P: p, Layer: uint32(7 * i)}, x, 0x9e3779b9*uint32(i+1))
		}
		t.bias(x)
	}
}

func (t *table) relu(x Shape) {
	t.add(Case{
		Operator: "relu", Pass: "forward", Name: x.String(), Op: ReLU{}, In: x,
		Operands: []Operand{updates("v", x, halves)},
		Record:   func(m *Memory) error { return ReLU{}.Forward(m.Recorder, m.Tensors["v"]) },
	})
	t.add(Case{
		Operator: "relu", Pass: "gradient", Name: x.String(), Op: ReLU{}, In: x,
		Operands: []Operand{reads("y", x, halves), updates("dv", x, unit)},
		Record:   func(m *Memory) error { return ReLU{}.Grad(m.Recorder, m.Tensors["y"], m.Tensors["dv"]) },
	})
}

func (t *table) sum(o Add, x Shape) {
	if !o.ReLU {
		t.add(Case{
			Operator: "add", Pass: "forward", Name: x.String(), Op: o, In: x, Flops: float64(x.Elements()),
			Operands: []Operand{reads("x", x, unit), updates("sum", x, unit)},
			Record:   func(m *Memory) error { return o.Accumulate(m.Recorder, m.Tensors["x"], m.Tensors["sum"]) },
		})
	}
	for _, inPlace := range []bool{false, true} {
		for terms := 1; terms <= 4; terms++ {
			c := Case{
				Operator: "add", Pass: "forward", Name: fmt.Sprintf("%v %d terms", x, terms), Op: o, In: x,
				Flops: float64((terms - 1) * x.Elements()),
			}
			sum := writes("sum", x, terms, 1)
			others := []string{"a", "b", "c", "d"}[:terms]
			if inPlace {
				c.Name += " in place"
				sum.Use, sum.Value = Updates, unit
				others = others[1:]
			}
			if o.ReLU {
				c.Name += " relu"
			}
			for _, name := range others {
				c.Operands = append(c.Operands, reads(name, x, unit))
			}
			c.Operands = append(c.Operands, sum)
			c.Record = func(m *Memory) error {
				var x []Tensor
				for _, name := range others {
					x = append(x, m.Tensors[name])
				}
				if inPlace {
					x = append([]Tensor{m.Tensors["sum"]}, x...)
				}
				return o.Forward(m.Recorder, m.Tensors["sum"], x...)
			}
			t.add(c)
		}
	}
}

func (t *table) dropout(o Dropout, x Shape, key uint32) {
	t.add(Case{
		Operator: "dropout", Pass: "forward", Name: fmt.Sprintf("%v p%g", x, o.P), Op: o, In: x, Flops: float64(x.Elements()),
		Operands: []Operand{updates("v", x, unit), step(0.01, key)},
		Record:   func(m *Memory) error { return o.Apply(m.Recorder, m.Buffers["step"], m.Tensors["v"]) },
	})
}

func (t *table) bias(x Shape) {
	dbias := gradient("dbias", x.C, x.Pixels())
	guard := weight("weight", 5, unit) // so that the bias does not lie at the start
	t.add(Case{
		Operator: "bias", Pass: "gradient", Name: x.String(), In: x, Flops: float64(x.Elements()),
		Operands: []Operand{guard, reads("dy", x, unit), dbias},
		Record:   func(m *Memory) error { return BiasGrad(m.Recorder, m.Tensors["dy"], m.Params["bias"]) },
	})
}

func (t *table) batchNorms() {
	for _, x := range shapes {
		for _, relu := range []bool{false, true} {
			t.batchNorm(BatchNorm{Eps: 1e-5, Momentum: 0.1, ReLU: relu}, x, "", unit, 1)
		}
	}
	// A mean that is large against the deviation: the inputs alone are rounded to 4e-6.
	t.batchNorm(BatchNorm{Eps: 1e-5, Momentum: 0.1}, Shape{65, 5, 7, 5}, " mean 100", hundred, 10)
	t.batchNorm(BatchNorm{Eps: 1e-5, Momentum: 0.1}, Shape{65, 3, 32, 32}, " mean 100", hundred, 10)
	t.batchNorm(BatchNorm{Eps: 1e-3, Momentum: 0.9}, Shape{2, 3, 7, 5}, " eps 1e-3 momentum 0.9", unit, 1)
}

func (t *table) batchNorm(o BatchNorm, x Shape, kind string, value func(*rand.Rand) float64, scale float64) {
	name := x.String() + kind
	if o.ReLU {
		name += " relu"
	}
	state := func(name string, u Use, value func(*rand.Rand) float64) Operand {
		return Operand{Name: name, Place: State, Len: x.C, Use: u, Value: value, Scale: scale}
	}
	weights := []Operand{weight("bias", x.C, unit), weight("weight", x.C, positive)}
	norm := Operand{Name: "norm", Place: Floats, Len: int(o.NormBytes(x) / 4), Use: Internal}
	params := func(m *Memory) BatchNormParams {
		return BatchNormParams{
			Weight: m.Params["weight"], Bias: m.Params["bias"], Mean: m.Params["mean"], Variance: m.Params["variance"],
			State: m.State, Norm: gpu.All(m.Buffers["norm"]),
		}
	}
	forward := func(train bool) func(m *Memory) error {
		return func(m *Memory) error {
			return o.Forward(m.Recorder, m.Tensors["x"], params(m), m.Tensors["y"], train)
		}
	}
	y := writes("y", x, 1, 2*scale)
	inputs := func(u Use) []Operand {
		return append([]Operand{norm, state("mean", u, unit), state("variance", u, positive), reads("x", x, value)},
			weights...)
	}
	elements := float64(x.Elements())
	need := func(l gpu.Limits) Need { return Need{Partial: reduceBytes(x), Scratch: fetchedExtent(l, x)} }
	t.add(Case{
		Operator: "batch norm", Pass: "training", Name: name, Op: o, In: x, Need: need, Flops: 8 * elements,
		Operands: append(inputs(Updates), y),
		Record:   forward(true),
	})
	t.add(Case{ // after two steps the running statistics show whether momentum is applied rightly
		Operator: "batch norm", Pass: "training twice", Name: name, Op: o, In: x, Need: need, Flops: 8 * elements,
		Operands: append(inputs(Updates), y),
		Prepare:  forward(true),
		Record:   forward(true),
	})
	again := inputs(Updates)
	again[3] = updates("x", x, value)
	again[3].Scale = 2 * scale
	t.add(Case{
		Operator: "batch norm", Pass: "once more in place", Name: name, Op: o, In: x, Need: need, Flops: 2 * elements,
		Operands: append(again, Operand{Name: "y", Shape: x, Use: Internal}),
		Prepare:  forward(true),
		Record:   func(m *Memory) error { return o.Apply(m.Recorder, m.Tensors["x"], params(m), m.Tensors["x"]) },
	})
	y.Scale *= 2 // the running statistics don't bring x to unit scale
	t.add(Case{
		Operator: "batch norm", Pass: "evaluation", Name: name, Op: o, In: x, Need: need, Flops: 2 * elements,
		Operands: append(inputs(Reads), y),
		Record:   forward(false),
	})
	dy := updates("dy", x, unit)
	dy.Scale = 4 * scale
	grads := []Operand{gradient("dbias", x.C, x.Pixels()), gradient("dweight", x.C, x.Pixels())}
	grads[1].Scale = scale
	t.add(Case{
		Operator: "batch norm", Pass: "gradient", Name: name, Op: o, In: x, Need: need, Flops: 12 * elements,
		Operands: append(append(inputs(Updates), dy, Operand{Name: "y", Shape: x, Use: Internal}), grads...),
		Prepare:  forward(true),
		Record:   func(m *Memory) error { return o.Grad(m.Recorder, m.Tensors["x"], params(m), m.Tensors["dy"], true) },
	})
	// Of parameters without length no gradient is written.
	still := dy
	still.Use = Reads
	for i, wanted := range grads {
		none := []string{"weight", "bias"}[i]
		t.add(Case{
			Operator: "batch norm", Pass: wanted.Name[1:] + " gradient", Name: name, Op: o, In: x, Need: need,
			Flops:    4 * elements,
			Operands: append(inputs(Updates), still, Operand{Name: "y", Shape: x, Use: Internal}, wanted),
			Prepare:  forward(true),
			Record: func(m *Memory) error {
				p := params(m)
				switch none {
				case "weight":
					p.Weight.Len = 0
				default:
					p.Bias.Len = 0
				}
				return o.Grad(m.Recorder, m.Tensors["x"], p, m.Tensors["dy"], false)
			},
		})
	}
	dy.Scale = 4
	t.add(Case{
		Operator: "batch norm", Pass: "frozen gradient", Name: name, Op: o, In: x, Need: need, Flops: 2 * elements,
		Operands: append(inputs(Reads), dy, Operand{Name: "y", Shape: x, Use: Internal}),
		Prepare:  forward(false),
		Record: func(m *Memory) error {
			return o.RunningGrad(m.Recorder, m.Tensors["x"], params(m), m.Tensors["dy"])
		},
	})
}

func (t *table) losses() {
	for _, x := range []Shape{{2, 2, 1, 1}, {130, 10, 1, 1}, {6, 1000, 1, 1}} {
		t.pairs(x)
	}
	plain, ties, large := lossInputs[0], lossInputs[1], lossInputs[2]
	for _, v := range []struct {
		n, classes int
		in         lossInput
	}{
		{1, 2, plain}, {65, 10, plain}, {5, 1000, plain}, {65, 10, ties}, {5, 10, large}, {65, 3, large},
		{65, 33, ties}, {130, 100, ties}, {3, 1000, ties}, {2, MaxClasses, plain}, {2, MaxClasses, ties},
	} {
		for _, smoothing := range []float64{0, 0.1} {
			for _, weighted := range []bool{false, true} {
				x := Shape{v.n, v.classes, 1, 1}
				t.crossEntropy(CrossEntropy{Smoothing: smoothing}, x, v.in, weighted)
				t.crossEntropy(CrossEntropy{Smoothing: smoothing, Weight: 0.3, Added: true}, x, v.in, weighted)
			}
		}
	}
}

func (t *table) pairs(x Shape) {
	t.add(Case{
		Operator: "pairs", Pass: "forward", Name: fmt.Sprintf("%d×%d", x.N, x.C), Op: Pairs{}, In: x,
		Flops:    float64(x.Elements()),
		Operands: []Operand{updates("v", x, unit)},
		Record:   func(m *Memory) error { return Pairs{}.Forward(m.Recorder, m.Tensors["v"]) },
	})
}

// lossInput is a kind of logits, and the size of their losses.
type lossInput struct {
	kind  string
	value func(*rand.Rand) float64
	scale float64
}

var lossInputs = []lossInput{{"", unit, 1}, {" ties", halves, 1}, {" large logits", eighty, 16}}

func (t *table) crossEntropy(o CrossEntropy, x Shape, in lossInput, weighted bool) {
	result := Operand{Name: "result", Place: Floats, Len: 2 * x.N, Use: Writes, K: x.C, Scale: in.scale}
	name := fmt.Sprintf("%d×%d smoothing %g%s", x.N, x.C, o.Smoothing, in.kind)
	if o.Weight != 0 {
		name += fmt.Sprintf(" weight %g", o.Weight)
	}
	if o.Added {
		name += " added"
		result.Use, result.Value = Updates, unit
	}
	dlogits := writes("dlogits", x, 1, 1)
	var weights []Operand
	if weighted {
		name += " weighted"
		dlogits.Scale *= 3 // as the largest weight is to the least
		settings := step(0.1, 0)
		settings.Fixed[5] = bits(0.8)
		weights = []Operand{{Name: "class weights", Place: Floats, Len: x.C, Use: Reads, Value: positive}, settings}
	}
	t.add(Case{
		Operator: "cross entropy", Pass: "forward and gradient", Name: name,
		Op: o, In: x, Flops: 8 * float64(x.Elements()),
		Operands: append(weights, reads("logits", x, in.value),
			Operand{Name: "labels", Place: Words, Len: x.N, Use: Reads, Value: below(x.C)}, dlogits, result),
		Record: func(m *Memory) error {
			return o.Forward(m.Recorder, m.Tensors["logits"], m.Buffers["labels"], m.Tensors["dlogits"], m.Buffers["result"],
				ClassWeights{m.Buffers["class weights"], m.Buffers["step"]})
		},
	})
}

func (t *table) optimisers() {
	for _, rate := range []float64{0.001, 0.8, 1} {
		for _, n := range []int{1, 6, 70001} {
			t.average(n, rate)
		}
	}
	for _, clip := range []float64{0, 0.5, 1000} {
		for _, n := range []int{1, 6, 70001, 600003} {
			t.gradNorm(GradNorm{clip}, n)
			t.gradNormInParts(GradNorm{clip}, n)
		}
	}
	for _, o := range []SGD{{}, {Momentum: 0.9}, {Momentum: 0.9, WeightDecay: 0.0005},
		{Momentum: 0.9, WeightDecay: 0.01, Nesterov: true}} {
		for _, rate := range []float64{0.001, 10} {
			for _, n := range []int{1, 1031, 70001} {
				t.sgd(o, n, rate)
			}
			o.Scale = 0.1
			t.sgdFrom(o, 1031, 512, rate)
		}
	}
}

func (t *table) average(n int, rate float64) {
	statistics := n == 6
	settings := step(0.1, 0)
	settings.Fixed[2], settings.Fixed[3] = bits(float32(rate)), bits(0.5)
	if statistics {
		settings.Fixed[2], settings.Fixed[3] = settings.Fixed[3], settings.Fixed[2]
	}
	t.add(Case{
		Operator: "average", Pass: "update", In: Shape{1, n, 1, 1}, Op: Average{}, Flops: float64(3 * n),
		Name: fmt.Sprintf("%d rate %g", n, rate),
		Operands: []Operand{
			settings, {Name: "weight", Place: Weight, Len: n, Use: Reads, Value: unit},
			{Name: "average", Place: Floats, Len: n, Use: Updates, Value: unit, K: 1, Scale: 2},
		},
		Record: func(m *Memory) error {
			return Average{}.Update(m.Recorder, m.Buffers["step"], n, m.Recorder.Weights, m.Buffers["average"], statistics)
		},
	})
}

func (t *table) gradNorm(o GradNorm, n int) {
	grad := Operand{Name: "dweight", Place: Gradient, Len: n, Use: Reads, Value: unit, K: 4, Scale: 1}
	if o.Clip > 0 {
		grad.Use = Updates
	}
	t.add(Case{
		Operator: "gradnorm", Pass: "forward", Op: o, In: Shape{1, n, 1, 1}, Flops: float64(2 * n),
		Name: fmt.Sprintf("%d clip %g", n, o.Clip),
		Operands: []Operand{
			{Name: "weight", Place: Weight, Len: n, Use: Reads, Value: unit}, grad,
			{Name: "metrics", Place: Floats, Len: 4, Use: Updates, Value: unit, K: 4, Scale: math.Sqrt(float64(n))},
		},
		Record: func(m *Memory) error {
			return o.Update(m.Recorder, []Vector{{n, m.Recorder.Weights, m.Recorder.Grads}}, m.Buffers["metrics"])
		},
	})
}

// gradNormInParts has a third of the parameters, rounded up, in buffers of their own.
func (t *table) gradNormInParts(o GradNorm, n int) {
	more := ceilDiv(n, 3)
	first := n - more
	if first == 0 {
		return
	}
	grad := Operand{Name: "dweight", Place: Gradient, Len: first, Use: Reads, Value: unit, K: 4, Scale: 1}
	if o.Clip > 0 {
		grad.Use = Updates
	}
	moreGrads := grad
	moreGrads.Name, moreGrads.Place, moreGrads.Len = "more gradients", Floats, more
	t.add(Case{
		Operator: "gradnorm", Pass: "forward", Name: fmt.Sprintf("%d in parts clip %g", n, o.Clip),
		Op: o, In: Shape{1, n, 1, 1}, Flops: float64(2 * n),
		Operands: []Operand{
			{Name: "weight", Place: Weight, Len: first, Use: Reads, Value: unit},
			{Name: "more weights", Place: Floats, Len: more, Use: Reads, Value: unit}, grad, moreGrads,
			{Name: "metrics", Place: Floats, Len: 4, Use: Updates, Value: unit, K: 4, Scale: math.Sqrt(float64(n))},
		},
		Record: func(m *Memory) error {
			return o.Update(m.Recorder, []Vector{
				{first, m.Recorder.Weights, m.Recorder.Grads}, {more, m.Buffers["more weights"], m.Buffers["more gradients"]},
			}, m.Buffers["metrics"])
		},
	})
}

func (t *table) sgd(o SGD, n int, rate float64) { t.sgdFrom(o, n, 0, rate) }

// sgdFrom updates the last of n parameters.
func (t *table) sgdFrom(o SGD, n, from int, rate float64) {
	scale := max(1, 10*rate)
	name := fmt.Sprintf("%d rate %g momentum %g decay %g nesterov %v", n, rate, o.Momentum, o.WeightDecay, o.Nesterov)
	if o.Scale != 0 {
		name += fmt.Sprintf(" scale %g", o.Scale)
	}
	var before []Operand
	if from > 0 {
		name += fmt.Sprintf(" from %d", from)
		before = []Operand{{Name: "before", Place: Floats, Len: from, Use: Reads, Value: unit}}
	}
	for _, steps := range []int{1, 10} {
		t.add(Case{
			Operator: "sgd", Pass: fmt.Sprintf("%d steps", steps), Op: o, In: Shape{1, n, 1, 1}, Flops: float64(steps * 6 * n),
			Name: name,
			Operands: append(before,
				step(rate, 0), Operand{Name: "weight", Place: Weight, Len: n, Use: Updates, Value: unit, K: steps, Scale: scale},
				Operand{Name: "dweight", Place: Gradient, Len: n, Use: Reads, Value: unit},
				Operand{Name: "velocity", Place: Floats, Len: n, Use: Updates, Value: unit, K: steps, Scale: 4}),
			Record: func(m *Memory) error {
				for range steps {
					if err := o.Update(m.Recorder, m.Buffers["step"], from, n-from, m.Buffers["velocity"]); err != nil {
						return err
					}
				}
				return nil
			},
		})
	}
}
