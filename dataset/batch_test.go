package dataset

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestOrder(t *testing.T) {
	if diff := cmp.Diff([]uint32{0, 1, 2, 3}, Order(1, 5, 4, false)); diff != "" {
		t.Error(diff)
	}
	a, b := Order(1, 1, 1000, true), Order(1, 1, 1000, true)
	if diff := cmp.Diff(a, b); diff != "" {
		t.Error("not repeatable:", diff)
	}
	if slices.Equal(a, Order(1, 2, 1000, true)) || slices.Equal(a, Order(2, 1, 1000, true)) {
		t.Error("the order doesn't depend on epoch and seed")
	}
	if slices.IsSorted(a) {
		t.Error("not shuffled")
	}
	slices.Sort(b)
	if diff := cmp.Diff(Order(0, 0, 1000, false), b); diff != "" {
		t.Error("not a permutation:", diff)
	}
}
