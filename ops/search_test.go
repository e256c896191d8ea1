package ops_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"reflect"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ninvk/ci/slow"
	"ninvk/gpu"
	"ninvk/ops"
	"ninvk/ops/cases"
	"ninvk/ops/ref"
)

// Environment variables of the search by random shapes.
const (
	seedEnv   = "NINVK_SEED"   // the seed to draw from, as a failure tells it
	shapesEnv = "NINVK_SHAPES" // how many shapes
)

// trial is an operator at a shape on an adapter: what the search draws, and what it makes smaller where it fails.
type trial struct {
	Op     any       // as cases.Of takes it
	X      ops.Shape // input of the forward pass
	Batch  int       // largest batch of the network where that is more than X.N, else 0
	Limits limits
}

// limits are lowered where they are not 0.
type limits struct {
	Planes      int // channel groups of the largest activation in one binding
	Invocations int // of a workgroup
	Storage     int // bytes of workgroup memory
	Products    int // of an unrolled kernel
	Texture     int // texels a side
}

func (s trial) String() string {
	text := fmt.Sprintf("%T%+v on %v", s.Op, s.Op, s.X)
	if s.Op == nil {
		text = fmt.Sprintf("gradient of a bias on %v", s.X)
	}
	if s.Batch > 0 {
		text += fmt.Sprintf(", planned for a batch of %d", s.Batch)
	}
	if s.Limits != (limits{}) {
		text += fmt.Sprintf(", limits %+v", s.Limits)
	}
	return text
}

// palette is what some dozens of shapes are drawn from. Kernels depend on it, and hardly on more, so that each compiled
// serves several shapes.
type palette struct {
	convs  []ops.Conv // their channels are those of the other operators, too, and their kernels and strides those of pools
	limits limits
}

// shapesOfPalette is how many shapes are drawn from one palette: each of the other operators once, and twice as many
// convolutions, which have the variants.
var shapesOfPalette = 3 * len(others)

func newPalette(r *rand.Rand) palette {
	channels := func() int { return edge(r, 40) }
	p := palette{convs: []ops.Conv{
		{C: channels(), M: channels(), K: 1, Stride: edge(r, 5)},
		{C: channels(), M: channels(), K: 2 + r.IntN(6), Stride: edge(r, 5)},
	}}
	if r.IntN(8) > 0 { // long kernels take long to compile
		p.limits.Products = 128 << r.IntN(3)
	}
	if r.IntN(3) == 0 {
		p.limits.Invocations = 64 << r.IntN(4)
	}
	if r.IntN(3) == 0 {
		p.limits.Storage = 1024 << r.IntN(5)
	}
	if r.IntN(8) == 0 {
		p.limits.Texture = 64 << r.IntN(4)
	}
	return p
}

func pick[T any](r *rand.Rand, from []T) T { return from[r.IntN(len(from))] }

// edge is 1 in one of three draws, else a number from 1 to n.
func edge(r *rand.Rand, n int) int {
	if r.IntN(3) == 0 {
		return 1
	}
	return 1 + r.IntN(n)
}

// drawConv draws the padding.
func drawConv(r *rand.Rand, c ops.Conv, _ *ops.Shape) any {
	c.ReLU = r.IntN(2) == 0
	c.Pad = []int{0, (c.K - 1) / 2, r.IntN(c.K), c.K + r.IntN(3)}[r.IntN(4)]
	return c
}

