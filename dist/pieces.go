package dist

import (
	"fmt"
	"unsafe"
)

// piece is a part of a work that is exchanged as a whole.
type piece struct {
	work               *work // nil: unused
	bytes              []byte
	tag                int
	step               int // of 2×levels: down the tree, then back
	posted             bool
	sending, receiving bool
	scratch            []byte // for what is to be added
}

// move does what can be done without waiting, and says whether that was anything.
func (e *exchange) move() (moved bool, err error) {
	for i := range e.pieces {
		p := &e.pieces[i]
		if p.work == nil && !e.start(p) {
			continue
		}
		went, err := e.advance(i, p)
		if err != nil {
			return true, err
		}
		moved = moved || went
	}
	return moved, nil
}

// start makes p the next piece that is to be exchanged, and says whether there is one.
func (e *exchange) start(p *piece) bool {
	for len(e.queue) > 0 {
		w := e.queue[0]
		whole := len(w.sum)
		if w.bounds != nil {
			whole = len(w.bytes)
		}
		if whole == 0 {
			e.queue = append(e.queue[:0], e.queue[1:]...)
			w.done <- nil
			continue
		}
		p.work, p.tag, p.step, p.posted = w, e.next, 0, false
		e.next = (e.next + 1) % tags
		if w.bounds != nil {
			p.bytes, p.step, w.begun = w.bytes, e.levels, whole
		} else {
			to := min(w.begun+atATime, whole)
			p.bytes, w.begun = asBytes(w.sum[w.begun:to]), to
		}
		w.left++
		e.active++
		if w.begun == whole {
			e.queue = append(e.queue[:0], e.queue[1:]...)
		}
		return true
	}
	return false
}

// advance goes on with a piece as far as it can, and says whether that was anywhere.
func (e *exchange) advance(i int, p *piece) (moved bool, err error) {
	sends, receives := 2*i, 2*i+1 // requests
	for {
		if p.posted {
			if p.sending {
				done, _, err := e.wire.test(sends)
				if err != nil {
					return moved, err
				}
				p.sending = !done
			}
			if p.receiving {
				done, n, err := e.wire.test(receives)
				if err != nil {
					return moved, err
				}
				if want := len(e.message(p).in); done && n != want {
					return moved, fmt.Errorf("rank %d sent %d bytes where rank %d expected %d: the ranks do not make the same calls",
						e.message(p).partner, n, e.rank, want)
				}
				p.receiving = !done
			}
			if p.sending || p.receiving {
				return moved, nil
			}
			if p.step < e.levels {
				m := e.message(p)
				Tree([][]float32{asFloats(m.mine), asFloats(m.in)})
			}
			p.step++
			p.posted, moved = false, true
		}
		if p.step == 2*e.levels {
			e.finish(p)
			return true, nil
		}
		if p.step < e.levels && p.scratch == nil {
			p.scratch = e.wire.memory(4 * (atATime + 1) / 2)
		}
		m := e.message(p)
		if len(m.in) > 0 {
			if err := e.wire.receive(receives, m.partner, p.tag, m.in); err != nil {
				return moved, err
			}
		}
		if len(m.out) > 0 {
			if err := e.wire.send(sends, m.partner, p.tag, m.out); err != nil {
				return moved, err
			}
		}
		p.posted, p.receiving, p.sending = true, len(m.in) > 0, len(m.out) > 0
	}
}

// message is what a step of a piece exchanges.
type message struct {
	partner       int
	out, in, mine []byte // what is sent, where what comes goes, what of the piece this rank keeps or has
}

func (e *exchange) message(p *piece) message {
	down := p.step < e.levels
	level := p.step
	if !down {
		level = 2*e.levels - 1 - p.step
	}
	m := message{partner: e.rank ^ 1<<level}
	m.mine = e.bytesOf(p, e.rank, level+1)
	theirs := e.bytesOf(p, m.partner, level+1)
	if down {
		m.out, m.in = theirs, p.scratch[:len(m.mine)]
	} else {
		m.out, m.in = m.mine, theirs
	}
	return m
}

// stretch is the places, from lo to before hi, that a rank has after so many halvings; after all of them, its own.
func (e *exchange) stretch(rank, halvings int) (lo, hi int) {
	for k := range halvings {
		lo += rank >> k & 1 * (e.size >> (k + 1))
	}
	return lo, lo + e.size>>halvings
}

// bytesOf are those of a piece's stretch.
func (e *exchange) bytesOf(p *piece, rank, halvings int) []byte {
	lo, hi := e.stretch(rank, halvings)
	if b := p.work.bounds; b != nil {
		return p.bytes[b[lo]:b[hi]]
	}
	n := len(p.bytes) / 4
	return p.bytes[4*(n*lo/e.size) : 4*(n*hi/e.size)]
}

// finish ends a piece, and its work with the last one.
func (e *exchange) finish(p *piece) {
	w := p.work
	p.work = nil
	e.active--
	w.left--
	if w.left > 0 || len(e.queue) > 0 && e.queue[0] == w {
		return
	}
	w.pinned.Unpin()
	w.done <- nil
}

func asBytes(v []float32) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(v))), 4*len(v))
}

func asFloats(b []byte) []float32 {
	return unsafe.Slice((*float32)(unsafe.Pointer(unsafe.SliceData(b))), len(b)/4)
}
