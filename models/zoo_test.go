package models_test

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/go-gl/mathgl/mgl32"

	"ninvk/ci/slow"
	"ninvk/models"
	"ninvk/nn"
	"ninvk/ops"
	"ninvk/ops/ref"
)

// zoo is what testdata/zoo.py writes of a network: PyTorch's run in float64, and how far those in float32 end from it.
type zoo struct {
	Model       string
	Size, Batch int
	Rate, Aux   float64
	Tensors     []namedShape
	Parameters  struct {
		Ten      int `json:"10"`
		Thousand int `json:"1000"`
	}
	Init       floats // mean, deviation and kurtosis of each tensor as its constructor draws it
	Losses     []float64
	LossesAway []float64    `json:"losses_away"`
	Logits     [2][]float64 // before and after
	LogitsAway [2]float64   `json:"logits_away"`
	Sketches   floats       // of each tensor: sum, norm, greatest distance, norm of the distances, values
}

type namedShape struct {
	Name  string
	Shape []int
}

func (n *namedShape) UnmarshalJSON(b []byte) error {
	return json.Unmarshal(b, &[]any{&n.Name, &n.Shape})
}

func (n namedShape) String() string { return fmt.Sprintf("%s %v", n.Name, n.Shape) }

func (n namedShape) len() int { return nn.ParamSpec{Shape: n.Shape}.Len() }

// floats are little-endian float32 in base64.
type floats []float32

func (f *floats) UnmarshalText(b []byte) error {
	raw, err := base64.StdEncoding.DecodeString(string(b))
	*f = make(floats, len(raw)/4)
	return cmp.Or(err, binary.Read(bytes.NewReader(raw), binary.LittleEndian, *f))
}

// zooNames are the networks that have a file.
func zooNames(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", "zoo", "*.json.gz"))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range files {
		names = append(names, strings.TrimSuffix(filepath.Base(f), ".json.gz"))
	}
	return names
}

func readZoo(t *testing.T, name string) (z zoo) {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", "zoo", name+".json.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.NewDecoder(r).Decode(&z); err != nil {
		t.Fatal(err)
	}
	return z
}

func (z zoo) graph(t *testing.T, classes int) (*nn.Graph, *nn.Node) {
	t.Helper()
	g, out, err := models.BuildAny(models.Config{Model: z.Model, Classes: classes, Size: z.Size, Aux: z.Aux})
	if err != nil {
		t.Fatal(err)
	}
	return g, out
}

