package dist

import (
	"fmt"
	"time"
	"unsafe"
)

// wire carries bytes from rank to rank. All calls of one are made by the same goroutine, locked to its thread.
type wire interface {
	// send and receive begin to carry all of b, as request number slot; b is not touched before test says that it is done.
	// What one rank sends another under one tag arrives in the order of sending.
	send(slot, to, tag int, b []byte) error
	receive(slot, from, tag int, b []byte) error
	// test says whether the request is done, and of a receipt how many bytes came. What is under way goes on meanwhile.
	test(slot int) (done bool, bytes int, err error)
	// memory is n bytes that belong to the wire, for as long as it is open.
	memory(n int) []byte
	// rest waits without work for the processor.
	rest(time.Duration)
	// idle lets go on what ranks may still wait for after test said that it is done.
	idle()
	// abort ends the processes of all ranks, this one included.
	abort(code int)
	close() error
}

// run is the wire's goroutine.
func (e *exchange) run() {
	idle := time.NewTicker(idleEvery)
	defer idle.Stop()
	defer e.release()
	for {
		now := time.Now()
		e.beat.Store(now.UnixNano())
		if e.active == 0 && len(e.queue) == 0 {
			select {
			case w := <-e.commands:
				e.accept(w)
			case code := <-e.aborts:
				e.wire.abort(code)
				return
			case done := <-e.closing:
				done <- e.wire.close()
				return
			case <-idle.C:
				if e.failed == nil {
					e.wire.idle()
				}
			}
			continue
		}
		select {
		case w := <-e.commands:
			e.accept(w)
			continue
		case code := <-e.aborts:
			e.wire.abort(code)
			return
		default:
		}
		moved, err := e.move()
		switch quiet := now.Sub(e.news); {
		case err != nil:
			e.fail(err)
		case moved:
			e.news = now
		case quiet > e.limit:
			e.fail(e.late())
		default:
			e.wire.rest(min(max(quiet/restShare, leastRest), mostRest))
		}
	}
}

// accept puts a work in the queue.
func (e *exchange) accept(w *work) {
	if e.failed != nil {
		w.done <- e.failed
		return
	}
	if e.active == 0 && len(e.queue) == 0 {
		e.news = time.Now()
	}
	if len(w.sum) > 0 {
		w.pinned.Pin(unsafe.SliceData(w.sum))
	}
	e.queue = append(e.queue, w)
}

// fail ends all works, and those to come.
func (e *exchange) fail(err error) {
	e.failed = err
	for i := range e.pieces {
		if w := e.pieces[i].work; w != nil {
			e.lost = append(e.lost, w)
		}
		e.pieces[i].work = nil
	}
	e.lost = append(e.lost, e.queue...)
	e.queue, e.active = nil, 0
	for _, w := range e.lost {
		select {
		case w.done <- err:
		default: // told by another of its pieces
		}
	}
}

// release lets go of the memory of what the wire, which is closed, did not end.
func (e *exchange) release() {
	e.fail(errClosed)
	for _, w := range e.lost {
		w.pinned.Unpin()
	}
}

// late is the failure of a group in which nothing has come for too long.
func (e *exchange) late() error {
	whom := "a rank"
	for i := range e.pieces {
		if p := &e.pieces[i]; p.work != nil && p.posted {
			whom = fmt.Sprintf("rank %d", e.message(p).partner)
			break
		}
	}
	return &Failure{LostCode, fmt.Sprintf("%s has not answered rank %d for %v: it hangs, or waits for another that does",
		whom, e.rank, e.limit)}
}