// others draw the attributes of each other operator beside a convolution of the palette, for an input that it takes, or
// change the input.
var others = []func(r *rand.Rand, c ops.Conv, x *ops.Shape) any{
	func(r *rand.Rand, c ops.Conv, x *ops.Shape) any {
		return ops.MaxPool{K: c.K, Stride: c.Stride, Pad: r.IntN(c.K/2 + 1), Ceil: r.IntN(2) == 0, AfterReLU: r.IntN(2) == 0}
	},
	func(r *rand.Rand, c ops.Conv, x *ops.Shape) any {
		return ops.AvgPool{K: c.K, Stride: c.Stride, Pad: r.IntN(c.K/2 + 1)}
	},
	func(*rand.Rand, ops.Conv, *ops.Shape) any { return ops.GlobalAvgPool{} },
	func(*rand.Rand, ops.Conv, *ops.Shape) any { return ops.ReLU{} },
	func(r *rand.Rand, _ ops.Conv, _ *ops.Shape) any { return ops.Add{ReLU: r.IntN(2) == 0} },
	func(r *rand.Rand, c ops.Conv, x *ops.Shape) any {
		return ops.Linear{In: x.C * x.H * x.W, M: c.M, ReLU: r.IntN(2) == 0}
	},
	func(r *rand.Rand, c ops.Conv, x *ops.Shape) any {
		*x = ops.Shape{N: x.N, C: x.C * 16, H: 1, W: 1}
		return ops.Linear{In: x.C, M: c.M * edge(r, 5), ReLU: r.IntN(2) == 0}
	},
	func(r *rand.Rand, _ ops.Conv, _ *ops.Shape) any {
		return ops.AdaptiveAvgPool{H: edge(r, 9), W: edge(r, 9)}
	},
	func(r *rand.Rand, c ops.Conv, _ *ops.Shape) any {
		return ops.Subsample{Stride: c.Stride, Before: r.IntN(10), After: r.IntN(10)}
	},
	func(r *rand.Rand, _ ops.Conv, _ *ops.Shape) any {
		return ops.Dropout{P: float64(r.IntN(100)) / 100, Layer: uint32(r.IntN(10))}
	},
	func(*rand.Rand, ops.Conv, *ops.Shape) any { return nil },
	func(r *rand.Rand, _ ops.Conv, _ *ops.Shape) any {
		return ops.BatchNorm{Eps: 1e-5, Momentum: float64(r.IntN(11)) / 10, ReLU: r.IntN(2) == 0}
	},
	func(_ *rand.Rand, _ ops.Conv, x *ops.Shape) any {
		*x = ops.Shape{N: 2 * x.N, C: x.C * x.W, H: 1, W: 1}
		return ops.Pairs{}
	},
	func(r *rand.Rand, _ ops.Conv, x *ops.Shape) any {
		*x = ops.Shape{N: x.N * x.H, C: 1 + x.C*x.W, H: 1, W: 1}
		return ops.CrossEntropy{Smoothing: float64(r.IntN(4)) / 10, Weight: float64(r.IntN(4)) / 10, Added: r.IntN(2) == 0}
	},
	func(r *rand.Rand, _ ops.Conv, x *ops.Shape) any {
		*x = ops.Shape{N: 1, C: x.Elements(), H: 1, W: 1}
		return ops.Average{Decay: r.Float64()}
	},
	func(r *rand.Rand, _ ops.Conv, x *ops.Shape) any {
		*x = ops.Shape{N: 1, C: x.Elements(), H: 1, W: 1}
		return ops.GradNorm{Clip: float64(r.IntN(3))}
	},
	func(r *rand.Rand, _ ops.Conv, x *ops.Shape) any {
		*x = ops.Shape{N: 1, C: x.Elements(), H: 1, W: 1}
		return ops.SGD{Momentum: float64(r.IntN(10)) / 10, WeightDecay: float64(r.IntN(3)) / 1000, Nesterov: r.IntN(2) == 0,
			Scale: float64(r.IntN(4)) / 10}
	},
}

// draw gives the trial that a seed has at place i.
func draw(seed uint64, i int) trial {
	p := newPalette(rand.New(rand.NewPCG(seed, uint64(i/shapesOfPalette))))
	r := rand.New(rand.NewPCG(seed+1, uint64(i)))
	kind := drawConv
	if i%3 == 2 {
		kind = others[i/3%len(others)]
	}
	for {
		c := pick(r, p.convs)
		s := trial{X: ops.Shape{N: edge(r, 5), C: c.C, H: edge(r, 20), W: edge(r, 20)}, Limits: p.limits}
		s.Op = kind(r, c, &s.X)
		if r.IntN(4) == 0 && s.parameters() == 0 {
			s.Batch = s.X.N + 1 + r.IntN(9)
		}
		if r.IntN(3) == 0 {
			s.Limits.Planes = pick(r, []int{1, 2, 3, 8})
		}
		if s.possible() {
			return s
		}
	}
}

// parameters is their number for an operator that works on these alone, else 0.
func (s trial) parameters() int {
	switch s.Op.(type) {
	case ops.Average, ops.GradNorm, ops.SGD:
		return s.X.C
	}
	return 0
}

