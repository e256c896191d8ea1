//go:build !unix

package packed

import "os"

// mapped reads the file by its system's calls.
func mapped(_ string, f *os.File, _ int64) file { return opened{f} }
