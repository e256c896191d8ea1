package onnx

import (
	"bytes"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ninvk/cifar10"
	"ninvk/dataset"
	"ninvk/gpu"
	"ninvk/models"
	"ninvk/nn"
	"ninvk/ops"
	"ninvk/ops/ref"
	"ninvk/rng"
)

var update = flag.Bool("update", false, "write the goldens anew")

// randomValues are weights for every parameter of a graph that leave no value at 0 or 1: a forgotten parameter shows.
func randomValues(g *nn.Graph) [][]float32 {
	var values [][]float32
	for i, p := range g.Params() {
		r := rng.New(7, "export test", uint64(i), 0)
		v := make([]float32, p.Len())
		for j := range v {
			x := r.NormFloat64()
			switch p.Role {
			case nn.Weight:
				fanIn := float64(p.Len() / p.Shape[0]) // GoogLeNet's own are so small that logits tell no image from another
				x *= max(p.Init.Normal, p.Init.Uniform, 1/math.Sqrt(fanIn))
			case nn.Scale, nn.RunningVariance:
				x = 0.5 + r.Float64()
			default:
				x *= 0.2
			}
			v[j] = float32(x)
		}
		if p.Role == nn.BatchesTracked {
			v = nil
		}
		values = append(values, v)
	}
	return values
}

var options = Options{
	Name: "net", Doc: "A sentence.", Version: "0.0", Metadata: map[string]string{"b": "2", "a": "[1]"},
}

func export(t *testing.T, model string, size int, fold bool) *decoded {
	t.Helper()
	g, out, err := models.Build(models.Config{Model: model, Classes: 10, Size: size, Dropout: 0.5})
	if err != nil {
		t.Fatal(err)
	}
	o := options
	o.FoldBatchNorm = fold
	b, err := Encode(g, out, randomValues(g), o)
	if err != nil {
		t.Fatal(err)
	}
	return decode(t, b)
}

// networks are some of each kind, by the name of their golden. The size of lenet5 is not its own, so that it pools by
// windows that overlap.
var networks = map[string]struct {
	model string
	size  int
	fold  bool
}{
	"nin":             {"nin", 32, false},
	"nin-bn":          {"nin-bn", 32, false},
	"nin-bn-folded":   {"nin-bn", 32, true},
	"nin-imagenet":    {"nin-imagenet", 224, false},
	"lenet5":          {"lenet5", 40, false},
	"resnet20":        {"resnet20", 32, false},
	"resnet20-folded": {"resnet20", 32, true},
	"googlenet":       {"googlenet", 64, true},
}

func TestStructure(t *testing.T) {
	for name, c := range networks {
		t.Run(name, func(t *testing.T) {
			d := export(t, c.model, c.size, c.fold)
			checkSound(t, d)
			got := d.String()
			path := filepath.Join("testdata", name+".txt")
			if *update {
				if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got, "\n")); diff != "" {
				t.Errorf("%s (-%s +now; -update writes it anew):\n%s", name, path, diff)
			}
		})
	}
}

// checkSound looks for what ONNX asks of a graph: every input was made before, every name once, every initializer used;
// and the shapes that the model tells are those that its attributes give.
func checkSound(t *testing.T, d *decoded) {
	t.Helper()
	known := map[string]bool{}
	for _, in := range d.inputs {
		known[in] = true
	}
	used := map[string]bool{}
	for _, n := range d.nodes {
		var in []string
		for i, x := range n.inputs {
			_, weight := d.tensors[x]
			if !known[x] && !weight {
				t.Errorf("%s reads %s, which nothing before it makes", n.name, x)
			}
			if weight {
				used[x] = true
			}
			if i == 0 {
				in = d.shapes[x]
			}
		}
		for _, x := range n.outputs {
			if _, weight := d.tensors[x]; known[x] || weight {
				t.Errorf("%s is made twice", x)
			}
			known[x] = true
			if diff := cmp.Diff(inferred(t, d, n, in), d.shapes[x]); diff != "" {
				t.Errorf("shape of %s (-inferred +in the model):\n%s", x, diff)
			}
		}
	}
	for _, x := range d.outputs {
		if !known[x] {
			t.Errorf("output %s is never made", x)
		}
	}
	for x := range d.tensors {
		if !used[x] {
			t.Errorf("initializer %s is not used", x)
		}
	}
}

// dimensions are the channels, rows and columns of a shape; what a shape lacks is 1.
func dimensions(t *testing.T, shape []string) (c, h, w int) {
	t.Helper()
	h, w = 1, 1
	_, err := fmt.Sscan(strings.Join(shape[1:], " "), []any{&c, &h, &w}[:len(shape)-1]...)
	if err != nil {
		t.Fatalf("shape %v: %v", shape, err)
	}
	return c, h, w
}