// possible says whether the trial is one of a network: the operator has an output.
func (s trial) possible() bool {
	if s.X.N < 1 || s.X.C < 1 || s.X.H < 1 || s.X.W < 1 || s.Batch > 0 && s.Batch <= s.X.N {
		return false
	}
	switch o := s.Op.(type) {
	case ops.Conv:
		_, err := o.Out(s.X)
		return err == nil && o.M > 0
	case ops.BatchNorm:
		return o.Eps > 0 // without it a channel of one pixel has no gradient
	case interface {
		Out(ops.Shape) (ops.Shape, error)
	}:
		_, err := o.Out(s.X)
		return err == nil
	case ops.CrossEntropy:
		return o.Check(s.X) == nil
	case ops.Pairs:
		return s.X.N%2 == 0
	}
	return true
}

// cases are the entries of the table for the trial.
func (s trial) cases() []cases.Case {
	cs := cases.Of(s.Op, s.X)
	if s.Batch == 0 {
		return cs
	}
	larger := s.X
	larger.N = s.Batch
	for i, planned := range cases.Of(s.Op, larger) {
		cs[i] = cs[i].Planned(planned)
	}
	return cs
}

// lower lowers an adapter's limits for a case of the trial. Whatever is bound whole, parameters and what belongs to
// them, keeps its place: adapters bind at least 128 MiB.
func (s trial) lower(l *gpu.Limits, c cases.Case) {
	lower := func(limit *uint32, n int) {
		if n > 0 {
			*limit = min(*limit, uint32(n))
		}
	}
	lower(&l.MaxComputeInvocationsPerWorkgroup, s.Limits.Invocations)
	lower(&l.MaxComputeWorkgroupSizeX, s.Limits.Invocations)
	lower(&l.MaxComputeWorkgroupStorageSize, s.Limits.Storage)
	lower(&l.MaxUnrolledProducts, s.Limits.Products)
	lower(&l.MaxTextureDimension2D, s.Limits.Texture)
	if s.Limits.Planes == 0 {
		return
	}
	bound, whole := uint64(4096), 0
	for _, o := range c.Operands {
		if o.Place != cases.Activation {
			whole += 4 * (o.Len + 8) // with the gap behind, rounded up
			continue
		}
		planned := o.Shape
		planned.N = max(planned.N, s.Batch)
		planes := max(s.Limits.Planes, leastPlanes(c))
		bound = max(bound, uint64(min(planes, planned.Groups()))*uint64(planned.Plane())*16)
	}
	l.MaxStorageBufferBindingSize = min(l.MaxStorageBufferBindingSize, max(bound, uint64(whole)))
}

// leastPlanes is how many channel groups an operator takes at a time.
func leastPlanes(c cases.Case) int {
	switch c.Op.(type) {
	case ops.CrossEntropy:
		return c.In.Groups()
	case ops.MaxPool, ops.GlobalAvgPool, ops.Subsample:
		return 2
	}
	return 1
}

// failure is a case of a trial that is wrong, and in what.
type failure struct {
	key    string // operator, pass and variant
	errors []string
}

// try runs the cases of a trial, or those of one key, and gives the first that fails, nil where all are right; and the
// number that ran.
func try(t testing.TB, s trial, key string) (failed *failure, ran int) {
	t.Helper()
	d := device(t)
	adapters := d.Adapter.Limits
	defer func() { d.Adapter.Limits = adapters }()
	wants := map[string]values{}
	for _, c := range s.cases() {
		name := fmt.Sprintf("%s [%s]", ref.Key(c), c.Variant)
		d.Adapter.Limits = adapters
		s.lower(&d.Adapter.Limits, c)
		if key != "" && key != name || c.Fits != nil && c.Fits(d.Limits()) != nil || slowVariant(t, c) {
			continue
		}
		ran++
		c.Name = strings.TrimSuffix(c.Name, " ["+c.Variant+"]") // all variants get the same inputs
		in := inputs(c)
		if wants[c.String()] == nil {
			copied := values{}
			for k, v := range in {
				copied[k] = slices.Clone(v)
			}
			wants[c.String()] = ref.Table[ref.Key(c)](c, copied)
		}
		if errs := attempt(t, func(t testing.TB) {
			r := exactRecorder(t, c)
			defer r.release()
			got, _ := runOn(t, r.Recorder, c, in, float32(math.NaN()))
			compareWithin(t, c, got, wants[c.String()], bounds(c, in))
		}); len(errs) > 0 {
			return &failure{name, errs}, ran
		}
	}
	return nil, ran
}

