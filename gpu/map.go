//go:build !js

package gpu

/*
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

// The binding's MapAsync hands C the address of a Go variable that nothing keeps alive until the callback runs, so a
// garbage collection in between leaves C with a dangling pointer. These few lines map through memory that C owns.
extern void wgpuBufferMapAsync(void *buffer, uint32_t mode, size_t offset, size_t size,
	void (*callback)(uint32_t, void *), void *userdata);

static void ninvk_mapped(uint32_t status, void *userdata) { *(volatile int32_t *)userdata = (int32_t)status + 1; }

static void ninvk_map_read(void *buffer, size_t size, int32_t *done) {
	*done = 0;
	wgpuBufferMapAsync(buffer, 1, 0, size, ninvk_mapped, done);
}
*/
import "C"

import (
	"unsafe"

	"ninvk/gpu/internal/wgpu"
)

// mapping is the state of one asynchronous map for reading: 0 while pending, else the binding's status plus one.
type mapping struct{ done *C.int32_t }

func newMapping() mapping { return mapping{(*C.int32_t)(C.calloc(1, 4))} }

func (m mapping) free() { C.free(unsafe.Pointer(m.done)) }

// start asks for the bytes of b; the state changes inside a later Poll.
func (m mapping) start(b *Buffer) { C.ninvk_map_read(b.h, C.size_t(b.Size), m.done) }

func (m mapping) pending() bool { return *m.done == 0 }

func (m mapping) ok() bool { return *m.done == C.int32_t(wgpu.BufferMapAsyncStatus_Success)+1 }
