//go:build !js

package gpu

/*
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "guard.h"

// The binding makes Go objects for every command that it encodes, and every step encodes hundreds. A tape is therefore
// kept as an array of C structs, and played here. Declarations are those of the binding's webgpu.h, of which only the
// names and layouts below are used; handles are void *.
typedef struct { const void *next; uint64_t offset; uint32_t bytesPerRow, rowsPerImage; } layout;
typedef struct { const void *next; layout layout; void *buffer; } imageBuffer;
typedef struct { const void *next; void *texture; uint32_t mip, x, y, z; uint32_t aspect; } imageTexture;
typedef struct { uint32_t width, height, layers; } extent;

extern void wgpuDevicePushErrorScope(void *device, uint32_t filter);
extern void wgpuDevicePopErrorScope(void *device, void (*callback)(uint32_t, const char *, void *), void *userdata);
extern void *wgpuDeviceCreateCommandEncoder(void *device, const void *descriptor);
extern void *wgpuCommandEncoderBeginComputePass(void *encoder, const void *descriptor);
extern void wgpuCommandEncoderCopyBufferToBuffer(void *encoder, void *from, uint64_t fromOffset, void *to,
	uint64_t toOffset, uint64_t size);
extern void wgpuCommandEncoderCopyBufferToTexture(void *encoder, const imageBuffer *from, const imageTexture *to,
	const extent *size);
extern void wgpuCommandEncoderClearBuffer(void *encoder, void *buffer, uint64_t offset, uint64_t size);
extern void *wgpuCommandEncoderFinish(void *encoder, const void *descriptor);
extern void wgpuCommandEncoderRelease(void *encoder);
extern void wgpuComputePassEncoderSetPipeline(void *pass, void *pipeline);
extern void wgpuComputePassEncoderSetBindGroup(void *pass, uint32_t index, void *group, size_t count,
	const uint32_t *offsets);
extern void wgpuComputePassEncoderDispatchWorkgroups(void *pass, uint32_t x, uint32_t y, uint32_t z);
extern void wgpuComputePassEncoderEnd(void *pass);
extern void wgpuComputePassEncoderRelease(void *pass);
extern void wgpuBufferUnmap(void *buffer);
extern void wgpuCommandBufferRelease(void *buffer);
extern uint64_t wgpuQueueSubmitForIndex(void *queue, size_t count, void *const *buffers);
extern bool wgpuDevicePoll(void *device, bool wait, const void *index);
extern void wgpuQueueWriteTexture(void *queue, const imageTexture *to, const void *data, size_t size,
	const layout *layout, const extent *extent);
extern void wgpuQueueWriteBuffer(void *queue, void *buffer, uint64_t offset, const void *data, size_t size);

enum { DISPATCH, COPY, CLEAR, TEXELS, STRETCHES, PLANES, SPLIT };

typedef struct {
	uint32_t kind;
	uint32_t x, y, z;            // workgroups
	void *pipeline, *group;
	uint32_t hasOffset, dynamic; // dynamic offset of the parameters
	void *from, *to;
	uint64_t fromOffset, toOffset, size;
	uint32_t pitch, width;       // of a texture's row: bytes, texels; of its stretches: bytes of a plane, planes;
	                             // of its planes: bytes of one, texels of a row
	uint32_t rows, folds;        // of stretches: their number, and how many lie side by side; of planes: their number
	uint32_t first, texels;      // of texels in a row; of planes: the first row, the texels of each
} ninvk_command;

typedef struct {
	void *device, *queue;
	void *encoder, *pass, *pipeline; // pipeline: set last
	char error[512];                 // the first message; empty for none
	bool lost;                       // with the device nothing can be done any more
} ninvk_player;

static void ninvk_failed(uint32_t type, const char *message, void *userdata) {
	ninvk_player *p = userdata;
	if (type != 0 && p->error[0] == 0)
		strncpy(p->error, message != NULL && message[0] != 0 ? message : "no reason given", sizeof p->error - 1);
}

static void ninvk_end_pass(ninvk_player *p) {
	if (p->pass == NULL)
		return;
	wgpuComputePassEncoderEnd(p->pass);
	wgpuComputePassEncoderRelease(p->pass);
	p->pass = p->pipeline = NULL;
}

static void ninvk_to_texture(ninvk_player *p, const ninvk_command *c, uint64_t offset, uint32_t pitch, uint32_t x,
	uint32_t y, uint32_t width, uint32_t height) {
	imageBuffer from = {NULL, {NULL, offset, pitch, height}, c->from};
	imageTexture to = {NULL, c->to, 0, x, y, 0, 0};
	extent size = {width, height, 1};
	wgpuCommandEncoderCopyBufferToTexture(p->encoder, &from, &to, &size);
}

// ninvk_stretches copies, for every plane and fold, the stretches of 16 texels that stand in one column of the texture.
static void ninvk_stretches(ninvk_player *p, const ninvk_command *c) {
	const uint32_t stretch = 16 * 16; // bytes
	for (uint32_t plane = 0; plane < c->width; plane++)
		for (uint32_t fold = 0; fold < c->folds && fold < c->rows; fold++)
			ninvk_to_texture(p, c, c->fromOffset + (uint64_t)plane * c->pitch + fold * stretch, c->folds * stretch,
				16 * (fold * c->width + plane), 0, 16,
			                 (c->rows - fold + c->folds - 1) / c->folds);
}

// ninvk_planes copies planes, as many texels of all together as a row of the texture holds.
static void ninvk_planes(ninvk_player *p, const ninvk_command *c) {
	for (uint32_t at = 0; at < c->texels; at += c->width)
		ninvk_to_texture(p, c, c->fromOffset + (uint64_t)at * 16, c->pitch, 0, c->first + at / c->width * c->rows,
			at + c->width <= c->texels ? c->width : c->texels - at, c->rows);
}

// ninvk_texels copies texels that are counted row by row: the rest of a row, whole rows, and the beginning of a row.
static void ninvk_texels(ninvk_player *p, const ninvk_command *c) {
	uint32_t at = c->first, end = c->first + c->texels;
	while (at < end) {
		uint32_t x = at % c->width, n = end - at;
		uint32_t width = n < c->width - x ? n : c->width - x;
		uint32_t height = width == c->width ? n / width : 1;
		ninvk_to_texture(p, c, c->fromOffset + (uint64_t)(at - c->first) * (c->pitch / c->width), c->pitch, x, at / c->width,
			width, height);
		at += width * height;
	}
}

static void ninvk_encode_one(ninvk_player *p, const ninvk_command *c) {
	if (p->encoder == NULL)
		p->encoder = wgpuDeviceCreateCommandEncoder(p->device, NULL);
	if (c->kind == DISPATCH) {
		if (p->pass == NULL)
			p->pass = wgpuCommandEncoderBeginComputePass(p->encoder, NULL);
		if (c->pipeline != p->pipeline)
			wgpuComputePassEncoderSetPipeline(p->pass, c->pipeline);
		p->pipeline = c->pipeline;
		wgpuComputePassEncoderSetBindGroup(p->pass, 0, c->group, c->hasOffset, &c->dynamic);
		wgpuComputePassEncoderDispatchWorkgroups(p->pass, c->x, c->y, c->z);
		return;
	}
	ninvk_end_pass(p);
	switch (c->kind) {
	case COPY:
		wgpuCommandEncoderCopyBufferToBuffer(p->encoder, c->from, c->fromOffset, c->to, c->toOffset, c->size);
		break;
	case CLEAR:
		wgpuCommandEncoderClearBuffer(p->encoder, c->to, c->toOffset, c->size);
		break;
	case TEXELS:
		ninvk_texels(p, c);
		break;
	case STRETCHES:
		ninvk_stretches(p, c);
		break;
	case PLANES:
		ninvk_planes(p, c);
		break;
	}
}

// ninvk_encode encodes commands from at on, and returns the index of the first split, or n.
static size_t ninvk_encode(ninvk_player *p, const ninvk_command *c, size_t at, size_t n) {
	wgpuDevicePushErrorScope(p->device, 0);
	for (; at < n && c[at].kind != SPLIT; at++)
		ninvk_encode_one(p, &c[at]);
	wgpuDevicePopErrorScope(p->device, ninvk_failed, p);
	return at;
}

// ninvk_begin makes sure that there is something to submit.
static void ninvk_begin(ninvk_player *p) {
	if (p->encoder == NULL)
		p->encoder = wgpuDeviceCreateCommandEncoder(p->device, NULL);
}

// ninvk_finish ends what was encoded; NULL for nothing.
static void *ninvk_finish(ninvk_player *p) {
	void *buffer;
	if (p->encoder == NULL)
		return NULL;
	wgpuDevicePushErrorScope(p->device, 0);
	ninvk_end_pass(p);
	buffer = wgpuCommandEncoderFinish(p->encoder, NULL);
	wgpuDevicePopErrorScope(p->device, ninvk_failed, p);
	wgpuCommandEncoderRelease(p->encoder);
	p->encoder = NULL;
	return buffer;
}

static void ninvk_submit(ninvk_player *p, void *buffer) {
	if (p->error[0] == 0)
		NINVK_GUARDED(p, wgpuQueueSubmitForIndex(p->queue, 1, &buffer));
	if (!p->lost)
		wgpuCommandBufferRelease(buffer);
}

// ninvk_poll says whether the queue is empty, without waiting.
static bool ninvk_poll(ninvk_player *p) {
	volatile bool idle = false;
	NINVK_GUARDED(p, idle = wgpuDevicePoll(p->device, false, NULL));
	return idle;
}

static void ninvk_unmap(ninvk_player *p, void *buffer) {
	wgpuDevicePushErrorScope(p->device, 0);
	wgpuBufferUnmap(buffer);
	wgpuDevicePopErrorScope(p->device, ninvk_failed, p);
}

static void ninvk_write(ninvk_player *p, void *buffer, uint64_t offset, const void *data, size_t size) {
	wgpuDevicePushErrorScope(p->device, 0);
	NINVK_GUARDED(p, wgpuQueueWriteBuffer(p->queue, buffer, offset, data, size));
	wgpuDevicePopErrorScope(p->device, ninvk_failed, p);
}

static void ninvk_write_texture(ninvk_player *p, void *texture, uint32_t x, uint32_t y, uint32_t layer, uint32_t width,
	uint32_t height, const void *data, size_t size) {
	imageTexture to = {NULL, texture, 0, x, y, layer, 0};
	layout rows = {NULL, 0, size / height, height};
	extent all = {width, height, 1};
	wgpuDevicePushErrorScope(p->device, 0);
	NINVK_GUARDED(p, wgpuQueueWriteTexture(p->queue, &to, data, size, &rows, &all));
	wgpuDevicePopErrorScope(p->device, ninvk_failed, p);
}
*/
import "C"

