//go:build unix && !linux

package bench

import (
	"runtime"
	"syscall"
)

// PeakRSS is the most memory the process has held, in bytes; 0 where the system does not tell.
func PeakRSS() uint64 {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	if runtime.GOOS == "darwin" || runtime.GOOS == "ios" {
		return uint64(u.Maxrss) // bytes
	}
	return uint64(u.Maxrss) << 10
}
