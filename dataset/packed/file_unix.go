//go:build unix

package packed

import (
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// mapping is a file in memory. Its pages are the system's, but count as this process's while they are mapped: so they
// are given back from time to time, which leaves them in the system's cache.
type mapping struct {
	data []byte
	near atomic.Int64 // bytes that may be mapped
}

const (
	most   = 256 << 20 // bytes that may be mapped at a time
	around = 64 << 10  // bytes that Linux maps with one that is read
)

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
	m := &mapping{data: data}
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
	if m.near.Add(int64(len(dst))+around) > most {
		m.near.Store(0)
		_ = unix.Madvise(m.data, unix.MADV_DONTNEED) // they are mapped again when they are read
	}
	return nil
}
