package gpu

import (
	"fmt"
	"strings"
	"unsafe"

	"ninvk/gpu/internal/wgpu"
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
		return nil, &LostError{"allocating " + label, d.player.gone()}
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

// Texture is read by textureLoad: one of rgba32float, or an array of layers of r32uint.
type Texture struct {
	Label         string
	Width, Height int // texels
	Layers        int // of an array, else 0
	TexelSize     int // bytes

	d *Device
	t *wgpu.Texture
	v *wgpu.TextureView
	h unsafe.Pointer // the handle within t
}

// NewTexture allocates a two-dimensional texture of rgba32float texels, all zero.
func (d *Device) NewTexture(label string, width, height int) (*Texture, error) {
	return d.newTexture(&Texture{Label: label, Width: width, Height: height, TexelSize: 16},
		wgpu.TextureFormat_RGBA32Float, wgpu.TextureViewDimension_2D)
}

// NewTextureArray allocates layers of r32uint texels, all zero.
func (d *Device) NewTextureArray(label string, width, height, layers int) (*Texture, error) {
	if limit := int(d.Limits().MaxTextureArrayLayers); layers > limit {
		return nil, fmt.Errorf("texture %q of %d layers: %w (%d)", label, layers, ErrTooLarge, limit)
	}
	return d.newTexture(&Texture{Label: label, Width: width, Height: height, Layers: layers, TexelSize: 4},
		wgpu.TextureFormat_R32Uint, wgpu.TextureViewDimension_2DArray)
}

func (d *Device) newTexture(x *Texture, format wgpu.TextureFormat, kind wgpu.TextureViewDimension) (*Texture, error) {
	if limit := int(d.Limits().MaxTextureDimension2D); x.Width > limit || x.Height > limit {
		return nil, fmt.Errorf("texture %q of %d×%d texels: %w (%d a side)", x.Label, x.Width, x.Height, ErrTooLarge, limit)
	}
	if x.d = d; d.device == nil {
		return x, nil
	}
	if d.player.lost() {
		return nil, &LostError{"allocating " + x.Label, d.player.gone()}
	}
	layers := uint32(max(1, x.Layers))
	err := guard("allocating "+x.Label, func() (err error) {
		x.t, err = d.device.CreateTexture(&wgpu.TextureDescriptor{
			Label: x.Label, Usage: wgpu.TextureUsage_TextureBinding | wgpu.TextureUsage_CopyDst,
			Dimension: wgpu.TextureDimension_2D,
			Size:      wgpu.Extent3D{Width: uint32(x.Width), Height: uint32(x.Height), DepthOrArrayLayers: layers},
			Format:    format, MipLevelCount: 1, SampleCount: 1,
		})
		if err == nil {
			x.v, err = x.t.CreateView(&wgpu.TextureViewDescriptor{Format: format, Dimension: kind, MipLevelCount: 1,
				ArrayLayerCount: layers, Aspect: wgpu.TextureAspect_All})
		}
		return err
	})
	if err != nil {
		return nil, &NoMemoryError{&LostError{
			fmt.Sprintf("allocating %q (%d layers of %d×%d texels)", x.Label, layers, x.Width, x.Height), oneLine(err)}}
	}
	x.h = handle(x.t)
	d.allocated += x.size()
	d.live.Textures++
	return x, nil
}

func (t *Texture) size() uint64 {
	return uint64(t.Width) * uint64(t.Height) * uint64(max(1, t.Layers)) * uint64(t.TexelSize)
}

// WriteTexels queues a copy of data to whole texels of a layer, which are counted row by row, from texel first on,
// before everything submitted later. The other texels keep what they hold. It neither waits nor, in Go's memory,
// allocates.
func (t *Texture) WriteTexels(layer, first int, data []byte) error {
	n := len(data) / t.TexelSize
	if n*t.TexelSize != len(data) || first < 0 || first+n > t.Width*t.Height || layer < 0 ||
		layer >= max(1, t.Layers) {
		return fmt.Errorf("write of %d bytes at texel %d of layer %d into texture %q (%d layers of %d×%d texels of %d bytes)",
			len(data), first, layer, t.Label, max(1, t.Layers), t.Width, t.Height, t.TexelSize)
	}
	for n > 0 {
		// The rest of a row, whole rows, or the beginning of a row.
		x := first % t.Width
		width, height := min(n, t.Width-x), 1
		if width == t.Width {
			height = n / width
		}
		part := width * height
		err := t.d.player.writeTexture(t, x, first/t.Width, layer, width, height, data[:part*t.TexelSize])
		if err != nil {
			return err
		}
		first, n, data = first+part, n-part, data[part*t.TexelSize:]
	}
	return nil
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
