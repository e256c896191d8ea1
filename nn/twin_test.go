package nn

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/go-gl/mathgl/mgl32"

	"ninvk/gpu"
	"ninvk/ops"
	"ninvk/ops/ref"
)

// twin runs a graph's training pass in float64, without dropout.
type twin struct {
	n      int // images
	x      []float64
	values map[*Node][]float64
	params map[string][]float64
	rates  Rates
	weigh  []float64 // classes; nil for all alike
}

func (t *twin) in(x *Node) []float64 { return t.values[x.inputs[0]] }

func (t *twin) param(x *Node, name string) []float64 { return t.params[x.Name+"."+name] }

func (t *twin) put(x *Node, v []float64, relu bool) error {
	if relu {
		v = ref.ReLU(v)
	}
	t.values[x] = v
	return nil
}

func (t *twin) Input(x *Node) error { return t.put(x, t.x, false) }

func (t *twin) Conv(x *Node, o ops.Conv) error {
	s := x.inputs[0].Shape
	bias := t.param(x, "bias")
	if bias == nil {
		bias = make([]float64, o.M)
	}
	c := ref.Conv{N: t.n, C: o.C, H: s.H, W: s.W, M: o.M, K: o.K, Stride: o.Stride, Pad: o.Pad}
	return t.put(x, ref.ConvForward(c, t.in(x), t.param(x, "weight"), bias), o.ReLU)
}

func (t *twin) Linear(x *Node, o ops.Linear) error {
	l := ref.Linear{N: t.n, In: o.In, M: o.M}
	return t.put(x, ref.LinearForward(l, t.in(x), t.param(x, "weight"), t.param(x, "bias")), o.ReLU)
}

func (t *twin) BatchNorm(x *Node, o ops.BatchNorm) error {
	s := x.Shape
	b := ref.BatchNorm{N: t.n, C: s.C, HW: s.H * s.W, Eps: o.Eps, Momentum: o.Momentum}
	weight, bias := t.param(x, "weight"), t.param(x, "bias")
	if t.rates.still(x) {
		return t.put(x, b.Eval(t.in(x), weight, bias, t.param(x, "running_mean"), t.param(x, "running_var")), o.ReLU)
	}
	y, _, _ := b.Train(t.in(x), weight, bias, make([]float64, s.C), make([]float64, s.C))
	return t.put(x, y, o.ReLU)
}

func (t *twin) ReLU(x *Node) error { return t.put(x, t.in(x), true) }

func (t *twin) pool(x *Node, k, stride, pad int) ref.Pool {
	s := x.inputs[0].Shape
	return ref.Pool{N: t.n, C: s.C, H: s.H, W: s.W, K: k, Stride: stride, Pad: pad}
}

func (t *twin) MaxPool(x *Node, o ops.MaxPool) error {
	p := t.pool(x, o.K, o.Stride, o.Pad)
	p.Ceil = o.Ceil
	y, _ := ref.MaxPool(p, t.in(x))
	return t.put(x, y, false)
}

func (t *twin) AvgPool(x *Node, o ops.AvgPool) error {
	return t.put(x, ref.AvgPool(t.pool(x, o.K, o.Stride, o.Pad), t.in(x)), false)
}

func (t *twin) GlobalAvgPool(x *Node) error {
	s := x.inputs[0].Shape
	return t.put(x, ref.GlobalAvgPool(t.n, s.C, s.H, s.W, t.in(x)), false)
}

func (t *twin) AdaptiveAvgPool(x *Node, o ops.AdaptiveAvgPool) error {
	s := x.inputs[0].Shape
	return t.put(x, ref.AdaptiveAvgPool(ref.AdaptivePool{N: t.n, C: s.C, H: s.H, W: s.W, OH: o.H, OW: o.W}, t.in(x)),
		false)
}

func (t *twin) Dropout(x *Node, _ ops.Dropout) error { return t.put(x, t.in(x), false) }

func (t *twin) Add(x *Node, o ops.Add) error {
	sum := make([]float64, t.n*x.Shape.Elements())
	for _, in := range x.inputs {
		for i, v := range t.values[in] {
			sum[i] += v
		}
	}
	return t.put(x, sum, o.ReLU)
}

func (t *twin) Concat(x *Node) error {
	var y []float64
	for n := range t.n {
		for _, in := range x.inputs {
			one := in.Shape.Elements()
			y = append(y, t.values[in][n*one:(n+1)*one]...)
		}
	}
	return t.put(x, y, false)
}

