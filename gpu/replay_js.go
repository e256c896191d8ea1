package gpu

import (
	"syscall/js"
	"time"
	"unsafe"

	"ninvk/gpu/internal/wgpu"
	"ninvk/promise"
)

// handle is the address of an object of the browser's.
func handle[T any](object *T) unsafe.Pointer { return unsafe.Pointer(object) }

// compilers is how many kernels a browser is given to compile at a time; it has threads of its own.
const compilers = 4

// turn is for libraries whose error scopes get into each other's way. Here nothing else runs between the begin and the
// end of one.
type turn struct{}

func (turn) Lock()   {}
func (turn) Unlock() {}

// mostAhead is how many submits may wait for the adapter: what is queued is memory of the browser.
const mostAhead = 16

// player encodes commands and submits them. A device has one.
type player struct {
	d          *wgpu.Device
	queue      js.Value
	encoder    js.Value
	pass       js.Value
	pipeline   js.Value // set last
	scratch    js.Value // bytes on their way into a buffer
	room       int      // of scratch
	submitted  int
	finished   int
	submitting time.Duration // spent in the browser's submit since the last reset
}

func newPlayer(d *Device) player { return player{d: d.device, queue: d.queue.V} }

func (p *player) free() {}

// lost says whether the device is gone: nothing may be asked of it any more.
func (p *player) lost() bool { return p.d.Lost() != "" }

// gone is why the device is lost, as the browser tells it.
func (p *player) gone() string { return "the device is lost: " + p.d.Lost() }

// err is what went wrong since the last call, as far as the browser has told it.
func (p *player) err(doing, what string) error {
	if p.lost() {
		return &LostError{doing + " " + what, p.gone()}
	}
	if problem := p.d.Problem(); problem != "" {
		return &LostError{doing + " " + what, problem}
	}
	return nil
}

// begin makes the next submit one of nothing, where nothing is encoded.
func (p *player) begin() {
	if !p.encoder.Truthy() && !p.lost() {
		p.encoder = p.d.V.Call("createCommandEncoder")
	}
}

func (p *player) endPass() {
	if p.pass.Truthy() {
		p.pass.Call("end")
		p.pass, p.pipeline = js.Undefined(), js.Undefined()
	}
}

// encode adds commands from to below to, submitting at every split.
func (p *player) encode(r *reel, from, to int) {
	for i := from; i < to && !p.lost(); i++ {
		if c := &r.commands[i]; c.split {
			p.submit()
		} else if p.begin(); c.kernel != nil {
			p.dispatch(r, i)
		} else {
			p.endPass()
			p.copy(c)
		}
	}
}

func (p *player) dispatch(r *reel, i int) {
	c := &r.commands[i]
	if !p.pass.Truthy() {
		p.pass = p.encoder.Call("beginComputePass")
	}
	if v := c.pipeline.p.V; !v.Equal(p.pipeline) {
		p.pass.Call("setPipeline", v)
		p.pipeline = v
	}
	if c.offset != nil {
		p.pass.Call("setBindGroup", 0, c.group.V, r.offsets, i, 1)
	} else {
		p.pass.Call("setBindGroup", 0, c.group.V)
	}
	p.pass.Call("dispatchWorkgroups", c.x, c.y, c.z)
}

func (p *player) copy(c *command) {
	switch {
	case c.texture != nil && c.stretches != nil:
		// For every plane and fold, the stretches of 16 texels that stand in one column of the texture.
		const stretch = 16 * 16 // bytes
		planes, folds, stretches := c.stretches.planes, c.stretches.folds, c.stretches.stretches
		for plane := range planes {
			for fold := range min(folds, stretches) {
				p.toTexture(c, 16*plane*c.stretches.pitch+fold*stretch, folds*stretch, 16*(fold*planes+plane), 0, 16,
					(stretches-fold+folds-1)/folds)
			}
		}
	case c.texture != nil && c.planes != nil:
		// Planes, as many texels of all together as a row of the texture holds.
		for at, w := 0, c.texture.Width; at < c.texels; at += w {
			p.toTexture(c, 16*at, 16*c.planes.pitch, 0, c.first+at/w*c.planes.planes, min(w, c.texels-at), c.planes.planes)
		}
	case c.texture != nil:
		// Texels counted row by row: the rest of a row, whole rows, and the beginning of a row.
		w, size := c.texture.Width, c.texture.TexelSize
		for at, end := c.first, c.first+c.texels; at < end; {
			x := at % w
			width, height := min(end-at, w-x), 1
			if width == w {
				height = (end - at) / w
			}
			p.toTexture(c, (at-c.first)*size, w*size, x, at/w, width, height)
			at += width * height
		}
	case c.src != nil:
		p.encoder.Call("copyBufferToBuffer", c.src.b.V, c.from, c.dst.b.V, c.to, c.size)
	default:
		p.encoder.Call("clearBuffer", c.dst.b.V, c.to, c.size)
	}
}

