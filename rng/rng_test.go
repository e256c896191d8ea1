package rng

import (
	"math"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The known answers are those of the Random123 library, file kat_vectors.
func TestPhiloxKnownAnswers(t *testing.T) {
	const f = 0xffffffff
	for _, c := range []struct {
		counter [4]uint32
		key     [2]uint32
		want    [4]uint32
	}{
		{[4]uint32{}, [2]uint32{},
			[4]uint32{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
		{[4]uint32{f, f, f, f}, [2]uint32{f, f},
			[4]uint32{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
		{[4]uint32{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, [2]uint32{0xa4093822, 0x299f31d0},
			[4]uint32{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
	} {
		if got := Philox(c.counter, c.key); got != c.want {
			t.Errorf("Philox(%x, %x) = %08x, want %08x", c.counter, c.key, got, c.want)
		}
	}
}

func draw(s *Stream, n int) []uint64 {
	v := make([]uint64, n)
	for i := range v {
		v[i] = s.Uint64()
	}
	return v
}

func TestSameNameSameNumbers(t *testing.T) {
	other := New(7, "shuffle", 3, 0)
	draw(other, 1000) // must not matter
	if diff := cmp.Diff(draw(New(7, "augment", 3, 11), 50), draw(New(7, "augment", 3, 11), 50)); diff != "" {
		t.Error(diff)
	}
}

// The numbers are a promise: a run repeated with a later version of the program must draw the same ones.
func TestStreamIsFrozen(t *testing.T) {
	s := New(42, "augment", 1, 2)
	got := []uint32{s.Uint32(), s.Uint32(), s.Uint32(), s.Uint32(), s.Uint32()}
	want := []uint32{0x382902de, 0x4a6a9a8f, 0x52de784c, 0x0514514d, 0x7c8c2c15}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("numbers changed: %#x", got)
	}
}

func TestStreamsDiffer(t *testing.T) {
	streams := map[string]*Stream{
		"base":            New(1, "augment", 1, 1),
		"seed":            New(2, "augment", 1, 1),
		"high seed":       New(1|1<<40, "augment", 1, 1),
		"purpose":         New(1, "shuffle", 1, 1),
		"epoch":           New(1, "augment", 2, 1),
		"high epoch":      New(1, "augment", 1|1<<40, 1),
		"index":           New(1, "augment", 1, 2),
		"high index":      New(1, "augment", 1, 1|1<<40),
		"epoch for index": New(1, "augment", 0, 1),
		"index for epoch": New(1, "augment", 1, 0),
	}
	seen := map[uint64]string{}
	for name, s := range streams {
		for _, v := range draw(s, 1000) {
			if first, dup := seen[v]; dup {
				t.Fatalf("streams %q and %q share the number %#x", first, name, v)
			}
			seen[v] = name
		}
	}
}

// Neighbouring streams must not be correlated: their first numbers are what augmentation draws.
func TestNeighboursUncorrelated(t *testing.T) {
	const n = 20000
	var ones [64]int
	var sum, product float64
	last := 0.0
	for i := range uint64(n) {
		v := New(1, "augment", 1, i).Uint64()
		for b := range 64 {
			ones[b] += int(v >> b & 1)
		}
		f := float64(v>>11)*0x1p-53 - 0.5
		sum += f
		product += f * last
		last = f
	}
	for b, c := range ones {
		if math.Abs(float64(c)-n/2) > 5*math.Sqrt(n)/2 {
			t.Errorf("bit %d is set in %d of %d first numbers", b, c, n)
		}
	}
	if m := sum / n; math.Abs(m) > 5/math.Sqrt(12*n) {
		t.Errorf("mean %g off centre", m)
	}
	if c := product / n * 12; math.Abs(c) > 5/math.Sqrt(n) {
		t.Errorf("neighbours correlate by %g", c)
	}
}

// A counter word that overflows carries into the next one.
func TestBlockCounterCarries(t *testing.T) {
	s := New(1, "x", 0, 0)
	s.counter[0] = math.MaxUint32
	before := s.counter[1]
	draw(s, 4)
	if s.counter[0] != 1 || s.counter[1] != before+1 {
		t.Errorf("counter %x after overflow", s.counter)
	}
}

func TestFloat64(t *testing.T) {
	s := New(3, "float", 0, 0)
	const n = 50000
	sum := 0.0
	for range n {
		f := s.Float64()
		if f < 0 || f >= 1 {
			t.Fatalf("%g outside [0, 1)", f)
		}
		sum += f
	}
	if m := sum / n; math.Abs(m-0.5) > 5/math.Sqrt(12*n) {
		t.Errorf("mean %g", m)
	}
}

func TestIntn(t *testing.T) {
	for _, n := range []int{1, 2, 3, 9, 10, 1000} {
		s := New(4, "int", 0, uint64(n))
		const each = 500
		counts := make([]int, n)
		for range n * each {
			counts[s.Intn(n)]++
		}
		for v, c := range counts {
			if math.Abs(float64(c)-each) > 6*math.Sqrt(each) {
				t.Errorf("Intn(%d) gave %d %d times, expected about %d", n, v, c, each)
			}
		}
	}
	// With this bound a remainder would give the lower half twice as often.
	s := New(4, "int", 1, 0)
	const bound, draws = 3 << 61, 20000
	low := 0
	for range draws {
		if s.Intn(bound) < bound/2 {
			low++
		}
	}
	if math.Abs(float64(low)-draws/2) > 5*math.Sqrt(draws)/2 {
		t.Errorf("%d of %d draws in the lower half", low, draws)
	}
}

func TestNormFloat64(t *testing.T) {
	s := New(5, "normal", 0, 0)
	const n = 100000
	var m1, m2, m4 float64
	for range n {
		v := s.NormFloat64()
		if math.IsNaN(v) || math.IsInf(v, 0) {
			t.Fatal(v)
		}
		m1, m2, m4 = m1+v/n, m2+v*v/n, m4+v*v*v*v/n
	}
	if math.Abs(m1) > 0.02 || math.Abs(m2-1) > 0.03 || math.Abs(m4-3) > 0.15 {
		t.Errorf("moments %g, %g, %g; expected 0, 1, 3", m1, m2, m4)
	}
}

func TestPerm(t *testing.T) {
	for _, n := range []int{0, 1, 2, 1000} {
		p := New(6, "perm", 0, 0).Perm(n)
		if len(p) != n {
			t.Fatalf("Perm(%d) has %d numbers", n, len(p))
		}
		slices.Sort(p)
		for i, v := range p {
			if int(v) != i {
				t.Fatalf("Perm(%d) lacks %d", n, i)
			}
		}
	}
	counts := map[[3]uint32]int{}
	for i := range uint64(6000) {
		counts[[3]uint32(New(6, "perm", 1, i).Perm(3))]++
	}
	if len(counts) != 6 {
		t.Errorf("only %d of 6 orders appear", len(counts))
	}
	for order, c := range counts {
		if c < 840 || c > 1160 {
			t.Errorf("order %v came %d times, expected about 1000", order, c)
		}
	}
}
