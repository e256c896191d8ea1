// Package cases is the table of cases that operators are tried by. Each is an operator with its attributes, in a pass
// and a variant, at a shape, regular or odd. Tests compare them with their twins, check with what is expected, tune and
// bench time them; none of these knows an operator.
package cases

import (
	"fmt"
	"slices"

	"ninvk/gpu"
	"ninvk/ops"
)

// Case is one entry of the table: an operator with its attributes, in one pass, at one shape. It names all the memory
// the pass touches, so that a test can compare it with its float64 twin and a benchmark can time it without knowing the
// operator.
type Case struct {
	Operator string    // as "conv"; with Pass it names the twin
	Pass     string    // "forward", "input gradient", …
	Name     string    // attributes, shape and variant
	Variant  string    // of the pass, where it has several
	Op       any       // the operator with its attributes
	In       ops.Shape // input of the forward pass
	Operands []Operand
	Flops    float64 // 0 where the pass only moves memory
	Large    bool    // takes long on a software driver: a kernel of full size to compile, or much arithmetic

	Fits    func(l gpu.Limits) error    // why the variant can't run on an adapter of these limits; nil for always
	Need    func(l gpu.Limits) ops.Need // memory that it takes from the recorder; nil for partial sums of any size
	Prepare func(m *Memory) error       // records what must have run before; may be nil
	Record  func(m *Memory) error       // records the pass

	Batch  int      // largest batch of the network that the pass is of, see Recorder.Batch; 0 for the batch of In
	key    ops.Pass // where it has variants
	masked bool     // the gradient goes through a ReLU, or is added to another
}

func (c Case) String() string { return c.Operator + " " + c.Pass + " " + c.Name }

// All is the table. Whoever adds an operator, an attribute or a kernel that is picked by shape adds an entry; the tests
// then compare it with its twin. The kernels at the two ends of a step, Augment and Metrics, have tests of their own.
func All() []Case {
	var t table
	t.convolutions()
	t.linears()
	t.pools()
	t.adaptivePools()
	t.subsamples()
	t.elementwise()
	t.batchNorms()
	t.losses()
	t.optimisers()
	return t
}

// Of are the entries of one operator at one shape, x being the input of its forward pass: all passes, variants and
// kinds of input. op has the attributes and is one of the types that Case.Op has; nil is the gradient of a bias. An
// operator on parameters takes x.C of them.
func Of(op any, x ops.Shape) []Case {
	var t table
	switch o := op.(type) {
	case ops.Conv:
		t.convolution(o, x, false, true)
		t.convolution(o, x, true, true)
	case ops.Linear:
		t.linear(o, x, false, true)
		t.linear(o, x, true, true)
	case ops.AdaptiveAvgPool:
		t.adaptiveAvgPool(o, x)
	case ops.Subsample:
		t.subsample(o, x)
	case ops.MaxPool:
		for _, in := range poolInputs {
			t.maxPool(o, x, in.kind, in.value)
		}
	case ops.AvgPool:
		t.avgPool(o, x)
	case ops.GlobalAvgPool:
		t.globalAvgPool(x)
	case ops.ReLU:
		t.relu(x)
	case ops.Add:
		t.sum(o, x)
	case ops.Dropout:
		t.dropout(o, x, 0x9e3779b9)
	case nil:
		t.bias(x)
	case ops.BatchNorm:
		t.batchNorm(o, x, "", unit, 1)
	case ops.Pairs:
		t.pairs(x)
	case ops.CrossEntropy:
		for _, in := range lossInputs {
			t.crossEntropy(o, x, in, false)
			t.crossEntropy(o, x, in, true)
		}
	case ops.Average:
		t.average(x.C, o.Rate(1000))
	case ops.GradNorm:
		t.gradNorm(o, x.C)
		t.gradNormInParts(o, x.C)
	case ops.SGD:
		t.sgd(o, x.C, 0.1)
	default:
		panic(fmt.Sprintf("the table has no operator %T", op))
	}
	return t
}

// Candidates are the entries of one pass of an operator at one shape, one a variant, as every variant can do it: no
// gradient is masked or added to another.
func Candidates(p ops.Pass, o ops.Varied, x ops.Shape) []Case {
	return slices.DeleteFunc(WithBias(o, x), func(c Case) bool { return c.key != p || c.masked })
}

// WithBias are the entries of an operator with a bias at one shape: every pass in every variant.
func WithBias(o ops.Varied, x ops.Shape) []Case {
	var t table
	switch o := o.(type) {
	case ops.Conv:
		t.convolution(o, x, false, true)
	case ops.Linear:
		t.linear(o, x, false, true)
	}
	return t
}

// Planned is c as it runs in a network whose largest batch is that of larger, the same entry at a larger batch: kernels
// and memory are chosen for that.
func (c Case) Planned(larger Case) Case {
	c.Batch, c.Fits, c.Need = larger.In.N, larger.Fits, larger.Need
	return c
}

type table []Case

func (t *table) add(c Case) { *t = append(*t, c) }

// shapes are those for operators that treat each channel alike.
var shapes = []ops.Shape{
	shape(1, 1, 1, 1), shape(1, 3, 7, 5), shape(65, 5, 1, 1), shape(65, 10, 7, 5), shape(1, 96, 7, 5), shape(8, 192, 1, 1),
	shape(65, 3, 32, 32), // more pixels than some drivers make loop passes
}

func shape(n, c, h, w int) ops.Shape { return ops.Shape{N: n, C: c, H: h, W: w} }