// bounds are those of the table, which hold for channels that deviate as those of its entries do. Batch normalisation
// of a channel of few pixels that are nearly the same divides the rounding of their mean by their deviation: what is
// normalised may be wrong by as much more as the deviation is below that, and the gradient, which divides by it again,
// by the square. One pixel alone is its mean, without rounding. Dropout of nearly everything scales what it keeps by up
// to 100, and no float32 is nearer than the rounding of the scale and of the product.
func bounds(c cases.Case, in values) func(o cases.Operand, i int) float64 {
	if drop, ok := c.Op.(ops.Dropout); ok {
		return func(o cases.Operand, _ int) float64 { return max(o.Bound(), 0x1p-23/(1-drop.P)) }
	}
	norm, ok := c.Op.(ops.BatchNorm)
	if !ok || c.Pass == "evaluation" || c.Pass == "frozen gradient" || c.In.N*c.In.H*c.In.W == 1 {
		return func(o cases.Operand, _ int) float64 { return o.Bound() }
	}
	twin := ref.BatchNorm{N: c.In.N, C: c.In.C, HW: c.In.H * c.In.W, Eps: norm.Eps}
	_, _, inverse := twin.Train(in["x"], in["weight"], in["bias"], slices.Clone(in["mean"]), slices.Clone(in["variance"]))
	return func(o cases.Operand, i int) float64 {
		more := func(channel int) float64 { return max(1, inverse[channel]*leastDeviation) }
		switch o.Name {
		case "y", "x":
			return o.Bound() * more(i/twin.HW%twin.C)
		case "dweight":
			return o.Bound() * more(i)
		case "dy":
			return o.Bound() * more(i/twin.HW%twin.C) * more(i/twin.HW%twin.C)
		}
		return o.Bound()
	}
}

// leastDeviation is that of the channels of the table's entries, see TestBoundsOfTheTable.
const leastDeviation = 0.15

// lending is a recorder with memory of its own, as much as a case needs and no more.
type lending struct {
	*ops.Recorder
	release func()
}

func exactRecorder(t testing.TB, c cases.Case) lending {
	t.Helper()
	d := device(t)
	if c.Need == nil {
		return lending{recorder(t, c.String(), ops.Need{}), func() {}}
	}
	need := c.Need(d.Limits())
	r := &ops.Recorder{Dev: d, Tape: d.NewTape(c.String()), Batch: 1}
	r.Partial = must(d.NewBuffer("partial sums", max(16, need.Partial)))(t)
	fill(t, r.Partial, float32(math.NaN()))
	r.Unfolded = must(d.NewBuffer("unfolded activation", max(16, need.Unfolded)))(t)
	if need.Scratch != (ops.Extent{}) {
		r.Scratch = must(ops.NewScratch(d, need.Scratch))(t)
	}
	return lending{r, func() {
		r.Partial.Release()
		r.Unfolded.Release()
		if r.Scratch != nil {
			r.Scratch.Release()
		}
	}}
}

// attempt gives what f reports as errors, without failing the test.
func attempt(t testing.TB, f func(testing.TB)) []string {
	a := &attempted{TB: t}
	done := make(chan any)
	go func() { // a goroutine of its own, which Fatal ends
		defer func() { done <- recover() }()
		f(a)
	}()
	if p := <-done; p != nil {
		a.errors = append(a.errors, fmt.Sprint("panic: ", p))
	}
	return a.errors
}

// attempted keeps what is reported to it.
type attempted struct {
	testing.TB
	errors []string
}

func (a *attempted) Helper() {}
func (a *attempted) Error(v ...any) {
	a.errors = append(a.errors, strings.TrimSpace(fmt.Sprintln(v...)))
}
func (a *attempted) Errorf(f string, v ...any)      { a.errors = append(a.errors, fmt.Sprintf(f, v...)) }
func (a *attempted) Fatal(v ...any)                 { a.Error(v...); runtime.Goexit() }
func (a *attempted) Fatalf(format string, v ...any) { a.Errorf(format, v...); runtime.Goexit() }

