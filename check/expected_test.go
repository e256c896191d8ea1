package check

import (
	"flag"
	"maps"
	"math"
	"slices"
	"testing"

	"ninvk/nn"
	"ninvk/ops/cases"
	"ninvk/ops/ref"
	"ninvk/safetensors"
)

var update = flag.Bool("update", false, "write expected.safetensors anew")

// TestExpected computes all expected results by the float64 twins and compares them with those that the program
// carries. `go test ./check -run TestExpected -update` writes these.
func TestExpected(t *testing.T) {
	f := &safetensors.File{}
	add := func(name string, v []float64) {
		f.Tensors = append(f.Tensors, safetensors.FromFloat32s(name, []int{len(v)}, ref.Float32s(v)))
	}
	seen := map[string]bool{}
	listed := map[string]bool{}
	for _, c := range Cases("") {
		listed[name(c)], listed[c.String()] = true, true
		if seen[name(c)] {
			continue
		}
		seen[name(c)] = true
		in := ref.Values{}
		for i, o := range c.Operands {
			if v := input(c, i); v != nil {
				in[o.Name] = v
			}
		}
		kept := maps.Clone(in)
		for k, v := range in {
			kept[k] = slices.Clone(v)
		}
		ref.AvoidKinks(c, kept)
		for k, v := range kept {
			if !slices.Equal(v, in[k]) {
				t.Errorf("%v: rounding decides results for these inputs: choose another shape", c)
			}
		}
		out := ref.Table[ref.Key(c)](c, in)
		for _, o := range c.Operands {
			if o.Use == cases.Writes || o.Use == cases.Updates {
				if len(out[o.Name]) != o.Elements() {
					t.Fatalf("%v: the twin has %d values of %s, want %d", c, len(out[o.Name]), o.Name, o.Elements())
				}
				add(name(c)+"/"+o.Name, out[o.Name])
			}
		}
	}
	for _, n := range names {
		if !listed[n] {
			t.Errorf("the table has no entry %q", n)
		}
	}
	trainTwin(add)
	if *update {
		if err := safetensors.Write("expected.safetensors", f); err != nil {
			t.Fatal(err)
		}
		return
	}
	have, err := expected()
	if err != nil {
		t.Fatal(err)
	}
	if len(have.Tensors) != len(f.Tensors) {
		t.Errorf("%d results are carried, the twins give %d", len(have.Tensors), len(f.Tensors))
	}
	for _, want := range f.Tensors {
		got, ok := have.Tensor(want.Name)
		if !ok {
			t.Errorf("no result is carried for %s", want.Name)
			continue
		}
		g, err := got.Float32s()
		if err != nil {
			t.Fatal(err)
		}
		w, err := want.Float32s()
		if err != nil {
			t.Fatal(err)
		}
		// Other processors contract the twins' float64 arithmetic otherwise: a last bit of a float32 may differ.
		if !slices.EqualFunc(g, w, func(a, b float32) bool {
			return math.Abs(float64(a-b)) <= 2e-7*max(1, math.Abs(float64(b)))
		}) {
			t.Errorf("the results carried for %s are not the twin's", want.Name)
		}
	}
}

