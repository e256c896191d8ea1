//go:build cgo && (linux || darwin)

package dist

/*
#cgo linux LDFLAGS: -ldl
#include <stdlib.h>
#include "mpi.h"
*/
import "C"

import (
	"fmt"
	"strings"
	"time"
	"unsafe"
)

// library is MPI's, loaded while the program runs, so that the program is built and runs without it.
type library struct{ path, kind string }

// The kinds of library, in the order of mpi.h.
var kinds = []struct {
	name   string
	family family
}{
	{"Open MPI", openMPI}, {"MPICH's kind", mpich}, {"the standard's ABI", anyFamily},
	{"a draft of the standard's ABI", anyFamily},
}

// openLibrary loads the named library, or the first of the candidates that goes with the launcher.
func openLibrary(named string, l *Launcher, candidates []string) (*library, error) {
	if named != "" {
		lib, problem := load(named, l)
		if problem != "" {
			return nil, &LaunchError{fmt.Sprintf("the library of MPI %s, which %s names, is of no use here: %s", named,
				LibraryVariable, problem)}
		}
		return lib, nil
	}
	var found []string
	for _, c := range candidates {
		lib, problem := load(c, l)
		if problem == "" {
			return lib, nil
		}
		if !absent(c, problem) {
			found = append(found, fmt.Sprintf("%s: %s", c, problem))
		}
	}
	if len(found) > 0 {
		return nil, &LaunchError{fmt.Sprintf("no library of MPI is of use here: %s; %s",
			strings.Join(found, "; "), packages(familyOf(l)))}
	}
	return nil, noLibrary(l, candidates)
}

func familyOf(l *Launcher) family {
	if l == nil {
		return anyFamily
	}
	return l.family
}

// missing begins the problem of a library that the system can't load.
const missing = "it can't be loaded: "

// absent says whether the library is not there, as the system words it: one that lacks another it needs is.
func absent(path, problem string) bool {
	return strings.HasPrefix(problem, missing+path+": cannot open shared object file: No such file") || // Linux
		strings.HasPrefix(problem, missing) && strings.Contains(problem, "no such file") // macOS
}

// load loads one library, or says what is wrong with it.
func load(path string, l *Launcher) (*library, string) {
	name := C.CString(path)
	defer C.free(unsafe.Pointer(name))
	var why *C.char
	kind := C.dist_load(name, &why)
	if kind < 0 {
		if why == nil {
			return nil, "the system doesn't say why it can't be loaded"
		}
		text := C.GoString(why)
		if kind == C.dist_missing {
			return nil, missing + text
		}
		return nil, "it lacks " + text + ", so it is no library of MPI, or too old"
	}
	of := kinds[kind]
	switch {
	case kind == C.dist_draft:
		C.dist_unload()
		return nil, "it has a draft of the standard's ABI, which the standard changed; MPICH 5 has that, MPICH 4 its own"
	case l != nil && l.family != anyFamily && of.family != anyFamily && of.family != l.family:
		C.dist_unload()
		return nil, fmt.Sprintf("it is %s, which does not go with %s", of.name, l.Name)
	}
	if C.dist_use(name, &why) != 0 {
		return nil, missing + C.GoString(why)
	}
	return &library{path, of.name}, ""
}

// init starts the library on this thread.
func (l *library) init() (w wire, rank, size int, err error) {
	var r, s C.int
	if e := C.dist_init(&r, &s); e != 0 {
		return nil, 0, 0, &LaunchError{fmt.Sprintf("%s (%s) could not be started: %s", l.path, l.kind, problem(e))}
	}
	return mpiWire{}, int(r), int(s), nil
}

// problem is what the library says of an error.
func problem(code C.int) string {
	var text [1024]C.char
	C.dist_error(code, &text[0])
	return strings.TrimSpace(C.GoString(&text[0]))
}

// mpiWire is the library's messages between two ranks.
type mpiWire struct{}

func carried(e C.int, what string, rank int) error {
	if e == 0 {
		return nil
	}
	return &Failure{LostCode, fmt.Sprintf("%s rank %d: %s", what, rank, problem(e))}
}

func (mpiWire) send(slot, to, tag int, b []byte) error {
	return carried(C.dist_send(C.int(slot), C.int(to), C.int(tag), address(b), C.int(len(b))), "sending to", to)
}

func (mpiWire) receive(slot, from, tag int, b []byte) error {
	return carried(C.dist_receive(C.int(slot), C.int(from), C.int(tag), address(b), C.int(len(b))), "receiving from", from)
}

// address is where b is. Its memory is pinned, or the wire's own.
func address(b []byte) C.uintptr_t { return C.uintptr_t(uintptr(unsafe.Pointer(unsafe.SliceData(b)))) }

func (mpiWire) test(slot int) (done bool, bytes int, err error) {
	r := C.dist_test(C.int(slot))
	if r.error != 0 {
		return false, 0, &Failure{LostCode, "the exchange with another rank failed: " + problem(r.error)}
	}
	return r.done != 0, int(r.bytes), nil
}

func (mpiWire) memory(n int) []byte { return unsafe.Slice((*byte)(C.malloc(C.size_t(n))), n) }

func (mpiWire) rest(d time.Duration) { C.dist_rest(C.long(d.Nanoseconds())) }

func (mpiWire) idle() { C.dist_idle() }

func (mpiWire) abort(code int) { C.dist_abort(C.int(code)) }

func (mpiWire) close() error {
	if e := C.dist_finalize(); e != 0 {
		return fmt.Errorf("leaving the group: %s", problem(e))
	}
	return nil
}
