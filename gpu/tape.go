package gpu

import (
	"fmt"

	"ninvk/gpu/internal/wgpu"
)

// Slice is a part of a buffer. Size 0 means all of it from Offset on.
type Slice struct {
	Buffer       *Buffer
	Offset, Size uint64 // bytes
}

// All is the whole of b.
func All(b *Buffer) Slice { return Slice{Buffer: b} }

func (s Slice) size() uint64 {
	if s.Size == 0 {
		return s.Buffer.Size - s.Offset
	}
	return s.Size
}

// slot is the size of a parameter slot: the largest offset alignment that WebGPU allows a device to ask for.
const slot = 256

// Tape is a recorded list of dispatches and copies that can be submitted again and again. Record it once; Submit
// finishes it.
type Tape struct {
	Label    string
	Phase    any // what the commands recorded from now on belong to, in the words of who records; Time hands it back
	d        *Device
	commands []command
	params   []byte // slots
	buffer   *Buffer
	groups   []*wgpu.BindGroup
	reel     *reel // once finished
	err      error
}

type command struct {
	label    string
	kernel   *Kernel // nil for copies
	phase    any
	pipeline *Pipeline
	group    *wgpu.BindGroup
	x, y, z  uint32
	offset   []uint32

	// copies
	src, dst  *Buffer
	from, to  uint64
	size      uint64 // 0 with dst and no src: clear
	texture   *Texture
	stretches *stretchCopy // one of the three: of planes, cut into stretches,
	planes    *planeCopy   // or of planes, each as rows of the texture,
	first     int          // or of texels in a row
	texels    int

	resources []any // bound when the tape is finished
	split     bool
}

// NewTape starts an empty tape.
func (d *Device) NewTape(label string) *Tape { return &Tape{Label: label, d: d} }

// Err is the first error met while recording.
func (t *Tape) Err() error { return t.err }

func (t *Tape) fail(err error) {
	if t.err == nil {
		t.err = err
	}
}

// Dispatch records the start of kernel k over x×y×z workgroups. params (at most 64 words) is the content of the
// kernel's Params binding; resources are the other bindings in order: Slice or *Texture.
func (t *Tape) Dispatch(k Kernel, params []uint32, x, y, z int, resources ...any) {
	if t.err != nil {
		return
	}
	limit := int(t.d.Limits().MaxComputeWorkgroupsPerDimension)
	if x < 1 || y < 1 || z < 1 || x > limit || y > limit || z > limit {
		t.fail(fmt.Errorf("kernel %s: %d×%d×%d workgroups, the adapter allows 1 to %d a dimension", k.Name, x, y, z, limit))
		return
	}
	c := command{label: k.Name, phase: t.Phase, kernel: &k, x: uint32(x), y: uint32(y), z: uint32(z), resources: resources}
	if params != nil {
		if len(params) > slot/4 {
			t.fail(fmt.Errorf("kernel %s: %d parameters, at most %d fit", k.Name, len(params), slot/4))
			return
		}
		c.offset = []uint32{uint32(len(t.params))}
		t.params = append(t.params, Bytes(params)...)
		t.params = append(t.params, make([]byte, slot-4*len(params))...)
	}
	t.commands = append(t.commands, c)
}

// Copy records a copy of size bytes between buffers.
func (t *Tape) Copy(src *Buffer, from uint64, dst *Buffer, to, size uint64) {
	t.commands = append(t.commands, command{label: "copy " + src.Label, phase: t.Phase, src: src, from: from, dst: dst,
		to: to, size: size})
}

// Clear records the filling of size bytes with zeros.
func (t *Tape) Clear(dst *Buffer, offset, size uint64) {
	t.commands = append(t.commands, command{label: "clear " + dst.Label, phase: t.Phase, dst: dst, to: offset, size: size})
}

// CopyStretches records a copy of planes of texels into a texture, cut into stretches of 16 each: the b-th of plane g
// goes to column ((b mod folds)·planes + g)·16 of row b / folds. pitch is the distance of planes in texels, a multiple
// of 16; of each plane the first stretches are copied.
func (t *Tape) CopyStretches(src Slice, dst *Texture, planes, pitch, stretches, folds int) {
	if 16*pitch*planes > int(src.size()) || pitch%16 != 0 || 16*stretches > pitch || dst.TexelSize != 16 ||
		16*planes*folds > dst.Width || (stretches+folds-1)/folds > dst.Height {
		t.fail(fmt.Errorf("copy of %d planes of %d texels, pitch %d, %d a row, from buffer %q (%d bytes) to texture %q "+
			"(%d×%d)",
			planes, 16*stretches, pitch, 16*planes*folds, src.Buffer.Label, src.size(), dst.Label, dst.Width, dst.Height))
		return
	}
	t.commands = append(t.commands, command{label: "copy " + src.Buffer.Label, phase: t.Phase, src: src.Buffer,
		from: src.Offset, texture: dst, stretches: &stretchCopy{planes, pitch, stretches, folds}})
}