// inferred is the output shape of a node by the operator's definition.
func inferred(t *testing.T, d *decoded, n decodedNode, in []string) []string {
	t.Helper()
	c, h, w := dimensions(t, in)
	window := func(size int) int {
		kernel, stride := n.attributes["kernel_shape"].([]int), n.attributes["strides"].([]int)
		pads, _ := n.attributes["pads"].([]int)
		over := size - kernel[0]
		if pads != nil {
			over += 2 * pads[0]
		}
		if n.attributes["ceil_mode"] == 1 {
			over += stride[0] - 1
		}
		return over/stride[0] + 1
	}
	switch n.op {
	case "Conv":
		if k := d.tensors[n.inputs[1]].shape; k[1] != c || k[2] != n.attributes["kernel_shape"].([]int)[0] {
			t.Errorf("%s convolves %d channels with a kernel of shape %v", n.name, c, k)
		}
		c, h, w = d.tensors[n.inputs[1]].shape[0], window(h), window(w)
	case "MaxPool", "AveragePool":
		h, w = window(h), window(w)
	case "Pad":
		pads := d.tensors[n.inputs[1]].ints
		c, h, w = c+pads[1]+pads[5], h+pads[2]+pads[6], w+pads[3]+pads[7]
	case "GlobalAveragePool":
		h, w = 1, 1
	case "Flatten":
		return []string{"N", fmt.Sprint(c * h * w)}
	case "Gemm":
		m := d.tensors[n.inputs[1]].shape
		if len(in) != 2 || n.attributes["transB"] != 1 || m[1] != c {
			t.Errorf("%s multiplies %v by a matrix of %v", n.name, in, m)
		}
		return []string{"N", fmt.Sprint(m[0])}
	case "Reshape":
		return append(in[:1:1], strings.Fields(strings.Trim(fmt.Sprint(d.tensors[n.inputs[1]].ints[1:]), "[]"))...)
	case "MatMul":
		m := d.tensors[n.inputs[1]].shape
		if w != 1 || m[0] != h {
			t.Errorf("%s multiplies %v by a matrix of %v", n.name, in, m)
		}
		return []string{"N", fmt.Sprint(c), fmt.Sprint(m[1])}
	case "Concat":
		if n.attributes["axis"] != 1 {
			t.Errorf("%s joins axis %v", n.name, n.attributes["axis"])
		}
		c = 0
		for _, x := range n.inputs {
			channels, _, _ := dimensions(t, d.shapes[x])
			c += channels
		}
	case "Slice":
		steps := d.tensors[n.inputs[4]].ints
		h, w = (h+steps[0]-1)/steps[0], (w+steps[1]-1)/steps[1]
	case "Relu", "BatchNormalization":
		return in
	case "Add", "Sum":
		for _, x := range n.inputs {
			if diff := cmp.Diff(in, d.shapes[x]); diff != "" {
				t.Errorf("%s adds different shapes:\n%s", n.name, diff)
			}
		}
		return in
	default:
		t.Errorf("unknown operator %s", n.op)
	}
	return []string{"N", fmt.Sprint(c), fmt.Sprint(h), fmt.Sprint(w)}
}