func (t *twin) Subsample(x *Node, o ops.Subsample) error {
	s := x.inputs[0].Shape
	r := ref.Subsample{N: t.n, C: s.C, H: s.H, W: s.W, Stride: o.Stride, Before: o.Before, After: o.After}
	return t.put(x, r.Forward(t.in(x)), false)
}

var _ Visitor = (*twin)(nil)

// loss is the mean over the images, weighted by their classes, of the sum of all heads' losses.
func (t *twin) loss(g *Graph, out *Node, labels []int) float64 {
	t.values = map[*Node][]float64{}
	for _, x := range g.nodes {
		if err := x.Visit(t); err != nil {
			panic(err)
		}
	}
	sum := 0.0
	for _, h := range append([]Head{{out, 1}}, g.heads...) {
		losses, _, _ := ref.SoftmaxCrossEntropy(t.n, out.Shape.C, t.values[h.Logits], labels, 0.1, t.weigh...)
		for _, l := range losses {
			sum += h.Weight * l
		}
	}
	if t.weigh == nil {
		return sum / float64(t.n)
	}
	whole := 0.0
	for _, l := range labels {
		whole += t.weigh[l]
	}
	return sum / whole
}

// tangled has every kind of layer and every way in which activations and gradients share memory.
func tangled(channels int) (*Graph, *Node) {
	g := NewGraph()
	in := g.Input(channels, 9, 9)
	x := g.Conv("stem", in, Conv{Channels: 8, Kernel: 3, Stride: 2, Pad: 1, ReLU: true})
	x = g.MaxPool("pool", x, ops.MaxPool{K: 2, Stride: 1, Ceil: true})
	for _, name := range []string{"dense1", "dense2"} { // joins in joins, read by normalisations
		in := g.In(name)
		y := in.Conv("reduce", in.BatchNorm("norm", x, BatchNorm{ReLU: true}), Conv{Channels: 8, Kernel: 1, NoBias: true})
		y = in.BatchNorm("norm2", y, BatchNorm{ReLU: true, Eps: 1e-3})
		x = in.Concat("join", x, in.Conv("conv", y, Conv{Channels: 4, Kernel: 3, Pad: 1, NoBias: true}))
	}
	x = g.Concat("direct", x, g.Conv("own", x, Conv{Channels: 4, Kernel: 1, ReLU: true})) // reads and writes one join
	g.AddLoss(g.Linear("aux", g.AdaptiveAvgPool("aux.pool", x, ops.AdaptiveAvgPool{H: 3, W: 2}), Linear{Outputs: 5}), 0.3)
	y := g.Add("sum", ops.Add{ReLU: true}, g.BatchNorm("normed", g.Conv("project", x, Conv{Channels: 20, Kernel: 1}),
		BatchNorm{}), x)
	z := g.Subsample("short", y, ops.Subsample{Stride: 2, Before: 3, After: 1})
	y = g.Conv("down", y, Conv{Channels: 24, Kernel: 3, Stride: 2, Pad: 1})
	y = g.Add("three", ops.Add{}, y, z, g.AvgPool("average", g.Conv("wide", z, Conv{Channels: 24, Kernel: 1}),
		ops.AvgPool{K: 3, Stride: 1, Pad: 1}))
	y = g.ReLU("relu", y)
	y = g.Concat("twice", y, g.Dropout("drop", y, 0), y) // one input joined twice, and once more in place
	y = g.Linear("hidden", y, Linear{Outputs: 17, ReLU: true})
	return g, g.Linear("last", y, Linear{Outputs: 5})
}

// naive has all convolutions recorded with the kernels that are compiled the fastest.
const naive = "conv/forward=naive,conv/input-gradient=naive,conv/weight-gradient=naive"

