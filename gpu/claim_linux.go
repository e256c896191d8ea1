package gpu

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// claim keeps other processes from compiling a kernel into the same folder until it is released. ok is false where
// another one has claimed it, and wait is not set. All share one lock file, in which every kernel has a place. Where
// there are no such locks, a kernel may be compiled twice.
func claim(folder, kernel string, wait bool) (release func(), ok bool) {
	nothing := func() {}
	digest, err := hex.DecodeString(kernel)
	if err != nil || len(digest) < 4 {
		return nothing, true
	}
	f, err := os.OpenFile(filepath.Join(folder, "ninvk-kernels.lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nothing, true
	}
	how := unix.F_OFD_SETLK
	if wait {
		how = unix.F_OFD_SETLKW
	}
	for {
		place := unix.Flock_t{Type: unix.F_WRLCK, Start: int64(binary.LittleEndian.Uint32(digest)), Len: 1}
		if err = unix.FcntlFlock(f.Fd(), how, &place); !errors.Is(err, unix.EINTR) {
			break
		}
	}
	if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EACCES) {
		_ = f.Close()
		return nothing, false
	}
	return func() { _ = f.Close() }, true // which ends the lock
}
