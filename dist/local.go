package dist

import (
	"bytes"
	"fmt"
	"sync"
)

// Local is a group of n goroutines of this process, for tests; n is a power of two. Ranks that leave it let the others'
// calls for which they would be needed fail.
func Local(n int) []Group {
	if !PowerOfTwo(n) {
		panic(fmt.Sprintf("dist: a group of %d, which is no power of two", n))
	}
	h := &hall{gone: make([]bool, n), rounds: map[int]*round{}}
	out := make([]Group, n)
	for i := range out {
		out[i] = &local{hall: h, rank: i}
	}
	return out
}

// hall is where the ranks meet.
type hall struct {
	sync.Mutex
	rounds map[int]*round // by the number of the call, which is the same at all ranks
	gone   []bool         // by rank: has left
	failed *Failure       // for all that is not done yet
}

// round is one call that all ranks make.
type round struct {
	parts   [][]float32 // by rank, of a sum
	bytes   [][]byte    // by rank, of a Gather
	here    []bool      // by rank
	missing int
	failed  error         // once closed
	over    chan struct{} // closed when all were here, or can't come any more
}

type local struct {
	hall  *hall
	rank  int
	calls int // made by this rank
}

func (g *local) Rank() int  { return g.rank }
func (g *local) Size() int  { return len(g.hall.gone) }
func (g *local) Local() int { return g.rank }

// join enters this rank's part into its next round.
func (g *local) join(v []float32, b []byte) (*round, error) {
	h := g.hall
	h.Lock()
	defer h.Unlock()
	if h.failed != nil {
		return nil, h.failed
	}
	n := g.Size()
	r := h.rounds[g.calls]
	if r == nil {
		r = &round{parts: make([][]float32, n), bytes: make([][]byte, n), here: make([]bool, n), missing: n,
			over: make(chan struct{})}
		h.rounds[g.calls] = r
	}
	r.parts[g.rank], r.bytes[g.rank], r.here[g.rank] = v, b, true
	if r.missing--; r.missing == 0 {
		delete(h.rounds, g.calls)
		r.finish()
	}
	g.calls++
	h.look()
	return r, nil
}

// finish makes the sum that all ranks have brought their parts of.
func (r *round) finish() {
	defer close(r.over)
	for i, p := range r.parts {
		if len(p) != len(r.parts[0]) || (p == nil) != (r.parts[0] == nil) {
			r.failed = fmt.Errorf("rank %d adds %d numbers where rank 0 adds %d", i, len(p), len(r.parts[0]))
			return
		}
	}
	Tree(r.parts)
	for _, p := range r.parts[1:] {
		copy(p, r.parts[0])
	}
}

// look ends the rounds that a rank which has left, or the end of all, leaves without an end.
func (h *hall) look() {
	for k, r := range h.rounds {
		failed := h.failed
		for rank, gone := range h.gone {
			if gone && !r.here[rank] && failed == nil {
				failed = &Failure{LostCode, fmt.Sprintf("rank %d has left the group", rank)}
			}
		}
		if failed != nil {
			delete(h.rounds, k)
			r.failed = failed
			close(r.over)
		}
	}
}

// Wait waits for all ranks.
func (r *round) Wait() error {
	<-r.over
	return r.failed
}

func (g *local) Begin(v []float32) (Pending, error) {
	if v == nil {
		v = []float32{}
	}
	r, err := g.join(v, nil)
	if err != nil {
		return nil, err
	}
	return r, nil
}

func (g *local) Gather(b []byte) ([][]byte, error) {
	r, err := g.join(nil, bytes.Clone(b))
	if err != nil {
		return nil, err
	}
	if err := r.Wait(); err != nil {
		return nil, err
	}
	out := make([][]byte, len(r.bytes)) // each rank's own
	for i, b := range r.bytes {
		out[i] = bytes.Clone(b)
	}
	return out, nil
}

func (g *local) Abort(code int) {
	g.hall.Lock()
	defer g.hall.Unlock()
	if g.hall.failed == nil {
		g.hall.failed = &Failure{code, fmt.Sprintf("rank %d ended all ranks with exit code %d", g.rank, code)}
	}
	g.hall.look()
}

func (g *local) Close() error {
	g.hall.Lock()
	defer g.hall.Unlock()
	g.hall.gone[g.rank] = true
	g.hall.look()
	return nil
}
