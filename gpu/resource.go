package gpu

import (
	"fmt"
	"strings"
	"unsafe"

	"github.com/rajveermalviya/go-webgpu/wgpu"
)

// Buffer is memory of the adapter, usable as storage, uniform, copy source and copy target. A new buffer holds zeros.
type Buffer struct {
	Label string
	Size  uint64 // bytes

	d *Device
	b *wgpu.Buffer
	h unsafe.Pointer // the handle within b
}

// NewBuffer allocates size bytes (rounded up to 16).
func (d *Device) NewBuffer(label string, size uint64) (*Buffer, error) {
	return d.newBuffer(label, size,
		wgpu.BufferUsage_Storage|wgpu.BufferUsage_Uniform|wgpu.BufferUsage_CopyDst|wgpu.BufferUsage_CopySrc)
}

func (d *Device) newBuffer(label string, size uint64, usage wgpu.BufferUsage) (*Buffer, error) {
	size = max(16, (size+15)&^15)
	if limit := d.Limits().MaxBufferSize; size > limit {
		return nil, fmt.Errorf("buffer %q of %d bytes: %w (%d bytes)", label, size, ErrTooLarge, limit)
	}
	if d.device == nil {
		return &Buffer{Label: label, Size: size, d: d}, nil
	}
	if d.player.lost() {
		return nil, &LostError{"allocating " + label, gone}
	}
	var b *wgpu.Buffer
	err := guard("allocating "+label, func() (err error) {
		b, err = d.device.CreateBuffer(&wgpu.BufferDescriptor{Label: label, Usage: usage, Size: size})
		return err
	})
	if err != nil {
		return nil,
			&NoMemoryError{&LostError{fmt.Sprintf("allocating %q (%d bytes; %d are in use)", label, size, d.allocated),
				oneLine(err)}}
	}
	d.allocated += size
	d.live.Buffers++
	return &Buffer{Label: label, Size: size, d: d, b: b, h: handle(b)}, nil
}

// oneLine is what the library says in several lines.
func oneLine(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }

// Release frees the buffer once the queue no longer uses it.
func (b *Buffer) Release() {
	if b == nil || b.b == nil {
		return
	}
	h := b.b
	b.d.allocated -= b.Size
	b.d.live.Buffers--
	b.d.later(func() { h.Destroy(); h.Release() })
	b.b = nil
}

// Write queues a copy of data (a multiple of 4 bytes) to the buffer at offset, before everything submitted later.
func (d *Device) Write(b *Buffer, offset uint64, data []byte) error {
	if offset+uint64(len(data)) > b.Size || len(data)%4 != 0 {
		return fmt.Errorf("write of %d bytes at %d into buffer %q of %d bytes", len(data), offset, b.Label, b.Size)
	}
	if len(data) == 0 {
		return nil
	}
	return d.player.write(b, offset, data)
}

// Bytes views a slice of 32-bit values as the bytes the adapter reads (all supported hosts are little-endian).
func Bytes[T uint32 | int32 | float32](v []T) []byte {
	if len(v) == 0 {
		return nil
	}
	return unsafe.Slice((*byte)(unsafe.Pointer(&v[0])), 4*len(v))
}

// Read waits for the queue and copies size bytes at offset into host memory.
func (d *Device) Read(b *Buffer, offset, size uint64) ([]byte, error) {
	out := make([]byte, size)
	const chunk = 64 << 20
	for at := uint64(0); at < size; at += chunk {
		n := min(chunk, size-at)
		r, err := d.NewReadback("read "+b.Label, n)
		if err != nil {
			return nil, err
		}
		t := d.NewTape("read " + b.Label)
		t.Copy(b, offset+at, r.staging, 0, n)
		if err := d.Submit(t); err != nil {
			return nil, err
		}
		r.Start()
		if err := r.Wait(out[at : at+n]); err != nil {
			return nil, err
		}
		t.Release()
		r.Release()
	}
	return out, nil
}

// ReadFloats waits for the queue and reads n floats from the start of the buffer.
func (d *Device) ReadFloats(b *Buffer, n int) ([]float32, error) { return d.ReadFloatsAt(b, 0, n) }

// ReadFloatsAt is ReadFloats from a byte offset on.
func (d *Device) ReadFloatsAt(b *Buffer, offset uint64, n int) ([]float32, error) {
	raw, err := d.Read(b, offset, uint64(4*n))
	if err != nil || n == 0 {
		return nil, err
	}
	return unsafe.Slice((*float32)(unsafe.Pointer(&raw[0])), n), nil
}

// Readback is one slot for reading results without stopping the queue: record a copy into it, submit, Start, and later
// ask Ready or Wait.
type Readback struct {
	staging *Buffer
	m       mapping
	busy    bool
	tape    *Tape // the copy, recorded once
	from    *Buffer
}

// NewReadback allocates a slot of size bytes.
func (d *Device) NewReadback(label string, size uint64) (*Readback, error) {
	b, err := d.newBuffer(label, size, wgpu.BufferUsage_MapRead|wgpu.BufferUsage_CopyDst)
	if err != nil {
		return nil, err
	}
	return &Readback{staging: b, m: newMapping()}, nil
}

