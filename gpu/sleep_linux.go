package gpu

import (
	"time"

	"golang.org/x/sys/unix"
)

// sleep pauses for d. time.Sleep rounds up to a millisecond where nothing else runs, a third of a GPU's training step.
func sleep(d time.Duration) {
	ts := unix.NsecToTimespec(d.Nanoseconds())
	_ = unix.Nanosleep(&ts, nil) // a signal may end it early: the caller looks again
}