// stretchCopy is what CopyStretches was told.
type stretchCopy struct{ planes, pitch, stretches, folds int }

// CopyPlanes records a copy of planes of texels into whole rows of a texture: texel i of plane g goes to column
// i mod width of row row + i/width·planes + g. pitch is the distance of planes in texels, a multiple of 16; of each the
// first n are copied.
func (t *Tape) CopyPlanes(src Slice, dst *Texture, row, planes, pitch, n int) {
	rows := (n + dst.Width - 1) / dst.Width * planes
	if 16*(pitch*(planes-1)+n) > int(src.size()) || pitch%16 != 0 || n > pitch || dst.TexelSize != 16 ||
		row+rows > dst.Height {
		t.fail(fmt.Errorf("copy of %d planes of %d texels, pitch %d, from buffer %q (%d bytes) to row %d of texture %q "+
			"(%d×%d)",
			planes, n, pitch, src.Buffer.Label, src.size(), row, dst.Label, dst.Width, dst.Height))
		return
	}
	t.commands = append(t.commands, command{label: "copy " + src.Buffer.Label, phase: t.Phase, src: src.Buffer,
		from: src.Offset, texture: dst, first: row, texels: n, planes: &planeCopy{planes, pitch}})
}

// planeCopy is what CopyPlanes was told.
type planeCopy struct{ planes, pitch int }

// CopyTexels records a copy of the first n texels of src into a texture whose texels are counted row by row, from texel
// first on.
func (t *Tape) CopyTexels(src Slice, dst *Texture, first, n int) {
	if uint64(n*dst.TexelSize) > src.size() || first+n > dst.Width*dst.Height || dst.Width*dst.TexelSize%256 != 0 {
		t.fail(fmt.Errorf("copy of %d texels from buffer %q (%d bytes) to texel %d of texture %q (%d×%d)", n,
			src.Buffer.Label, src.size(), first, dst.Label, dst.Width, dst.Height))
		return
	}
	t.commands = append(t.commands, command{label: "copy " + src.Buffer.Label, phase: t.Phase, src: src.Buffer,
		from: src.Offset, texture: dst, first: first, texels: n})
}

// Split ends the submit here when the tape is submitted: what follows goes into another one.
func (t *Tape) Split() { t.commands = append(t.commands, command{split: true}) }

// Dispatches counts the recorded dispatches.
func (t *Tape) Dispatches() int {
	n := 0
	for _, c := range t.commands {
		if c.kernel != nil {
			n++
		}
	}
	return n
}

// Kernels lists the kernels recorded, each source once, compiled or not.
func (t *Tape) Kernels() []Kernel {
	var kernels []Kernel
	seen := map[string]bool{}
	for _, c := range t.commands {
		if c.kernel != nil && !seen[c.kernel.Source] {
			seen[c.kernel.Source] = true
			kernels = append(kernels, *c.kernel)
		}
	}
	return kernels
}

// Finish compiles the kernels, writes the parameters to the adapter and makes the bind groups. Submit does it where it
// was not done.
func (t *Tape) Finish() error { return t.finish(func(from, to int) {}) }

// finish calls ready whenever the commands from one index up to another can be played and the next one waits for its
// kernel to be compiled.
func (t *Tape) finish(ready func(from, to int)) error {
	if t.err != nil || t.reel != nil {
		return t.err
	}
	if t.buffer, t.err = t.d.NewBuffer(t.Label+" parameters", uint64(len(t.params))); t.err != nil {
		return t.err
	}
	if t.err = t.d.Write(t.buffer, 0, t.params); t.err != nil {
		return t.err
	}
	kernels := t.compile()
	defer kernels.stop()
	for from := 0; from < len(t.commands); {
		if t.err = kernels.wait(t.commands[from].kernel); t.err != nil {
			return t.err
		}
		to := from
		t.d.making.Lock()
		for ; to < len(t.commands) && t.err == nil && kernels.ready(t.commands[to].kernel); to++ {
			t.err = t.bind(&t.commands[to], kernels)
		}
		if t.err == nil {
			ready(from, to)
		}
		t.d.making.Unlock()
		if t.err != nil {
			return t.err
		}
		from = to
	}
	t.reel = newReel(t.commands)
	return nil
}

