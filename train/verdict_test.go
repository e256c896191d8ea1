package train

import (
	"context"
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"ninvk/cifar10"
	"ninvk/dataset"
	"ninvk/models"
	"ninvk/nn"
	"ninvk/ops"
)

func TestVerdict(t *testing.T) {
	near := cmpopts.EquateApprox(0, 1e-6) // ln 2 is rounded to float32
	for _, c := range []struct {
		name   string
		label  int
		logits []float32
		want   Verdict
	}{
		{"right", 1, []float32{0, float32(math.Log(2)), 0}, Verdict{7, 1, 1, 0.5, math.Log(2)}},
		{"wrong", 0, []float32{0, float32(math.Log(2)), 0}, Verdict{7, 0, 1, 0.5, math.Log(4)}},
		{"equals: the first", 2, []float32{5, 5, 5}, Verdict{7, 2, 0, 1. / 3, math.Log(3)}},
		{"far apart", 0, []float32{-1000, 1000}, Verdict{7, 0, 1, 1, 2000}},
	} {
		if diff := cmp.Diff(c.want, verdict(7, c.label, c.logits), near); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
}

func TestWorst(t *testing.T) {
	verdicts := []Verdict{{0, 0, 0, 0.9, 0.1}, {1, 0, 2, 0.5, 3}, {2, 1, 0, 0.8, 5}, {3, 2, 2, 0.4, 7}, {4, 0, 2, 0.5, 4}}
	for n, want := range map[int][]int{0: {}, 2: {2, 4}, 9: {2, 4, 1}} {
		got := []int{}
		for _, v := range Worst(verdicts, n) {
			got = append(got, v.Image)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("the %d worst (-want +got):\n%s", n, diff)
		}
	}
}

// With pairs, the logits are the means of those of two evaluations, of the images and of their mirror images, which are
// here made by mirroring bytes.
func TestPairs(t *testing.T) {
	d, err := device()
	if err != nil {
		t.Fatal(err)
	}
	split := subset(t, 1, 11).Test // with batches of 4 images a smaller one remains
	mirrored := split
	pixels, err := split.All()
	if err != nil {
		t.Fatal(err)
	}
	flipped := make([]byte, len(pixels))
	for i := range pixels {
		row, x := i/cifar10.Width*cifar10.Width, i%cifar10.Width
		flipped[i] = pixels[row+cifar10.Width-1-x]
	}
	mirrored.Source = dataset.Memory{Shape: split.Shape, Pixels: flipped}
	for _, size := range []int{16, 12} {
		graph, out, err := models.Build(models.Config{Model: "nin-bn", Classes: cifar10.Classes, Size: size})
		if err != nil {
			t.Fatal(err)
		}
		evaluated := func(split dataset.Split, pairs bool) (Evaluation, []Verdict, [][]float64) {
			net, err := nn.Build(d, graph, out,
				nn.Options{Batch: 8, Augment: ops.Augment{Size: size, Mean: models.Mean[:], Std: models.Std[:]}, Pairs: pairs})
			if err != nil {
				t.Fatal(err)
			}
			defer net.Release()
			if err := models.Init(net, 3); err != nil {
				t.Fatal(err)
			}
			images, err := Upload(d, "images", split, dataset.Crop, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer images.Release()
			e, verdicts, err := Judge(context.Background(), net, images, func(int, int) {})
			if err != nil {
				t.Fatal(err)
			}
			var logits [][]float64
			each := func(_, n int) error {
				entries := n
				if pairs {
					entries = 2 * n
				}
				v, err := net.Logits(entries)
				for i := range n {
					one := make([]float64, cifar10.Classes)
					for k := range one {
						one[k] = float64(v[i*cifar10.Classes+k])
					}
					logits = append(logits, one)
				}
				return err
			}
			if _, _, err := evaluate(context.Background(), undivided, net, images, split.Len(), func(int, int) {},
				each); err != nil {
				t.Fatal(err)
			}
			return e, verdicts, logits
		}
		if _, err := nn.Build(d, graph, out, nn.Options{Batch: 1, Pairs: true}); err == nil {
			t.Error("a network is built for pairs in a batch of 1")
		}
		_, _, plain := evaluated(split, false)
		_, _, flipped := evaluated(mirrored, false)
		e, verdicts, logits := evaluated(split, true)
		loss, right, apart := 0.0, 0, 0.0
		var wanted []Verdict
		for i := range plain {
			mean := make([]float64, cifar10.Classes)
			rounded := make([]float32, cifar10.Classes)
			for k := range mean {
				mean[k] = (plain[i][k] + flipped[i][k]) / 2
				rounded[k] = float32(mean[k])
				apart = max(apart, math.Abs(plain[i][k]-flipped[i][k]))
				if diff := math.Abs(mean[k] - logits[i][k]); diff > 1e-4 {
					t.Fatalf("%d pixels, image %d, class %d: logit %v, want %v", size, i, k, logits[i][k], mean[k])
				}
			}
			v := verdict(i, int(split.Labels[i]), rounded)
			wanted = append(wanted, v)
			loss += v.Loss
			if v.Predicted == v.True {
				right++
			}
		}
		if apart < 0.1 {
			t.Errorf("%d pixels: mirroring changes no logit by more than %v, so this test tells nothing", size, apart)
		}
		n := float64(split.Len())
		if e.Images != split.Len() || math.Abs(e.Loss-loss/n) > 1e-4 || e.Accuracy != float64(right)/n {
			t.Errorf("%d pixels: evaluation %+v, want loss %v, %d right", size, e, loss/n, right)
		}
		if diff := cmp.Diff(wanted, verdicts, cmpopts.EquateApprox(0, 1e-4)); diff != "" {
			t.Errorf("%d pixels, verdicts (-want +got):\n%s", size, diff)
		}
	}
}