import (
	"reflect"
	"sync"
	"time"
	"unsafe"
)

// handle is the C pointer within an object of the binding.
func handle[T any](object *T) unsafe.Pointer {
	return reflect.ValueOf(object).Elem().FieldByName("ref").UnsafePointer()
}

// compilers is how many kernels the library compiles at a time.
const compilers = 1

// turn is held while a pipeline is made beside other calls: the library's error scopes are a device's, not a thread's.
type turn struct{ sync.Mutex }

// player encodes commands and submits them. A device has one.
type player struct {
	p          *C.ninvk_player
	submitting time.Duration // spent in the driver's submit since the last reset
}

var catchAborts = sync.OnceFunc(func() { C.ninvk_catch_aborts() })

func newPlayer(d *Device) player {
	catchAborts()
	p := (*C.ninvk_player)(C.calloc(1, C.sizeof_ninvk_player))
	p.device, p.queue = handle(d.device), handle(d.queue)
	return player{p: p}
}

func (p *player) free() { C.free(unsafe.Pointer(p.p)) }

// lost says whether the device is gone: nothing may be asked of it any more.
func (p *player) lost() bool { return bool(p.p.lost) }

// gone is why the device is lost; the library does not tell.
func (p *player) gone() string {
	return "the device is lost: the adapter was removed, its driver crashed, or it ran out of memory"
}

