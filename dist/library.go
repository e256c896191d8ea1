package dist

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
)

// LibraryVariable is the environment variable that names MPI's library where it isn't found, or is the wrong one.
const LibraryVariable = "NINVK_MPI"

// names are those of MPI's library on a system, by family; what has the standard's ABI comes last among those of all
// families, as most that have it have their own as well.
func names(system string, of family) []string {
	pattern := "lib%s.so%s"
	if system == "darwin" {
		pattern = "lib%[1]s%[2]s.dylib"
	}
	var out []string
	add := func(library, version string) {
		if version != "" {
			version = "." + version
		}
		out = append(out, fmt.Sprintf(pattern, library, version))
	}
	if of != mpich {
		add("mpi", "40") // Open MPI from 3 to 5
	}
	if of != openMPI {
		add("mpich", "12") // MPICH from 3.1 on, as Debian names it
		add("mpi", "12")   // as others do, and Intel
		add("mpi_cray", "")
	}
	add("mpi", "")
	add("mpi_abi", "0")
	add("mpi_abi", "")
	return out
}

// candidates are the libraries to try, in order: where the system looks for libraries, then beside the launcher that a
// shell would start.
func candidates(system string, of family, look func(string) (string, error)) []string {
	plain := names(system, of)
	out := plain
	for _, launcher := range []string{"mpirun", "mpiexec"} {
		path, err := look(launcher)
		if err != nil {
			continue
		}
		if real, err := filepath.EvalSymlinks(path); err == nil {
			path = real
		}
		for _, folder := range []string{"lib", "lib64"} {
			for _, n := range plain {
				out = append(out, filepath.Join(filepath.Dir(filepath.Dir(path)), folder, n))
			}
		}
	}
	return out
}

// noLibrary is the error where none of the candidates is there.
func noLibrary(l *Launcher, tried []string) error {
	of, by := anyFamily, "no library of MPI is here"
	if l != nil {
		of = l.family
		by = fmt.Sprintf("%s started this process as one of %d, but no library of MPI is here that goes with it", l.Name,
			l.Size)
	}
	return &LaunchError{fmt.Sprintf("%s (tried %s); %s; %s names a library that is elsewhere", by,
		strings.Join(tried, ", "), packages(of), LibraryVariable)}
}

// packages says which package brings a family's library.
func packages(of family) string {
	const (
		open   = "install Open MPI (Debian and Ubuntu: openmpi-bin; Fedora: openmpi; Homebrew: open-mpi)"
		mpichs = "install MPICH (Debian and Ubuntu: libmpich12; Fedora: mpich; Homebrew: mpich), " +
			"or load the cluster's module of it"
	)
	switch of {
	case openMPI:
		return open
	case mpich:
		return mpichs
	}
	return open + ", or " + mpichs
}

// lookPath finds programs; a name for tests to read.
var lookPath = exec.LookPath
