//go:build unix

package archive

import "golang.org/x/sys/unix"

// freeDisk is how many bytes may be written to the disk of a folder.
func freeDisk(dir string) (int64, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return 0, err
	}
	return int64(s.Bavail) * int64(s.Bsize), nil //nolint:unconvert // of another type on macOS
}
