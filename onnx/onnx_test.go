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
				x *= p.Init.Normal
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

var options = Options{Name: "net", Doc: "A sentence.", Version: "0.0", Metadata: map[string]string{"b": "2", "a": "[1]"}}

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

// networks are the three with and without folding, by the name of their golden.
var networks = map[string]struct {
	model string
	size  int
	fold  bool
}{
	"nin":           {"nin", 32, false},
	"nin-bn":        {"nin-bn", 32, false},
	"nin-bn-folded": {"nin-bn", 32, true},
	"nin-imagenet":  {"nin-imagenet", 224, false},
}

func TestStructure(t *testing.T) {
	for name, c := range networks {
		got := export(t, c.model, c.size, c.fold).String()
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
	}
}

// What ONNX asks of a graph: every input was made before, every name once, every initializer used; and the shapes that the model tells
// are those that its attributes give.
func TestGraphIsSound(t *testing.T) {
	for name, c := range networks {
		t.Run(name, func(t *testing.T) {
			d := export(t, c.model, c.size, c.fold)
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
		})
	}
}

// inferred is the output shape of a node by the operator's definition.
func inferred(t *testing.T, d *decoded, n decodedNode, in []string) []string {
	t.Helper()
	var c, h, w int
	if _, err := fmt.Sscan(strings.Join(in[1:], " "), &c, &h, &w); err != nil {
		t.Fatalf("%s reads a shape %v: %v", n.name, in, err)
	}
	window := func(size int) int {
		kernel, stride, pads := n.attributes["kernel_shape"].([]int), n.attributes["strides"].([]int), n.attributes["pads"].([]int)
		over := size + 2*pads[0] - kernel[0]
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
		h, w = h+pads[2]+pads[6], w+pads[3]+pads[7]
	case "GlobalAveragePool":
		h, w = 1, 1
	case "Flatten":
		return []string{"N", fmt.Sprint(c * h * w)}
	case "Relu", "BatchNormalization", "Add":
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
		var c, h, w int
		if _, err := fmt.Sscan(strings.Join(d.shapes[o.inputs[0]][1:], " "), &c, &h, &w); err != nil {
			t.Fatal(err)
		}
		var in [][]float64
		for _, name := range o.inputs {
			in = append(in, values[name])
		}
		first := func(attribute string) int { return o.attributes[attribute].([]int)[0] }
		pool := func() ref.Pool {
			return ref.Pool{N: n, C: c, H: h, W: w, K: first("kernel_shape"), Stride: first("strides"), Pad: first("pads"), Ceil: o.attributes["ceil_mode"] == 1}
		}
		var y []float64
		switch o.op {
		case "Conv":
			m := d.tensors[o.inputs[1]].shape[0]
			y = ref.ConvForward(ref.Conv{N: n, C: c, H: h, W: w, M: m, K: first("kernel_shape"), Stride: first("strides"), Pad: first("pads")}, in[0], in[1], in[2])
		case "BatchNormalization":
			y = ref.BatchNorm{N: n, C: c, HW: h * w, Eps: float64(o.attributes["epsilon"].(float32))}.Eval(in[0], in[1], in[2], in[3], in[4])
		case "MaxPool":
			y, _ = ref.MaxPool(pool(), in[0])
		case "AveragePool":
			if first("pads") != 0 {
				t.Errorf("%s leaves open whether the padding counts", o.name)
			}
			y = ref.AvgPool(pool(), in[0])
		case "Pad":
			y = pad(ops.Shape{N: n, C: c, H: h, W: w}, d.tensors[o.inputs[1]].ints, in[0])
		case "GlobalAveragePool":
			y = ref.GlobalAvgPool(n, c, h, w, in[0])
		case "Relu":
			y = ref.ReLU(in[0])
		case "Flatten":
			y = in[0]
		case "Add":
			y = make([]float64, len(in[0]))
			for i := range y {
				y[i] = in[0][i] + in[1][i]
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
	top, left, height, width := pads[2], pads[3], s.H+pads[2]+pads[6], s.W+pads[3]+pads[7]
	y := make([]float64, s.N*s.C*height*width)
	for i, v := range x {
		plane, row, column := i/(s.H*s.W), i/s.W%s.H, i%s.W
		y[(plane*height+top+row)*width+left+column] = v
	}
	return y
}

// everyOperator is a small network that has all of them, a convolution read twice, and a normalisation that can't be folded.
func everyOperator() (*nn.Graph, *nn.Node) {
	g := nn.NewGraph()
	x := g.Conv("a", g.Input(3, 32, 32), nn.Conv{Channels: 8, Kernel: 5, Stride: 2, Pad: 1, ReLU: true})
	x = g.MaxPool("b", x, ops.MaxPool{K: 3, Stride: 2, Ceil: true})
	y := g.BatchNorm("d", g.Conv("c", x, nn.Conv{Channels: 8, Kernel: 3, Pad: 1}), nn.BatchNorm{ReLU: true}) // foldable
	z := g.Conv("e", x, nn.Conv{Channels: 8, Kernel: 1})
	s := g.Add("g", ops.Add{}, g.BatchNorm("f", z, nn.BatchNorm{}), z) // not foldable: z is read twice
	s = g.ReLU("i", g.Add("h", ops.Add{}, y, s))
	s = g.Dropout("k", g.AvgPool("j", s, ops.AvgPool{K: 3, Stride: 2, Pad: 1}), 0.5)
	s = g.MaxPool("l", s, ops.MaxPool{K: 3, Stride: 2, Pad: 1})
	return g, g.GlobalAvgPool("n", g.Conv("m", s, nn.Conv{Channels: 10, Kernel: 1}))
}

// onAdapter runs images through the network on the adapter; size is their side there. x is what the network's input held, NCHW.
func onAdapter(t *testing.T, g *nn.Graph, out *nn.Node, values [][]float32, split cifar10.Split, size, batch int) (x, logits []float32) {
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
	augment := ops.Augment{Size: size, Mean: models.Mean, Std: models.Std}
	net, err := nn.Build(d, g, out, nn.Options{Batch: batch, Augment: augment})
	fatal(err)
	defer net.Release()
	for i, v := range values {
		if v != nil {
			fatal(net.SetParam(i, v))
		}
	}
	images, err := ops.NewImages(d, "test images", cifar10.Height, cifar10.Width, split.Images)
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
		var words []uint32
		for i := from; i < min(from+batch, split.Len()); i++ {
			e := ops.BatchEntry(uint32(i), uint32(split.Labels[i]), cifar10.Transform(0, 0, uint32(i), cifar10.AugmentNone, size))
			entries = append(entries, e)
			words = append(words, e[:]...)
		}
		fatal(net.EvalStep(images, entries))
		l, err := net.Logits(len(entries))
		fatal(err)
		logits = append(logits, l...)

		// The input's memory has been used for other activations since; so it is made once more.
		in, err := ops.NewTensor(d, "input", ops.Shape{N: len(entries), C: 3, H: size, W: size})
		fatal(err)
		fatal(d.Write(entryBuffer, 0, gpu.Bytes(words)))
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

// worst is the greatest difference of two lists of logits, and the greatest logit. It fails the test where they can't be compared.
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
	split := cifar10.Split{Images: data.Test.Images[:5*cifar10.ImageBytes], Labels: data.Test.Labels[:5]}
	x, ours := onAdapter(t, g, out, values, split, 32, 3) // the last batch is smaller
	for fold, norms := range map[bool]int{false: 2, true: 1} {
		o := options
		o.FoldBatchNorm = fold
		b, err := Encode(g, out, values, o)
		if err != nil {
			t.Fatal(err)
		}
		d := decode(t, b)
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
		if err := Write(path, g, out, values, options); err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: error %v, expected it to say %q and name the file", c.name, err, c.want)
		}
		if _, err := os.Stat(path); err == nil {
			t.Errorf("%s: a file was left", c.name)
		}
	}
	g, out := everyOperator()
	if err := Write(filepath.Join(t.TempDir(), "nowhere", "m.onnx"), g, out, randomValues(g), options); err == nil || !strings.Contains(err.Error(), "nowhere") {
		t.Errorf("writing into a missing folder: %v", err)
	}
}