func (p *player) toTexture(c *command, offset, pitch, x, y, width, height int) {
	p.encoder.Call("copyBufferToTexture",
		map[string]any{"buffer": c.src.b.V, "offset": c.from + uint64(offset), "bytesPerRow": pitch, "rowsPerImage": height},
		map[string]any{"texture": c.texture.t.V, "origin": []any{x, y, 0}}, []any{width, height, 1})
}

// submit hands what was encoded to the queue. Where much waits there already it waits, too.
func (p *player) submit() {
	if !p.encoder.Truthy() || p.lost() {
		return
	}
	start := time.Now()
	p.endPass()
	encoder := p.encoder
	p.encoder = js.Undefined()
	// Calls that encode tell their errors when the encoder is finished.
	_, _ = p.d.Scoped(func() js.Value { // its error is the device's problem
		p.queue.Call("submit", []any{encoder.Call("finish")})
		return js.Undefined()
	})
	p.submitted++
	n := p.submitted
	done := func() { p.finished = max(p.finished, n); p.d.Wake() }
	promise.Then(p.queue.Call("onSubmittedWorkDone"), func(js.Value) { done() }, func(string) { done() })
	p.submitting += time.Since(start)
	for p.submitted-p.finished >= mostAhead && !p.lost() {
		<-p.d.Woken
	}
}

// lose takes the device away, see Device.Lose.
func (p *player) lose(*Tape, *Buffer) {
	p.d.V.Call("destroy")
	for !p.lost() {
		<-p.d.Woken
	}
}

// poll says whether the queue is idle and all is known of what was submitted.
func (p *player) poll() bool { return !p.lost() && p.finished == p.submitted && !p.d.Pending() }

// pause waits until something has come about, or for long enough to look again: the event loop, which brings it about,
// runs while this waits.
func (p *player) pause(time.Duration) {
	again := time.NewTimer(time.Second)
	defer again.Stop()
	select {
	case <-p.d.Woken:
	case <-again.C:
	}
}

func (p *player) write(b *Buffer, offset uint64, data []byte) error {
	if p.lost() {
		return p.err("writing to", b.Label)
	}
	bytes := p.bytes(data)
	_, _ = p.d.Scoped(func() js.Value { // its error is the device's problem
		return p.queue.Call("writeBuffer", b.b.V, offset, bytes, 0, len(data))
	})
	return p.err("writing to", b.Label)
}

func (p *player) writeTexture(t *Texture, x, y, layer, width, height int, data []byte) error {
	if p.lost() {
		return p.err("writing to", t.Label)
	}
	bytes := p.bytes(data)
	_, _ = p.d.Scoped(func() js.Value { // its error is the device's problem
		return p.queue.Call("writeTexture", map[string]any{"texture": t.t.V, "origin": []any{x, y, layer}}, bytes,
			map[string]any{"bytesPerRow": len(data) / height, "rowsPerImage": height}, []any{width, height, 1})
	})
	return p.err("writing to", t.Label)
}

// mostScratch bounds the memory that is kept for what is written.
const mostScratch = 1 << 20

// bytes are data where the browser can read them, at the beginning of an array, which the next call may overwrite.
func (p *player) bytes(data []byte) js.Value {
	if len(data) > mostScratch {
		return promise.Bytes(data)
	}
	if len(data) > p.room {
		p.room = max(4096, 2*len(data))
		p.scratch = js.Global().Get("Uint8Array").New(p.room)
	}
	js.CopyBytesToJS(p.scratch, data)
	return p.scratch
}

func (p *player) unmap(b *Buffer) error {
	b.b.V.Call("unmap")
	return p.err("unmapping", b.Label)
}

// reel is a finished tape in the form that is played.
type reel struct {
	commands []command
	n        int
	offsets  js.Value // dynamic offsets by command, which JavaScript reads without an array being made for each
}

func newReel(commands []command) *reel {
	words := make([]uint32, len(commands))
	for i, c := range commands {
		if c.offset != nil {
			words[i] = c.offset[0]
		}
	}
	bytes := promise.Bytes(Bytes(words))
	return &reel{commands, len(commands), js.Global().Get("Uint32Array").New(bytes.Get("buffer"))}
}

func (*reel) free() {}
