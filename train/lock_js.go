package train

import "os"

// tryLock always succeeds: the files of a page are its own, and no other process sees them.
func tryLock(*os.File) error { return nil }
