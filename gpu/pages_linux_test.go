package gpu

import (
	"bytes"
	"slices"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A new allocation in memory of the driver's name becomes memory of the process alone, zeros as before, and gets its pages without being used. One that was used stays as it
// is, and so does what lies beside it.
func TestPages(t *testing.T) {
	resident := func(memory []byte) (n int) {
		state := make([]byte, len(memory)/unix.Getpagesize())
		_, _, errno := unix.Syscall(unix.SYS_MINCORE, uintptr(unsafe.Pointer(&memory[0])), uintptr(len(memory)), uintptr(unsafe.Pointer(&state[0])))
		if errno != 0 {
			t.Fatal(errno)
		}
		for _, s := range state {
			n += int(s & 1)
		}
		return n
	}
	const size = 4 << 20
	allocate := func(name string) (memory, same []byte) {
		fd, err := unix.MemfdCreate(name, 0)
		check(t, err)
		defer unix.Close(fd)
		check(t, unix.Ftruncate(fd, size))
		for _, m := range []*[]byte{&memory, &same} {
			*m, err = unix.Mmap(fd, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
			check(t, err)
			t.Cleanup(func() { check(t, unix.Munmap(*m)) })
		}
		return memory, same
	}
	replaced := func(memory, same []byte) bool {
		memory[5]++
		return same[5] != memory[5]
	}
	all := size / unix.Getpagesize()

	p := pages{on: true}
	allocated := p.allocating(size)
	drivers, view := allocate("allocation fd") // both of this name, and both are replaced
	other, otherView := allocate("another")
	allocated()
	if p.replaced == 0 {
		t.Fatal("the driver's memory was left as it was")
	}
	p.back()
	for begun := time.Now(); resident(drivers) < all && time.Since(begun) < 10*time.Second; {
		time.Sleep(time.Millisecond)
	}
	if n := resident(drivers); n != all {
		t.Errorf("%d of %d pages of the driver's memory are there", n, all)
	}
	if slices.ContainsFunc(drivers, func(b byte) bool { return b != 0 }) {
		t.Error("the driver's memory is not zeros")
	}
	if n := resident(other); n != 0 {
		t.Errorf("%d pages of other memory are there", n)
	}
	if !replaced(drivers, view) {
		t.Error("the driver's memory is still that of the file")
	}
	if replaced(other, otherView) {
		t.Error("other memory was replaced")
	}

	allocated = p.allocating(size)
	drivers, view = allocate("allocation fd")
	drivers[size-1] = 1
	allocated()
	if replaced(drivers, view) || drivers[size-1] != 1 {
		t.Error("memory that was used is replaced")
	}

	n := p.replaced
	allocated = p.allocating(leastPaged - 1)
	allocate("allocation fd")
	allocated()
	p.on = false
	allocated = p.allocating(size)
	allocate("allocation fd")
	allocated()
	if p.replaced != n {
		t.Error("memory is replaced for what is too small, or where that is off")
	}
}

// Where Lavapipe allocates from a file in memory, a large buffer has large pages, and what is written to it is read from it.
func TestLargeBuffer(t *testing.T) {
	d := device(t)
	const size = 48 << 20
	before := d.pages.replaced
	b, err := d.NewBuffer("large", size)
	check(t, err)
	defer b.Release()
	if d.pages.on && d.pages.replaced == before {
		t.Error("its memory was not replaced")
	}
	want := make([]byte, size)
	for i := range want {
		want[i] = byte(i >> 12)
	}
	check(t, d.Write(b, 0, want))
	got, err := d.Read(b, 0, size)
	check(t, err)
	if !bytes.Equal(got, want) {
		t.Error("what is read is not what was written")
	}
}

func TestAdded(t *testing.T) {
	r := func(bounds ...uintptr) (all []region) {
		for i := 0; i < len(bounds); i += 2 {
			all = append(all, region{bounds[i], bounds[i+1]})
		}
		return all
	}
	for _, c := range []struct{ before, now, want []region }{
		{nil, r(1, 5), r(1, 5)},
		{r(1, 5), r(1, 5), nil},
		{r(1, 5), r(1, 9), r(5, 9)},
		{r(3, 5, 6, 8), r(1, 9), r(1, 3, 5, 6, 8, 9)},
		{r(3, 5), r(1, 2, 4, 5, 7, 9), r(1, 2, 7, 9)},
		{r(1, 9), nil, nil},
	} {
		if got := added(c.before, c.now); !slices.Equal(got, c.want) {
			t.Errorf("%v, then %v: added %v, want %v", c.before, c.now, got, c.want)
		}
	}
}

// A tape of copies leaves memory to the first tape with kernels, which are compiled before memory is touched.
func TestCopiesBackNoMemory(t *testing.T) {
	d := device(t)
	x, y := newBuffer(t, "x", 256), newBuffer(t, "y", 256)
	d.pages.asked = []region{{}} // something, of no size
	defer func() { d.pages.asked = nil }()

	copies := d.NewTape("copies")
	defer copies.Release()
	copies.Copy(x, 0, y, 0, 256)
	check(t, d.Submit(copies))
	if len(d.pages.asked) == 0 {
		t.Error("a tape of copies had memory backed")
	}

	kernels := d.NewTape("kernels")
	defer kernels.Release()
	kernels.Dispatch(double, []uint32{1, two}, 1, 1, 1, All(x), All(y))
	check(t, d.Submit(kernels))
	if len(d.pages.asked) > 0 {
		t.Error("a tape with a kernel had no memory backed")
	}
}
