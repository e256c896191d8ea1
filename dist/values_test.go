package dist

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestValues(t *testing.T) {
	type value struct {
		Rank int
		Text []byte
	}
	each(4, func(g Group) {
		got, err := Values(g, value{g.Rank(), []byte("abcd"[:g.Rank()])})
		if err != nil {
			t.Error(err)
		}
		want := []value{{}, {1, []byte("a")}, {2, []byte("ab")}, {3, []byte("abc")}}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("rank %d (-want +got):\n%s", g.Rank(), diff)
		}
	})
}

func TestFirst(t *testing.T) {
	for _, n := range []int{1, 2, 4} {
		each(n, func(g Group) {
			got, err := First(g, func() (map[string]int, error) {
				if g.Rank() != 0 {
					t.Errorf("rank %d was asked", g.Rank())
				}
				return map[string]int{"a": 1}, nil
			})
			if diff := cmp.Diff(map[string]int{"a": 1}, got); diff != "" || err != nil {
				t.Errorf("rank %d of %d: error %v (-want +got):\n%s", g.Rank(), n, err, diff)
			}
		})
	}
	failed := errors.New("failed")
	each(2, func(g Group) {
		_, err := First(g, func() (int, error) { return 0, failed })
		var lost *Failure
		if first := g.Rank() == 0; first && err != failed || !first && !errors.As(err, &lost) {
			t.Errorf("rank %d: error %v", g.Rank(), err)
		}
	})
}
