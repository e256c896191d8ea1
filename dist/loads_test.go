//go:build cgo && (linux || darwin)

package dist

import (
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

const loads = true

// systemLibrary is one that every system has, which is not MPI's.
var systemLibrary = map[string]string{"linux": "libc.so.6", "darwin": "libSystem.B.dylib"}[runtime.GOOS]

// The system's words for a library that isn't there are known, so that one that can't be loaded for another reason is
// told from it.
func TestAbsent(t *testing.T) {
	path := filepath.Join(t.TempDir(), "libmpi.so.40")
	for _, p := range []string{path, "libmpi_of_nobody.so.40"} {
		if _, problem := load(p, nil); !absent(p, problem) {
			t.Errorf("%s is not there: %s", p, problem)
		}
	}
	if p := missing + "libucp.so.0: cannot open shared object file: No such file or directory"; absent(path, p) &&
		runtime.GOOS == "linux" {
		t.Error("a library that lacks another counts as missing")
	}
	_, err := openLibrary("", &Launcher{Name: "MPICH's mpiexec", Size: 2, family: mpich}, []string{path, systemLibrary})
	if err == nil || !strings.Contains(err.Error(), systemLibrary+": it lacks") || strings.Contains(err.Error(), path) {
		t.Errorf("error %v", err)
	}
}
