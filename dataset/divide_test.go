package dataset

import (
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// photo is a content with its class.
type photo struct {
	class   uint16
	content string
}

// divided says which photos are tested with.
func divided(photos []photo, classes int, fraction float64) map[photo]bool {
	labels := make([]uint16, len(photos))
	for i, p := range photos {
		labels[i] = p.class
	}
	train, test := Divide(labels, classes, func(i int) [32]byte { return sha256.Sum256([]byte(photos[i].content)) },
		fraction)
	side := map[photo]bool{}
	for _, i := range train {
		side[photos[i]] = false
	}
	for _, i := range test {
		side[photos[i]] = true
	}
	if len(train)+len(test) != len(photos) || !slices.IsSorted(train) || !slices.IsSorted(test) {
		panic("not a division in order")
	}
	return side
}

func several(n int, class uint16) (list []photo) {
	for i := range n {
		list = append(list, photo{class, fmt.Sprintf("%d of %d", i, class)})
	}
	return list
}

func TestDivide(t *testing.T) {
	photos := slices.Concat(several(1000, 0), several(500, 1), several(2, 2), several(1, 3))
	side := divided(photos, 4, 0.1)
	tested := make([]int, 4)
	for p, test := range side {
		if test {
			tested[p.class]++
		}
	}
	if tested[0] < 70 || tested[0] > 130 || tested[1] < 30 || tested[1] > 70 || tested[2] != 1 || tested[3] > 1 {
		t.Errorf("of 1000, 500, 2 and 1 images %v are tested with", tested)
	}
	// The order of the images does not matter, nor do others beside them.
	mixed := slices.Clone(photos)
	rand.New(rand.NewPCG(1, 2)).Shuffle(len(mixed), func(i, j int) { mixed[i], mixed[j] = mixed[j], mixed[i] })
	if diff := cmp.Diff(side, divided(mixed, 4, 0.1)); diff != "" {
		t.Errorf("in another order (-was +is):\n%s", diff)
	}
	more := divided(slices.Concat(photos, several(1100, 0)[1000:], several(5, 4)), 5, 0.1)
	for p, test := range side {
		if more[p] != test {
			t.Errorf("%v moved when others came", p)
		}
	}
	// A larger share takes the same ones and more.
	for p, test := range divided(photos, 4, 0.3) {
		if side[p] && !test && p.class < 2 {
			t.Errorf("%v is no longer tested with at a larger share", p)
		}
	}
}

// Whatever the images: copies are on one side, also those in different classes, and a class with two contents of its
// own has one on each side.
func TestDivideHolds(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for round := range 300 {
		const classes = 4
		var photos []photo
		own := make([]map[string]bool, classes) // contents that no other class has
		where := map[string]uint16{}
		shared := map[string]bool{}
		for range 2 + r.IntN(12) {
			p := photo{uint16(r.IntN(classes)), fmt.Sprint(round, r.IntN(10))}
			photos = append(photos, p)
			if c, ok := where[p.content]; ok && c != p.class {
				shared[p.content] = true
			}
			where[p.content] = p.class
		}
		for i := range own {
			own[i] = map[string]bool{}
		}
		content := map[string]bool{}
		seen := make([][2]bool, classes)
		for p, test := range divided(photos, classes, []float64{0.01, 0.5, 0.99}[round%3]) {
			if side, ok := content[p.content]; ok && side != test {
				t.Fatalf("%v is on both sides", p)
			}
			content[p.content] = test
			if !shared[p.content] {
				own[p.class][p.content] = true
			}
			seen[p.class][map[bool]int{true: 1}[test]] = true
		}
		for class, contents := range own {
			if len(contents) >= 2 && seen[class] != [2]bool{true, true} {
				t.Fatalf("round %d: class %d has %d images of its own, sides %v", round, class, len(contents), seen[class])
			}
		}
	}
}