// A network's loss and gradients are those of its float64 twin: the loss itself, and the slope of it along the gradient
// of each parameter. So they are where normalisations are computed once more, and parameters lie in many parts.
func TestGraphFollowsTwin(t *testing.T) {
	weights := []float64{1, 0.5, 0, 3, 2}
	whole := map[string][][]float32{} // gradients where everything is kept, by the first layer's name
	for _, c := range []struct {
		name, limits   string
		build          func(channels int) (*Graph, *Node)
		again          remade
		freeze, scaled string
		weights        []float64
		channels       int
	}{
		{name: "plain"},
		{name: "grey", channels: 1},
		{name: "again", again: normalisations},
		{name: "all again", again: products},
		{name: "parts", limits: "maxStorageBufferBindingSize=30720"},
		{name: "weighted", weights: weights},
		{name: "stem frozen", freeze: "stem.*,dense1.*"},
		{name: "norms frozen", freeze: "*norm*", again: normalisations},
		{name: "all but the head", freeze: "stem.*,d*,own.*,aux.*,project.*,norm*,wide.*,hidden.*"},
		{name: "holes", freeze: "dense2.*,project.*,hidden.*,wide.*,aux.*", limits: "maxStorageBufferBindingSize=30720"},
		{name: "weights frozen", freeze: "*.weight", weights: weights},
		{name: "biases frozen", freeze: "*.bias", scaled: "*=0.5,last.*=2"},
		{name: "rates", scaled: "*.weight=0.1,d*=2", limits: "maxStorageBufferBindingSize=30720"},
		{name: "cut", build: wide, limits: "maxStorageBufferBindingSize=30720"},
		{name: "behind in-place layers", build: behind},
		{name: "deep", build: deep},
		{name: "deep again", build: deep, again: products},
		{name: "deep again, some frozen", build: deep, freeze: "normed1.*,own1.*", again: products},
	} {
		t.Run(c.name, func(t *testing.T) {
			forced(t, c.again)
			t.Setenv(gpu.LimitsEnv, c.limits)
			t.Setenv(ops.VariantEnv, naive)
			build := c.build
			if build == nil {
				build = tangled
			}
			g, out := build(cmp.Or(c.channels, 3))
			if err := g.Err(); err != nil {
				t.Fatal(err)
			}
			frozen, err := g.Freeze(c.freeze)
			if err != nil {
				t.Fatal(err)
			}
			scaled, err := g.Scale(c.scaled)
			if err != nil {
				t.Fatal(err)
			}
			grads := compareWithTwin(t, g, out, Options{Batch: 4, Train: true, Loss: ops.CrossEntropy{Smoothing: 0.1},
				Rates: scaled.And(frozen), ClassWeights: c.weights})
			if c.limits+c.freeze+c.scaled != "" || c.weights != nil || c.channels != 0 {
				return
			}
			if first, ok := whole[g.nodes[1].Name]; ok && !slices.EqualFunc(first, grads, slices.Equal[[]float32]) {
				t.Error("the gradients are not those of the plan that keeps everything, bit for bit")
			} else if !ok {
				whole[g.nodes[1].Name] = grads
			}
		})
	}
}

// wide has a linear layer whose weights take three bindings, and whose input's gradient may take the input's place.
func wide(channels int) (*Graph, *Node) {
	g := NewGraph()
	x := g.Conv("stem", g.Input(channels, 9, 9), Conv{Channels: 16, Kernel: 3, Stride: 2, Pad: 1})
	x = g.Linear("wide", x, Linear{Outputs: 50, ReLU: true})
	return g, g.Linear("last", x, Linear{Outputs: 5})
}

// behind has sums that could take the place of a ReLU's output behind layers that work in place.
func behind(channels int) (*Graph, *Node) {
	g := NewGraph()
	x := g.Conv("before", g.Input(channels, 9, 9), Conv{Channels: 8, Kernel: 3, Stride: 2, Pad: 1})
	for _, l := range []struct {
		name string
		of   func(name string, x *Node) *Node
	}{
		{"relu", func(name string, x *Node) *Node {
			return g.ReLU(name, g.Conv(name+".conv", x, Conv{Channels: 8, Kernel: 1}))
		}},
		{"conv", func(name string, x *Node) *Node { return g.Conv(name, x, Conv{Channels: 8, Kernel: 1, ReLU: true}) }},
		{"norm", func(name string, x *Node) *Node { return g.BatchNorm(name, x, BatchNorm{ReLU: true}) }},
	} {
		y := g.Dropout(l.name+".twice", g.Dropout(l.name+".once", l.of(l.name, x), 0), 0)
		x = g.Add(l.name+".sum", ops.Add{}, y, g.Conv(l.name+".other", x, Conv{Channels: 8, Kernel: 1}))
	}
	return g, g.Linear("last", x, Linear{Outputs: 5})
}