// evaluate computes the model in float64 by the operators' definitions. x is [n] images in the shape of the input.
func (d *decoded) evaluate(t *testing.T, n int, x []float64) []float64 {
	t.Helper()
	values := map[string][]float64{InputName: x}
	for name, w := range d.tensors {
		values[name] = ref.Float64s(w.values)
	}
	for _, o := range d.nodes {
		c, h, w := dimensions(t, d.shapes[o.inputs[0]])
		var in [][]float64
		for _, name := range o.inputs {
			in = append(in, values[name])
		}
		first := func(attribute string) int { return o.attributes[attribute].([]int)[0] }
		pool := func() ref.Pool {
			pad := 0
			if o.attributes["pads"] != nil {
				pad = first("pads")
			}
			return ref.Pool{
				N: n, C: c, H: h, W: w, K: first("kernel_shape"), Stride: first("strides"), Pad: pad,
				Ceil: o.attributes["ceil_mode"] == 1,
			}
		}
		var y []float64
		switch o.op {
		case "Conv":
			m := d.tensors[o.inputs[1]].shape[0]
			var bias []float64
			if len(in) > 2 {
				bias = in[2]
			}
			shape := ref.Conv{
				N: n, C: c, H: h, W: w, M: m, K: first("kernel_shape"), Stride: first("strides"), Pad: first("pads"),
			}
			y = ref.ConvForward(shape, in[0], in[1], bias)
		case "BatchNormalization":
			norm := ref.BatchNorm{N: n, C: c, HW: h * w, Eps: float64(o.attributes["epsilon"].(float32))}
			y = norm.Eval(in[0], in[1], in[2], in[3], in[4])
		case "MaxPool":
			y, _ = ref.MaxPool(pool(), in[0])
		case "AveragePool":
			if pool().Pad != 0 {
				t.Errorf("%s leaves open whether the padding counts", o.name)
			}
			y = ref.AvgPool(pool(), in[0])
		case "Pad":
			y = pad(ops.Shape{N: n, C: c, H: h, W: w}, d.tensors[o.inputs[1]].ints, in[0])
		case "GlobalAveragePool":
			y = ref.GlobalAvgPool(n, c, h, w, in[0])
		case "Relu":
			y = ref.ReLU(in[0])
		case "Flatten", "Reshape":
			y = in[0]
		case "Gemm":
			m := d.tensors[o.inputs[1]].shape[0]
			y = ref.LinearForward(ref.Linear{N: n, In: c, M: m}, in[0], in[1], in[2])
		case "MatMul":
			m := d.tensors[o.inputs[1]].shape[1]
			y = make([]float64, n*c*m)
			for i := range y {
				for k := range h {
					y[i] += in[0][i/m*h+k] * in[1][k*m+i%m]
				}
			}
		case "Concat":
			for image := range n {
				for i, v := range in {
					channels, _, _ := dimensions(t, d.shapes[o.inputs[i]])
					y = append(y, v[image*channels*h*w:][:channels*h*w]...)
				}
			}
		case "Slice":
			ints := func(i int) []int { return d.tensors[o.inputs[i]].ints }
			want := [][]int{{0, 0}, {h, w}, {2, 3}}
			if diff := cmp.Diff(want, [][]int{ints(1), ints(2), ints(3)}); diff != "" || ints(4)[0] != ints(4)[1] {
				t.Errorf("%s has other starts, ends, axes than are expected, or uneven steps %v:\n%s", o.name, ints(4), diff)
			}
			y = ref.Subsample{N: n, C: c, H: h, W: w, Stride: ints(4)[0]}.Forward(in[0])
		case "Add", "Sum":
			y = make([]float64, len(in[0]))
			for i := range y {
				for _, v := range in {
					y[i] += v[i]
				}
			}
		default:
			t.Fatalf("unknown operator %s", o.op)
		}
		values[o.outputs[0]] = y
	}
	return values[OutputName]
}

// pad puts zeros around images: pads has the numbers before, and then after, each dimension.
func pad(s ops.Shape, pads []int, x []float64) []float64 {
	front, top, left := pads[1], pads[2], pads[3]
	channels, height, width := s.C+front+pads[5], s.H+top+pads[6], s.W+left+pads[7]
	y := make([]float64, s.N*channels*height*width)
	for i, v := range x {
		image, channel, row, column := i/(s.C*s.H*s.W), i/(s.H*s.W)%s.C, i/s.W%s.H, i%s.W
		y[((image*channels+front+channel)*height+top+row)*width+left+column] = v
	}
	return y
}

