//go:build !unix

package bench

// PeakRSS is the most memory the process has held, in bytes; 0 where the system does not tell, as here.
func PeakRSS() uint64 { return 0 }