// compareWithTwin gives the gradients.
func compareWithTwin(t *testing.T, g *Graph, out *Node, o Options) [][]float32 {
	t.Helper()
	d, err := gpu.Open("")
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	s := g.nodes[0].Shape
	o.Augment = ops.Augment{Size: s.H}
	n, err := Build(d, g, out, o)
	if err != nil {
		t.Fatal(err)
	}
	defer n.Release()
	r := rand.New(rand.NewPCG(1, 2))
	w := &twin{n: o.Batch, params: map[string][]float64{}, rates: o.Rates, weigh: o.ClassWeights}
	var initial [][]float32
	for i, p := range n.Params() {
		if p.Role == BatchesTracked {
			initial = append(initial, nil)
			continue
		}
		v := make([]float32, p.Len())
		initial = append(initial, v)
		for j := range v {
			v[j] = float32(math.Max(p.Init.Normal, 0.1)*r.NormFloat64() + p.Init.Constant)
			if p.Role == RunningVariance {
				v[j] = 1
			}
		}
		if err := n.SetParam(i, v); err != nil {
			t.Fatal(err)
		}
		w.params[p.Name] = ref.Float64s(v)
	}
	pixels := make([]byte, o.Batch*s.Elements())
	for i := range pixels {
		pixels[i] = byte(r.IntN(256))
		w.x = append(w.x, float64(pixels[i])/255)
	}
	images, err := ops.UploadImages(d, "images", ops.Shape{C: s.C, H: s.H, W: s.W}, pixels)
	if err != nil {
		t.Fatal(err)
	}
	defer images.Release()
	var entries []Entry
	var labels []int
	for i := range o.Batch {
		entries = append(entries, ops.BatchEntry(uint32(i), uint32(i%out.Shape.C), mgl32.Ident3()))
		labels = append(labels, i%out.Shape.C)
	}
	want := w.loss(g, out, labels)
	const rate = 0.125
	done, err := n.TrainStep(images, entries, 1, rate, 1)
	if err != nil {
		t.Fatal(err)
	}
	rest, err := n.Drain()
	if err != nil {
		t.Fatal(err)
	}
	results := append(done, rest...)
	if len(results) != 1 || math.Abs(results[0].Loss-want) > 1e-5*want {
		t.Errorf("loss %+v, the twin's is %v", results, want)
	}
	grads, err := n.ReadGrads()
	if err != nil {
		t.Fatal(err)
	}
	after, err := n.ReadParams()
	if err != nil {
		t.Fatal(err)
	}
	norm, still := 0.0, map[string]bool{} // running values by layer
	for _, x := range g.nodes {
		for _, p := range x.params {
			still[p.Name] = o.Rates.still(x)
		}
	}
	for i, p := range n.Params() {
		// What is frozen stays, to the bit; what is trained moves by its rate.
		if frozen := p.Frozen || !p.ParamSpec.Trained() && still[p.Name]; frozen != slices.Equal(after[i], initial[i]) &&
			p.Role != Bias && p.Role != BatchesTracked {
			t.Errorf("%s is frozen: %v; does it stay: %v", p.Name, frozen, !frozen)
		}
		if !p.Trained() {
			if grads[i] != nil {
				t.Errorf("%s has a gradient", p.Name)
			}
			continue
		}
		scale := float32(rate * o.Rates.of(p.ParamSpec))
		for j, g := range grads[i] {
			if want := initial[i][j] - scale*g; math.Abs(float64(after[i][j]-want)) > 1e-6*math.Max(1, math.Abs(float64(want))) {
				t.Errorf("%s: value %d goes from %v to %v, its gradient is %v", p.Name, j, initial[i][j], after[i][j], g)
				break
			}
		}
		v := w.params[p.Name]
		slope := 0.0
		for _, x := range grads[i] {
			slope += float64(x) * float64(x)
		}
		norm += slope
		if slope < 1e-12 {
			if p.Role != Bias {
				t.Errorf("%s has no gradient", p.Name)
			}
			continue
		}
		step := 1e-5 / math.Sqrt(slope)
		along := func(by float64) float64 {
			before := append([]float64(nil), v...)
			defer copy(v, before)
			for j, x := range grads[i] {
				v[j] += by * float64(x)
			}
			return w.loss(g, out, labels)
		}
		if got := (along(step) - along(-step)) / (2 * step); math.Abs(got-slope) > 2e-3*slope+1e-9 {
			t.Errorf("%s: the loss has slope %g along the gradient, whose square is %g", p.Name, got, slope)
		}
	}
	if got := results[0].GradientNorm; math.Abs(got-math.Sqrt(norm)) > 1e-5*got {
		t.Errorf("the gradients' norm is %g, of those read %g", got, math.Sqrt(norm))
	}
	return grads
}