// everyOperator is a small network that has all of them: convolutions with and without bias, some read twice, so that
// the normalisation after them can't be folded; values of whole images between linear layers, and as images again.
func everyOperator() (*nn.Graph, *nn.Node) {
	g := nn.NewGraph()
	x := g.Conv("a", g.Input(3, 32, 32), nn.Conv{Channels: 8, Kernel: 5, Stride: 2, Pad: 1, ReLU: true})
	x = g.MaxPool("b", x, ops.MaxPool{K: 3, Stride: 2, Ceil: true})                                          // 7×7
	y := g.BatchNorm("d", g.Conv("c", x, nn.Conv{Channels: 8, Kernel: 3, Pad: 1}), nn.BatchNorm{ReLU: true}) // foldable
	z := g.Conv("e", x, nn.Conv{Channels: 8, Kernel: 1})
	s := g.Add("g", ops.Add{}, g.BatchNorm("f", z, nn.BatchNorm{}), z) // not foldable: z is read twice
	s = g.ReLU("i", g.Add("h", ops.Add{}, y, s))
	u := g.Conv("o", x, nn.Conv{Channels: 8, Kernel: 3, Pad: 1, NoBias: true})
	u = g.BatchNorm("p", u, nn.BatchNorm{Eps: 0.001}) // foldable
	v := g.Conv("q", x, nn.Conv{Channels: 8, Kernel: 1, NoBias: true})
	v = g.Concat("s", g.BatchNorm("r", v, nn.BatchNorm{ReLU: true}), v, x) // not foldable
	v = g.Conv("t", v, nn.Conv{Channels: 8, Kernel: 1, NoBias: true})
	s = g.Add("u", ops.Add{ReLU: true}, s, u, v)
	s = g.Dropout("k", g.AvgPool("j", s, ops.AvgPool{K: 3, Stride: 2, Pad: 1}), 0.5) // 4×4
	w := g.AdaptiveAvgPool("v", s, ops.AdaptiveAvgPool{H: 2, W: 2})
	w = g.AdaptiveAvgPool("w", w, ops.AdaptiveAvgPool{H: 3, W: 3})
	w = g.Linear("x", w, nn.Linear{Outputs: 12, ReLU: true})
	w = g.ReLU("z", g.Linear("y", g.Dropout("xx", w, 0.5), nn.Linear{Outputs: 16}))
	w = g.BatchNorm("yy", w, nn.BatchNorm{})
	s = g.MaxPool("l", s, ops.MaxPool{K: 3, Stride: 2, Pad: 1}) // 2×2
	s = g.Subsample("zz", s, ops.Subsample{Stride: 2, Before: 3, After: 5})
	s = g.GlobalAvgPool("n", g.Conv("m", s, nn.Conv{Channels: 16, Kernel: 1}))
	return g, g.Linear("out", g.Add("both", ops.Add{}, s, w), nn.Linear{Outputs: 10})
}

// onAdapter runs images through the network on the adapter; size is their side there. x is what the network's input
// held, NCHW.
func onAdapter(t *testing.T, g *nn.Graph, out *nn.Node, values [][]float32, split dataset.Split, size, batch int) (x,
	logits []float32) {
	t.Helper()
	fatal := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	d, err := gpu.Open("")
	fatal(err)
	defer d.Close()
	augment := ops.Augment{Size: size, Mean: models.Mean[:], Std: models.Std[:]}
	net, err := nn.Build(d, g, out, nn.Options{Batch: batch, Augment: augment})
	fatal(err)
	defer net.Release()
	for i, v := range values {
		if v != nil {
			fatal(net.SetParam(i, v))
		}
	}
	pixels, err := split.All()
	if err != nil {
		t.Fatal(err)
	}
	images, err := ops.UploadImages(d, "test images", ops.Shape{C: 3, H: split.Shape.H, W: split.Shape.W}, pixels)
	fatal(err)
	defer images.Release()
	entryBuffer, err := d.NewBuffer("entries", uint64(batch*ops.BatchBytes))
	fatal(err)
	defer entryBuffer.Release()
	labels, err := d.NewBuffer("labels", uint64(4*batch))
	fatal(err)
	defer labels.Release()
	for from := 0; from < split.Len(); from += batch {
		var entries []nn.Entry
		for i := from; i < min(from+batch, split.Len()); i++ {
			view := dataset.Plain(dataset.Crop, split.Shape, size)
			entries = append(entries, ops.BatchEntry(uint32(i), uint32(split.Labels[i]), view))
		}
		fatal(net.EvalStep(images, entries))
		l, err := net.Logits(len(entries))
		fatal(err)
		logits = append(logits, l...)

		// The input's memory has been used for other activations since; so it is made once more.
		in, err := ops.NewTensor(d, "input", ops.Shape{N: len(entries), C: 3, H: size, W: size})
		fatal(err)
		fatal(d.Write(entryBuffer, 0, ops.EntryBytes(entries)))
		r := &ops.Recorder{Dev: d, Tape: d.NewTape("input")}
		fatal(augment.Forward(r, images, entryBuffer, in, labels))
		fatal(d.Submit(r.Tape))
		packed, err := d.ReadFloats(in.Buf, int(in.Bytes()/4))
		fatal(err)
		x = append(x, ops.Unpack(in.Shape, packed)...)
		r.Tape.Release()
		in.Buf.Release()
	}
	return x, logits
}

// worst is the greatest difference of two lists of logits, and the greatest logit. It fails the test where they can't
// be compared.
func worst(t *testing.T, a, b []float32) (difference, greatest float64) {
	t.Helper()
	if len(a) != len(b) || len(a) == 0 {
		t.Fatalf("%d and %d logits", len(a), len(b))
	}
	for i := range a {
		difference = max(difference, math.Abs(float64(a[i])-float64(b[i]))) // NaN stays NaN
		greatest = max(greatest, math.Abs(float64(a[i])))
	}
	return difference, greatest
}

