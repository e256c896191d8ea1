package train

import (
	"cmp"
	"maps"
	"math"
	"slices"
)

// Confusion counts what a network said of the images of a split.
type Confusion struct {
	Classes int
	Images  map[Pair]int // those that are of one class and were said to be of another, or of the same
}

// Pair is a class that images are of, and the one that they were said to be of.
type Pair struct{ True, Predicted int }

// NewConfusion counts verdicts.
func NewConfusion(verdicts []Verdict, classes int) Confusion {
	c := Confusion{classes, map[Pair]int{}}
	for _, v := range verdicts {
		c.Images[Pair{v.True, v.Predicted}]++
	}
	return c
}

// Matrix is all counts: row by true class, column by predicted class.
func (c Confusion) Matrix() [][]int {
	m := make([][]int, c.Classes)
	for i := range m {
		m[i] = make([]int, c.Classes)
	}
	for p, n := range c.Images {
		m[p.True][p.Predicted] = n
	}
	return m
}

// Mistaken are the pairs of different classes that were confused, the most often first, then by their numbers.
func (c Confusion) Mistaken() []Pair {
	wrong := slices.Collect(maps.Keys(c.Images))
	wrong = slices.DeleteFunc(wrong, func(p Pair) bool { return p.True == p.Predicted })
	slices.SortFunc(wrong, func(a, b Pair) int {
		return cmp.Or(c.Images[b]-c.Images[a], a.True-b.True, a.Predicted-b.Predicted)
	})
	return wrong
}

// Figures is how well a network does on one class, or on several together. What can't be told is NaN.
type Figures struct {
	Images    int     // that are of the class
	Said      int     // that were said to be
	Correct   int     // both
	Precision float64 // Correct of Said
	Recall    float64 // Correct of Images, which is the accuracy on the class
	F1        float64 // the harmonic mean of precision and recall
}

// newFigures are those of the counts.
func newFigures(images, said, correct int) Figures {
	ratio := func(a, b int) float64 { return float64(a) / float64(b) } // 0/0 is NaN
	return Figures{images, said, correct,
		ratio(correct, said), ratio(correct, images), ratio(2*correct, images+said)}
}

// Figures are those of each class, and their means as scikit-learn's classification_report has them: over the classes
// that images are of or were said to be of, where a figure that can't be told counts as 0; macro has all of these
// classes count the same, weighted each as much as it has images.
func (c Confusion) Figures() (classes []Figures, macro, weighted Figures) {
	classes = make([]Figures, c.Classes)
	for p, n := range c.Images {
		classes[p.True].Images += n
		classes[p.Predicted].Said += n
		if p.True == p.Predicted {
			classes[p.True].Correct += n
		}
	}
	var all Figures
	occur := 0
	for i, f := range classes {
		f = newFigures(f.Images, f.Said, f.Correct)
		classes[i] = f
		all.Images, all.Said, all.Correct = all.Images+f.Images, all.Said+f.Said, all.Correct+f.Correct
		if f.Images+f.Said > 0 {
			occur++
		}
	}
	mean := func(weight func(Figures) float64) Figures {
		m := all
		for _, f := range classes {
			if w := weight(f); w > 0 {
				m.Precision += w * orZero(f.Precision)
				m.Recall += w * orZero(f.Recall)
				m.F1 += w * orZero(f.F1)
			}
		}
		return m
	}
	macro = mean(func(f Figures) float64 {
		if f.Images+f.Said == 0 {
			return 0
		}
		return 1 / float64(occur)
	})
	weighted = mean(func(f Figures) float64 { return float64(f.Images) / float64(max(1, all.Images)) })
	return classes, macro, weighted
}

func orZero(v float64) float64 {
	if math.IsNaN(v) {
		return 0
	}
	return v
}
