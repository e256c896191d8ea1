//go:build !js

package tune

import "github.com/gofrs/flock"

// lock waits until no other process holds the lock on a file, and takes it.
func lock(path string) (unlock func() error, err error) {
	l := flock.New(path)
	if err := l.Lock(); err != nil {
		return nil, err
	}
	return l.Close, nil
}
