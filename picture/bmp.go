package picture

import (
	"encoding/binary"
	"fmt"
	"image"
	"image/color"
	"math/bits"
)

// Compression of a BMP's pixels (Windows; OS/2 has others under some of these numbers).
const (
	bmpPlain     = 0
	bmpRuns8     = 1
	bmpRuns4     = 2
	bmpMasks     = 3 // Huffman coding in OS/2
	bmpJPEG      = 4 // runs of 24 bits in OS/2
	bmpPNG       = 5
	bmpMasksWith = 6 // masks with one for alpha
)

// bmpHeader is what is before a BMP's pixels.
type bmpHeader struct {
	width, height int
	topDown       bool
	depth         int // bits of a pixel
	compression   int
	palette       color.Palette
	masks         [4]uint32 // of red, green, blue, alpha
	pixels        []byte
}

// decodeBMP reads BMP files of Windows and OS/2: palettes of 1, 2, 4 and 8 bits, plain and in runs, pixels of 16, 24
// and 32 bits, with masks or without, and files with a PNG or JPEG inside. A palette's index beyond the palette is an
// error; pixels that runs leave out have the palette's first colour.
func decodeBMP(data []byte) (image.Image, error) {
	h, err := readBMPHeader(data)
	if err != nil {
		return nil, err
	}
	switch {
	case h.compression == bmpPNG:
		return decodePNG(h.pixels)
	case h.compression == bmpJPEG:
		return decodeJPEG(h.pixels)
	case h.palette != nil:
		return h.indexed()
	}
	return h.direct()
}

func readBMPHeader(data []byte) (*bmpHeader, error) {
	const fileHead, core, info, with3Masks, with4Masks, os2 = 14, 12, 40, 52, 56, 64
	if len(data) < fileHead+4 {
		return nil, damagedBMP("it ends too early")
	}
	le := binary.LittleEndian
	size := int64(le.Uint32(data[fileHead:]))
	if size != core && (size < 16 || size > 1<<10) {
		return nil, damagedBMP("its header has %d bytes", size)
	}
	if int64(len(data)) < fileHead+size {
		return nil, damagedBMP("it ends too early")
	}
	head := make([]byte, max(size, with4Masks)) // what a shorter one lacks is 0
	copy(head, data[fileHead:fileHead+size])
	h := &bmpHeader{}
	colours, entry := 0, 4
	if size == core {
		h.width, h.height, h.depth = int(le.Uint16(head[4:])), int(le.Uint16(head[6:])), int(le.Uint16(head[10:]))
		entry = 3
	} else {
		h.width, h.height, h.depth = int(int32(le.Uint32(head[4:]))), int(int32(le.Uint32(head[8:]))),
			int(le.Uint16(head[14:]))
		h.compression, colours = int(le.Uint32(head[16:])), int(le.Uint32(head[32:]))
	}
	if h.height < 0 {
		h.topDown, h.height = true, -h.height
	}
	if err := fits(h.width, h.height); err != nil {
		return nil, err
	}
	at := fileHead + size
	if ofOS2 := size == os2 || size == 16; ofOS2 && (h.compression == 3 || h.compression == 4) {
		return nil, unsupported([]string{"a BMP image of OS/2 in Huffman coding",
			"a BMP image of OS/2 with runs of 24 bits"}[h.compression-3])
	}
	switch {
	case h.compression == bmpJPEG || h.compression == bmpPNG:
	case h.compression > bmpMasksWith:
		return nil, unsupported(fmt.Sprintf("a BMP image with compression %d", h.compression))
	case h.compression == bmpRuns8 && h.depth != 8, h.compression == bmpRuns4 && h.depth != 4:
		return nil, damagedBMP("its compression %d does not go with %d bits a pixel", h.compression, h.depth)
	case h.compression == bmpMasks || h.compression == bmpMasksWith:
		if h.depth != 16 && h.depth != 32 {
			return nil, damagedBMP("its masks do not go with %d bits a pixel", h.depth)
		}
		n := 3 // masks behind the header, where it does not have them
		if h.compression == bmpMasksWith {
			n = 4
		}
		if size < with3Masks {
			if int64(len(data)) < at+4*int64(n) {
				return nil, damagedBMP("it ends too early")
			}
			copy(head[info:], data[at:at+4*int64(n)])
			at += 4 * int64(n)
		} else if size >= with4Masks {
			n = 4
		}
		for i := range n {
			h.masks[i] = le.Uint32(head[info+4*i:])
		}
	case h.depth == 16:
		h.masks = [4]uint32{0x7c00, 0x3e0, 0x1f}
	case h.depth == 24 || h.depth == 32: // the fourth byte is filler
		h.masks = [4]uint32{0xff0000, 0xff00, 0xff}
	case h.depth == 1 || h.depth == 2 || h.depth == 4 || h.depth == 8:
	default:
		return nil, unsupported(fmt.Sprintf("a BMP image of %d bits a pixel", h.depth))
	}
	start := int64(le.Uint32(data[10:]))
	if h.depth <= 8 && h.masks == [4]uint32{} && h.compression <= bmpRuns4 {
		if colours <= 0 || colours > 256 {
			colours = 1 << h.depth
		}
		if room := (min(start, int64(len(data))) - at) / int64(entry); start > at && room < int64(colours) {
			colours = int(max(room, 0)) // pixels follow earlier
		}
		if colours == 0 || int64(len(data)) < at+int64(entry*colours) {
			return nil, damagedBMP("it ends in its palette")
		}
		for i := range colours {
			c := data[at+int64(entry*i):]
			h.palette = append(h.palette, color.RGBA{c[2], c[1], c[0], 0xff})
		}
		at += int64(entry * colours)
	}
	if start < at {
		start = at
	}
	if start > int64(len(data)) {
		return nil, damagedBMP("it ends too early")
	}
	h.pixels = data[start:]
	return h, nil
}