// smaller are the trials next to s that are simpler by one attribute: as simple as can be, half, or by one.
func (s trial) smaller() []trial {
	var all []trial
	// change gives s with another value in one place.
	change := func(f func(s *trial, op reflect.Value)) {
		to := s
		var op reflect.Value
		if s.Op != nil {
			op = reflect.New(reflect.TypeOf(s.Op)).Elem()
			op.Set(reflect.ValueOf(s.Op))
		}
		f(&to, op)
		if s.Op != nil {
			to.Op = op.Interface()
		}
		if c, ok := to.Op.(ops.Conv); ok && c.C != to.X.C {
			c.C = to.X.C
			to.Op = c
		}
		if l, ok := to.Op.(ops.Linear); ok {
			l.In = to.X.C * to.X.H * to.X.W
			to.Op = l
		}
		if to != s && to.possible() {
			all = append(all, to)
		}
	}
	numbers := func(field func(s *trial, op reflect.Value) reflect.Value) {
		for _, simpler := range []func(n int64) int64{
			func(int64) int64 { return 0 }, func(int64) int64 { return 1 }, func(n int64) int64 { return n / 2 }, func(
				n int64) int64 {
				return n - 1
			},
		} {
			change(func(s *trial, op reflect.Value) {
				if v := field(s, op); v.Int() > 0 && simpler(v.Int()) < v.Int() {
					v.SetInt(simpler(v.Int()))
				}
			})
		}
	}
	for i := range reflect.TypeFor[limits]().NumField() { // an adapter without lowered limits is simpler than one with any
		change(func(s *trial, _ reflect.Value) { reflect.ValueOf(&s.Limits).Elem().Field(i).SetInt(0) })
	}
	numbers(func(s *trial, _ reflect.Value) reflect.Value { return reflect.ValueOf(&s.Batch).Elem() })
	for i := range reflect.TypeFor[ops.Shape]().NumField() {
		numbers(func(s *trial, _ reflect.Value) reflect.Value { return reflect.ValueOf(&s.X).Elem().Field(i) })
	}
	if s.Op == nil {
		return all
	}
	for i := range reflect.TypeOf(s.Op).NumField() {
		switch reflect.ValueOf(s.Op).Field(i).Kind() {
		case reflect.Int:
			numbers(func(_ *trial, op reflect.Value) reflect.Value { return op.Field(i) })
		case reflect.Bool, reflect.Float64, reflect.Uint32:
			change(func(_ *trial, op reflect.Value) { op.Field(i).SetZero() })
		}
	}
	return all
}

// shrink gives a trial for which fails still holds, while it holds for none of the smaller ones next to it, or the
// smallest found when the time is over.
func shrink(s trial, until time.Time, fails func(trial) bool) trial {
	for {
		i := slices.IndexFunc(s.smaller(), func(to trial) bool { return time.Now().Before(until) && fails(to) })
		if i < 0 {
			return s
		}
		s = s.smaller()[i]
	}
}

// seed is the one to repeat, else another every time.
func seed(t testing.TB) uint64 {
	t.Helper()
	text := os.Getenv(seedEnv)
	if text == "" {
		return rand.Uint64N(1e9)
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("%s=%q: a whole number is needed", seedEnv, text)
	}
	return n
}

// shapeCount is how many shapes to search.
func shapeCount(t testing.TB) int {
	t.Helper()
	if text := os.Getenv(shapesEnv); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			t.Fatalf("%s=%q: a whole number from 1 on is needed", shapesEnv, text)
		}
		return n
	}
	if slow.Wanted() {
		return 2000
	}
	return shapesOfPalette
}

// TestRandomShapes compares operators with their twins at shapes, with attributes and on adapters that nobody thought
// of. Whatever fails is told at the smallest shape that still does.
func TestRandomShapes(t *testing.T) {
	from, n := seed(t), shapeCount(t)
	t.Logf("%d shapes of %s=%d", n, seedEnv, from)
	ran := 0
	for i := range n {
		s := draw(from, i)
		failed, some := try(t, s, "")
		ran += some
		if failed == nil {
			continue
		}
		last := failed
		least := shrink(s, time.Now().Add(time.Minute), func(to trial) bool {
			f, _ := try(t, to, failed.key)
			if f != nil {
				last = f
			}
			return f != nil
		})
		t.Errorf("%s is wrong: %v\n\t%s\n(found as %v, shape %d of %s=%d)", last.key, least,
			strings.Join(last.errors, "\n\t"), s, i+1, seedEnv, from)
	}
	t.Logf("%d calls", ran)
	if ran < n {
		t.Errorf("%d calls for %d shapes: most variants fit nothing", ran, n)
	}
}

// A last batch of so many pixels less than the network's largest that they would be folded less often, and take more
// rows of the scratch texture than were planned.
func TestSmallerBatchOfManyPixels(t *testing.T) {
	for _, channels := range []int{4, 20} { // one chunk, and two that add up
		conv := ops.Conv{C: channels, M: 4, K: 3, Stride: 1, Pad: 1}
		s := trial{Op: conv, X: ops.Shape{N: 60, C: conv.C, H: 32, W: 32}, Batch: 100}
		for _, pass := range []string{"forward", "input gradient", "weight gradient"} {
			failed, ran := try(t, s, "conv "+pass+" [straight]")
			if failed != nil {
				t.Errorf("%s, %v: %s", failed.key, s, strings.Join(failed.errors, "\n\t"))
			}
			if ran == 0 {
				t.Errorf("%s, %v: nothing ran", pass, s)
			}
		}
	}
}

