package ops_test

import (
	"fmt"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"unsafe"

	"github.com/google/go-cmp/cmp"

	"ninvk/ci/slow"
	"ninvk/gpu"
	"ninvk/ops"
	"ninvk/ops/cases"
	"ninvk/ops/ref"
)

// values are the operands of a case by name: activations as NCHW.
type values = ref.Values

var openDevice = sync.OnceValues(func() (*gpu.Device, error) { return gpu.Open("") })

// device is the one device of this package's tests. Without an adapter they fail, and the error says what to install.
func device(t testing.TB) *gpu.Device {
	t.Helper()
	d, err := openDevice()
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// partial and scratch are shared by all cases. Partial sums start as NaN, so that a kernel that reads what it has not
// written is found out.
var lent memory

type memory struct {
	partial  *gpu.Buffer
	scratch  *ops.Scratch
	extent   ops.Extent
	unfolded *gpu.Buffer
}

func recorder(t testing.TB, tape string, need ops.Need) *ops.Recorder {
	t.Helper()
	d := device(t)
	if lent.partial == nil {
		lent.partial = must(d.NewBuffer("partial sums", ops.PartialBytes))(t)
		fill(t, lent.partial, float32(math.NaN()))
	}
	if need.Scratch.Max(lent.extent) != lent.extent { // none without a need, as the adapter's limits may be lowered
		if lent.scratch != nil {
			lent.scratch.Release()
		}
		lent.extent = need.Scratch.Max(lent.extent).Max(ops.Extent{Width: 256, Height: 256})
		lent.scratch = must(ops.NewScratch(d, lent.extent))(t)
	}
	if lent.unfolded == nil || need.Unfolded > lent.unfolded.Size {
		lent.unfolded.Release()
		lent.unfolded = must(d.NewBuffer("unfolded activation", max(need.Unfolded, 4<<20)))(t)
	}
	return &ops.Recorder{Dev: d, Tape: d.NewTape(tape), Scratch: lent.scratch, Unfolded: lent.unfolded,
		Partial: lent.partial, Batch: 1}
}

func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func fill(t testing.TB, b *gpu.Buffer, v float32) {
	t.Helper()
	write(t, b, 0, slices.Repeat([]float32{v}, int(b.Size/4)))
}

func write(t testing.TB, b *gpu.Buffer, at uint64, v []float32) {
	t.Helper()
	check(t, device(t).Write(b, at, gpu.Bytes(v)))
}

func readAll(t testing.TB, b *gpu.Buffer) []float32 {
	t.Helper()
	return must(device(t).ReadFloats(b, int(b.Size/4)))(t)
}

// inputs makes the case's inputs, the same every time; words (step, labels) as whole numbers.
func inputs(c cases.Case) values {
	h := fnv.New64a()
	h.Write([]byte(c.String()))
	r := rand.New(rand.NewPCG(h.Sum64(), 1))
	in := values{}
	for _, o := range c.Operands {
		switch {
		case o.Fixed != nil:
			for _, w := range o.Fixed {
				in[o.Name] = append(in[o.Name], float64(w))
			}
		case o.Value != nil:
			v := make([]float64, o.Elements())
			for i := range v {
				v[i] = float64(float32(o.Value(r)))
			}
			in[o.Name] = v
		}
	}
	ref.AvoidKinks(c, in)
	return in
}

// beyond fills what lies between the pixels of one plane and the next plane, and between parameters.
const beyond = 777

// packed lays an operand out as its buffer holds it.
func packed(o cases.Operand, v []float64) []float32 {
	switch o.Place {
	case cases.Activation:
		out := ops.Pack(o.Shape, ref.Float32s(v))
		for i := range out {
			if i/4%o.Shape.Plane() >= o.Shape.Pixels() {
				out[i] = beyond
			}
		}
		return out
	case cases.Words:
		out := make([]float32, len(v))
		for i, x := range v {
			out[i] = math.Float32frombits(uint32(x))
		}
		return out
	}
	return ref.Float32s(v)
}

// run runs a case on the adapter with garbage in everything that must be overwritten, proves that what is only read
// stays as it was and that nothing outside the operands was touched, and gives the outputs and the number of dispatches
// recorded.
func run(t testing.TB, c cases.Case, in values, garbage float32) (out values, dispatches int) {
	t.Helper()
	var need ops.Need
	if c.Need != nil {
		need = c.Need(device(t).Limits())
	}
	return runOn(t, recorder(t, c.String(), need), c, in, garbage)
}

// runOn is run with a recorder whose memory may be no more than the case needs.
func runOn(t testing.TB, r *ops.Recorder, c cases.Case, in values, garbage float32) (out values, dispatches int) {
	t.Helper()
	m := must(c.Allocate(r))(t)
	defer m.Release()
	for _, b := range []*gpu.Buffer{m.Weights, m.Grads, m.State} {
		fill(t, b, beyond)
	}
	for _, o := range c.Operands {
		b, at := m.Where(o)
		if v, ok := in[o.Name]; ok {
			write(t, b, at, packed(o, v))
		} else if o.Place == cases.Gradient {
			write(t, b, at, slices.Repeat([]float32{garbage}, o.Len))
		} else {
			fill(t, b, garbage)
		}
	}
	before := map[*gpu.Buffer][]float32{}
	for _, o := range c.Operands {
		if b, _ := m.Where(o); before[b] == nil {
			before[b] = readAll(t, b)
		}
	}
	if c.Prepare != nil {
		check(t, c.Prepare(m))
	}
	check(t, c.Record(m))
	check(t, r.Tape.Err())
	check(t, m.Dev.Submit(m.Tape))
	check(t, m.Dev.Wait(c.String()))
	dispatches = m.Tape.Dispatches()
	m.Tape.Release()

	after := map[*gpu.Buffer][]float32{}
	may := map[*gpu.Buffer][]bool{} // be changed
	for b, v := range before {
		after[b] = readAll(t, b)
		may[b] = make([]bool, len(v))
	}
	out = values{}
	for _, o := range c.Operands {
		b, at := m.Where(o)
		v := after[b][at/4:]
		switch {
		case o.Use == cases.Reads:
			continue
		case o.Place == cases.Activation:
			out[o.Name] = ref.Float64s(ops.Unpack(o.Shape, v))
			if finite(in) {
				zeroChannels(t, o, v)
			}
		case o.Place != cases.Words:
			out[o.Name] = ref.Float64s(v[:o.Len])
		}
		end := int(at/4) + o.Elements()
		// whole vectors may be written
		if o.Place == cases.Activation || o.Use == cases.Internal || c.Operator == "sgd" || c.Operator == "average" {
			end = len(after[b])
		}
		for i := int(at / 4); i < end; i++ {
			may[b][i] = true
		}
		if o.Use == cases.Internal {
			delete(out, o.Name)
		}
	}
	for b, v := range before {
		for i := range v {
			if !may[b][i] && math.Float32bits(v[i]) != math.Float32bits(after[b][i]) {
				t.Errorf("float %d of %s, which is only read or no operand, changed from %g to %g", i, b.Label, v[i], after[b][i])
				break
			}
		}
	}
	return out, dispatches
}

func finite(in values) bool {
	for _, v := range in {
		if slices.ContainsFunc(v, math.IsNaN) {
			return false
		}
	}
	return true
}

// zeroChannels checks the promise that channels beyond the last are zero.
func zeroChannels(t testing.TB, o cases.Operand, v []float32) {
	t.Helper()
	if o.Shape.C%4 == 0 || o.Use == cases.Internal {
		return
	}
	last := v[4*(o.Shape.Groups()-1)*o.Shape.Plane():]
	for p := range o.Shape.Pixels() {
		for j := o.Shape.C % 4; j < 4; j++ {
			if last[4*p+j] != 0 {
				t.Errorf("%s: pixel %d of the channel after the last holds %g, want 0", o.Name, p, last[4*p+j])
				return
			}
		}
	}
}

// compare reports what lies outside the bounds of the table, the first few places of each output.
func compare(t testing.TB, c cases.Case, got, want values) {
	t.Helper()
	compareWithin(t, c, got, want, func(o cases.Operand, _ int) float64 { return o.Bound() })
}

// compareWithin is compare with a bound for each place of an output.
func compareWithin(t testing.TB, c cases.Case, got, want values, bound func(o cases.Operand, i int) float64) {
	t.Helper()
	for _, o := range c.Operands {
		if o.Use != cases.Writes && o.Use != cases.Updates {
			continue
		}
		g, w := got[o.Name], want[o.Name]
		if len(g) != len(w) || len(w) == 0 {
			t.Errorf("%s: %d values, the twin has %d", o.Name, len(g), len(w))
			continue
		}
		var worst float64
		wrong := 0
		for i := range w {
			e := math.Abs(g[i] - w[i])
			if !(e <= bound(o, i)) { // NaN is wrong too
				if wrong++; wrong <= 3 {
					t.Errorf("%s[%d] is %.8g, the twin has %.8g (error %.1e, bound %.1e)", o.Name, i, g[i], w[i], e, bound(o, i))
				}
			}
			worst = max(worst, e)
		}
		if wrong > 0 {
			t.Errorf("%s: %d of %d values are wrong, greatest error %.1e", o.Name, wrong, len(w), worst)
		}
	}
}

// fitting is the table with the variants that fit the adapter, without the large entries unless NINVK_FULL is set.
func fitting(t testing.TB) []cases.Case {
	return slices.DeleteFunc(cases.All(), func(c cases.Case) bool { return c.Large && !slow.Wanted() || !fits(t, c) })
}

func fits(t testing.TB, c cases.Case) bool {
	t.Helper()
	return !compilesSlowly(t, c) && (c.Fits == nil || c.Fits(device(t).Limits()) == nil)
}

// compilesSlowly says whether the entry is left to make test-full. Lavapipe takes a second for a convolution's kernel
// with tiles, and from Mesa 23 on five where vectors have 512 bits; there are forty for each variant. So those variants
// that only GPUs would choose are tried on some shapes there, and where kernels take five seconds all variants with
// tiles. The shapes that the tests of variants ask for are tried everywhere.
func compilesSlowly(t testing.TB, c cases.Case) bool {
	return slowVariant(t, c) && !slices.ContainsFunc([]string{"65×3×7×5 to 40 ", "65×40×7×5 to 3 ", "65×3×32×32 to 5 ",
		"1×96×7×5 to 192 ", "2×36×7×5 to 20 "}, func(shape string) bool { return strings.HasPrefix(c.Name, shape) })
}

// slowVariant says whether make test tries the entry's variant on some shapes only, see compilesSlowly.
func slowVariant(t testing.TB, c cases.Case) bool {
	return c.Operator == "conv" && tiled(c) && !slow.Wanted() &&
		(slowTiles(t) || device(t).Adapter.CPU() && onlyGPUs(c))
}

// onlyGPUs says whether no driver for CPUs prefers a convolution's variant.
func onlyGPUs(c cases.Case) bool {
	return slices.Contains([]string{"tiled-split", "tiled-wide", "tiled-short", "winograd"}, c.Variant)
}

// tiled says whether a convolution's kernel has tiles.
func tiled(c cases.Case) bool {
	return strings.HasPrefix(c.Variant, "tiled") || c.Variant == "winograd"
}

// slowTiles says whether make test leaves kernels with tiles out, see compilesSlowly.
func slowTiles(t testing.TB) bool {
	a := device(t).Adapter
	return a.VectorWidth > 256 && !strings.HasPrefix(a.Driver, "Mesa 22.") && !slow.Wanted()
}

// find gives the entries of the table with this operator, pass and name: one, or one for every variant that fits the
// adapter.
func find(t testing.TB, name string) []cases.Case {
	t.Helper()
	var found []cases.Case
	for _, c := range cases.All() {
		if (c.String() == name || c.String() == fmt.Sprintf("%s [%s]", name, c.Variant)) && fits(t, c) {
			found = append(found, c)
		}
	}
	if len(found) == 0 {
		t.Fatalf("the table has no entry %q", name)
	}
	return found
}

func TestTable(t *testing.T) {
	seen := map[string]bool{}
	used := map[string]bool{}
	for _, c := range cases.All() {
		if seen[c.String()] {
			t.Errorf("two entries are called %q", c)
		}
		seen[c.String()] = true
		used[ref.Key(c)] = true
		if ref.Table[ref.Key(c)] == nil {
			t.Errorf("%q has no twin: add one to ops/ref/table.go", ref.Key(c))
		}
		outputs := 0
		for _, o := range c.Operands {
			if o.Elements() < 1 {
				t.Errorf("%v: operand %s is empty", c, o.Name)
			}
			if o.Use == cases.Writes || o.Use == cases.Updates {
				outputs++
			}
		}
		if outputs == 0 || c.Record == nil {
			t.Errorf("%v: nothing to compare", c)
		}
	}
	for k := range ref.Table {
		if !used[k] {
			t.Errorf("the twin %q has no entry in the table", k)
		}
	}
}

// TestOperators compares every entry of the table with its ref.
func TestOperators(t *testing.T) {
	for _, c := range fitting(t) {
		t.Run(strings.ReplaceAll(c.String(), " ", "_"), func(t *testing.T) {
			outputs := ref.Table[ref.Key(c)]
			if outputs == nil {
				t.Fatalf("%q has no twin: add one to ops/ref/table.go", ref.Key(c))
			}
			in := inputs(c)
			got, _ := run(t, c, in, float32(math.NaN()))
			compare(t, c, got, outputs(c, in))
		})
	}
}

// varied is one entry of every kind of kernel, at shapes with several channel groups where the kind allows.
func varied(t testing.TB) []cases.Case {
	var cs []cases.Case
	for _, name := range []string{
		"conv forward 65×3×7×5 to 40 k3 s1 p1", "conv weight gradient 65×3×7×5 to 40 k3 s1 p1",
		"conv input gradient 65×40×7×5 to 3 k3 s1 p1",
		"batch norm training 65×10×7×5 relu", "batch norm evaluation 65×10×7×5", "batch norm gradient 65×10×7×5 relu",
		"batch norm once more in place 65×10×7×5 relu",
		"max pool forward 1×10×32×32 k3 s2 p1", "max pool gradient 1×10×32×32 k3 s2 p1",
		"max pool gradient 2×192×7×5 k3 s2 p1",
		"average pool forward 1×10×32×32 k3 s2 p1", "average pool gradient 1×10×32×32 k3 s2 p1",
		"max pool gradient 65×10×1×1 k2 s1 p1", "average pool forward 65×10×1×1 k2 s1 p1",
		"max pool forward 1×96×8×8 k8 s8 p0", "max pool gradient 1×96×8×8 k8 s8 p0",
		"global average pool forward 65×10×7×5", "global average pool gradient 65×10×7×5",
		"bias gradient 65×10×7×5", "relu forward 65×10×7×5", "relu gradient 65×10×7×5", "add forward 65×10×7×5",
		"dropout forward 65×10×7×5 p0.5",
		"add forward 65×10×7×5 3 terms relu", "add forward 65×10×7×5 4 terms in place",
		"adaptive average pool forward 2×96×14×14 to 7×7", "adaptive average pool gradient 2×96×14×14 to 7×7",
		"subsample forward 2×10×7×5 s1, 3 before, 9 after", "subsample gradient 2×10×7×5 s1, 3 before, 9 after",
		"linear forward 300×12×2×2 to 40", "linear input gradient 300×12×2×2 to 40",
		"linear weight gradient 300×12×2×2 to 40",
	} {
		cs = append(cs, find(t, name)...)
	}
	return cs
}

func TestSameBitsOnEveryRun(t *testing.T) {
	for _, c := range varied(t) {
		in := inputs(c)
		first, _ := run(t, c, in, float32(math.NaN()))
		second, _ := run(t, c, in, 1e30)
		for name, v := range first {
			if !slices.Equal(v, second[name]) {
				t.Errorf("%v: computed twice it gives different %s", c, name)
			}
		}
	}
}

// TestSplitAlongChannelGroups makes the largest binding so small that every activation is bound in parts.
func TestSplitAlongChannelGroups(t *testing.T) {
	d := device(t)
	limit := &d.Adapter.Limits.MaxStorageBufferBindingSize
	defer func(was uint64) { *limit = was }(*limit)
	for _, c := range varied(t) {
		in := inputs(c)
		_, whole := run(t, c, in, float32(math.NaN()))
		was := *limit
		*limit = 0
		for _, o := range c.Operands {
			if o.Place == cases.Activation {
				plane := o.Shape.Bytes() / uint64(o.Shape.Groups())
				groups := uint64(2)
				if o.Shape.Groups() > 3 {
					groups = 3 // odd, so that parts begin where alignment matters
				}
				if c.Operator == "conv" {
					groups = 8 // the channel groups of one tile
				}
				*limit = max(*limit, groups*plane)
			}
		}
		if c.Operator == "linear" && c.Fits(d.Limits()) != nil { // flattened, activations are bound whole
			*limit = was
			continue
		}
		got, split := run(t, c, in, float32(math.NaN()))
		*limit = was
		if split <= whole {
			t.Errorf("%v: %d dispatches in parts, %d whole: nothing was split", c, split, whole)
		}
		compare(t, c, got, ref.Table[ref.Key(c)](c, in))
	}
}

// TestLongStretches makes the weight gradient's stretches of pixels so long that one dispatch must not walk over them.
func TestLongStretches(t *testing.T) {
	limit := &device(t).Adapter.Limits.MaxComputeWorkgroupsPerDimension
	defer func(was uint32) { *limit = was }(*limit)
	for _, c := range find(t, "conv weight gradient 65×3×32×32 to 5 k3 s1 p1") {
		if c.Variant != "tiled" {
			continue
		}
		in := inputs(c)
		_, many := run(t, c, in, float32(math.NaN()))
		*limit = 3 // stretches at most
		got, few := run(t, c, in, float32(math.NaN()))
		if few <= many {
			t.Errorf("%v: %d dispatches for three stretches, %d for many short ones: no stretch was cut", c, few, many)
		}
		compare(t, c, got, ref.Table[ref.Key(c)](c, in))
	}
}

func TestPackUnpack(t *testing.T) {
	for _, s := range []ops.Shape{{1, 1, 1, 1}, {1, 3, 7, 5}, {65, 5, 1, 1}, {2, 10, 4, 3}, {3, 192, 2, 2},
		{16, 3, 16, 16}} {
		v := make([]float32, s.Elements())
		for i := range v {
			v[i] = float32(i + 1)
		}
		p := ops.Pack(s, v)
		if uint64(4*len(p)) != s.Bytes() {
			t.Errorf("%v: %d floats packed, want %d bytes", s, len(p), s.Bytes())
		}
		if got := ops.Unpack(s, p); !slices.Equal(got, v) {
			t.Errorf("%v: unpacking does not undo packing", s)
		}
		filled := 0
		for _, x := range p {
			if x != 0 {
				filled++
			}
		}
		if filled != len(v) {
			t.Errorf("%v: %d values packed, want %d", s, filled, len(v))
		}
		// Value (n, c, y, x) stands in lane c%4 of pixel (n, y, x) of plane c/4.
		n, c, y, x := s.N-1, s.C-1, s.H-1, s.W/2
		at := 4*(c/4*s.Plane()+(n*s.H+y)*s.W+x) + c%4
		if want := v[((n*s.C+c)*s.H+y)*s.W+x]; p[at] != want {
			t.Errorf("%v: the last channel's value lies elsewhere: %g, want %g", s, p[at], want)
		}
		if s.Plane()%16 != 0 || s.Plane()%256 == 0 || s.Plane() < s.Pixels() {
			t.Errorf("%v: plane of %d", s, s.Plane())
		}
	}
}

func TestImpossibleShapes(t *testing.T) {
	x := ops.Shape{N: 2, C: 3, H: 7, W: 5}
	for name, f := range map[string]func(ops.Shape) (ops.Shape, error){
		"wrong channels":          ops.Conv{C: 4, M: 1, K: 1, Stride: 1}.Out,
		"kernel too large":        ops.Conv{C: 3, M: 1, K: 6, Stride: 1}.Out,
		"stride 0":                ops.Conv{C: 3, M: 1, K: 1}.Out,
		"negative padding":        ops.Conv{C: 3, M: 1, K: 1, Stride: 1, Pad: -1}.Out,
		"window too large":        ops.MaxPool{K: 6, Stride: 1}.Out,
		"window of padding":       ops.AvgPool{K: 3, Stride: 1, Pad: 2}.Out,
		"window beyond the bound": ops.AvgPool{K: 129, Stride: 1, Pad: 64}.Out,
		"no pooling window":       ops.MaxPool{Stride: 1}.Out,
		"wrong values":            ops.Linear{In: 104, M: 3}.Out,
		"no outputs":              ops.Linear{In: 105}.Out,
		"no pixels":               ops.AdaptiveAvgPool{H: 1}.Out,
		"too many pixels":         ops.AdaptiveAvgPool{H: 1000, W: 1000}.Out,
		"stride 0 of a shortcut":  ops.Subsample{}.Out,
		"channels before":         ops.Subsample{Stride: 1, Before: -1}.Out,
		"channels after":          ops.Subsample{Stride: 1, After: -1}.Out,
	} {
		if y, err := f(x); err == nil {
			t.Errorf("%s: got %v, want an error", name, y)
		}
	}
	if y, err := (ops.GlobalAvgPool{}).Out(ops.Shape{N: 1, C: 1, H: 129, W: 128}); err == nil {
		t.Errorf("global pooling of 129×128: got %v, want an error", y)
	}
	for _, x := range []ops.Shape{{1, 1, 1, 1}, {1, 10, 2, 1}, {1, 65536, 1, 1}} {
		if err := (ops.CrossEntropy{}).Check(x); err == nil {
			t.Errorf("cross entropy of %v: want an error", x)
		}
	}
}

// TestLoopBound records kernels that would make more loop passes than every driver does.
func TestLoopBound(t *testing.T) {
	r := recorder(t, "loop bound", ops.Need{})
	x := must(ops.NewTensor(r.Dev, "x", ops.Shape{N: 1, C: 4, H: 129, W: 128}))(t)
	y := must(ops.NewTensor(r.Dev, "y", ops.Shape{N: 1, C: 4, H: 1, W: 1}))(t)
	defer x.Buf.Release()
	defer y.Buf.Release()
	wide := ops.AvgPool{K: 128, Stride: 1}
	for name, err := range map[string]error{
		"global average pool": ops.GlobalAvgPool{}.Forward(r, x, y),
		"average pool":        wide.Forward(r, x, y),
		"average pool grad":   wide.Grad(r, y, x),
	} {
		if err == nil || !strings.Contains(err.Error(), "loop passes") {
			t.Errorf("%s beyond %d passes: error %v", name, ops.MaxPasses, err)
		}
	}
	if n := r.Tape.Dispatches(); n != 0 {
		t.Errorf("%d dispatches recorded all the same", n)
	}
}

// TestTiledStoresAsOnGPUs runs the tiled variants as GPUs get them: there their kernels store the sums without a loop,
// see shaders.ConvTiled.Rolled. Where compiling them takes long, make test tries one.
func TestTiledStoresAsOnGPUs(t *testing.T) {
	d := device(t)
	kind := d.Adapter.Type
	d.Adapter.Type = "discrete"
	defer func() { d.Adapter.Type = kind }()
	ran := 0
	for _, shape := range []string{"65×40×7×5 to 3 k3 s1 p1", "65×3×7×5 to 40 k3 s1 p1", "1×192×7×5 to 10 k3 s1 p1 relu",
		"1×96×7×5 to 192 k1 s1 p0"} {
		for _, pass := range []string{"forward", "input gradient", "weight gradient"} {
			for _, c := range cases.All() {
				if strings.HasPrefix(c.Name, shape+" [") && c.Pass == pass && tiled(c) &&
					c.Fits(d.Limits()) == nil && (ran == 0 || !slowTiles(t)) {
					in := inputs(c)
					got, _ := run(t, c, in, 0)
					compare(t, c, got, ref.Table[ref.Key(c)](c, in))
					ran++
				}
			}
		}
	}
	if ran < 12 && !slowTiles(t) || ran == 0 {
		t.Errorf("only %d cases", ran)
	}
}

// TestNaN checks that a NaN is not hidden: a diverged network must be seen.
func TestNaN(t *testing.T) {
	for _, test := range []struct{ c, in, out string }{
		{"relu forward 1×3×7×5", "v", "v"},
		{"conv forward 1×3×7×5 to 5 k3 s1 p2 relu", "x", "y"},
		{"linear forward 3×5×7×5 to 10 relu", "x", "y"},
		{"add forward 1×3×7×5 2 terms relu", "a", "sum"},
		{"adaptive average pool forward 1×3×13×11 to 4×3", "x", "y"},
		{"max pool forward 1×3×7×5 k3 s2 p1", "x", "y"},
		{"batch norm training 1×3×7×5 relu", "x", "y"},
		{"batch norm evaluation 1×3×7×5 relu", "x", "y"},
		{"average pool forward 1×3×7×5 k3 s2 p1", "x", "y"},
		{"cross entropy forward and gradient 65×10 smoothing 0", "logits", "result"},
	} {
		for _, c := range find(t, test.c) {
			in := inputs(c)
			in[test.in][17] = math.NaN()
			got, _ := run(t, c, in, 0)
			if !slices.ContainsFunc(got[test.out], math.IsNaN) {
				t.Errorf("%v: a NaN in %s does not reach %s", c, test.in, test.out)
			}
		}
	}
}

func TestDropoutKeepsWhatTheTwinKeeps(t *testing.T) {
	for _, p := range []float64{0.1, 0.5, 0.9} {
		c := find(t, fmt.Sprintf("dropout forward 65×3×32×32 p%g", p))[0]
		in := inputs(c)
		for i := range in["v"] {
			in["v"][i] = 1
		}
		got, _ := run(t, c, in, 0)
		want := ref.Table[ref.Key(c)](c, in)["v"]
		var sum float64
		for i, v := range got["v"] {
			if (v == 0) != (want[i] == 0) {
				t.Fatalf("p %g: element %d is %g, the twin has %g", p, i, v, want[i])
			}
			sum += v
		}
		n := float64(len(want))
		if mean, bound := sum/n, 4*math.Sqrt(p/(1-p)/n); math.Abs(mean-1) > bound {
			t.Errorf("p %g: the mean of ones is %.4f, more than %.4f from 1", p, mean, bound)
		}
	}
}

func TestMetricsTotals(t *testing.T) {
	r := recorder(t, "metrics", ops.Need{})
	d := r.Dev
	batches := [][]float32{{2.5, 0, 0.5, 1, 1, 0}, make([]float32, 2*129), {7, 65534}} // losses and places
	for i := range 129 {
		batches[1][2*i] = float32(i) / 8
		batches[1][2*i+1] = float32(i % 9)
	}
	result := must(d.NewBuffer("result", 8*129))(t)
	batch := must(d.NewBuffer("batch", 8))(t)
	total := must(d.NewBuffer("total", ops.TotalsBytes))(t)
	defer result.Release()
	defer batch.Release()
	defer total.Release()
	var want ops.Totals
	for _, b := range batches {
		n := len(b) / 2
		tape := d.NewTape("metrics")
		r.Tape = tape
		check(t, ops.Metrics{N: n}.Forward(r, result, batch, total))
		fill(t, result, float32(math.NaN()))
		write(t, result, 0, b)
		check(t, d.Submit(tape))
		var sum, correct float64
		for i := range n {
			sum += float64(b[2*i])
			if b[2*i+1] == 0 {
				correct++
			}
			if b[2*i+1] <= 4 {
				want.Top5++
			}
		}
		want.Loss, want.Correct, want.Images = want.Loss+sum, want.Correct+int(correct), want.Images+n
		got := readAll(t, batch)
		if math.Abs(float64(got[0])-sum/float64(n)) > 1e-6 || float64(got[1]) != correct {
			t.Errorf("batch of %d: mean loss %g and %g right, want %g and %g", n, got[0], got[1], sum/float64(n), correct)
		}
		if diff := cmp.Diff(want, ops.ReadTotals(must(d.Read(total, 0, ops.TotalsBytes))(t))); diff != "" {
			t.Errorf("totals (-want +got):\n%s", diff)
		}
		tape.Release()
	}
	// Thousands of batches lose nothing: the part that rounding leaves over is kept.
	write(t, result, 0, []float32{0.1, 0})
	write(t, total, 0, []float32{16384, 0, 0, 0, 0})
	tape := d.NewTape("metrics")
	r.Tape = tape
	for range 2000 {
		check(t, ops.Metrics{N: 1}.Forward(r, result, batch, total))
	}
	check(t, d.Submit(tape))
	sum := 16384 + 2000*float64(float32(0.1))
	if got := float64(readAll(t, total)[0]); math.Abs(got-sum) > 0.002 {
		t.Errorf("the sum of 2,000 losses is %.5f, want %.5f", got, sum)
	}
	tape.Release()
}

// words views floats as the words they hold.
func words(v []float32) []uint32 { return unsafe.Slice((*uint32)(unsafe.Pointer(&v[0])), len(v)) }

// A single NaN or infinity anywhere among gradients or weights must be found, and nothing beyond them.
func TestGradNormFindsWhatIsNotFinite(t *testing.T) {
	for _, c := range cases.All() {
		if c.Operator != "gradnorm" || c.Op.(ops.GradNorm).Clip != 0 || c.In.C > 100_000 {
			continue
		}
		for _, name := range []string{"weight", "dweight", "more weights", "more gradients"} {
			n := len(inputs(c)[name])
			if n == 0 { // not in parts
				continue
			}
			for _, v := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
				for _, at := range []int{0, n / 2, n - 1} {
					in := inputs(c)
					in[name][at] = v
					out, _ := run(t, c, in, 0)
					if got := out["metrics"][3]; got != 1 {
						t.Errorf("%s: %s[%d] = %v: %g values found, want 1", c.Name, name, at, v, got)
					}
					gradient := name == "dweight" || name == "more gradients"
					if norm := out["metrics"][2]; gradient && !math.IsNaN(norm) && !math.IsInf(norm, 0) {
						t.Errorf("%s: %s[%d] = %v: the norm is %g", c.Name, name, at, v, norm)
					}
				}
			}
		}
	}
}
