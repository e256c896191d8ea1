package models_test

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/go-gl/mathgl/mgl32"

	"ninvk/ci/slow"
	"ninvk/cifar10"
	"ninvk/golden"
	"ninvk/gpu"
	"ninvk/models"
	"ninvk/nn"
	"ninvk/ops"
)

// goldenFile is what testdata/golden.py writes: PyTorch's float64 run.
type goldenFile struct {
	Model   string
	Batch   int
	Losses  []float64
	Float32 []float64 `json:"losses_float32"` // PyTorch's own float32 run
	Tensors []struct {
		Name   string
		Shape  []int
		FanIn  int `json:"fan_in"`
		Last   bool
		L2     float64
		Stride int
		Values []float64

		Float32Absolute float64 `json:"float32_abs"` // how far PyTorch's float32 run ends from its float64 run
		Float32Relative float64 `json:"float32_rel"`
	}
}

// The bounds that tell right from wrong after ten steps: a missing weight decay on the biases alone moves weights by
// 1.1e-4. Where PyTorch's own float32 run strays from its float64 run by more than that (batch normalisation of small
// batches amplifies rounding), slack times its distance is the bound.
const (
	lossBound     = 1e-4 // relative
	weightBound   = 6e-5 // absolute
	relativeBound = 1.5e-4
	slack         = 2
)

// device is opened once: its kernels are compiled once.
var device = sync.OnceValues(func() (*gpu.Device, error) { return gpu.Open("") })

