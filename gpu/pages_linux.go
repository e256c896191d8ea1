package gpu

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// pages gives large buffers and textures of a software adapter memory with pages of 2 MiB. Lavapipe since Mesa 24 allocates from a file in memory, whose pages of 4 KiB
// come one by one at their first use, each by an exception; in some virtual machines a first step spends a third of its time on them. Linux has no larger pages for such a file by
// default, but for memory that is no file's. So the driver's view of the file, which nothing has used yet, is replaced by such memory at the same address.
//
// That is right as long as the driver has one view of what it allocates. Open tries it, and where it is not so the driver's memory is left alone.
type pages struct {
	on       bool
	replaced int      // regions
	asked    []region // to be backed
	total    uintptr  // bytes of all that was asked for
}

const (
	largePage   = 2 << 20
	leastPaged  = 1 << 20   // what smaller buffers share is left as it is
	mostTouched = 600 << 20 // is backed ahead. Of a network that takes more, the rest comes when the compilers have given theirs back.
)

// region is a part of the process's addresses.
type region struct{ from, to uintptr }

func (r region) size() uintptr { return r.to - r.from }

// mapped lists where the driver's memory lies, in ascending order.
func mapped() []region {
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return nil
	}
	var all []region
	for line := range strings.Lines(string(maps)) {
		var r region
		if strings.HasSuffix(line, "/memfd:allocation fd (deleted)\n") {
			if n, _ := fmt.Sscanf(line, "%x-%x", &r.from, &r.to); n == 2 {
				all = append(all, r)
			}
		}
	}
	return all
}

// added is what now has and before has not.
func added(before, now []region) []region {
	var all []region
	for _, r := range now {
		for _, b := range before {
			if b.to <= r.from || b.from >= r.to {
				continue
			}
			if b.from > r.from {
				all = append(all, region{r.from, b.from})
			}
			r.from = b.to
		}
		if r.from < r.to {
			all = append(all, r)
		}
	}
	return all
}

// allocating is called before an allocation of size bytes, and what it returns after it.
func (p *pages) allocating(size uint64) func() {
	if !p.on || size < leastPaged {
		return func() {}
	}
	before := mapped()
	return func() { p.replace(before, size) }
}

// replace gives what was mapped since before, for an allocation of size bytes, large pages. Where that has a region of its own, they all come when back is called. Where the
// library keeps room for other things there, they come by their use.
func (p *pages) replace(before []region, size uint64) {
	const rounding = 64 << 10
	for _, r := range added(before, mapped()) {
		if r.size() < leastPaged || used(r) {
			continue
		}
		const private = unix.MAP_FIXED | unix.MAP_PRIVATE | unix.MAP_ANONYMOUS | unix.MAP_NORESERVE
		if _, _, errno := unix.Syscall6(unix.SYS_MMAP, r.from, r.size(), unix.PROT_READ|unix.PROT_WRITE, private, ^uintptr(0), 0); errno != 0 {
			continue // the driver's view stays
		}
		p.replaced++
		_, _, _ = unix.Syscall(unix.SYS_MADVISE, r.from, r.size(), unix.MADV_HUGEPAGE) // where it can't be had, the usual pages do
		if own := uint64(r.size()) <= size+rounding; own && p.total+r.size() <= mostTouched {
			p.total += r.size()
			p.asked = append(p.asked, r)
		}
	}
}

// used says whether a region has a page already, or whether that can't be told.
func used(r region) bool {
	resident := make([]byte, (int(r.size())+unix.Getpagesize()-1)/unix.Getpagesize())
	_, _, errno := unix.Syscall(unix.SYS_MINCORE, r.from, r.size(), uintptr(unsafe.Pointer(&resident[0])))
	return errno != 0 || slices.ContainsFunc(resident, func(b byte) bool { return b&1 == 1 })
}

// back has the operating system find the pages that were asked for, in the background, while kernels are compiled.
func (p *pages) back() {
	asked := p.asked
	p.asked = nil
	if len(asked) == 0 {
		return
	}
	go func() {
		for _, r := range asked {
			// Page by page, as meanwhile nobody else gets memory. That it is given back by now, or that the system knows no such call, only makes it fail.
			for at := r.from; at < r.to; {
				to := min(r.to, (at+largePage)&^(largePage-1))
				_, _, _ = unix.Syscall(unix.SYS_MADVISE, at, to-at, unix.MADV_POPULATE_WRITE)
				at = to
			}
		}
	}()
}

// tryPages turns large pages on where they can be had. It says no where what is written to memory that was replaced is not what is read from it: the device must then be opened anew.
func (d *Device) tryPages() (right bool) {
	if !d.Adapter.Llvmpipe() {
		return true
	}
	const size = 40 << 20 // so large that the library gives it memory of its own
	d.pages.on = true
	b, err := d.NewBuffer("pages on trial", size)
	d.pages.asked, d.pages.total = nil, 0
	d.pages.on = err == nil && d.pages.replaced > 0
	if err != nil {
		return true
	}
	defer b.Release()
	if !d.pages.on {
		return true
	}
	for _, at := range []uint64{0, size - 16} {
		want := fmt.Appendf(nil, "trial at %7x", at)
		if d.Write(b, at, want) != nil {
			return false
		}
		if got, err := d.Read(b, at, 16); err != nil || !bytes.Equal(got, want) {
			return false
		}
	}
	return true
}