// err is what went wrong since the last call, while something was done to an object.
func (p *player) err(doing, what string) error {
	if p.lost() {
		return &LostError{doing + " " + what, p.gone()}
	}
	if p.p.error[0] == 0 {
		return nil
	}
	reason := C.GoString(&p.p.error[0])
	p.p.error[0] = 0
	return &LostError{doing + " " + what, reason}
}

// encode adds commands from to below to, submitting at every split.
func (p *player) encode(r *reel, from, to int) {
	for at := C.size_t(from); at < C.size_t(to) && !p.lost(); at++ {
		if at = C.ninvk_encode(p.p, r.commands, at, C.size_t(to)); at < C.size_t(to) {
			p.submit()
		}
	}
}

// submit hands what was encoded to the queue.
func (p *player) submit() {
	if p.lost() {
		return
	}
	if b := C.ninvk_finish(p.p); b != nil {
		start := time.Now()
		C.ninvk_submit(p.p, b)
		p.submitting += time.Since(start)
	}
}

// begin makes the next submit one of nothing, where nothing is encoded.
func (p *player) begin() {
	if !p.lost() {
		C.ninvk_begin(p.p)
	}
}

// pause lets the adapter work for a while.
func (p *player) pause(d time.Duration) { sleep(d) }

// lose has the driver do what it can't, see Device.Lose.
func (p *player) lose(t *Tape, b *Buffer) {
	p.encode(t.reel, 0, t.reel.n)
	b.b.Destroy()
	p.submit()
}

