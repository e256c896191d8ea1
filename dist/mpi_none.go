//go:build !cgo || !(linux || darwin)

package dist

import "runtime"

// library can't be had.
type library struct{ path, kind string }

func openLibrary(string, *Launcher, []string) (*library, error) {
	return nil, &LaunchError{"several ranks are joined by a library of MPI, which this program can load on Linux and " +
		"macOS alone, built with cgo; this is " + runtime.GOOS + ": train on one, with --distributed off"}
}

func (l *library) init() (wire, int, int, error) { panic("dist: there is no library") }