func openDevice(t *testing.T) *gpu.Device {
	t.Helper()
	d, err := device()
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// followGolden trains as PyTorch did, compares every loss and every recorded weight, and returns the variants used.
func followGolden(t *testing.T, file string) map[string]string {
	raw, err := os.ReadFile(filepath.Join("testdata", file))
	if err != nil {
		t.Fatal(err)
	}
	var g goldenFile
	if err := json.Unmarshal(raw, &g); err != nil {
		t.Fatal(err)
	}
	d := openDevice(t)
	graph, out, err := models.Build(models.Config{Model: g.Model, Classes: 10, Size: 32})
	if err != nil {
		t.Fatal(err)
	}
	net, err := nn.Build(d, graph, out, nn.Options{
		Batch: g.Batch, Train: true,
		Optimiser: ops.SGD{Momentum: 0.9, WeightDecay: 0.0005},
		Augment:   ops.Augment{Size: 32, Mean: models.Mean[:], Std: models.Std[:]},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer net.Release()
	byName := map[string]int{}
	for i, s := range g.Tensors {
		byName[s.Name] = i
	}
	for i, p := range net.Params() {
		if p.Role == nn.BatchesTracked {
			continue
		}
		s := g.Tensors[byName[p.Name]]
		if err := net.SetParam(i, golden.Init(p.Name, p.Len(), s.FanIn, s.Last)); err != nil {
			t.Fatal(err)
		}
	}
	data, err := cifar10.Sample()
	if err != nil {
		t.Fatal(err)
	}
	pixels, err := data.Train.All()
	if err != nil {
		t.Fatal(err)
	}
	images, err := ops.UploadImages(d, "sample", ops.Shape{C: 3, H: 32, W: 32}, pixels)
	if err != nil {
		t.Fatal(err)
	}
	defer images.Release()

	var results []nn.StepResult
	for step := range g.Losses {
		entries := make([]nn.Entry, g.Batch)
		for i := range entries {
			k := step*g.Batch + i
			entries[i] = ops.BatchEntry(uint32(k), uint32(data.Train.Labels[k]), mgl32.Ident3())
		}
		done, err := net.TrainStep(images, entries, step, 0.01, 0)
		if err != nil {
			t.Fatal(err)
		}
		results = append(results, done...)
	}
	done, err := net.Drain()
	if err != nil {
		t.Fatal(err)
	}
	results = append(results, done...)
	bound := lossBound
	for i, want := range g.Losses {
		bound = max(bound, slack*math.Abs(g.Float32[i]-want)/want)
		if got := results[i].Loss; math.Abs(got-want) > bound*want {
			t.Errorf("step %d: loss %.7f, PyTorch has %.7f (relative %.1e, bound %.0e)", i+1, got, want, math.Abs(got-want)/want,
				bound)
		}
	}
	values, err := net.ReadParams()
	if err != nil {
		t.Fatal(err)
	}
	compared, nearest, nearestName := 0, 0.0, ""
	for i, p := range net.Params() {
		if p.Role == nn.BatchesTracked {
			if net.Tracked() != int64(len(g.Losses)) {
				t.Errorf("%s is %d, want %d", p.Name, net.Tracked(), len(g.Losses))
			}
			continue
		}
		s := g.Tensors[byName[p.Name]]
		var worst, diff, norm float64
		for j, want := range s.Values {
			e := math.Abs(float64(values[i][j*s.Stride]) - want)
			worst = max(worst, e)
			diff += e * e
			norm += want * want
		}
		most, mostRelative := max(weightBound, slack*s.Float32Absolute), max(relativeBound, slack*s.Float32Relative)
		if relative := math.Sqrt(diff / norm); worst > most || relative > mostRelative {
			t.Errorf("%s: greatest error %.1e (bound %.0e), relative %.1e (bound %.1e)", p.Name, worst, most, relative,
				mostRelative)
		}
		if share := max(worst/most, math.Sqrt(diff/norm)/mostRelative); share > nearest {
			nearest, nearestName = share, p.Name
		}
		compared++
	}
	t.Logf("%s is nearest to a bound: it has %.0f %% of it", nearestName, 100*nearest)
	if compared < 18 {
		t.Errorf("only %d tensors compared", compared)
	}
	return net.Variants()
}

func TestTenStepsFollowPyTorch(t *testing.T) {
	files := []string{"nin-8.json", "nin-bn-8.json"}
	if slow.Wanted() {
		files = append(files, "nin-64.json", "nin-bn-64.json")
	}
	for _, file := range files {
		t.Run(file, func(t *testing.T) { followGolden(t, file) })
	}
}

// Every variant of every pass, forced, trains as PyTorch does.
func TestTenStepsWithEachVariant(t *testing.T) {
	for pass, file := range map[ops.Pass]string{
		ops.ConvForward: "nin-8.json", ops.ConvInputGrad: "nin-8.json", ops.ConvWeightGrad: "nin-8.json",
		ops.NormForward: "nin-bn-8.json", ops.NormGrad: "nin-bn-8.json",
	} {
		for _, name := range ops.Variants(pass) {
			t.Run(string(pass)+"="+name, func(t *testing.T) {
				t.Setenv(ops.VariantEnv, string(pass)+"="+name)
				follow := func() map[string]string { return followGolden(t, file) }
				if name == "linear-straight" { // for fewer pixels than nin's layers have
					follow = func() map[string]string { return followZoo(t, "densenet-2-2") }
				}
				used := 0
				for call, v := range follow() {
					if strings.HasPrefix(call, string(pass)+" ") && v == name {
						used++
					}
				}
				if used == 0 {
					t.Errorf("no layer used the variant")
				}
			})
		}
	}
}

// TestDispatches holds the number of kernels of a training step down: on GPUs each costs more than its arithmetic in
// small batches.
func TestDispatches(t *testing.T) {
	t.Setenv(ops.VariantEnv, "conv/forward=tiled,conv/input-gradient=tiled,conv/weight-gradient=tiled")
	d := openDevice(t)
	graph, out, err := models.Build(models.Config{Model: "nin", Classes: 10, Size: 32, Dropout: 0.5})
	if err != nil {
		t.Fatal(err)
	}
	net, err := nn.Build(d, graph, out, nn.Options{
		Batch: 64, Train: true, Optimiser: ops.SGD{Momentum: 0.9},
		Augment: ops.Augment{Size: 32, Mean: models.Mean[:], Std: models.Std[:]},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer net.Release()
	images, err := ops.UploadImages(d, "blank", ops.Shape{C: 3, H: 32, W: 32}, make([]byte, 3*32*32))
	if err != nil {
		t.Fatal(err)
	}
	defer images.Release()
	tape, err := net.Tape(images, make([]nn.Entry, 64), true)
	if err != nil {
		t.Fatal(err)
	}
	n := tape.Dispatches()
	if n > 60 {
		t.Errorf("a training step takes %d dispatches, want at most 60", n)
	}
	t.Logf("%d dispatches", n)
	calls := 0
	for call, variant := range net.Variants() {
		calls++
		if variant != "tiled" {
			t.Errorf("%s was recorded with variant %s", call, variant)
		}
	}
	if calls == 0 {
		t.Error("no variant was noted")
	}
}
