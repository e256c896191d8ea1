package train

import (
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
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

func TestConfusionAndWorst(t *testing.T) {
	verdicts := []Verdict{{0, 0, 0, 0.9, 0.1}, {1, 0, 2, 0.5, 3}, {2, 1, 0, 0.8, 5}, {3, 2, 2, 0.4, 7}, {4, 0, 2, 0.5, 4}}
	if diff := cmp.Diff([][]int{{1, 0, 2}, {1, 0, 0}, {0, 0, 1}}, Confusion(verdicts, 3)); diff != "" {
		t.Errorf("confusion (-want +got):\n%s", diff)
	}
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
