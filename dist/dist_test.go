package dist

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// each runs f as every rank of a local group.
func each(n int, f func(g Group)) {
	var all sync.WaitGroup
	for _, g := range Local(n) {
		all.Go(func() { defer g.Close(); f(g) })
	}
	all.Wait()
}

// part is a rank's numbers, of sizes so different that the order of their sum shows in its bits.
func part(rank, n int) []float32 {
	r := rand.New(rand.NewPCG(1, uint64(rank)))
	out := make([]float32, n)
	for i := range out {
		out[i] = float32((r.Float64() - 0.5) * math.Exp2(20*r.Float64()))
	}
	return out
}

// tree is the sum as Group defines it, written down anew.
func tree(parts [][]float32) []float32 {
	if len(parts) == 1 {
		return parts[0]
	}
	a, b := tree(parts[:len(parts)/2]), tree(parts[len(parts)/2:])
	out := make([]float32, len(a))
	for i := range a {
		out[i] = a[i] + b[i]
	}
	return out
}

func TestSumIsTheTree(t *testing.T) {
	const numbers = 1000
	for _, n := range []int{1, 2, 4, 8} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			parts := make([][]float32, n)
			for i := range parts {
				parts[i] = part(i, numbers)
			}
			want := tree(parts)
			if n == 8 {
				left := part(0, numbers)
				for _, p := range parts[1:] {
					for j, v := range p {
						left[j] += v
					}
				}
				if cmp.Equal(left, want) {
					t.Fatal("the numbers are such that the order does not show")
				}
			}
			each(n, func(g Group) {
				if g.Size() != n || g.Local() != g.Rank() {
					t.Errorf("rank %d of %d, %d on its machine", g.Rank(), g.Size(), g.Local())
				}
				got := part(g.Rank(), numbers)
				if err := Sum(g, got); err != nil {
					t.Error(err)
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("rank %d (-want +got):\n%s", g.Rank(), diff)
				}
			})
		})
	}
}

// What is no normal number counts as 0, before and after an addition; what is no number stays visible.
func TestTreeIsWithoutSubnormals(t *testing.T) {
	small, least := math.Float32frombits(0x00400000), math.Float32frombits(0x00800000)
	inf, nan := float32(math.Inf(1)), float32(math.NaN())
	a := []float32{small, least, 1.5 * least, float32(math.Copysign(0, -1)), inf, nan, 1}
	b := []float32{small, small, -least, float32(math.Copysign(0, -1)), -inf, 1, 2}
	Tree([][]float32{a, b})
	want := []uint32{0, 0x00800000, 0, 0, 0x7fc00000, 0x7fc00000, math.Float32bits(3)}
	for i, v := range a {
		bits := math.Float32bits(v)
		if v != v {
			bits = 0x7fc00000
		}
		if bits != want[i] {
			t.Errorf("sum %d is %#x, want %#x", i, bits, want[i])
		}
	}
}

func TestSeveralSumsUnderWay(t *testing.T) {
	each(4, func(g Group) {
		var under []Pending
		v := make([][]float32, 5)
		for i := range v {
			v[i] = []float32{float32(i), float32(g.Rank())}
			p, err := g.Begin(v[i])
			if err != nil {
				t.Error(err)
				return
			}
			under = append(under, p)
		}
		for i, p := range under {
			if err := p.Wait(); err != nil {
				t.Error(err)
			}
			if diff := cmp.Diff([]float32{4 * float32(i), 6}, v[i]); diff != "" {
				t.Errorf("rank %d, sum %d (-want +got):\n%s", g.Rank(), i, diff)
			}
		}
	})
}

func TestGather(t *testing.T) {
	groups := append(Local(4), Alone)
	var all sync.WaitGroup
	for _, g := range groups {
		all.Go(func() {
			mine := []byte("abcd"[:g.Rank()])
			got, err := g.Gather(mine)
			if err != nil {
				t.Error(err)
			}
			want := [][]byte{{}, []byte("a"), []byte("ab"), []byte("abc")}[:g.Size()]
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("rank %d (-want +got):\n%s", g.Rank(), diff)
			}
			if len(mine) > 0 {
				mine[0] = 'x' // others have copies
			}
		})
	}
	all.Wait()
}

// What can't come to an end fails, with the exit code that all shall have.
func TestRankLeavesOrAborts(t *testing.T) {
	for name, c := range map[string]struct {
		rank1 func(g Group)
		want  Failure
	}{
		"leaves": {func(g Group) {}, Failure{4, "rank 1 has left the group"}},
		"aborts": {func(g Group) { g.Abort(7) }, Failure{7, "rank 1 ended all ranks with exit code 7"}},
		"works, then leaves": {func(g Group) {
			if err := Sum(g, []float32{1}); err != nil {
				t.Error(err)
			}
		}, Failure{4, "rank 1 has left the group"}},
	} {
		t.Run(name, func(t *testing.T) {
			each(2, func(g Group) {
				if g.Rank() == 1 {
					c.rank1(g)
					return
				}
				var err error
				for range 3 {
					if err = Sum(g, []float32{1}); err != nil {
						break
					}
				}
				var got *Failure
				if !errors.As(err, &got) {
					t.Fatalf("error %v", err)
				}
				if diff := cmp.Diff(c.want, *got); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
			})
		})
	}
}

func TestDifferentLengths(t *testing.T) {
	each(2, func(g Group) {
		if err := Sum(g, make([]float32, 1+g.Rank())); err == nil {
			t.Error("the sum of vectors of different lengths is no error")
		}
	})
}
