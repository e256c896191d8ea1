package nn

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/go-gl/mathgl/mgl32"
	"github.com/google/go-cmp/cmp"

	"ninvk/gpu"
	"ninvk/ops"
)

func TestPatterns(t *testing.T) {
	g, _ := tangled(3)
	for _, c := range []struct {
		freeze, scale string
		want          Rates
		fails         string
	}{
		{},
		{freeze: "stem.weight", want: Rates{"stem.weight": 0}},
		{freeze: " stem.* , last.bias", want: Rates{"stem.weight": 0, "stem.bias": 0, "last.bias": 0}},
		{freeze: "*nse2.n*rm.*s", want: Rates{"dense2.norm.bias": 0}},
		{scale: "stem*=0.5,*m.bias=2", want: Rates{"stem.weight": 0.5, "stem.bias": 2, "dense1.norm.bias": 2,
			"dense2.norm.bias": 2}},
		{freeze: "stem.*", scale: "st*t=0.25,wide.bias = 1e1", want: Rates{"stem.weight": 0, "stem.bias": 0,
			"wide.bias": 10}},
		{freeze: "stem", fails: `"stem" fits no parameter of the network; near it are stem.*, `},
		{freeze: "last.*,dense3.norm.weight",
			fails: `"dense3.norm.weight" fits no parameter of the network; near it are dense1.norm.weight, dense2.norm.weight`},
		{freeze: "dense1.norm.running_*", fails: "fits no parameter"},
		{freeze: "stem.*,,last.*", fails: "there is an empty pattern"},
		{freeze: "*", fails: "every parameter is frozen"},
		{freeze: "*.weight,*.bias", fails: "every parameter is frozen"},
		{scale: "stem.*", fails: `"stem.*" has no factor; PATTERN=FACTOR`},
		{scale: "stem.*=", fails: "not a number above 0"},
		{scale: "stem.*=-1", fails: "not a number above 0"},
		{scale: "stem.*=inf", fails: "not a number above 0"},
		{scale: "stem.*=NaN", fails: "not a number above 0"},
		{scale: "stem.*=1e99", fails: "not a number above 0"},
		{scale: "stem.*=0", fails: "--freeze"},
		{scale: "=2", fails: "there is an empty pattern"},
		{scale: "conv9.*=2", fails: "fits no parameter"},
	} {
		frozen, err := g.Freeze(c.freeze)
		var scaled Rates
		if err == nil {
			scaled, err = g.Scale(c.scale)
		}
		if c.fails != "" {
			if err == nil || !strings.Contains(err.Error(), c.fails) {
				t.Errorf("%q, %q: error %v, want one with %q", c.freeze, c.scale, err, c.fails)
			}
			continue
		}
		if err != nil {
			t.Errorf("%q, %q: %v", c.freeze, c.scale, err)
			continue
		}
		want := c.want
		if want == nil {
			want = Rates{}
		}
		if diff := cmp.Diff(want, scaled.And(frozen)); diff != "" {
			t.Errorf("%q, %q (-want +got):\n%s", c.freeze, c.scale, diff)
		}
	}
}

func FuzzPatterns(f *testing.F) {
	for _, s := range []string{"stem.*", "a=1,*=2", "*.bias=0.1", "**", ",", "="} {
		f.Add(s)
	}
	g, _ := tangled(3)
	f.Fuzz(func(t *testing.T, list string) {
		for _, parse := range []func(string) (Rates, error){g.Freeze, g.Scale} {
			if r, err := parse(list); err == nil {
				if err := r.check(g); err != nil {
					t.Errorf("%q: %v", list, err)
				}
			}
		}
	})
}

func TestImpossibleRates(t *testing.T) {
	g, out := tangled(3)
	d, err := gpu.Open("")
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	for _, c := range []struct {
		options Options
		want    string
	}{
		{Options{Rates: Rates{"stem.weight": -1}}, "stem.weight: a factor of the learning rate of -1"},
		{Options{Rates: Rates{"stem.weight": math.NaN()}}, "NaN"},
		{Options{Rates: Rates{"stem.depth": 1}}, "stem.depth, which is no parameter"},
		{Options{ClassWeights: []float64{1, 2}}, "weights of 2 classes, the network has 5"},
		{Options{ClassWeights: []float64{1, 2, -1, 2, 1}}, "class 2 has the weight -1"},
	} {
		o := c.options
		o.Batch, o.Train, o.Augment = 2, true, ops.Augment{Size: 9}
		if err := Check(d, g, out, o); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("error %v, want one with %q", err, c.want)
		}
	}
}

