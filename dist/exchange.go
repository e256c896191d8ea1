package dist

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"runtime"
	"sync/atomic"
	"time"
)

const (
	// atATime is how many numbers of a sum go together. Their exchange takes as many messages one after the other as the
	// tree has levels, twice.
	atATime = 1 << 18
	// together is how many such pieces are under way at most: so many that a line of 1 Gbit/s and 10 ms has always
	// something to carry.
	together = 16
	// gatherBytes is how many bytes of all ranks are gathered at a time.
	gatherBytes = 1 << 22
	// tags bounds the tags, of which any library has 32,768.
	tags = 1 << 14
	// idleEvery is the pause between two looks while nothing is under way.
	idleEvery = 10 * time.Millisecond
	// leastRest and mostRest bound the pauses between looks at what is under way. Between them a pause is restShare of the
	// time without news: what takes longer may be noticed later.
	leastRest = 20 * time.Microsecond
	mostRest  = 2 * time.Millisecond
	restShare = 16
	// abortWithin is how long a thread that is busy elsewhere may take to end all ranks, before this process just ends.
	abortWithin = 5 * time.Second
	// closeWithin is how long a library may take to end.
	closeWithin = 5 * time.Second
	// heard is how long launchers have to pass on what was said before all ended; MPICH's drops what it has not read.
	heard = 200 * time.Millisecond
)

// exchange is a group whose ranks are joined by a wire.
//
// A sum is made by halves: at level k of the tree a rank and the one whose number differs in bit k have the same
// stretch of the numbers; each gives one half away and adds the other's to the half it keeps. After the last level each
// rank has the sums of its own stretch, and gives them back the same way. So each rank sends and receives 2(R-1)/R
// times the numbers, as little as any way does, and the order of additions is that of the tree, whatever a library
// would do.
type exchange struct {
	wire                      wire
	rank, size, local, levels int
	limit                     time.Duration
	exit                      func(code int) // ends this process

	commands chan *work
	aborts   chan int
	closing  chan chan error
	stuck    chan struct{} // closed when the wire's thread doesn't come back
	over     chan struct{} // closed when the wire's goroutine has ended
	beat     atomic.Int64  // when it was last seen to go on, in ns
	free     chan *work    // unused ones
	room     []byte        // for what is gathered

	// What follows is the wire's goroutine's.
	failed error
	lost   []*work // which failed; the wire may still touch their memory
	queue  []*work // not all of whose pieces are under way
	pieces [together]piece
	active int // pieces under way
	next   int // tag of the next piece
	news   time.Time
}

// work is a call of all ranks: a sum, or bytes to be gathered.
type work struct {
	group  *exchange
	sum    []float32
	bytes  []byte         // to be gathered: room for all, of the wire's memory
	bounds []int          // of the places in bytes; nil of a sum
	begun  int            // numbers of the sum, or bytes, that are in a piece already
	left   int            // pieces under way
	pinned runtime.Pinner // the numbers, while a library has their address
	done   chan error
}

// newExchange opens the wire in a goroutine of its own, and finds this rank among those of its machine where the
// launcher didn't tell it (local < 0) by the machines' names.
func newExchange(open func() (w wire, rank, size int, err error), local int, machine string, limit time.Duration,
	exit func(int)) (*exchange, error) {
	e := &exchange{local: local, limit: limit, exit: exit, commands: make(chan *work, together), aborts: make(chan int),
		closing: make(chan chan error), stuck: make(chan struct{}), over: make(chan struct{}),
		free: make(chan *work, 4*together)}
	opened := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // for good: the thread belongs to the wire
		defer close(e.over)
		var err error
		e.wire, e.rank, e.size, err = open()
		if err == nil {
			e.levels = bits.Len(uint(e.size)) - 1
			e.room = e.wire.memory(gatherBytes)
		}
		e.beat.Store(time.Now().UnixNano())
		opened <- err
		if err == nil {
			e.run()
		}
	}()
	select {
	case err := <-opened:
		if err != nil {
			return nil, err
		}
	case <-time.After(limit):
		return nil, &Failure{LostCode, fmt.Sprintf("the ranks have not found each other within %v; did all of them start?",
			limit)}
	}
	go e.watch()
	if e.local < 0 {
		machines, err := e.Gather([]byte(machine))
		if err != nil {
			return nil, err
		}
		e.local = 0
		for _, m := range machines[:e.rank] {
			if string(m) == machine {
				e.local++
			}
		}
	}
	return e, nil
}

func (e *exchange) Rank() int { return e.rank }

func (e *exchange) Size() int { return e.size }

func (e *exchange) Local() int { return e.local }