func damagedBMP(format string, a ...any) error { return bad("a damaged BMP image: "+format, a...) }

// row is where a row of the file lies in the image.
func (h *bmpHeader) row(y int) int {
	if h.topDown {
		return y
	}
	return h.height - 1 - y
}

// stride is the bytes of a row of plain pixels, which is filled up to four.
func (h *bmpHeader) stride() int { return (h.width*h.depth + 31) / 32 * 4 }

// whole says whether all rows of plain pixels are there; of the last one the filling may lack.
func (h *bmpHeader) whole() error {
	if need := int64(h.stride())*int64(h.height-1) + int64(h.width*h.depth+7)/8; int64(len(h.pixels)) < need {
		return damagedBMP("it ends too early")
	}
	return nil
}

// indexed reads pixels that are places in the palette.
func (h *bmpHeader) indexed() (image.Image, error) {
	if h.compression == bmpPlain {
		if err := h.whole(); err != nil {
			return nil, err
		}
	}
	img := image.NewPaletted(image.Rect(0, 0, h.width, h.height), h.palette)
	if h.compression == bmpPlain {
		perByte, mask := 8/h.depth, byte(1<<h.depth-1)
		for y := range h.height {
			in, out := h.pixels[y*h.stride():], img.Pix[h.row(y)*img.Stride:]
			for x := range h.width {
				out[x] = in[x/perByte] >> (8 - h.depth*(x%perByte+1)) & mask
			}
		}
	} else if err := h.runs(img); err != nil {
		return nil, err
	}
	for _, v := range img.Pix {
		if int(v) >= len(h.palette) {
			return nil, damagedBMP("a pixel has colour %d of a palette of %d", v, len(h.palette))
		}
	}
	return img, nil
}

// runs reads pairs of bytes: how many pixels, and their one or two colours; or 0 and what is to be done. What goes
// beyond a row is left out, as other programs do.
func (h *bmpHeader) runs(img *image.Paletted) error {
	const endOfRow, endOfImage, move = 0, 1, 2
	x, y, at := 0, 0, 0
	put := func(v byte) {
		if x < h.width && y < h.height {
			img.Pix[h.row(y)*img.Stride+x] = v
		}
		x++
	}
	nibble := func(v byte, i int) byte { // of the two colours in a byte, or its one
		switch {
		case h.depth == 8:
			return v
		case i%2 == 0:
			return v >> 4
		}
		return v & 0xf
	}
	for y < h.height {
		if at+2 > len(h.pixels) {
			return damagedBMP("it ends too early")
		}
		n, v := int(h.pixels[at]), h.pixels[at+1]
		at += 2
		switch {
		case n > 0:
			for i := range n {
				put(nibble(v, i))
			}
		case v == endOfRow:
			x, y = 0, y+1
		case v == endOfImage:
			return nil
		case v == move:
			if at+2 > len(h.pixels) {
				return damagedBMP("it ends too early")
			}
			x, y = x+int(h.pixels[at]), y+int(h.pixels[at+1])
			at += 2
		default: // as many pixels one by one
			bytes := (int(v)*h.depth + 7) / 8
			if at+bytes > len(h.pixels) {
				return damagedBMP("it ends too early")
			}
			for i := range int(v) {
				put(nibble(h.pixels[at+i*h.depth/8], i))
			}
			at += (bytes + 1) &^ 1
		}
	}
	return nil
}

// direct reads pixels that have their colours in them, at the masks.
func (h *bmpHeader) direct() (image.Image, error) {
	if err := h.whole(); err != nil {
		return nil, err
	}
	var tables [4]func(pixel uint32) byte
	for i, mask := range h.masks {
		if i < 3 || mask != 0 {
			tables[i] = channel(mask)
		}
	}
	img := image.NewNRGBA(image.Rect(0, 0, h.width, h.height))
	bytes := h.depth / 8
	for y := range h.height {
		in, out := h.pixels[y*h.stride():], img.Pix[h.row(y)*img.Stride:]
		for x := range h.width {
			var pixel uint32
			for i := range bytes {
				pixel |= uint32(in[x*bytes+i]) << (8 * i)
			}
			p := out[4*x : 4*x+4]
			p[3] = 0xff
			for i, of := range tables {
				if of != nil {
					p[i] = of(pixel)
				}
			}
		}
	}
	return img, nil
}

// channel reads the bits at a mask, stretched to all of a byte.
func channel(mask uint32) func(uint32) byte {
	shift := bits.TrailingZeros32(mask)
	most := uint64(mask) >> shift
	if mask == 0 {
		return func(uint32) byte { return 0 }
	}
	return func(pixel uint32) byte { return byte((uint64(pixel&mask)>>shift*255 + most/2) / most) }
}
