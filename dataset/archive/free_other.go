//go:build !unix && !windows

package archive

import "errors"

// freeDisk can't be told here.
func freeDisk(string) (int64, error) { return 0, errors.ErrUnsupported }
