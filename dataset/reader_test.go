package dataset

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"
	"time"
)

// slow is a source whose images say which they are, and take some time.
type slow struct {
	broken int           // the place of one that can't be read, -1 for none
	pause  time.Duration // the longest
	reads  atomic.Int64
}

func (s *slow) Read(i int, dst []byte) error {
	s.reads.Add(1)
	time.Sleep(time.Duration(rand.Int64N(int64(s.pause) + 1)))
	if i == s.broken {
		return fmt.Errorf("image %d is broken", i)
	}
	for at := range dst {
		dst[at] = byte(i)
	}
	return nil
}

func (s *slow) Name(i int) string { return fmt.Sprint(i) }

func slowSplit(n int, s *slow) Split {
	return Split{Shape: Shape{1, 2, 3}, Labels: make([]uint16, n), Source: s}
}

// Batches come whole and in the order asked for, whatever order images are read in.
func TestReader(t *testing.T) {
	for _, pause := range []time.Duration{0, time.Millisecond} {
		r := NewReader(slowSplit(100, &slow{broken: -1, pause: pause}), 8)
		for epoch := range 3 {
			order := Order(1, epoch, 100, true)
			r.Start(order, 8)
			var got []uint32
			for {
				b, err := r.Next()
				if err != nil {
					t.Fatal(err)
				}
				if b == nil {
					break
				}
				for one := range slices.Chunk(b, 6) {
					for _, v := range one {
						if v != one[0] {
							t.Fatalf("an image holds %v", one)
						}
					}
					got = append(got, uint32(one[0]))
				}
			}
			if !slices.Equal(got, order) {
				t.Errorf("read %v, want %v", got, order)
			}
		}
		r.Close()
	}
}

// A request that is given up leaves nothing behind, and reads no more than what was to be read ahead.
func TestReaderStartsAnew(t *testing.T) {
	s := &slow{broken: -1, pause: time.Millisecond}
	r := NewReader(slowSplit(200, s), 4)
	defer r.Close()
	for i := range 20 {
		r.Start(Order(0, 0, 200, false)[10*i:], 4)
		for k := range i % 3 {
			b, err := r.Next()
			if err != nil || b[0] != byte(10*i+4*k) {
				t.Fatalf("batch %d of request %d begins with %d (%v)", k, i, b[0], err)
			}
		}
	}
	r.end()
	if most := int64(20 * (ahead + 3) * 4); s.reads.Load() > most {
		t.Errorf("%d images were read, at most %d are wanted", s.reads.Load(), most)
	}
}

func TestReaderSaysWhatIsBroken(t *testing.T) {
	r := NewReader(slowSplit(20, &slow{broken: 9}), 4)
	defer r.Close()
	r.Start(Order(0, 0, 20, false), 4)
	for range 2 {
		if _, err := r.Next(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := r.Next(); err == nil || err.Error() != "image 9 is broken" {
		t.Errorf("error %v", err)
	}
}

// Steady reading allocates nothing but what a source does.
func TestReaderAllocatesNothing(t *testing.T) {
	m := Memory{Shape: Shape{1, 2, 3}, Pixels: make([]byte, 6*4000)}
	r := NewReader(Split{Shape: m.Shape, Labels: make([]uint16, 4000), Source: m}, 4)
	defer r.Close()
	r.Start(Order(0, 0, 4000, false), 4)
	if n := testing.AllocsPerRun(500, func() {
		if b, err := r.Next(); b == nil || err != nil {
			t.Fatal(errors.Join(err, errors.New("no batch")))
		}
	}); n > 0 {
		t.Errorf("%v allocations a batch", n)
	}
}
