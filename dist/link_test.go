package dist

import (
	"math"
	"testing"
	"time"
)

func TestLinkSum(t *testing.T) {
	gigabit := Link{Latency: 10 * time.Millisecond, Bandwidth: 125e6}
	for _, c := range []struct {
		link         Link
		bytes, ranks int
		want         time.Duration
	}{
		{gigabit, 125e6, 1, 0},
		{gigabit, 125e6, 2, 1020 * time.Millisecond},
		{gigabit, 125e6, 4, 1540 * time.Millisecond},
		{gigabit, 0, 64, 120 * time.Millisecond},
		{Link{0, math.Inf(1)}, 1e9, 8, 0},
	} {
		if got := c.link.Sum(c.bytes, c.ranks); got != c.want {
			t.Errorf("%d bytes among %d: %v, want %v", c.bytes, c.ranks, got, c.want)
		}
	}
}

// delayed is a group whose sums take a time that is known.
type delayed struct {
	Group
	link Link
}

func (s delayed) Begin(v []float32) (Pending, error) {
	time.Sleep(s.link.Sum(4*len(v), s.Size()))
	return s.Group.Begin(v)
}

func TestMeasure(t *testing.T) {
	if got, err := Measure(Alone, []Message{{100, time.Hour}}); err != nil || got != (Link{0, math.Inf(1)}) {
		t.Errorf("alone: %v, error %v", got, err)
	}
	want := Link{2 * time.Millisecond, 1e8}
	links := make([]Link, 4)
	each(4, func(g Group) {
		var err error
		if links[g.Rank()], err = Measure(delayed{g, want}, []Message{{1e6, time.Millisecond}}); err != nil {
			t.Error(err)
		}
	})
	for rank, got := range links {
		if got != links[0] {
			t.Errorf("rank %d measured %v, rank 0 %v", rank, got, links[0])
		}
	}
	// A busy machine is slower than told, and never faster.
	if got := links[0]; got.Latency < want.Latency || got.Latency > 20*want.Latency || got.Bandwidth > 10*want.Bandwidth {
		t.Errorf("measured %v, want %v", got, want)
	}
}
