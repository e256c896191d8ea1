package dist

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// air is wires without a library: what is sent is there when the receiver looks, in the order of sending, but looks
// find out late now and then.
type air struct {
	sync.Mutex
	sent  [][][]letter // by sender and receiver, in the order of sending
	dead  []bool       // ranks whose calls never come back
	ended []int        // exit codes of all ranks, then of the process that ended them
	awake chan struct{}
}

type letter struct {
	tag  int
	b    []byte
	slot *bool // to be told when it was taken
}

// airWire is one rank's.
type airWire struct {
	air      *air
	rank     int
	rng      *rand.Rand
	requests [2 * together]airRequest
}

type airRequest struct {
	sent      bool // a letter, which done says was taken
	done      bool
	from, tag int
	b         []byte
}

func (w *airWire) send(slot, to, tag int, b []byte) error {
	w.air.Lock()
	defer w.air.Unlock()
	r := &w.requests[slot]
	*r = airRequest{sent: true}
	w.air.sent[w.rank][to] = append(w.air.sent[w.rank][to], letter{tag, b, &r.done})
	return nil
}

func (w *airWire) receive(slot, from, tag int, b []byte) error {
	w.requests[slot] = airRequest{from: from, tag: tag, b: b}
	return nil
}

func (w *airWire) test(slot int) (bool, int, error) {
	w.air.Lock()
	dead := w.air.dead[w.rank]
	w.air.Unlock()
	if dead {
		<-w.air.awake
	}
	w.air.Lock()
	defer w.air.Unlock()
	r := &w.requests[slot]
	if w.rng.IntN(4) == 0 {
		return false, 0, nil
	}
	if r.sent {
		return r.done, 0, nil
	}
	box := w.air.sent[r.from][w.rank]
	for i, l := range box {
		if l.tag != r.tag {
			continue
		}
		if len(l.b) > len(r.b) {
			return false, 0, errors.New("the message is too long")
		}
		n := copy(r.b, l.b)
		*l.slot = true
		w.air.sent[r.from][w.rank] = append(box[:i], box[i+1:]...)
		return true, n, nil
	}
	return false, 0, nil
}

func (w *airWire) memory(n int) []byte { return make([]byte, n) }

func (w *airWire) rest(d time.Duration) { time.Sleep(d) }

func (w *airWire) idle() {}

func (w *airWire) abort(code int) {
	w.air.Lock()
	defer w.air.Unlock()
	w.air.ended = append(w.air.ended, code)
}

func (w *airWire) close() error { return nil }

// throughAir runs f as every rank of n that are joined by air.
func throughAir(t *testing.T, n int, limit time.Duration, f func(a *air, e *exchange)) {
	t.Helper()
	a := &air{sent: make([][][]letter, n), dead: make([]bool, n), awake: make(chan struct{})}
	for i := range a.sent {
		a.sent[i] = make([][]letter, n)
	}
	defer close(a.awake)
	var all sync.WaitGroup
	for rank := range n {
		all.Go(func() {
			open := func() (wire, int, int, error) {
				return &airWire{air: a, rank: rank, rng: rand.New(rand.NewPCG(7, uint64(rank)))}, rank, n, nil
			}
			exit := func(code int) { a.ended = append(a.ended, code) }
			e, err := newExchange(open, rank, "", limit, exit)
			if err != nil {
				t.Error(err)
				return
			}
			f(a, e)
		})
	}
	all.Wait()
}

func close_(t *testing.T, e *exchange) {
	t.Helper()
	if err := e.Close(); err != nil {
		t.Errorf("rank %d: %v", e.rank, err)
	}
}

func sameBits(a, b float32) bool { return math.Float32bits(a) == math.Float32bits(b) }

const testLimit = 5 * time.Minute

func TestExchangeIsTheTree(t *testing.T) {
	for _, n := range []int{1, 2, 4, 8, 16} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			lengths := []int{0, 1, 2, 3, n, 997, 0, 5}
			if n == 2 { // more than can be under way
				lengths = append(lengths, (together+3)*atATime+1)
			}
			var want [][]float32
			for _, l := range lengths {
				parts := make([][]float32, n)
				for r := range parts {
					parts[r] = part(r, l)
				}
				want = append(want, tree(parts))
			}
			throughAir(t, n, testLimit, func(a *air, e *exchange) {
				defer close_(t, e)
				if e.Rank() != e.Local() || e.Size() != n {
					t.Errorf("rank %d of %d, %d on its machine", e.Rank(), e.Size(), e.Local())
				}
				for range 2 {
					var v [][]float32
					var under []Pending
					for _, l := range lengths {
						v = append(v, part(e.rank, l))
						p, err := e.Begin(v[len(v)-1])
						if err != nil {
							t.Error(err)
							return
						}
						under = append(under, p)
					}
					for i, p := range under {
						if err := p.Wait(); err != nil {
							t.Error(err)
						} else if !slices.EqualFunc(want[i], v[i], sameBits) {
							t.Errorf("rank %d of %d: the sum of %d numbers is not that of the tree", e.rank, n, lengths[i])
						}
					}
				}
			})
		})
	}
}