// trainTwin trains the network of the check in float64.
func trainTwin(add func(name string, v []float64)) {
	g, _ := network()
	params := map[string][]float64{}
	var trained []string
	for i, p := range g.Params() {
		if v := initial(i, p); v != nil {
			params[p.Name] = ref.Float64s(v)
			if p.Trained() {
				trained = append(trained, p.Name)
			}
		}
	}
	data := pixels()
	velocity := map[string][]float64{}
	for _, n := range trained {
		velocity[n] = make([]float64, len(params[n]))
	}
	first := ref.Conv{N: batch, C: 3, H: size, W: size, M: 8, K: 3, Stride: 1, Pad: 1}
	pool := ref.Pool{N: batch, C: 8, H: size, W: size, K: 3, Stride: 2, Pad: 1}
	second := ref.Conv{N: batch, C: 8, H: size / 2, W: size / 2, M: 8, K: 1, Stride: 1}
	norm := ref.BatchNorm{N: batch, C: 8, HW: size / 2 * size / 2, Eps: 1e-5, Momentum: 0.1}
	average := ref.Pool{N: batch, C: 8, H: size / 2, W: size / 2, K: 3, Stride: 2, Pad: 1}
	third := ref.Conv{N: batch, C: 8, H: size / 4, W: size / 4, M: 10, K: 1, Stride: 1}
	const dropoutLayer = 3 // its place in the graph
	var losses, norms []float64
	for step := range steps {
		var x []float64
		var labels []int
		for i := range batch {
			image, label, m := entry(step, i)
			var matrix [9]float64
			for row := range 3 {
				for column := range 3 {
					matrix[3*row+column] = float64(m.At(row, column))
				}
			}
			const bytes = 3 * side * side
			x = append(x, ref.View{C: 3, H: side, W: side, Out: size, Map: matrix, Mean: options.Augment.Mean,
				Std: options.Augment.Std}.Augment(data[image*bytes:(image+1)*bytes])...)
			labels = append(labels, label)
		}
		key := dropoutKey(step)
		a := ref.ReLU(ref.ConvForward(first, x, params["first.weight"], params["first.bias"]))
		b, arg := ref.MaxPool(pool, a)
		c := ref.Dropout(key, dropoutLayer, 0, dropped, b)
		d := ref.ConvForward(second, c, params["second.weight"], params["second.bias"])
		e, mean, invstd := norm.Train(d, params["norm.weight"], params["norm.bias"], params["norm.running_mean"],
			params["norm.running_var"])
		e = ref.ReLU(e)
		f := ref.AvgPool(average, e)
		h := ref.ConvForward(third, f, params["third.weight"], params["third.bias"])
		logits := ref.GlobalAvgPool(batch, 10, size/4, size/4, h)
		each, dlogits, _ := ref.SoftmaxCrossEntropy(batch, 10, logits, labels, options.Loss.Smoothing)
		var loss float64
		for _, l := range each {
			loss += l / batch
		}
		losses = append(losses, loss)

		grads := map[string][]float64{}
		dh := ref.GlobalAvgPoolGrad(batch, 10, size/4, size/4, dlogits)
		grads["third.weight"], grads["third.bias"] = ref.ConvWeightGrad(third, f, dh)
		de := ref.ReLUGrad(e, ref.AvgPoolGrad(average, ref.ConvInputGrad(third, dh, params["third.weight"])))
		var dd []float64
		dd, grads["norm.weight"], grads["norm.bias"] = norm.TrainGrad(d, params["norm.weight"], mean, invstd, de)
		grads["second.weight"], grads["second.bias"] = ref.ConvWeightGrad(second, c, dd)
		db := ref.Dropout(key, dropoutLayer, 0, dropped, ref.ConvInputGrad(second, dd, params["second.weight"]))
		da := ref.ReLUGrad(a, ref.MaxPoolGrad(pool, arg, db))
		grads["first.weight"], grads["first.bias"] = ref.ConvWeightGrad(first, x, da)

		var gradient []float64
		for _, n := range trained {
			gradient = append(gradient, grads[n]...)
		}
		total, _ := ref.GradNorm(gradient, nil, options.Clip.Clip)
		norms = append(norms, total)
		for _, n := range trained {
			o := options.Optimiser
			s := ref.SGD{LR: float64(float32(rate)), Momentum: o.Momentum, WeightDecay: o.WeightDecay, Nesterov: o.Nesterov}
			s.Step(params[n], gradient[:len(params[n])], velocity[n])
			gradient = gradient[len(params[n]):]
		}
	}
	add(training+"loss", losses)
	add(training+"gradient norm", norms)
	for _, p := range g.Params() {
		if p.Role != nn.BatchesTracked {
			add(parameter+p.Name, params[p.Name])
		}
	}
}

// TestCasesCoverTheTable: every operator, pass and variant is checked.
func TestCasesCoverTheTable(t *testing.T) {
	kind := func(c cases.Case) [3]string { return [3]string{c.Operator, c.Pass, c.Variant} }
	checked := map[[3]string]bool{}
	for _, c := range Cases("") {
		checked[kind(c)] = true
	}
	for _, c := range cases.All() {
		if !checked[kind(c)] {
			checked[kind(c)] = true
			t.Errorf("no case checks %q", kind(c))
		}
	}
}
