package train

import (
	"encoding/json"
	"math"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestConfusion(t *testing.T) {
	verdicts := []Verdict{{0, 0, 0, 0.9, 0.1}, {1, 0, 2, 0.5, 3}, {2, 1, 0, 0.8, 5}, {3, 2, 2, 0.4, 7}, {4, 0, 2, 0.5, 4}}
	c := NewConfusion(verdicts, 3)
	if diff := cmp.Diff([][]int{{1, 0, 2}, {1, 0, 0}, {0, 0, 1}}, c.Matrix()); diff != "" {
		t.Errorf("matrix (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]Pair{{0, 2}, {1, 0}}, c.Mistaken()); diff != "" {
		t.Errorf("mistaken (-want +got):\n%s", diff)
	}
}

// testdata/figures.json was written by figures.py there.
func TestFigures(t *testing.T) {
	var golden []struct {
		Matrix          [][]int
		Classes         [][3]*float64 // precision, recall, F1; nil where it can't be told
		Macro, Weighted [3]*float64
	}
	b, err := os.ReadFile("testdata/figures.json")
	if err == nil {
		err = json.Unmarshal(b, &golden)
	}
	if err != nil || len(golden) == 0 {
		t.Fatal(len(golden), err)
	}
	three := func(f Figures) (out [3]*float64) {
		for i, v := range []float64{f.Precision, f.Recall, f.F1} {
			if !math.IsNaN(v) {
				out[i] = &v
			}
		}
		return out
	}
	near := cmpopts.EquateApprox(1e-12, 0)
	for _, g := range golden {
		c := Confusion{len(g.Matrix), map[Pair]int{}}
		for i, row := range g.Matrix {
			for k, n := range row {
				if n > 0 {
					c.Images[Pair{i, k}] = n
				}
			}
		}
		classes, macro, weighted := c.Figures()
		for i, f := range classes {
			if diff := cmp.Diff(g.Classes[i], three(f), near); diff != "" {
				t.Errorf("%v, class %d (-want +got):\n%s", g.Matrix, i, diff)
			}
		}
		for what, x := range map[string][2][3]*float64{
			"macro": {g.Macro, three(macro)}, "weighted": {g.Weighted, three(weighted)},
		} {
			if diff := cmp.Diff(x[0], x[1], near); diff != "" {
				t.Errorf("%v, %s (-want +got):\n%s", g.Matrix, what, diff)
			}
		}
	}
}