// fineTuned is a network of which only the part behind a frozen one is trained, with images for it.
func fineTuned(t *testing.T, freeze string, o Options) (*Net, *ops.Images, func(step, n int) []Entry) {
	t.Helper()
	d, err := gpu.Open("")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	g, out := tangled(3)
	if o.Rates, err = g.Freeze(freeze); err != nil {
		t.Fatal(err)
	}
	if o.Batch == 0 {
		o.Batch = 4
	}
	o.Augment = ops.Augment{Size: 9}
	n, err := Build(d, g, out, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.Release)
	r := rand.New(rand.NewPCG(5, 6))
	for i, p := range n.Params() {
		v := make([]float32, p.Len())
		for j := range v {
			v[j] = float32(p.Init.Normal*r.NormFloat64() + p.Init.Constant)
			if p.Role == RunningMean {
				v[j] = float32(0.1 * r.NormFloat64())
			}
		}
		if p.Role == BatchesTracked {
			continue
		}
		if err := n.SetParam(i, v); err != nil {
			t.Fatal(err)
		}
	}
	pixels := make([]byte, 9*3*9*9)
	for i := range pixels {
		pixels[i] = byte(r.IntN(256))
	}
	images, err := ops.UploadImages(d, "images", ops.Shape{C: 3, H: 9, W: 9}, pixels)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(images.Release)
	return n, images, func(step, count int) (entries []Entry) {
		for i := range count {
			k := (3*step + i) % 9
			entries = append(entries, ops.BatchEntry(uint32(k), uint32(k%5), mgl32.Ident3()))
		}
		return entries
	}
}

// butTheHead freezes all of tangled but its last layer, and that of the auxiliary head.
const butTheHead = "stem.*,d*,own.*,project.*,norm*,wide.*,hidden.*"

// What is frozen costs no backward pass, and no memory for one.
func TestFrozenCostsNoBackwardPass(t *testing.T) {
	t.Setenv(ops.VariantEnv, naive+",norm/forward=apart,norm/gradient=apart")
	forced(t, nothing)
	whole, images, _ := fineTuned(t, "", Options{Train: true})
	kernels := func(n *Net, images *ops.Images) map[string]bool {
		list, err := n.Kernels(images, 4, true)
		if err != nil {
			t.Fatal(err)
		}
		names := map[string]bool{}
		for _, k := range list {
			names[k.Name] = true
		}
		return names
	}
	all := kernels(whole, images)
	backward := func(name string) bool {
		return strings.Contains(name, "grad") && !strings.HasPrefix(name, "gradient norm") ||
			slices.Contains([]string{"batch norm statistics", "reduce moments"}, name)
	}
	head, images, _ := fineTuned(t, butTheHead, Options{Train: true})
	for name := range kernels(head, images) {
		if backward(name) && !strings.HasPrefix(name, "linear weight gradient") && name != "linear bias gradient" {
			t.Errorf("with all but the head frozen a step runs %s", name)
		}
	}
	for _, name := range []string{"batch norm statistics", "conv weight gradient naive", "linear input gradient sum",
		"maxpool gradient"} {
		if !all[name] {
			t.Errorf("a step of the whole network has no %q among its kernels %v", name, all)
		}
	}
	for _, x := range head.Graph.nodes {
		last := x.Name == "last" || x.Name == "aux"
		if has := head.plan.grad[x.id] != nowhere; has != last {
			t.Errorf("layer %s: a gradient is planned: %v", x.Name, has)
		}
	}
	norm := slices.IndexFunc(whole.Graph.nodes, func(x *Node) bool { return x.Name == "dense1.norm" })
	kept := func(n *Net) int { return n.plan.storages[n.plan.act[norm].storage].to }
	if kept(head) >= len(head.Graph.nodes) || kept(whole) < len(whole.Graph.nodes) {
		t.Errorf("the output of dense1.norm is kept until step %d, and %d where it is trained", kept(head), kept(whole))
	}
	var trained, floats int
	for _, p := range head.Params() {
		if p.Trained() {
			trained += floatsIn(p.Len())
		}
		if p.ParamSpec.Trained() {
			floats += floatsIn(p.Len())
		}
	}
	got := head.PlannedBytes() - head.plan.bytes() - head.need.Scratch.Bytes() - head.need.Unfolded - head.need.Partial
	if want := uint64(4 * (floats + head.placed.running + 2*trained)); got != want {
		t.Errorf("parameters take %d bytes, want %d", got, want)
	}
	if head.PlannedBytes() >= whole.PlannedBytes() {
		t.Errorf("%d bytes, %d where all is trained", head.PlannedBytes(), whole.PlannedBytes())
	}
}

