package picture

import (
	"bytes"
	"encoding/binary"
	"image"
	"image/color"
	"image/draw"
	"image/gif"
	"slices"
)

// decodeGIF reads the first frame and puts it on its canvas, which grows where the frame goes beyond it. What no frame
// covers is transparent; of the first colour where the frame has no transparent one, as PIL reads it.
func decodeGIF(data []byte) (image.Image, error) {
	const sizes, head = 6, 13
	if len(data) < head {
		return nil, bad("a damaged GIF image: it ends too early")
	}
	canvas := image.Rect(0, 0, int(binary.LittleEndian.Uint16(data[sizes:])),
		int(binary.LittleEndian.Uint16(data[sizes+2:])))
	frame, ok := gifFrame(data)
	if !ok {
		return nil, bad("a damaged GIF image: it has no frame")
	}
	canvas = canvas.Union(image.Rectangle{Max: frame.Max})
	if err := fits(canvas.Dx(), canvas.Dy()); err != nil {
		return nil, err
	}
	// The decoder refuses frames beyond the canvas.
	data = bytes.Clone(data)
	binary.LittleEndian.PutUint16(data[sizes:], uint16(min(canvas.Dx(), 1<<16-1)))
	binary.LittleEndian.PutUint16(data[sizes+2:], uint16(min(canvas.Dy(), 1<<16-1)))
	img, err := gif.Decode(bytes.NewReader(data))
	if err != nil {
		return nil, damaged("GIF", err)
	}
	if img.Bounds() == canvas {
		return img, nil
	}
	out := image.NewNRGBA(canvas)
	if p, ok := img.(*image.Paletted); ok && len(p.Palette) > 0 && !transparent(p.Palette) {
		draw.Draw(out, canvas, image.NewUniform(p.Palette[0]), image.Point{}, draw.Src)
	}
	draw.Draw(out, img.Bounds(), img, img.Bounds().Min, draw.Src)
	return out, nil
}

// transparent says whether one of the colours is.
func transparent(p color.Palette) bool {
	return slices.ContainsFunc(p, func(c color.Color) bool {
		_, _, _, a := c.RGBA()
		return a == 0
	})
}

// gifFrame is where the first frame lies.
func gifFrame(data []byte) (image.Rectangle, bool) {
	const head, extension, frame = 13, 0x21, 0x2c
	at := head
	if flags := data[10]; flags&0x80 != 0 { // colours of all frames
		at += 3 << (1 + flags&7)
	}
	for at < len(data) {
		switch data[at] {
		case extension:
			for at += 2; at < len(data) && data[at] != 0; { // blocks, each after its length
				at += 1 + int(data[at])
			}
			at++
		case frame:
			if at+9 > len(data) {
				return image.Rectangle{}, false
			}
			number := func(i int) int { return int(binary.LittleEndian.Uint16(data[at+1+2*i:])) }
			r := image.Rect(number(0), number(1), number(0)+number(2), number(1)+number(3))
			return r, !r.Empty()
		default:
			return image.Rectangle{}, false
		}
	}
	return image.Rectangle{}, false
}
