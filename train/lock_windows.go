package train

import (
	"errors"
	"os"

	"golang.org/x/sys/windows"
)

// tryLock locks f for this open file alone, or returns errHeld. Locked bytes can't be read by others, so it is one far
// behind the content.
func tryLock(f *os.File) error {
	far := windows.Overlapped{OffsetHigh: 1}
	err := windows.LockFileEx(windows.Handle(f.Fd()), windows.LOCKFILE_EXCLUSIVE_LOCK|windows.LOCKFILE_FAIL_IMMEDIATELY, 0,
		1, 0, &far)
	if errors.Is(err, windows.ERROR_LOCK_VIOLATION) {
		return errHeld
	}
	return err
}