// A run that is interrupted, its state put into another network, gives the same bits: frozen parameters have no momenta
// and are their own averages.
func TestFrozenStateGoesOn(t *testing.T) {
	t.Setenv(ops.VariantEnv, naive)
	t.Setenv(gpu.LimitsEnv, "maxStorageBufferBindingSize=30720") // many parts, one of them frozen as a whole
	const freeze = "dense*.norm.*,project.*,hidden.*,wide.bias"
	options := Options{
		Train: true, Micro: 3, Optimiser: ops.SGD{Momentum: 0.9, WeightDecay: 0.1}, Clip: ops.GradNorm{Clip: 1},
		Average: ops.Average{Decay: 0.9}, ClassWeights: []float64{1, 2, 3, 4, 5},
	}
	run := func(n *Net, images *ops.Images, entries func(int, int) []Entry, from, to int) *State {
		for step := from; step < to; step++ {
			if _, err := n.TrainStep(images, entries(step, 4-step%2), step+1, 0.01, uint32(step)); err != nil {
				t.Fatal(err)
			}
		}
		snapshot, err := n.Snapshot()
		if err != nil {
			t.Fatal(err)
		}
		s, err := snapshot.Wait()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := n.Drain(); err != nil {
			t.Fatal(err)
		}
		return s
	}
	n, images, entries := fineTuned(t, freeze, options)
	first, err := n.ReadParams()
	if err != nil {
		t.Fatal(err)
	}
	half := run(n, images, entries, 0, 3)
	want := run(n, images, entries, 3, 6)
	again, images, entries := fineTuned(t, freeze, options)
	if err := again.SetState(half); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, run(again, images, entries, 3, 6)); diff != "" {
		t.Errorf("interrupted and gone on with (-want +got):\n%s", diff)
	}
	frozen := 0
	for i, p := range n.Params() {
		running := slices.Contains([]Role{RunningMean, RunningVariance}, p.Role) &&
			strings.HasSuffix(strings.Split(p.Name, ".")[1], "norm")
		if !p.Frozen && !running {
			if p.Trained() != (want.Momenta[i] != nil) {
				t.Errorf("%s: momenta %v", p.Name, want.Momenta[i])
			}
			continue
		}
		frozen++
		if want.Momenta[i] != nil {
			t.Errorf("%s is frozen and has momenta", p.Name)
		}
		if !slices.Equal(want.Values[i], first[i]) || !slices.Equal(want.Average[i], first[i]) {
			t.Errorf("%s is frozen and has moved", p.Name)
		}
	}
	if frozen != 2*4+2+2+1 {
		t.Errorf("%d parameters and running values are frozen", frozen)
	}
}

// The loss of evaluation has no weights.
func TestEvaluationHasNoClassWeights(t *testing.T) {
	t.Setenv(ops.VariantEnv, naive)
	var losses []float64
	for _, weights := range [][]float64{nil, {1, 2, 3, 4, 5}} {
		n, images, entries := fineTuned(t, "", Options{Train: true, ClassWeights: weights})
		if err := n.ResetTotals(); err != nil {
			t.Fatal(err)
		}
		if err := n.EvalStep(images, entries(0, 4)); err != nil {
			t.Fatal(err)
		}
		totals, err := n.Totals()
		if err != nil {
			t.Fatal(err)
		}
		losses = append(losses, totals.Loss)
	}
	if fmt.Sprint(losses[0]) != fmt.Sprint(losses[1]) || !(losses[0] > 0) {
		t.Errorf("losses without and with class weights: %v", losses)
	}
}