// play finishes the tape and submits it. The adapter works on the commands before a kernel that is still being
// compiled; they are a submit of their own.
func (t *Tape) play() error {
	p := &t.d.player
	err := t.finish(func(from, to int) {
		r := newReel(t.commands[from:to])
		p.encode(r, 0, r.n)
		if to < len(t.commands) {
			p.submit()
		}
		r.free()
	})
	if err != nil {
		return err
	}
	return p.err("submitting", t.Label)
}

// bind gives a command its pipeline and binds its resources.
func (t *Tape) bind(c *command, kernels *compilations) error {
	if c.kernel == nil {
		return nil
	}
	err := kernels.wait(c.kernel)
	if err != nil {
		return err
	}
	c.pipeline = kernels.of[c.kernel.Source].pipeline
	if c.group, err = t.group(c); err != nil {
		return fmt.Errorf("binding the resources of kernel %s: %w", c.label, err)
	}
	t.groups = append(t.groups, c.group)
	t.d.live.BindGroups++
	return nil
}

// group binds the resources of a command.
func (t *Tape) group(c *command) (*wgpu.BindGroup, error) {
	limits := t.d.Limits()
	entries := make([]wgpu.BindGroupEntry, len(c.pipeline.bindings))
	next := 0
	for i, kind := range c.pipeline.bindings {
		e := wgpu.BindGroupEntry{Binding: uint32(i)}
		if kind == Params {
			e.Buffer, e.Size = t.buffer.b, slot
			entries[i] = e
			continue
		}
		if next >= len(c.resources) {
			return nil, fmt.Errorf("%d resources given, more are needed", len(c.resources))
		}
		switch r := c.resources[next].(type) {
		case Slice:
			if r.Offset+r.size() > r.Buffer.Size {
				return nil, fmt.Errorf("slice of %d bytes at %d of buffer %q (%d bytes)", r.size(), r.Offset, r.Buffer.Label,
					r.Buffer.Size)
			}
			if r.Offset%slot != 0 { // some adapters take less, but what one takes all should
				return nil, fmt.Errorf("slice at %d of buffer %q: a binding must start at a multiple of %d bytes", r.Offset,
					r.Buffer.Label, slot)
			}
			if limit := limits.MaxStorageBufferBindingSize; kind != Uniform && r.size() > limit {
				return nil, fmt.Errorf("buffer %q: %d bytes bound, %w (%d)", r.Buffer.Label, r.size(), ErrTooLarge, limit)
			}
			e.Buffer, e.Offset, e.Size = r.Buffer.b, r.Offset, r.size()
		case *Texture:
			e.TextureView = r.v
		default:
			return nil, fmt.Errorf("resource %d is a %T", next, r)
		}
		entries[i] = e
		next++
	}
	if next != len(c.resources) {
		return nil, fmt.Errorf("%d resources given, %d are needed", len(c.resources), next)
	}
	return t.d.device.CreateBindGroup(&wgpu.BindGroupDescriptor{Label: c.label, Layout: c.pipeline.l, Entries: entries})
}

// Release frees the tape's parameters and bind groups once the queue no longer uses them.
func (t *Tape) Release() {
	if t.buffer != nil {
		t.buffer.Release()
	}
	for _, g := range t.groups {
		t.d.later(g.Release)
	}
	t.d.live.BindGroups -= len(t.groups)
	t.groups = nil
	if t.reel != nil {
		t.reel.free()
		t.reel = nil
	}
}

// Submit encodes the tapes one after the other and hands them to the queue: one submit, but for marks made by Split and
// for kernels that a tape's first submit has to wait for. It does not wait for the adapter.
func (d *Device) Submit(tapes ...*Tape) error {
	for _, t := range tapes {
		d.last = t.Label
		if t.reel != nil {
			d.player.encode(t.reel, 0, t.reel.n)
		} else if err := t.play(); err != nil {
			return err
		}
	}
	d.player.submit()
	return d.player.err("submitting", d.last)
}

// SubmitRead submits the tape and, behind it, a copy of src's first bytes to the read-back slot; call the slot's Start
// next.
func (d *Device) SubmitRead(t *Tape, src *Buffer, into *Readback) error {
	if into.tape == nil || into.from != src {
		into.tape, into.from = d.NewTape(t.Label+", read back"), src
		into.tape.Copy(src, 0, into.staging, 0, min(src.Size, into.staging.Size))
	}
	return d.Submit(t, into.tape)
}
