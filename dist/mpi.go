package dist

import (
	"cmp"
	"fmt"
	"os"
	"runtime"
	"time"
)

// MPI is the group of the processes that a launcher of MPI started. Its library is looked for while the program runs:
// Open MPI's, MPICH's or one of its kin, or one with the ABI of the standard. NINVK_MPI names it, or the argument,
// which wins; without either it is the launcher's.
//
// What takes longer than the limit fails with a *Failure: finding each other, and every call that other ranks don't
// come to. An error of another kind is a *LaunchError. After the group was made, the process has to leave it, by Close
// or Abort.
func MPI(library string, limit time.Duration) (Group, error) {
	launcher, err := FindLauncher(os.LookupEnv)
	if err != nil {
		return nil, err
	}
	if launcher != nil && !PowerOfTwo(launcher.Size) {
		return nil, &LaunchError{fmt.Sprintf("%s started %d ranks; a power of two is needed (%s)", launcher.Name,
			launcher.Size, nearest(launcher.Size))}
	}
	local, family := -1, anyFamily
	if launcher != nil {
		local, family = launcher.Local, launcher.family
	}
	machine, err := os.Hostname()
	if err != nil && local < 0 {
		return nil, fmt.Errorf("the name of this machine, to find the ranks on it: %w", err)
	}
	library = cmp.Or(library, os.Getenv(LibraryVariable))
	open := func() (wire, int, int, error) {
		lib, err := openLibrary(library, launcher, candidates(runtime.GOOS, family, lookPath))
		if err != nil {
			return nil, 0, 0, err
		}
		w, rank, size, err := lib.init()
		if err != nil {
			return nil, 0, 0, err
		}
		if launcher != nil && size != launcher.Size {
			return nil, 0, 0, &LaunchError{fmt.Sprintf("%s started %d ranks, but %s (%s) sees %d: it is not the library that "+
				"goes with this launcher; %s", launcher.Name, launcher.Size, lib.path, lib.kind, size, otherLibrary(launcher))}
		}
		if !PowerOfTwo(size) {
			return nil, 0, 0, &LaunchError{fmt.Sprintf("there are %d ranks; a power of two is needed (%s)", size,
				nearest(size))}
		}
		return w, rank, size, nil
	}
	e, err := newExchange(open, local, machine, limit, os.Exit)
	if err != nil {
		return nil, err
	}
	return e, nil
}

// nearest names the powers of two around n.
func nearest(n int) string {
	below := 1
	for 2*below < n {
		below *= 2
	}
	return fmt.Sprintf("%d or %d", below, 2*below)
}

// otherLibrary says how to get the right library.
func otherLibrary(l *Launcher) string {
	help := fmt.Sprintf("%s names the right one", LibraryVariable)
	if l.family == anyFamily {
		help += "; with srun, --mpi=pmix goes with Open MPI and --mpi=pmi2 with MPICH (srun --mpi=list says which there are)"
	}
	return help
}
