package dataset

import (
	"runtime"
	"sync"
	"time"
)

// Reader reads images of a split ahead of those who need them: batch after batch in a given order, by all cores.
// Its memory is that of a few batches, whatever the size of the split. It is for one goroutine.
type Reader struct {
	split   Split
	blocks  []*block
	tasks   chan task
	request *request      // the present one; nil where there is none
	taken   *block        // whose pixels the caller has
	waited  time.Duration // by Next
}

// block is a batch being read.
type block struct {
	pixels  []byte
	images  []uint32
	errs    []error // by image
	reading sync.WaitGroup
}

// task is to read one image of a block.
type task struct {
	*block
	at int
}

// request is what Start asked for.
type request struct {
	free  chan *block // to be filled
	ready chan *block // in order; those after the last are nil
	stop  chan struct{}
	ended chan struct{}
}

// ahead is how many batches are read before they are needed, besides the one in use.
const ahead = 3

// NewReader is a reader of batches of up to the given size. Close it after use.
func NewReader(s Split, batch int) *Reader {
	workers := runtime.GOMAXPROCS(0)
	r := &Reader{split: s, tasks: make(chan task, workers)}
	for range ahead + 1 {
		r.blocks = append(r.blocks, &block{pixels: make([]byte, batch*s.Shape.Bytes()), errs: make([]error, batch)})
	}
	for range workers {
		go r.work()
	}
	return r
}

func (r *Reader) work() {
	one := r.split.Shape.Bytes()
	for t := range r.tasks {
		t.errs[t.at] = r.split.Read(int(t.images[t.at]), t.pixels[t.at*one:][:one])
		t.reading.Done()
	}
}

// Start begins to read the images whose places in the split are given, in batches of n, and gives up what was begun
// before.
func (r *Reader) Start(order []uint32, n int) {
	r.end()
	p := &request{make(chan *block, len(r.blocks)), make(chan *block, len(r.blocks)), make(chan struct{}),
		make(chan struct{})}
	for _, b := range r.blocks {
		p.free <- b
	}
	r.request = p
	go func() {
		defer close(p.ended)
		defer close(p.ready)
		for len(order) > 0 {
			select {
			case <-p.stop: // though there may be a free block, too
				return
			default:
			}
			n := min(n, len(order))
			var b *block
			select {
			case b = <-p.free:
			case <-p.stop:
				return
			}
			b.images, order = order[:n], order[n:]
			b.reading.Add(n)
			p.ready <- b // there is room for all blocks
			for i := range n {
				r.tasks <- task{b, i}
			}
		}
	}()
}

// Next are the pixels of the next batch, which the reader changes after the call after it; nil where no image is left.
// An error is that of the first image in the batch's order which can't be read.
func (r *Reader) Next() ([]byte, error) {
	if r.request == nil {
		return nil, nil
	}
	if r.taken != nil {
		r.request.free <- r.taken
		r.taken = nil
	}
	start := time.Now()
	b := <-r.request.ready
	if b == nil {
		return nil, nil
	}
	b.reading.Wait()
	r.waited += time.Since(start)
	r.taken = b
	for _, err := range b.errs[:len(b.images)] {
		if err != nil {
			return nil, err
		}
	}
	return b.pixels[:len(b.images)*r.split.Shape.Bytes()], nil
}

// Waited is how long Next has waited for images, in all.
func (r *Reader) Waited() time.Duration { return r.waited }

// end gives up the present request: when it returns, no block is being read.
func (r *Reader) end() {
	if r.request == nil {
		return
	}
	close(r.request.stop)
	<-r.request.ended
	for b := range r.request.ready {
		b.reading.Wait()
	}
	r.request, r.taken = nil, nil
}

// Close ends the reading.
func (r *Reader) Close() {
	r.end()
	close(r.tasks)
}
