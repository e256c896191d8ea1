package gpu

import (
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// pages has the operating system back large buffers and textures of a software adapter with pages before the adapter touches them, in the background. Lavapipe since
// Mesa 24 allocates from a file in memory, whose pages come one by one at their first use, each by an exception; in some virtual machines that takes as long as
// the work of a first step. Asked for in large parts, and while kernels are compiled, they cost a fraction.
type pages struct{ touched uintptr }

// mostTouched is how much memory is touched ahead. Of a network that takes more, the rest comes when the compilers have given theirs back.
const mostTouched = 600 << 20

// region is a part of the process's addresses.
type region struct{ from, to uintptr }

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

// touch asks for the pages of an allocation of size bytes, which was made since before was mapped. It does nothing where the allocation got a part of memory that the
// library had.
func (p *pages) touch(before []region, size uint64) {
	const rounding = 64 << 10
	for _, r := range added(before, mapped()) {
		if n := r.to - r.from; uint64(n) >= size && uint64(n) <= size+rounding && p.touched+n <= mostTouched {
			p.touched += n
			// That the memory is given back meanwhile, or that the system knows no such call, only makes it fail.
			go func() { _, _, _ = unix.Syscall(unix.SYS_MADVISE, r.from, n, unix.MADV_POPULATE_WRITE) }()
		}
	}
}
