//go:build unix

package train

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// flock is the system's; tests put one in its place that answers as some file systems do.
var flock = unix.Flock

// tryLock locks f for this open file alone, or returns errHeld or a *noLocksError.
func tryLock(f *os.File) error {
	err := flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	switch {
	case errors.Is(err, unix.EWOULDBLOCK):
		return errHeld
	case errors.Is(err, unix.ENOSYS), errors.Is(err, unix.ENOLCK), errors.Is(err, unix.EOPNOTSUPP), errors.Is(err,
		unix.ENOTSUP):
		return &noLocksError{err}
	}
	return err
}
