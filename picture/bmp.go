package picture

import (
	"encoding/binary"
	"fmt"
	"image"
	"image/color"
	"math/bits"
	"slices"
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

// Sizes of a BMP's headers in bytes: that of the file, and the kinds of those of the image, which are told by size.
const (
	bmpFileHead   = 14
	bmpCore       = 12
	bmpInfo       = 40
	bmpWith3Masks = 52
	bmpWith4Masks = 56
	bmpOS2        = 64
	bmpOS2Short   = 16
)

func readBMPHeader(data []byte) (*bmpHeader, error) {
	if len(data) < bmpFileHead+4 {
		return nil, damagedBMP("it ends too early")
	}
	size := int64(binary.LittleEndian.Uint32(data[bmpFileHead:]))
	if size != bmpCore && (size < bmpOS2Short || size > 1<<10) {
		return nil, damagedBMP("its header has %d bytes", size)
	}
	if int64(len(data)) < bmpFileHead+size {
		return nil, damagedBMP("it ends too early")
	}
	head := make([]byte, max(size, bmpWith4Masks)) // what a shorter one lacks is 0
	copy(head, data[bmpFileHead:bmpFileHead+size])
	h := &bmpHeader{}
	colours := h.readFields(head, size)
	if err := fits(h.width, h.height); err != nil {
		return nil, err
	}
	at := bmpFileHead + size
	if ofOS2 := size == bmpOS2 || size == bmpOS2Short; ofOS2 && (h.compression == 3 || h.compression == 4) {
		return nil, unsupported([]string{"a BMP image of OS/2 in Huffman coding",
			"a BMP image of OS/2 with runs of 24 bits"}[h.compression-3])
	}
	if err := h.check(); err != nil {
		return nil, err
	}
	at, err := h.readMasks(data, head, size, at)
	if err != nil {
		return nil, err
	}
	start := int64(binary.LittleEndian.Uint32(data[10:]))
	if at, err = h.readPalette(data, size, at, start, colours); err != nil {
		return nil, err
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

// readFields takes sizes and kind from the header of an image, and returns the number of colours that it names.
func (h *bmpHeader) readFields(head []byte, size int64) (colours int) {
	le := binary.LittleEndian
	if size == bmpCore {
		h.width, h.height, h.depth = int(le.Uint16(head[4:])), int(le.Uint16(head[6:])), int(le.Uint16(head[10:]))
	} else {
		h.width, h.height, h.depth = int(int32(le.Uint32(head[4:]))), int(int32(le.Uint32(head[8:]))),
			int(le.Uint16(head[14:]))
		h.compression, colours = int(le.Uint32(head[16:])), int(le.Uint32(head[32:]))
	}
	if h.height < 0 {
		h.topDown, h.height = true, -h.height
	}
	return colours
}

// check refuses compressions and depths that are unknown, or do not go together.
func (h *bmpHeader) check() error {
	switch {
	case h.compression == bmpJPEG || h.compression == bmpPNG:
	case h.compression > bmpMasksWith:
		return unsupported(fmt.Sprintf("a BMP image with compression %d", h.compression))
	case h.compression == bmpRuns8 && h.depth != 8, h.compression == bmpRuns4 && h.depth != 4:
		return damagedBMP("its compression %d does not go with %d bits a pixel", h.compression, h.depth)
	case h.masked():
		if h.depth != 16 && h.depth != 32 {
			return damagedBMP("its masks do not go with %d bits a pixel", h.depth)
		}
	case !slices.Contains([]int{1, 2, 4, 8, 16, 24, 32}, h.depth):
		return unsupported(fmt.Sprintf("a BMP image of %d bits a pixel", h.depth))
	}
	return nil
}

// masked says whether the file has masks of its own.
func (h *bmpHeader) masked() bool { return h.compression == bmpMasks || h.compression == bmpMasksWith }

// readMasks finds where the colours are in a pixel: masks in the image's header or behind it, at at, or the usual ones;
// none where pixels are places in a palette. It returns where the file goes on.
func (h *bmpHeader) readMasks(data, head []byte, size, at int64) (int64, error) {
	switch {
	case h.compression == bmpJPEG || h.compression == bmpPNG:
	case h.masked():
		n := 3 // masks behind the header, where it does not have them
		if h.compression == bmpMasksWith {
			n = 4
		}
		if size < bmpWith3Masks {
			if int64(len(data)) < at+4*int64(n) {
				return 0, damagedBMP("it ends too early")
			}
			copy(head[bmpInfo:], data[at:at+4*int64(n)])
			at += 4 * int64(n)
		} else if size >= bmpWith4Masks {
			n = 4
		}
		for i := range n {
			h.masks[i] = binary.LittleEndian.Uint32(head[bmpInfo+4*i:])
		}
	case h.depth == 16:
		h.masks = [4]uint32{0x7c00, 0x3e0, 0x1f}
	case h.depth == 24 || h.depth == 32: // the fourth byte is filler
		h.masks = [4]uint32{0xff0000, 0xff00, 0xff}
	}
	return at, nil
}

// readPalette reads the colours at at, if pixels are places in a palette, and returns where the file goes on. start is
// where the pixels are said to begin.
func (h *bmpHeader) readPalette(data []byte, size, at, start int64, colours int) (int64, error) {
	if h.depth > 8 || h.masks != [4]uint32{} || h.compression > bmpRuns4 {
		return at, nil
	}
	entry := int64(4)
	if size == bmpCore {
		entry = 3
	}
	if colours <= 0 || colours > 256 {
		colours = 1 << h.depth
	}
	if room := (min(start, int64(len(data))) - at) / entry; start > at && room < int64(colours) {
		colours = int(max(room, 0)) // pixels follow earlier
	}
	if colours == 0 || int64(len(data)) < at+entry*int64(colours) {
		return 0, damagedBMP("it ends in its palette")
	}
	for i := range colours {
		c := data[at+entry*int64(i):]
		h.palette = append(h.palette, color.RGBA{c[2], c[1], c[0], 0xff})
	}
	return at + entry*int64(colours), nil
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