// poll says whether the queue is idle, and lets finished work be seen.
func (p *player) poll() bool { return !p.lost() && bool(C.ninvk_poll(p.p)) }

func (p *player) write(b *Buffer, offset uint64, data []byte) error {
	if p.lost() {
		return p.err("writing to", b.Label)
	}
	C.ninvk_write(p.p, b.h, C.uint64_t(offset), unsafe.Pointer(&data[0]), C.size_t(len(data)))
	return p.err("writing to", b.Label)
}

func (p *player) writeTexture(t *Texture, x, y, layer, width, height int, data []byte) error {
	if p.lost() {
		return p.err("writing to", t.Label)
	}
	C.ninvk_write_texture(p.p, t.h, C.uint32_t(x), C.uint32_t(y), C.uint32_t(layer), C.uint32_t(width), C.uint32_t(height),
		unsafe.Pointer(&data[0]), C.size_t(len(data)))
	return p.err("writing to", t.Label)
}

func (p *player) unmap(b *Buffer) error {
	C.ninvk_unmap(p.p, b.h)
	return p.err("unmapping", b.Label)
}

// reel is a finished tape in the form that is played.
type reel struct {
	commands *C.ninvk_command
	n        int
}

func newReel(commands []command) *reel {
	r := &reel{(*C.ninvk_command)(C.calloc(C.size_t(max(1, len(commands))), C.sizeof_ninvk_command)), len(commands)}
	for i, to := 0, unsafe.Slice(r.commands, len(commands)); i < len(to); i++ {
		c, to := &commands[i], &to[i]
		switch {
		case c.split:
			to.kind = C.SPLIT
		case c.kernel != nil:
			to.kind = C.DISPATCH
			to.x, to.y, to.z = C.uint32_t(c.x), C.uint32_t(c.y), C.uint32_t(c.z)
			to.pipeline, to.group = handle(c.pipeline.p), handle(c.group)
			if c.offset != nil {
				to.hasOffset, to.dynamic = 1, C.uint32_t(c.offset[0])
			}
		case c.texture != nil && c.stretches != nil:
			to.kind = C.STRETCHES
			to.from, to.fromOffset, to.to = c.src.h, C.uint64_t(c.from), handle(c.texture.t)
			to.pitch, to.width = C.uint32_t(16*c.stretches.pitch), C.uint32_t(c.stretches.planes)
			to.rows, to.folds = C.uint32_t(c.stretches.stretches), C.uint32_t(c.stretches.folds)
		case c.texture != nil && c.planes != nil:
			to.kind = C.PLANES
			to.from, to.fromOffset, to.to = c.src.h, C.uint64_t(c.from), handle(c.texture.t)
			to.pitch, to.width = C.uint32_t(16*c.planes.pitch), C.uint32_t(c.texture.Width)
			to.rows, to.first, to.texels = C.uint32_t(c.planes.planes), C.uint32_t(c.first), C.uint32_t(c.texels)
		case c.texture != nil:
			to.kind = C.TEXELS
			to.from, to.fromOffset, to.to = c.src.h, C.uint64_t(c.from), handle(c.texture.t)
			to.pitch, to.width = C.uint32_t(c.texture.Width*c.texture.TexelSize), C.uint32_t(c.texture.Width)
			to.first, to.texels = C.uint32_t(c.first), C.uint32_t(c.texels)
		case c.src != nil:
			to.kind = C.COPY
			to.from, to.fromOffset, to.to, to.toOffset, to.size = c.src.h, C.uint64_t(c.from), c.dst.h, C.uint64_t(c.to),
				C.uint64_t(c.size)
		default:
			to.kind = C.CLEAR
			to.to, to.toOffset, to.size = c.dst.h, C.uint64_t(c.to), C.uint64_t(c.size)
		}
	}
	return r
}

func (r *reel) free() { C.free(unsafe.Pointer(r.commands)) }