// The model computes what the network computes on the adapter, each operator by its definition.
func TestModelComputesTheSame(t *testing.T) {
	g, out := everyOperator()
	if err := g.Err(); err != nil {
		t.Fatal(err)
	}
	values := randomValues(g)
	data, err := cifar10.Sample()
	if err != nil {
		t.Fatal(err)
	}
	split := data.Test.First(5)
	x, ours := onAdapter(t, g, out, values, split, 32, 3) // the last batch is smaller
	for fold, norms := range map[bool]int{false: 5, true: 3} {
		o := options
		o.FoldBatchNorm = fold
		b, err := Encode(g, out, values, o)
		if err != nil {
			t.Fatal(err)
		}
		d := decode(t, b)
		checkSound(t, d)
		difference, greatest := worst(t, ours, ref.Float32s(d.evaluate(t, split.Len(), ref.Float64s(x))))
		if !(difference <= 1e-5) || greatest < 0.1 {
			t.Errorf("folded %v: the logits differ by %.1e; the greatest is %.2f", fold, difference, greatest)
		}
		if got := strings.Count(d.String(), "BatchNormalization("); got != norms {
			t.Errorf("folded %v: %d batch normalisations are left, want %d", fold, got, norms)
		}
	}
}

func TestFoldingAgrees(t *testing.T) {
	plain, folded := export(t, "nin-bn", 16, false), export(t, "nin-bn", 16, true)
	x := make([]float64, 3*16*16)
	r := rng.New(3, "export test", 0, 0)
	for i := range x {
		x[i] = r.NormFloat64()
	}
	difference, greatest := worst(t, ref.Float32s(plain.evaluate(t, 1, x)), ref.Float32s(folded.evaluate(t, 1, x)))
	if !(difference <= 1e-5) || greatest < 0.1 {
		t.Errorf("the logits differ by %.1e; the greatest is %.2f", difference, greatest)
	}
}

func TestBytesAreDeterministic(t *testing.T) {
	g, out := everyOperator()
	values := randomValues(g)
	first, err := Encode(g, out, values, options)
	if err != nil {
		t.Fatal(err)
	}
	for range 10 {
		again, err := Encode(g, out, values, options)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(first, again) {
			t.Fatal("the same network was written as different bytes")
		}
	}
}

// What is too large for ONNX is refused, rather than written as a file that nothing reads.
func TestTooLarge(t *testing.T) {
	g, out := everyOperator()
	values := randomValues(g)
	b, err := Encode(g, out, values, options)
	if err != nil {
		t.Fatal(err)
	}
	before := mostBytes
	t.Cleanup(func() { mostBytes = before })
	mostBytes = len(b)
	if _, err := Encode(g, out, values, options); err != nil {
		t.Error(err)
	}
	mostBytes = len(b) - 1
	if _, err := Encode(g, out, values, options); err == nil || !strings.Contains(err.Error(), "at most") {
		t.Errorf("a model of a byte too many: %v", err)
	}
}

func TestRefuses(t *testing.T) {
	broken := func(g *nn.Graph) *nn.Node {
		return g.Conv("big", g.Input(3, 4, 4), nn.Conv{Channels: 8, Kernel: 7, ReLU: true})
	}
	cases := []struct {
		name  string
		build func(g *nn.Graph) *nn.Node
		drop  bool // the last parameter's values
		want  string
	}{
		{"impossible network", broken, false, "layer big"},
		{"missing values", func(g *nn.Graph) *nn.Node {
			return g.Conv("a", g.Input(3, 8, 8), nn.Conv{Channels: 8, Kernel: 3, Pad: 1, ReLU: true})
		}, true, "a.bias has not the 8 values"},
		{"window in the padding", func(g *nn.Graph) *nn.Node {
			return g.MaxPool("pool", g.Input(3, 4, 4), ops.MaxPool{K: 2, Stride: 3, Pad: 1, Ceil: true})
		}, false, "layer pool: ONNX has no"},
	}
	for _, c := range cases {
		g := nn.NewGraph()
		out := c.build(g)
		values := randomValues(g)
		if c.drop {
			values = values[:len(values)-1]
		}
		path := filepath.Join(t.TempDir(), "m.onnx")
		err := Write(path, g, out, values, options)
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: error %v, expected it to say %q and name the file", c.name, err, c.want)
		}
		if _, err := os.Stat(path); err == nil {
			t.Errorf("%s: a file was left", c.name)
		}
	}
	g, out := everyOperator()
	err := Write(filepath.Join(t.TempDir(), "nowhere", "m.onnx"), g, out, randomValues(g), options)
	if err == nil || !strings.Contains(err.Error(), "nowhere") {
		t.Errorf("writing into a missing folder: %v", err)
	}
}