// TestSearchDrawsAll: every twin, and so every entry of the table, has a kind of draw, and every variant fits some.
func TestSearchDrawsAll(t *testing.T) {
	drawn := map[string]bool{}
	for i := range 300 {
		for _, c := range draw(1, i).cases() {
			drawn[ref.Key(c)+" "+c.Variant] = true
		}
	}
	for _, c := range cases.All() {
		if key := ref.Key(c) + " " + c.Variant; !drawn[key] {
			t.Errorf("no draw gives %q", key)
		}
	}
}

// TestBoundsOfTheTable: of batch normalisation and dropout the search allows no more than the table does for its
// entries.
func TestBoundsOfTheTable(t *testing.T) {
	differ := func(c cases.Case, in values) (places int) {
		bound := bounds(c, in)
		for _, o := range c.Operands {
			if o.Use != cases.Writes && o.Use != cases.Updates {
				continue
			}
			for i := range o.Elements() {
				if bound(o, i) != o.Bound() {
					places++
				}
			}
		}
		return places
	}
	for _, c := range cases.All() {
		if c.Operator != "batch norm" && c.Operator != "dropout" {
			continue
		}
		if n := differ(c, inputs(c)); n > 0 {
			t.Errorf("%v: %d places have another bound than the table says", c, n)
		}
	}
	for _, c := range cases.Of(ops.BatchNorm{Eps: 1e-5, Momentum: 0.1}, ops.Shape{N: 3, C: 2, H: 1, W: 1}) {
		in := inputs(c)
		copy(in["x"], []float64{1, 2, 1 + 1./1024, 3, 1, 4}) // the first channel's are nearly the same
		want := map[string]int{
			"training": 3, "training twice": 3, "once more in place": 3, "gradient": 3 + 1, "weight gradient": 1,
		}[c.Pass]
		if n := differ(c, in); n != want {
			t.Errorf("%v: %d places have another bound, want %d: those of the first channel", c, n, want)
		}
	}
}

// TestShrink: what fails is made as small as it can be while it still fails.
func TestShrink(t *testing.T) {
	conv := trial{
		Op: ops.Conv{C: 31, M: 17, K: 5, Stride: 3, Pad: 4, ReLU: true}, X: ops.Shape{N: 4, C: 31, H: 9, W: 12}, Batch: 7,
		Limits: limits{Planes: 2, Storage: 4096},
	}
	norm := trial{Op: ops.BatchNorm{Eps: 1e-5, Momentum: 0.3, ReLU: true}, X: ops.Shape{N: 3, C: 7, H: 8, W: 2}}
	for _, c := range []struct {
		name  string
		from  trial
		fails func(trial) bool
		want  trial
	}{
		{"always", conv, func(trial) bool { return true }, trial{Op: ops.Conv{C: 1, M: 1, K: 1, Stride: 1},
			X: ops.Shape{N: 1, C: 1, H: 1, W: 1}}},
		{
			"more outputs than inputs", conv, func(s trial) bool {
				y, _ := s.Op.(ops.Conv).Out(s.X)
				return y.H > s.X.H && s.X.C > 4
			},
			trial{Op: ops.Conv{C: 5, M: 1, K: 1, Stride: 1, Pad: 1}, X: ops.Shape{N: 1, C: 5, H: 1, W: 1}},
		},
		{
			"a small binding", conv, func(s trial) bool { return s.Limits.Planes > 0 && s.Batch > 0 },
			trial{Op: ops.Conv{C: 1, M: 1, K: 1, Stride: 1}, X: ops.Shape{N: 1, C: 1, H: 1, W: 1}, Batch: 2,
				Limits: limits{Planes: 2}},
		},
		{
			"relu", norm, func(s trial) bool { return s.Op.(ops.BatchNorm).ReLU && s.X.H > 2 },
			trial{Op: ops.BatchNorm{Eps: 1e-5, ReLU: true}, X: ops.Shape{N: 1, C: 1, H: 3, W: 1}},
		},
	} {
		got := shrink(c.from, time.Now().Add(time.Minute), c.fails)
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
}
