//go:build unix

package train

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// tryLock locks f for this open file alone, or returns errHeld.
func tryLock(f *os.File) error {
	err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return errHeld
	}
	return err
}