// Every network has the tensors of PyTorch's, of the same names and shapes in the same order, and as many parameters.
func TestStateDicts(t *testing.T) {
	names := zooNames(t)
	for _, m := range models.Names() {
		if !slices.Contains(names, m) && m != "nin" && m != "nin-bn" { // those have golden files of their own
			t.Errorf("there is no golden file of %s; testdata/zoo.py makes one", m)
		}
	}
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			z := readZoo(t, name)
			g, _ := z.graph(t, 10)
			params := g.Params()
			for i, want := range z.Tensors {
				if i == len(params) {
					t.Fatalf("tensor %d, %v, is missing", i, want)
				}
				if got := (namedShape{params[i].Name, params[i].Shape}); got.String() != want.String() {
					t.Fatalf("tensor %d is %v, PyTorch has %v", i, got, want)
				}
			}
			if len(params) > len(z.Tensors) {
				t.Errorf("PyTorch has %d tensors, and no %s", len(z.Tensors), params[len(z.Tensors)].Name)
			}
			thousand, _ := z.graph(t, 1000)
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
	for _, name := range zooNames(t) {
		if name == "nin-imagenet" { // PyTorch has none
			continue
		}
		t.Run(name, func(t *testing.T) {
			z := readZoo(t, name)
			g, _ := z.graph(t, 10)
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
			for i, v := range models.Random(g, 1).Values() {
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

// goldenBits are what ref.GoldenInit is made of.
func goldenBits(name string, n int) []uint32 {
	f := fnv.New32a()
	f.Write([]byte(name))
	key := ref.PCG(f.Sum32())
	out := make([]uint32, n)
	for i := range out {
		out[i] = ref.PCG(uint32(i) + key)
	}
	return out
}

// zooImages are the images of zoo.py: of each 4×4 squares in random colours, and noise upon them.
func zooImages(n, size int) []byte {
	squares, noise := goldenBits("squares", n*3*16), goldenBits("noise", n*3*size*size)
	out := make([]byte, len(noise))
	for i := range out {
		plane, y, x := i/(size*size), i/size%size, i%size
		square := squares[16*plane+y*4/size*4+x*4/size] >> 24
		out[i] = byte((3*square + noise[i]>>24) / 4)
	}
	return out
}

// The distance of PyTorch's float32 runs from its float64 run, times slack, is the bound for ours; but a few roundings
// are never too many.
const roundings = 1e-6 // relative to the norm of a tensor

// deviations are the greatest of a run, in units of what PyTorch's float32 runs have, or of roundings.
type deviations map[string]struct {
	share float64
	text  string
}

// note takes the distance of a value and what is allowed, and says whether it is more than that.
func (d deviations) note(kind, name string, distance, away, least float64) bool {
	unit := max(slack*away, least)
	if share := distance / unit; share >= d[kind].share {
		d[kind] = struct {
			share float64
			text  string
		}{share, fmt.Sprintf("%s %.1e, PyTorch's float32 %.1e", name, distance, away)}
	}
	return distance > unit
}

// followZoo computes and trains as PyTorch did, and compares.
func followZoo(t *testing.T, name string) {
	z := readZoo(t, name)
	d := openDevice(t)
	graph, out := z.graph(t, 10)
	net, err := nn.Build(d, graph, out, nn.Options{
		Batch: z.Batch, Train: true, Optimiser: ops.SGD{Momentum: 0.9, WeightDecay: 0.0005},
		Augment: ops.Augment{Size: z.Size, Mean: models.Mean[:], Std: models.Std[:]},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer net.Release()
	params := net.Params()
	last := params[len(params)-1].Name
	last = last[:strings.LastIndex(last, ".")+1]
	for i, p := range params {
		if p.Role == nn.BatchesTracked {
			continue
		}
		fanIn := 0
		if len(p.Shape) > 1 {
			fanIn = p.Len() / p.Shape[0]
		}
		if err := net.SetParam(i, ref.GoldenInit(p.Name, p.Len(), fanIn, strings.HasPrefix(p.Name, last))); err != nil {
			t.Fatal(err)
		}
	}
	steps := len(z.Losses)
	images, err := ops.UploadImages(d, name, ops.Shape{C: 3, H: z.Size, W: z.Size}, zooImages(steps*z.Batch, z.Size))
	if err != nil {
		t.Fatal(err)
	}
	defer images.Release()
	entries := func(step int) []nn.Entry {
		e := make([]nn.Entry, z.Batch)
		for i := range e {
			k := step*z.Batch + i
			e[i] = ops.BatchEntry(uint32(k), uint32(k*7%10), mgl32.Ident3())
		}
		return e
	}
	noted := deviations{}
	checkLogits := func(when int, kind string) {
		if err := net.EvalStep(images, entries(0)); err != nil {
			t.Fatal(err)
		}
		if _, err := net.Drain(); err != nil {
			t.Fatal(err)
		}
		got, err := net.Logits(z.Batch)
		if err != nil {
			t.Fatal(err)
		}
		var distance, norm float64
		for i, want := range z.Logits[when] {
			distance = math.Hypot(distance, float64(got[i])-want)
			norm = math.Hypot(norm, want)
		}
		if noted.note(kind, "norm", distance/norm, z.LogitsAway[when]/norm, roundings) {
			t.Errorf("%s are away by %.1e of their norm, PyTorch's float32 by %.1e", kind, distance/norm,
				z.LogitsAway[when]/norm)
		}
	}
	checkLogits(0, "logits before")
	for step, want := range z.Losses {
		results, err := net.TrainStep(images, entries(step), step, z.Rate, 0)
		if err != nil {
			t.Fatal(err)
		}
		rest, err := net.Drain()
		if err != nil {
			t.Fatal(err)
		}
		got := append(results, rest...)[0].Loss
		if noted.note("losses", fmt.Sprint(step+1), math.Abs(got-want)/want, z.LossesAway[step]/want, lossBound) {
			t.Errorf("step %d: loss %.7f, PyTorch has %.7f", step+1, got, want)
		}
		if step == 0 {
			z.checkSketches(t, net, noted)
		}
	}
	checkLogits(1, "logits after")
	if slices.ContainsFunc(params, func(p nn.Param) bool { return p.Role == nn.BatchesTracked }) &&
		net.Tracked() != int64(steps) {
		t.Errorf("%d batches tracked, want %d", net.Tracked(), steps)
	}
	for _, kind := range []string{"logits before", "logits after", "losses", "gradients", "running values"} {
		if n, ok := noted[kind]; ok {
			t.Logf("%s: %3.0f %% of the bound, %s", kind, 100*n.share, n.text)
		}
	}
}

// checkSketches compares the gradients of the last step, and the running values after it.
func (z zoo) checkSketches(t *testing.T, net *nn.Net, noted deviations) {
	t.Helper()
	grads, err := net.ReadGrads()
	if err != nil {
		t.Fatal(err)
	}
	values, err := net.ReadParams()
	if err != nil {
		t.Fatal(err)
	}
	const columns = 4 + 16
	for i, p := range net.Params() {
		kind, got := "gradients", grads[i]
		switch {
		case p.Role == nn.BatchesTracked:
			continue
		case !p.Trained():
			kind, got = "running values", values[i]
		}
		var sum, norm float64
		for _, x := range got {
			sum += float64(x)
			norm += float64(x) * float64(x)
		}
		norm = math.Sqrt(norm)
		row := make([]float64, columns)
		for j, x := range z.Sketches[columns*i : columns*(i+1)] {
			row[j] = float64(x)
		}
		wantSum, wantNorm, most, away := row[0], row[1], row[2], row[3]
		var farthest float64
		for j, at := range goldenBits(p.Name, columns-4) {
			farthest = max(farthest, math.Abs(float64(got[int(at)%len(got)])-row[4+j]))
		}
		root := math.Sqrt(float64(len(got)))
		unit := cmp.Or(wantNorm, 1)
		wrong := noted.note(kind, p.Name+" norm", math.Abs(norm-wantNorm)/unit, away/unit, roundings)
		wrong = noted.note(kind, p.Name+" sum", math.Abs(sum-wantSum)/unit/root, away/unit, roundings) || wrong
		wrong = noted.note(kind, p.Name+" values", farthest/unit*root, most/unit*root, 10*roundings) || wrong
		if wrong {
			t.Errorf("%s of %s: sum %.8g, PyTorch has %.8g; norm %.8g, %.8g; values away by %.1e, PyTorch's float32 by %.1e",
				kind, p.Name, sum, wantSum, norm, wantNorm, farthest, most)
		}
	}
}

// Networks give the logits, losses, gradients and running values of PyTorch's.
func TestFollowPyTorch(t *testing.T) {
	for _, name := range zooNames(t) {
		if slices.Contains([]string{"lenet5", "resnet20", "densenet-2-2", "googlenet-4a"}, name) || slow.Wanted() {
			t.Run(name, func(t *testing.T) { followZoo(t, name) })
		}
	}
}
