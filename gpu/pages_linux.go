package gpu

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// pages has the operating system back a software adapter's memory with pages before the adapter touches it, in the background. Lavapipe since Mesa 24 allocates from a
// file in memory, whose pages come one by one at their first use, each by an exception; in some virtual machines that takes as long as the work of a first
// step. Asked for in large parts, and while kernels are compiled, they cost a fraction.
type pages struct{ wanted atomic.Int32 }

// mostTouched is how much memory is touched ahead. Of a network that takes more, the rest comes when the compilers have given theirs back.
const mostTouched = 600 << 20

// want is called after an allocation.
func (p *pages) want() {
	if p.wanted.Add(1) > 1 {
		return // a search is under way; another one follows it
	}
	go func() {
		for seen := int32(1); ; {
			touch()
			if p.wanted.CompareAndSwap(seen, 0) {
				return
			}
			seen = p.wanted.Load()
		}
	}()
}

// touch asks for the pages of the driver's memory. That a part is given back meanwhile, or that the system knows no such call, only makes it fail.
func touch() {
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return
	}
	lines := strings.Split(string(maps), "\n")
	left := uintptr(mostTouched)
	for _, line := range slices.Backward(lines) { // what was allocated first mostly lies highest
		if !strings.HasSuffix(line, "/memfd:allocation fd (deleted)") {
			continue
		}
		var from, to uintptr
		if _, err := fmt.Sscanf(line, "%x-%x", &from, &to); err != nil {
			continue
		}
		size := min(to-from, left)
		_, _, _ = unix.Syscall(unix.SYS_MADVISE, from, size, unix.MADV_POPULATE_WRITE)
		if left -= size; left == 0 {
			return
		}
	}
}
