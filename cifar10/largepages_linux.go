package cifar10

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// largePages asks for pages of 2 MiB for memory that was not used before: a data set of 180 MB then takes a hundred exceptions of the processor, not 45,000.
func largePages(b []byte) {
	const large = 2 << 20
	if len(b) < 2*large {
		return
	}
	skip := -int(uintptr(unsafe.Pointer(&b[0]))) & (large - 1)
	_ = unix.Madvise(b[skip:len(b)-(len(b)-skip)%large], unix.MADV_HUGEPAGE) // where it can't be had, the usual ones do
}