func TestExchangeGathers(t *testing.T) {
	for _, n := range []int{1, 2, 4, 8} {
		throughAir(t, n, testLimit, func(a *air, e *exchange) {
			defer close_(t, e)
			for round := range 3 {
				var want [][]byte
				for r := range n {
					want = append(want, []byte(strings.Repeat(fmt.Sprint(r), r*round)))
				}
				if round == 2 && n == 4 { // in several rounds, the last ranks' alone
					want[1] = bytes.Repeat([]byte("0123456789"), gatherBytes/10+3)
					want[2] = bytes.Repeat([]byte("abcdefghij"), gatherBytes/5)
				}
				got, err := e.Gather(want[e.rank])
				if err != nil {
					t.Error(err)
				}
				if !slices.EqualFunc(want, got, bytes.Equal) {
					t.Errorf("rank %d of %d got %.100q, want %.100q", e.rank, n, got, want)
				}
			}
		})
	}
}

// Ranks of which the launcher tells no place within their machine are counted by the machine's name.
func TestLocalByName(t *testing.T) {
	machines := []string{"a", "b", "a", "a"}
	want := []int{0, 0, 1, 2}
	a := &air{sent: make([][][]letter, 4), dead: make([]bool, 4)}
	for i := range a.sent {
		a.sent[i] = make([][]letter, 4)
	}
	var all sync.WaitGroup
	for rank := range machines {
		all.Go(func() {
			e, err := newExchange(func() (wire, int, int, error) {
				return &airWire{air: a, rank: rank, rng: rand.New(rand.NewPCG(7, uint64(rank)))}, rank, 4, nil
			}, -1, machines[rank], testLimit, nil)
			if err != nil {
				t.Error(err)
				return
			}
			defer close_(t, e)
			if e.Local() != want[rank] {
				t.Errorf("rank %d is number %d of its machine, not %d", rank, want[rank], e.Local())
			}
		})
	}
	all.Wait()
}

// A rank that doesn't come is waited for as long as the limit says; then all calls fail, those to come at once.
func TestExchangeWithoutARank(t *testing.T) {
	const limit = 100 * time.Millisecond
	throughAir(t, 2, limit, func(a *air, e *exchange) {
		if e.rank == 1 {
			return
		}
		begun := time.Now()
		v := make([]float32, 10)
		p, err := e.Begin(v)
		if err != nil {
			t.Fatal(err)
		}
		q, err := e.Begin(make([]float32, (together+1)*atATime))
		if err != nil {
			t.Fatal(err)
		}
		for i, wait := range []func() error{p.Wait, q.Wait, func() error { return Sum(e, v) }, e.Close} {
			err := wait()
			want := &Failure{LostCode, "rank 1 has not answered rank 0 for 100ms: it hangs, or waits for another that does"}
			if diff := cmp.Diff(error(want), err); diff != "" {
				t.Errorf("call %d (-want +got):\n%s", i, diff)
			}
		}
		if took := time.Since(begun); took < limit || took > 200*limit {
			t.Errorf("it took %v to fail within %v", took, limit)
		}
		e.Abort(7) // the wire's goroutine is there all the same
		if diff := cmp.Diff([]int{7, 7}, a.ended); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

// A library whose call doesn't come back is a failure too.
func TestExchangeIsStuck(t *testing.T) {
	throughAir(t, 2, 100*time.Millisecond, func(a *air, e *exchange) {
		a.Lock()
		a.dead[0] = true
		a.Unlock()
		if e.rank == 1 {
			return
		}
		if err := Sum(e, []float32{1}); err == nil || !strings.Contains(err.Error(), "has not come back for more than") {
			t.Errorf("error %v", err)
		}
		if _, err := e.Begin([]float32{1}); err == nil {
			t.Error("another sum begins")
		}
		if err := e.Close(); err == nil {
			t.Error("the group can be closed")
		}
	})
}

func TestExchangeOfDifferentLengths(t *testing.T) {
	for _, lengths := range [][2]int{{10, 12}, {12, 10}, {1, 100}} {
		failures := make(chan error, 2)
		throughAir(t, 2, time.Second, func(a *air, e *exchange) {
			failures <- Sum(e, make([]float32, lengths[e.rank]))
		})
		if a, b := <-failures, <-failures; a == nil && b == nil {
			t.Errorf("the sum of %d and %d numbers is no error", lengths[0], lengths[1])
		}
	}
}

func TestOpenFails(t *testing.T) {
	wrong := errors.New("wrong")
	_, err := newExchange(func() (wire, int, int, error) { return nil, 0, 0, wrong }, 0, "", time.Second, nil)
	if !errors.Is(err, wrong) {
		t.Errorf("error %v", err)
	}
	open := make(chan bool)
	_, err = newExchange(func() (wire, int, int, error) { <-open; return nil, 0, 0, wrong }, 0, "", 10*time.Millisecond,
		nil)
	if failure := (*Failure)(nil); !errors.As(err, &failure) || failure.Code != LostCode {
		t.Errorf("error %v", err)
	}
	close(open)
}

// Steps of a run allocate nothing.
func TestExchangeAllocatesNothing(t *testing.T) {
	const rounds = 50
	start := make(chan bool)
	throughAir(t, 2, testLimit, func(a *air, e *exchange) {
		defer close_(t, e)
		v, w := make([]float32, 100), make([]float32, atATime+10)
		once := func() {
			p, err := e.Begin(v)
			if err != nil {
				t.Error(err)
				return
			}
			q, err := e.Begin(w)
			if err != nil {
				t.Error(err)
				return
			}
			if err := errors.Join(p.Wait(), q.Wait()); err != nil {
				t.Error(err)
			}
		}
		for range 10 {
			once()
		}
		if e.rank == 1 {
			close(start)
			for range rounds + 1 {
				once()
			}
			return
		}
		<-start
		if n := testing.AllocsPerRun(rounds, once); n >= 1 {
			t.Errorf("%v allocations", n)
		}
	})
}
