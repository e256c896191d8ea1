package gpu

import (
	"slices"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A new allocation in memory of the driver's name gets its pages without being used; what lies beside it does not.
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
	allocate := func(name string) []byte {
		fd, err := unix.MemfdCreate(name, 0)
		check(t, err)
		defer unix.Close(fd)
		const size = 4 << 20
		check(t, unix.Ftruncate(fd, size))
		memory, err := unix.Mmap(fd, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
		check(t, err)
		t.Cleanup(func() { check(t, unix.Munmap(memory)) })
		return memory
	}
	before := mapped()
	drivers, other := allocate("allocation fd"), allocate("another")
	all := len(drivers) / unix.Getpagesize()
	var p pages
	p.touch(before, 3<<20) // another's
	if n := resident(drivers); n != 0 {
		t.Fatalf("%d pages are there that nobody asked for", n)
	}
	p.touch(before, 4<<20)
	for begun := time.Now(); resident(drivers) < all && time.Since(begun) < 10*time.Second; {
		time.Sleep(time.Millisecond)
	}
	if n := resident(drivers); n != all {
		t.Errorf("%d of %d pages of the driver's memory are there", n, all)
	}
	if n := resident(other); n != 0 {
		t.Errorf("%d pages of other memory are there", n)
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
