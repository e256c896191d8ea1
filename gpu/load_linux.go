package gpu

/*
#include <dlfcn.h>
#include <stdlib.h>
*/
import "C"

import (
	"errors"
	"os"
	"runtime"
	"unsafe"
)

// here is this system.
var here = surroundings{os.Getenv, "/", loadLibrary}

// loadLibrary loads a library and lets it go, or gives the reason why it can't be loaded.
func loadLibrary(name string) error {
	runtime.LockOSThread() // on which the reason is kept
	defer runtime.UnlockOSThread()
	text := C.CString(name)
	defer C.free(unsafe.Pointer(text))
	if h := C.dlopen(text, C.RTLD_LAZY|C.RTLD_LOCAL); h != nil {
		C.dlclose(h)
		return nil
	}
	return errors.New(C.GoString(C.dlerror()))
}

// whyNone says why there is no adapter, and what to do.
func whyNone() string { return noneFound + here.diagnose() }

// whyNoGPU says why a GPU that is in the machine is not among the adapters, "" where there is none.
func whyNoGPU() string { return here.nvidia() }
