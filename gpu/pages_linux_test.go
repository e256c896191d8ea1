package gpu

import (
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Memory that has the name of the driver's gets its pages without being used; what lies beside it does not.
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
	drivers, other := allocate("allocation fd"), allocate("another")
	all := len(drivers) / unix.Getpagesize()
	var p pages
	p.want()
	p.want()
	for begun := time.Now(); p.wanted.Load() > 0 && time.Since(begun) < time.Minute; {
		time.Sleep(time.Millisecond)
	}
	if n := resident(drivers); n != all {
		t.Errorf("%d of %d pages of the driver's memory are there", n, all)
	}
	if n := resident(other); n != 0 {
		t.Errorf("%d pages of other memory are there", n)
	}
}