// Begin hands the vector to the wire's goroutine. Where the wire is a library's, that reads and writes the vector
// itself; let it be the same each time, as networks whose adapters do so keep it registered.
func (e *exchange) Begin(v []float32) (Pending, error) {
	return e.submit(v, nil, nil)
}

// submit hands over a work.
func (e *exchange) submit(sum []float32, bytes []byte, bounds []int) (*work, error) {
	select {
	case <-e.stuck:
		return nil, e.stuckFailure()
	default:
	}
	var w *work
	select {
	case w = <-e.free:
	default:
		w = &work{group: e, done: make(chan error, 1)}
	}
	w.sum, w.bytes, w.bounds, w.begun, w.left = sum, bytes, bounds, 0, 0
	select {
	case e.commands <- w:
		return w, nil
	case <-e.stuck:
		return nil, e.stuckFailure()
	case <-e.over:
		return nil, errClosed
	}
}

var errClosed = errors.New("the group has been left")

func (e *exchange) stuckFailure() error {
	return &Failure{LostCode, fmt.Sprintf("the library that joins the ranks has not come back for more than %v", e.limit)}
}

// Wait waits for all pieces of it.
func (w *work) Wait() error {
	select {
	case err := <-w.done:
		if err == nil {
			w.sum, w.bytes = nil, nil
			select {
			case w.group.free <- w:
			default:
			}
		}
		return err
	case <-w.group.stuck:
		return w.group.stuckFailure()
	}
}

// Gather has rounds: one for how long all ranks' bytes are, then some of these in each, as many as there is room for.
func (e *exchange) Gather(b []byte) ([][]byte, error) {
	ranks := make([]int, e.size) // by place
	for rank := range ranks {
		place, _ := e.stretch(rank, e.levels)
		ranks[place] = rank
	}
	bounds := make([]int, e.size+1)
	for i := range bounds {
		bounds[i] = 8 * i
	}
	mine, _ := e.stretch(e.rank, e.levels)
	binary.NativeEndian.PutUint64(e.room[8*mine:], uint64(len(b)))
	if err := e.fill(e.room[:8*e.size], bounds); err != nil {
		return nil, err
	}
	out, left := make([][]byte, e.size), 0
	for place, rank := range ranks {
		n := int(binary.NativeEndian.Uint64(e.room[8*place:]))
		out[rank] = make([]byte, 0, n)
		left += n
	}
	for left > 0 {
		for place, rank := range ranks {
			o := out[rank]
			bounds[place+1] = bounds[place] + min(cap(o)-len(o), len(e.room)-bounds[place])
		}
		copy(e.room[bounds[mine]:bounds[mine+1]], b[len(out[e.rank]):])
		if err := e.fill(e.room[:bounds[e.size]], bounds); err != nil {
			return nil, err
		}
		for place, rank := range ranks {
			out[rank] = append(out[rank], e.room[bounds[place]:bounds[place+1]]...)
		}
		left -= bounds[e.size]
	}
	return out, nil
}

// fill completes bytes of which each rank has those of its own place.
func (e *exchange) fill(bytes []byte, bounds []int) error {
	w, err := e.submit(nil, bytes, bounds)
	if err != nil {
		return err
	}
	return w.Wait()
}

// Abort ends the processes of all ranks, this one too, with the exit code.
func (e *exchange) Abort(code int) {
	time.Sleep(heard)
	late := time.After(abortWithin)
	select {
	case e.aborts <- code:
		select {
		case <-e.over: // though it should have ended this process
		case <-late:
		}
	case <-e.over:
	case <-late:
	}
	e.exit(code) // which a launcher takes for the end of all
}

// Close waits until all ranks have come so far, so that none ends while another still has something to write. The
// library is then given a while to end: over slow lines MPICH's may wait for ever in that, which is no matter any more.
func (e *exchange) Close() error {
	if _, err := e.Gather(nil); err != nil {
		return err // there is nobody to take leave of
	}
	done := make(chan error, 1)
	late := time.After(closeWithin)
	select {
	case e.closing <- done:
	case <-late:
		return nil
	}
	select {
	case err := <-done:
		return err
	case <-late:
		return nil
	}
}

// watch closes stuck where a call of the wire doesn't come back.
func (e *exchange) watch() {
	tick := time.NewTicker(max(e.limit/16, idleEvery))
	defer tick.Stop()
	for {
		select {
		case <-e.over:
			return
		case <-tick.C:
			if time.Duration(time.Now().UnixNano()-e.beat.Load()) > e.limit+e.limit/8 {
				close(e.stuck)
				return
			}
		}
	}
}
