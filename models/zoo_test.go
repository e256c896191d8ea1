package models_test

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"

	"ninvk/ci/slow"
	"ninvk/golden"
	"ninvk/models"
	"ninvk/nn"
)

// readGolden is PyTorch's run of a network.
func readGolden(t *testing.T, name string) *golden.Network {
	t.Helper()
	z, err := golden.Read(name)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

// zooGraph is the network of a run.
func zooGraph(t *testing.T, z *golden.Network, classes int) (*nn.Graph, *nn.Node) {
	t.Helper()
	g, out, err := models.BuildAny(models.Config{Model: z.Model, Classes: classes, Size: z.Size, Aux: z.Aux})
	if err != nil {
		t.Fatal(err)
	}
	return g, out
}

// Every network has the tensors of PyTorch's, of the same names and shapes in the same order, and as many parameters.
func TestStateDicts(t *testing.T) {
	for _, m := range models.Names() {
		if len(golden.Of(m)) == 0 {
			t.Errorf("there is no golden file of %s; testdata/zoo.py makes one", m)
		}
	}
	for _, name := range golden.Names() {
		t.Run(name, func(t *testing.T) {
			z := readGolden(t, name)
			g, _ := zooGraph(t, z, 10)
			params := g.Params()
			for i, want := range z.Tensors {
				if i == len(params) {
					t.Fatalf("tensor %d, %v, is missing", i, want)
				}
				if got := (golden.Tensor{Name: params[i].Name, Shape: params[i].Shape}); got.String() != want.String() {
					t.Fatalf("tensor %d is %v, PyTorch has %v", i, got, want)
				}
			}
			if len(params) > len(z.Tensors) {
				t.Errorf("PyTorch has %d tensors, and no %s", len(z.Tensors), params[len(z.Tensors)].Name)
			}
			thousand, _ := zooGraph(t, z, 1000)
			if ten, more := trainedValues(g), trainedValues(thousand); ten != z.Parameters.Ten || more != z.Parameters.Thousand {
				t.Errorf("%d parameters for 10 classes and %d for 1,000, PyTorch has %d and %d", ten, more,
					z.Parameters.Ten, z.Parameters.Thousand)
			}
		})
	}
}

func trainedValues(g *nn.Graph) (n int) {
	for _, p := range g.Params() {
		if p.Trained() {
			n += p.Len()
		}
	}
	return n
}

// unlikely says in what n values with these moments are none that were drawn as i says; "" if they may be.
func unlikely(i nn.Init, n int, mean, deviation, kurtosis float64) string {
	const sigmas = 5.5
	want, wantDeviation, wantKurtosis := i.Constant, 0.0, 0.0
	switch {
	case i.Normal > 0:
		want, wantDeviation, wantKurtosis = 0, i.Normal, 3
	case i.Uniform > 0:
		want, wantDeviation, wantKurtosis = 0, i.Uniform/math.Sqrt(3), 1.8
	}
	root := math.Sqrt(float64(n))
	switch {
	case math.Abs(mean-want) > sigmas*wantDeviation/root:
		return fmt.Sprintf("the mean is %.4g, not %.4g", mean, want)
	case math.Abs(deviation-wantDeviation) > sigmas*wantDeviation*(math.Sqrt(wantKurtosis-1)/2/root+1/float64(n)):
		return fmt.Sprintf("the deviation is %.4g, not %.4g", deviation, wantDeviation)
	case n >= 400 && math.Abs(kurtosis-wantKurtosis) > sigmas*math.Sqrt(24)/root:
		return fmt.Sprintf("the kurtosis is %.4g, not %.4g", kurtosis, wantKurtosis)
	}
	return ""
}

func moments(v []float32) (mean, deviation, kurtosis float64) {
	n := float64(len(v))
	for _, x := range v {
		mean += float64(x)
	}
	mean /= n
	var fourth float64
	for _, x := range v {
		d := float64(x) - mean
		deviation += d * d / n
		fourth += d * d * d * d / n
	}
	if deviation > 0 {
		kurtosis = fourth / deviation / deviation
	}
	return mean, math.Sqrt(deviation), kurtosis
}

// Parameters start as PyTorch's constructors have them, and are drawn as it is said.
func TestInitialValues(t *testing.T) {
	for _, name := range golden.Names() {
		if strings.HasPrefix(name, "nin") { // PyTorch has none
			continue
		}
		t.Run(name, func(t *testing.T) {
			z := readGolden(t, name)
			g, _ := zooGraph(t, z, 10)
			for i, p := range g.Params() {
				if p.Role == nn.BatchesTracked {
					continue
				}
				m := z.Init[3*i:]
				if s := unlikely(p.Init, p.Len(), float64(m[0]), float64(m[1]), float64(m[2])); s != "" {
					t.Fatalf("PyTorch's %s are not %+v: %s", p.Name, p.Init, s)
				}
			}
			if trainedValues(g) > 3e6 && !slow.Wanted() {
				return
			}
			for i, v := range models.Random(g, 1, models.Own).Values() {
				p := g.Params()[i]
				if p.Role == nn.BatchesTracked {
					continue
				}
				mean, deviation, kurtosis := moments(v)
				if s := unlikely(p.Init, p.Len(), mean, deviation, kurtosis); s != "" {
					t.Fatalf("%s is not drawn as %+v: %s", p.Name, p.Init, s)
				}
			}
		})
	}
}

// followZoo computes and trains as PyTorch did, and compares; it gives the variants that were used.
func followZoo(t *testing.T, name string) map[string]string {
	z := readGolden(t, name)
	g, out := zooGraph(t, z, 10)
	r, err := golden.Start(openDevice(t), z, g, out, slack)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Release()
	all, err := r.Compare(t.Context(), func(string, int) {})
	if err != nil {
		t.Fatal(err)
	}
	nearest := map[string]golden.Comparison{}
	for _, c := range all {
		if c.Problem != "" {
			t.Errorf("%s %s: %s; PyTorch's float32 is by %.1e", c.Kind, c.Tensor, c.Problem, c.Away)
		}
		if n := nearest[c.Kind]; n.Bound == 0 || c.Error*n.Bound > n.Error*c.Bound {
			nearest[c.Kind] = c
		}
	}
	tracks := slices.ContainsFunc(r.Net.Params(), func(p nn.Param) bool { return p.Role == nn.BatchesTracked })
	if steps := int64(len(z.Losses)); tracks && r.Net.Tracked() != steps {
		t.Errorf("%d batches tracked, want %d", r.Net.Tracked(), steps)
	}
	for _, kind := range slices.Sorted(maps.Keys(nearest)) {
		n := nearest[kind]
		t.Logf("%s: %3.0f %% of the bound, %s %.1e, PyTorch's float32 %.1e", kind, 100*n.Error/n.Bound, n.Tensor,
			n.Error, n.Away)
	}
	return r.Net.Variants()
}

// Networks give the logits, losses, gradients and running values of PyTorch's.
func TestFollowPyTorch(t *testing.T) {
	for _, name := range golden.Names() {
		if slices.Contains([]string{"lenet5", "resnet20", "densenet-2-2", "googlenet-4a"}, name) || slow.Wanted() {
			t.Run(name, func(t *testing.T) { followZoo(t, name) })
		}
	}
}