// A batch computed in parts gives the steps of the whole batch, where there is no batch normalisation; dropout
// included.
func TestMicroBatch(t *testing.T) {
	t.Run("plain", func(t *testing.T) { testMicroBatch(t, Options{}) })
	t.Run("weighted", func(t *testing.T) {
		testMicroBatch(t, Options{ClassWeights: []float64{1, 0, 3, 0.5, 2}, Rates: Rates{"a.weight": 0.25, "c.bias": 0}})
	})
}

func testMicroBatch(t *testing.T, o Options) {
	d, err := gpu.Open("")
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	run := func(micro int) (losses []float64, params [][]float32) {
		g := NewGraph()
		x := g.Conv("a", g.Input(3, 8, 8), Conv{Channels: 8, Kernel: 3, Pad: 1, ReLU: true})
		x = g.Dropout("drop", g.MaxPool("pool", x, ops.MaxPool{K: 2, Stride: 2}), 0.5)
		out := g.Linear("c", x, Linear{Outputs: 5})
		o.Batch, o.Micro, o.Train, o.Optimiser = 7, micro, true, ops.SGD{Momentum: 0.9, WeightDecay: 0.01}
		o.Clip, o.Average, o.Loss = ops.GradNorm{Clip: 1}, ops.Average{Decay: 0.9}, ops.CrossEntropy{Smoothing: 0.1}
		o.Augment = ops.Augment{Size: 8}
		n, err := Build(d, g, out, o)
		if err != nil {
			t.Fatal(err)
		}
		defer n.Release()
		r := rand.New(rand.NewPCG(3, 4))
		for i, p := range n.Params() {
			v := make([]float32, p.Len())
			for j := range v {
				v[j] = float32(0.2 * r.NormFloat64())
			}
			if err := n.SetParam(i, v); err != nil {
				t.Fatal(err)
			}
		}
		pixels := make([]byte, 9*3*8*8)
		for i := range pixels {
			pixels[i] = byte(r.IntN(256))
		}
		images, err := ops.UploadImages(d, "images", ops.Shape{C: 3, H: 8, W: 8}, pixels)
		if err != nil {
			t.Fatal(err)
		}
		defer images.Release()
		for step := range 10 {
			var entries []Entry
			for i := range 7 - step%2 { // a smaller batch now and then
				k := (3*step + i) % 9
				entries = append(entries, ops.BatchEntry(uint32(k), uint32(k%5), mgl32.Ident3()))
			}
			done, err := n.TrainStep(images, entries, step+1, 0.05, uint32(step))
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range done {
				losses = append(losses, s.Loss, float64(s.Correct), s.GradientNorm)
			}
		}
		rest, err := n.Drain()
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range rest {
			losses = append(losses, s.Loss, float64(s.Correct), s.GradientNorm)
		}
		if params, err = n.ReadParams(); err != nil {
			t.Fatal(err)
		}
		if err := n.EvalStep(images, []Entry{ops.BatchEntry(0, 0, mgl32.Ident3())}); err != nil {
			t.Fatal(err)
		}
		if _, err := n.Logits(1); err != nil {
			t.Fatal(err)
		}
		return losses, params
	}
	wantLosses, want := run(0)
	if len(wantLosses) != 30 {
		t.Fatalf("%d figures of 10 steps", len(wantLosses))
	}
	for _, micro := range []int{1, 2, 6} {
		losses, got := run(micro)
		for i, v := range wantLosses {
			if math.Abs(losses[i]-v) > 2e-5*math.Max(1, math.Abs(v)) {
				t.Errorf("micro-batch %d: figure %d is %v, want %v", micro, i, losses[i], v)
			}
		}
		for i := range want {
			for j, v := range want[i] {
				if math.Abs(float64(got[i][j]-v)) > 2e-5 {
					t.Fatalf("micro-batch %d: value %d of parameter %d is %v, want %v", micro, j, i, got[i][j], v)
				}
			}
		}
	}
	if fmt.Sprint(wantLosses[0]) == fmt.Sprint(wantLosses[27]) {
		t.Error("nothing was learnt")
	}
}
