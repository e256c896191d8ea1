package ops

import (
	"fmt"

	"github.com/go-gl/mathgl/mgl32"

	"ninvk/gpu"
	"ninvk/shaders"
)

// Augment gathers a batch of images from the resident data set, transforms and resizes them to Size×Size, and normalises:
// (value/255 - Mean)/Std for red, green and blue.
type Augment struct {
	Size      int
	Mean, Std [3]float64
}

// dataWidth is the width of the data set's texture; augment.wgsl has it as & 8191 and >> 15 (bytes).
const dataWidth = 8192

// Images is a data set on the adapter: bytes, image after image as CHW with three channels.
type Images struct {
	H, W, Len int
	tex       *gpu.Texture
	dev       *gpu.Device
}

// NewImages uploads images of h×w pixels. A texture holds them, because a data set of 150 MB exceeds what many adapters let a buffer bind.
func NewImages(d *gpu.Device, label string, h, w int, pixels []byte) (*Images, error) {
	if h*w == 0 || len(pixels) == 0 || len(pixels)%(3*h*w) != 0 {
		return nil, fmt.Errorf("%d bytes are not a whole number of images of 3×%d×%d", len(pixels), h, w)
	}
	const pitch = 4 * dataWidth
	rows := ceilDiv(len(pixels), pitch)
	t, err := d.NewTexture(label, dataWidth, rows, 4)
	if err != nil {
		return nil, err
	}
	i := &Images{H: h, W: w, Len: len(pixels) / (3 * h * w), tex: t, dev: d}
	if err := i.Replace(pixels); err != nil {
		t.Release()
		return nil, err
	}
	return i, nil
}

// Replace puts other images, at most Len, in the place of the first ones, for all steps submitted later. The bytes after them are undefined up to the end of the row of
// the texture.
func (i *Images) Replace(pixels []byte) error {
	if one := 3 * i.H * i.W; len(pixels)%one != 0 || len(pixels) > i.Len*one {
		return fmt.Errorf("%d bytes are not up to %d images of 3×%d×%d", len(pixels), i.Len, i.H, i.W)
	}
	const pitch = 4 * dataWidth
	const chunk, ahead = 32, 4 // rows a write, 1 MiB, for which the library uses the same memory again and again; writes that the adapter is given before they are waited for
	for y := 0; y*pitch < len(pixels); y += chunk {
		part := pixels[y*pitch : min(len(pixels), (y+chunk)*pitch)]
		if len(part)%pitch != 0 {
			part = append(append([]byte(nil), part...), make([]byte, pitch-len(part)%pitch)...)
		}
		if err := i.tex.WriteRows(y, part); err != nil {
			return err
		}
		// While the adapter copies one part, the next is written.
		send := i.dev.Send
		if last := (y+chunk)*pitch >= len(pixels); last || y/chunk%ahead == ahead-1 {
			send = i.dev.Flush
		}
		if err := send("uploading " + i.tex.Label); err != nil {
			return err
		}
	}
	return nil
}

// Release frees the data set.
func (i *Images) Release() { i.tex.Release() }

// BatchBytes is the size of one image's entry in the batch buffer.
const BatchBytes = 32

// BatchEntry is what the kernel reads for one image: its place in the data set, its label, and the affine matrix from output pixel to source pixel.
func BatchEntry(index, label uint32, m mgl32.Mat3) [8]uint32 {
	return [8]uint32{bits(m.At(0, 0)), bits(m.At(0, 1)), bits(m.At(0, 2)), index, bits(m.At(1, 0)), bits(m.At(1, 1)), bits(m.At(1, 2)), label}
}

// Forward records x [N, 3, Size, Size] and the labels (a word an image) from the batch buffer's first x.N entries.
func (o Augment) Forward(r *Recorder, images *Images, batch *gpu.Buffer, x Tensor, labels *gpu.Buffer) error {
	k := gpu.Kernel{Name: "augment", Source: shaders.Source("augment", nil), Bindings: []gpu.Kind{gpu.Params, gpu.Read, gpu.TextureUint, gpu.Write, gpu.Write}}
	params := []uint32{uint32(x.Pixels()), uint32(o.Size), uint32(images.W), uint32(images.H)}
	for _, m := range o.Mean {
		params = append(params, bits(float32(m)))
	}
	params = append(params, 0)
	for _, s := range o.Std {
		params = append(params, bits(float32(1/s)))
	}
	params = append(params, 0)
	return r.dispatch(k, 20, params, ceilDiv(x.Pixels(), 64), 1, 1, gpu.All(batch), images.tex, x.slice(span{0, 1}), gpu.All(labels))
}
