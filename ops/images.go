package ops

import (
	"fmt"

	"ninvk/gpu"
)

// Images is room for images on the adapter: Shape.N of them, bytes as CHW. A texture holds them, because a data set of
// 150 MB exceeds what many adapters let a buffer bind.
type Images struct {
	Shape
	layout
	tex    *gpu.Texture
	dev    *gpu.Device
	packed []byte // images on their way, where they take more in the texture than their own bytes
}

// layout is how images lie in the layers of a texture: several side by side in a row of texels, or one over several
// rows. Each begins with a texel of its own.
type layout struct {
	width, height, layers int // texels
	layerImages           int // images of a layer
	rowImages             int // images side by side in a row; 1 where they take several
	rows                  int // texel rows of an image; 1 where several share one
	lines                 int // lines of pixels, of all channels, of an image in a row of texels
	stored                int // bytes from an image to the next
}

// mostTexels are those of a row and of a column: more make textures that some adapters can't hold.
const mostTexels = 8192

func newLayout(l gpu.Limits, s Shape) (layout, error) {
	if s.N < 1 || s.C < 1 || s.C > len(channelNames) || s.H < 1 || s.W < 1 {
		return layout{}, fmt.Errorf("no room for %d images of %d×%d×%d: they have 1 to %d channels and at least one pixel",
			s.N, s.C, s.H, s.W, len(channelNames))
	}
	side := min(mostTexels, int(l.MaxTextureDimension2D))
	lines := s.C * s.H
	var p layout
	if texels := ceilDiv(lines*s.W, 4); texels <= side {
		p = layout{rowImages: min(side/texels, s.N), rows: 1, lines: lines, stored: 4 * texels}
		p.width = p.rowImages * texels
	} else {
		whole := 4 // lines that end with a texel
		for whole > 1 && whole/2*s.W%4 == 0 {
			whole /= 2
		}
		most := 4 * side / s.W / whole * whole
		if most == 0 || ceilDiv(lines, most) > side {
			return layout{}, fmt.Errorf("an image of %d×%d×%d: %w (%d texels a side)", s.C, s.H, s.W, gpu.ErrTooLarge, side)
		}
		p = layout{rowImages: 1, lines: ceilDiv(ceilDiv(lines, ceilDiv(lines, most)), whole) * whole}
		p.width, p.rows = p.lines*s.W/4, ceilDiv(lines, p.lines)
		p.stored = 4 * p.width * p.rows
	}
	most := side / p.rows * p.rowImages
	p.layers = ceilDiv(s.N, most)
	p.layerImages = ceilDiv(ceilDiv(s.N, p.layers), p.rowImages) * p.rowImages
	p.height = p.layerImages / p.rowImages * p.rows
	return p, nil
}

// NewImages makes room for s.N images of s.C (1 to 4) × s.H × s.W bytes, which are undefined until they are written.
func NewImages(d *gpu.Device, label string, s Shape) (*Images, error) {
	p, err := newLayout(d.Limits(), s)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", label, err)
	}
	t, err := d.NewTextureArray(label, p.width, p.height, p.layers)
	if err != nil {
		return nil, err
	}
	return &Images{Shape: s, layout: p, tex: t, dev: d}, nil
}

// UploadImages makes room for images of s.C×s.H×s.W and fills it; how many they are the pixels tell.
func UploadImages(d *gpu.Device, label string, s Shape, pixels []byte) (*Images, error) {
	if s.N = len(pixels) / max(1, s.imageBytes()); s.N == 0 || s.N*s.imageBytes() != len(pixels) {
		return nil, fmt.Errorf("%s: %d bytes are not a whole number of images of %d×%d×%d", label, len(pixels), s.C, s.H, s.W)
	}
	i, err := NewImages(d, label, s)
	if err != nil {
		return nil, err
	}
	if err := i.Upload(0, pixels); err != nil {
		i.Release()
		return nil, err
	}
	return i, nil
}

// imageBytes are those of an image.
func (s Shape) imageBytes() int { return s.C * s.H * s.W }

const (
	chunk = 1 << 20 // bytes that are written at a time, for which the library uses the same memory again and again
	ahead = 4       // chunks of Upload that the adapter is given before they are waited for
)

// Write puts whole images at place first on, for all steps submitted later; the others, and what was submitted before,
// keep theirs. It does not wait: until the adapter has come to them, the host holds a copy of the bytes.
func (i *Images) Write(first int, pixels []byte) error {
	return i.write(first, pixels, func() error { return nil })
}

// Upload is Write for many images, that waits for the adapter now and then, so that the host holds no copy of them all.
// At its end they are on the adapter.
func (i *Images) Upload(first int, pixels []byte) error {
	sent := 0
	flush := func() error { return i.dev.Flush("uploading " + i.tex.Label) }
	err := i.write(first, pixels, func() error {
		// While the adapter copies one part, the next is written.
		if sent++; sent%ahead == 0 {
			return flush()
		}
		return i.dev.Send("uploading " + i.tex.Label)
	})
	if err != nil {
		return err
	}
	return flush()
}

func (i *Images) write(first int, pixels []byte, written func() error) error {
	one := i.imageBytes()
	n := len(pixels) / one
	if n*one != len(pixels) || first < 0 || first+n > i.N {
		return fmt.Errorf("%s: %d bytes are not up to %d images of %d×%d×%d, from place %d of %d on", i.tex.Label,
			len(pixels),
			max(0, i.N-first), i.C, i.H, i.W, first, i.N)
	}
	for n > 0 {
		layer, at := first/i.layerImages, first%i.layerImages
		part := min(n, i.layerImages-at, max(1, chunk/i.stored))
		if err := i.tex.WriteTexels(layer, at*i.stored/4, i.pack(pixels[:part*one])); err != nil {
			return err
		}
		if err := written(); err != nil {
			return err
		}
		first, n, pixels = first+part, n-part, pixels[part*one:]
	}
	return nil
}

// pack gives images the distance that they have in the texture. What it returns is overwritten by the next call.
func (i *Images) pack(pixels []byte) []byte {
	one := i.imageBytes()
	if one == i.stored {
		return pixels
	}
	n := len(pixels) / one
	if i.packed == nil {
		i.packed = make([]byte, min(i.N, max(1, chunk/i.stored))*i.stored)
	}
	for k := range n {
		copy(i.packed[k*i.stored:], pixels[k*one:][:one])
	}
	return i.packed[:n*i.stored]
}

// Release frees the images.
func (i *Images) Release() { i.tex.Release() }