// Target is the buffer that a tape copies the wanted bytes into.
func (r *Readback) Target() *Buffer { return r.staging }

// Start asks for the contents once all work submitted so far is done.
func (r *Readback) Start() {
	r.m.start(r.staging)
	r.busy = true
}

// Busy says whether Start was called and Wait was not.
func (r *Readback) Busy() bool { return r.busy }

// Ready says, without waiting, whether Wait would return at once.
func (r *Readback) Ready() bool {
	if r.m.pending() {
		r.staging.d.player.poll()
	}
	return !r.m.pending()
}

// Wait waits until the work before Start is done, not longer, and copies the first len(out) bytes.
func (r *Readback) Wait(out []byte) error {
	d := r.staging.d
	if err := d.poll(r.staging.Label, func(bool) bool { return !r.m.pending() }); err != nil {
		return err
	}
	r.busy = false
	if !r.m.ok() {
		return &LostError{"reading " + r.staging.Label, "the adapter did not map the buffer"}
	}
	copy(out, r.staging.b.GetMappedRange(0, uint(r.staging.Size)))
	return d.player.unmap(r.staging)
}

// Release frees the slot, also one that was started and not waited for.
func (r *Readback) Release() {
	if r.tape != nil {
		r.tape.Release()
	}
	r.staging.Release()
	r.staging.d.later(r.m.free) // a map under way still writes there
}

// Texture is a two-dimensional texture read by textureLoad: rgba32float or r32uint.
type Texture struct {
	Label         string
	Width, Height int // texels
	TexelSize     int // bytes

	d *Device
	t *wgpu.Texture
	v *wgpu.TextureView
}

// NewTexture allocates a texture of zeros; texelSize 16 is rgba32float, 4 is r32uint.
func (d *Device) NewTexture(label string, width, height, texelSize int) (*Texture, error) {
	if limit := int(d.Limits().MaxTextureDimension2D); width > limit || height > limit {
		return nil, fmt.Errorf("texture %q of %d×%d texels: %w (%d a side)", label, width, height, ErrTooLarge, limit)
	}
	if d.device == nil {
		return &Texture{Label: label, Width: width, Height: height, TexelSize: texelSize, d: d}, nil
	}
	if d.player.lost() {
		return nil, &LostError{"allocating " + label, gone}
	}
	format := wgpu.TextureFormat_RGBA32Float
	if texelSize == 4 {
		format = wgpu.TextureFormat_R32Uint
	}
	var t *wgpu.Texture
	var v *wgpu.TextureView
	err := guard("allocating "+label, func() (err error) {
		t, err = d.device.CreateTexture(&wgpu.TextureDescriptor{
			Label: label, Usage: wgpu.TextureUsage_TextureBinding | wgpu.TextureUsage_CopyDst,
			Dimension: wgpu.TextureDimension_2D,
			Size:      wgpu.Extent3D{Width: uint32(width), Height: uint32(height), DepthOrArrayLayers: 1},
			Format:    format, MipLevelCount: 1, SampleCount: 1,
		})
		if err == nil {
			v, err = t.CreateView(nil)
		}
		return err
	})
	if err != nil {
		return nil,
			&NoMemoryError{&LostError{fmt.Sprintf("allocating %q (%d×%d texels)", label, width, height), oneLine(err)}}
	}
	x := &Texture{Label: label, Width: width, Height: height, TexelSize: texelSize, d: d, t: t, v: v}
	d.allocated += x.size()
	d.live.Textures++
	return x, nil
}

func (t *Texture) size() uint64 { return uint64(t.Width) * uint64(t.Height) * uint64(t.TexelSize) }

// WriteRows queues a copy of whole rows of texels, starting at row y.
func (t *Texture) WriteRows(y int, data []byte) error {
	pitch := t.Width * t.TexelSize
	rows := len(data) / pitch
	if rows*pitch != len(data) || y+rows > t.Height {
		return fmt.Errorf("write of %d bytes at row %d into texture %q of %d rows of %d bytes", len(data), y, t.Label,
			t.Height, pitch)
	}
	if t.d.player.lost() {
		return &LostError{"writing to " + t.Label, gone}
	}
	return t.d.queue.WriteTexture(&wgpu.ImageCopyTexture{Texture: t.t, Origin: wgpu.Origin3D{Y: uint32(y)},
		Aspect: wgpu.TextureAspect_All}, data,
		&wgpu.TextureDataLayout{BytesPerRow: uint32(pitch), RowsPerImage: uint32(rows)},
		&wgpu.Extent3D{Width: uint32(t.Width), Height: uint32(rows), DepthOrArrayLayers: 1})
}

// Release frees the texture once the queue no longer uses it.
func (t *Texture) Release() {
	if t == nil || t.t == nil {
		return
	}
	h, v := t.t, t.v
	t.d.allocated -= t.size()
	t.d.live.Textures--
	t.d.later(func() { v.Release(); h.Destroy(); h.Release() })
	t.t = nil
}
