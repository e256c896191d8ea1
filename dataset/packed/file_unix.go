//go:build unix

package packed

import (
	"math"
	"os"
	"runtime"
	"runtime/debug"

	"golang.org/x/sys/unix"
)

// mapping is a file in memory. Its pages are the system's, which takes them back as it needs them.
type mapping struct{ data []byte }

// mapped maps a file, or reads it by calls where its file system can't do that.
func mapped(_ string, f *os.File, size int64) file {
	if size == 0 || size > math.MaxInt {
		return opened{f}
	}
	data, err := unix.Mmap(int(f.Fd()), 0, int(size), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return opened{f}
	}
	f.Close()
	m := &mapping{data}
	runtime.AddCleanup(m, func(data []byte) { _ = unix.Munmap(data) }, data)
	return m
}

func (m *mapping) read(dst []byte, at int64) (err error) {
	// Where the file has become shorter, or its disk fails, the processor faults.
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			if _, fault := r.(interface{ Addr() uintptr }); !fault {
				panic(r)
			}
			err = errCut
		}
		runtime.KeepAlive(m)
	}()
	copy(dst, m.data[at:])
	// The pages count as this process's until they are given back; the system keeps them all the same.
	page := int64(os.Getpagesize())
	from := at / page * page
	_ = unix.Madvise(m.data[from:min(int64(len(m.data)), (at+int64(len(dst))+page-1)/page*page)], unix.MADV_DONTNEED)
	return nil
}
