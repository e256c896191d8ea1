package wgpu

import (
	"syscall/js"

	"ninvk/promise"
)

type BufferUsage uint32

const (
	BufferUsage_MapRead BufferUsage = 0x01
	BufferUsage_CopySrc BufferUsage = 0x04
	BufferUsage_CopyDst BufferUsage = 0x08
	BufferUsage_Uniform BufferUsage = 0x40
	BufferUsage_Storage BufferUsage = 0x80
)

type BufferDescriptor struct {
	Label string
	Usage BufferUsage
	Size  uint64
}

// Buffer is memory of the adapter.
type Buffer struct{ V js.Value }

// CreateBuffer waits until the device has the memory, or says that it has not.
func (d *Device) CreateBuffer(x *BufferDescriptor) (*Buffer, error) {
	v, err := d.made(func() js.Value {
		return d.V.Call("createBuffer", object{"label": x.Label, "usage": uint32(x.Usage), "size": x.Size})
	})
	return &Buffer{v}, err
}

func (b *Buffer) Destroy() { b.V.Call("destroy") }
func (*Buffer) Release()   {}

// GetMappedRange is a copy of what is mapped.
func (b *Buffer) GetMappedRange(offset, size uint) []byte {
	out := make([]byte, size)
	js.CopyBytesToGo(out, js.Global().Get("Uint8Array").New(b.V.Call("getMappedRange", offset, size)))
	return out
}

type (
	TextureUsage         uint32
	TextureFormat        string
	TextureDimension     string
	TextureAspect        string
	TextureViewDimension string
)

const (
	TextureUsage_CopyDst         TextureUsage         = 0x02
	TextureUsage_TextureBinding  TextureUsage         = 0x04
	TextureFormat_RGBA32Float    TextureFormat        = "rgba32float"
	TextureFormat_R32Uint        TextureFormat        = "r32uint"
	TextureDimension_2D          TextureDimension     = "2d"
	TextureAspect_All            TextureAspect        = "all"
	TextureViewDimension_2D      TextureViewDimension = "2d"
	TextureViewDimension_2DArray TextureViewDimension = "2d-array"
)

type Extent3D struct{ Width, Height, DepthOrArrayLayers uint32 }

type TextureDescriptor struct {
	Label                      string
	Usage                      TextureUsage
	Dimension                  TextureDimension
	Size                       Extent3D
	Format                     TextureFormat
	MipLevelCount, SampleCount uint32
}

// Texture is an image of the adapter.
type Texture struct{ V js.Value }

// CreateTexture waits until the device has the memory, or says that it has not.
func (d *Device) CreateTexture(x *TextureDescriptor) (*Texture, error) {
	v, err := d.made(func() js.Value {
		return d.V.Call("createTexture", object{"label": x.Label, "usage": uint32(x.Usage), "dimension": string(x.Dimension),
			"format": string(x.Format), "mipLevelCount": x.MipLevelCount, "sampleCount": x.SampleCount,
			"size": []any{x.Size.Width, x.Size.Height, x.Size.DepthOrArrayLayers}})
	})
	return &Texture{v}, err
}

func (t *Texture) Destroy() { t.V.Call("destroy") }
func (*Texture) Release()   {}

type TextureViewDescriptor struct {
	Format          TextureFormat
	Dimension       TextureViewDimension
	MipLevelCount   uint32
	ArrayLayerCount uint32
	Aspect          TextureAspect
}

// TextureView is a texture as a kernel sees it.
type TextureView struct{ V js.Value }

func (t *Texture) CreateView(x *TextureViewDescriptor) (*TextureView, error) {
	v, err := promise.Try(func() js.Value {
		return t.V.Call("createView", object{"format": string(x.Format), "dimension": string(x.Dimension),
			"mipLevelCount": x.MipLevelCount, "arrayLayerCount": x.ArrayLayerCount, "aspect": string(x.Aspect)})
	})
	return &TextureView{v}, err
}

func (*TextureView) Release() {}
