package picture

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"encoding/hex"
	"image"
	"image/color"
	"io"
	"regexp"
	"strings"
)

// Orientation is how a camera was held: the value 1 to 8 of Exif's tag of that name. 1, upright, is what is told where
// there is none or it can't be read.
const asStored = 1

const exifHead = "Exif\x00\x00" // before the TIFF structure in JPEG files, and in some others

// notes are what a file says about its image, apart from pixels.
type notes struct{ exif, xmp []byte }

// orientation is what Exif says, and where that says nothing, XMP.
func (n notes) orientation() int {
	if v, told := exifOrientation(n.exif); told {
		return v
	}
	if m := xmpOrientation.FindSubmatch(n.xmp); m != nil {
		return int(m[1][0] - '0')
	}
	return asStored
}

// xmpOrientation matches the property of XMP, as an attribute or an element.
var xmpOrientation = regexp.MustCompile(`tiff:Orientation(?:\s*=\s*["']|>)\s*([1-8])\s*["'<]`)

func jpegOrientation(data []byte) int {
	const xmp = "http://ns.adobe.com/xap/1.0/\x00"
	var n notes
	for marker, body := range jpegSegments(data) {
		if marker != jpegApp1 {
			continue
		}
		if tiff, ok := bytes.CutPrefix(body, []byte(exifHead)); ok && n.exif == nil {
			n.exif = tiff
		}
		if text, ok := bytes.CutPrefix(body, []byte(xmp)); ok && n.xmp == nil {
			n.xmp = text
		}
	}
	return n.orientation()
}

func pngOrientation(data []byte) int {
	var n notes
	for at := 8; at+12 <= len(data); {
		length := int(binary.BigEndian.Uint32(data[at:]))
		if length > len(data)-at-12 {
			break
		}
		body := data[at+8:][:length]
		switch string(data[at+4 : at+8]) {
		case "eXIf":
			n.exif = body
		case "iTXt":
			if text, ok := pngText(body, "XML:com.adobe.xmp"); ok {
				n.xmp = text
			}
		case "tEXt", "zTXt": // of before eXIf
			if n.exif == nil {
				n.exif = rawProfile(data[at+4], body)
			}
		}
		at += 12 + length
	}
	return n.orientation()
}

// pngText is the text of an iTXt chunk of a keyword.
func pngText(body []byte, keyword string) ([]byte, bool) {
	rest, ok := bytes.CutPrefix(body, []byte(keyword+"\x00"))
	if !ok || len(rest) < 2 {
		return nil, false
	}
	packed := rest[0] == 1
	rest = rest[2:]
	for range 2 { // language, translated keyword
		_, rest, ok = bytes.Cut(rest, []byte{0})
		if !ok {
			return nil, false
		}
	}
	if packed {
		rest = inflated(rest)
	}
	return rest, true
}

// rawProfile is Exif in a text of hexadecimal digits, as ImageMagick writes it.
func rawProfile(kind byte, body []byte) []byte {
	keyword, text, ok := bytes.Cut(body, []byte{0})
	if name := string(keyword); !ok || name != "Raw profile type exif" && name != "Raw profile type APP1" {
		return nil
	}
	if kind == 'z' && len(text) > 0 {
		text = inflated(text[1:])
	}
	words := strings.Fields(string(text)) // name, length, digits
	if len(words) < 3 {
		return nil
	}
	exif, _ := hex.DecodeString(strings.Join(words[2:], ""))
	return exif
}

// inflated is unpacked text, as far as it can be read and is not unreasonably long.
func inflated(packed []byte) []byte {
	r, err := zlib.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil
	}
	out, _ := io.ReadAll(io.LimitReader(r, 1<<20))
	return out
}

func webpOrientation(data []byte) int {
	var n notes
	for at := 12; at+8 <= len(data); {
		length := int(binary.LittleEndian.Uint32(data[at+4:]))
		if length > len(data)-at-8 {
			break
		}
		body := data[at+8:][:length]
		switch string(data[at : at+4]) {
		case "EXIF":
			n.exif = body
		case "XMP ":
			n.xmp = body
		}
		at += 8 + length + length%2
	}
	return n.orientation()
}

// exifOrientation looks the tag up in the first directory of a TIFF structure, and says whether it is there.
func exifOrientation(exif []byte) (value int, told bool) {
	tiff := bytes.TrimPrefix(exif, []byte(exifHead))
	var order binary.ByteOrder
	switch {
	case bytes.HasPrefix(tiff, []byte("II*\x00")):
		order = binary.LittleEndian
	case bytes.HasPrefix(tiff, []byte("MM\x00*")):
		order = binary.BigEndian
	}
	if order == nil || len(tiff) < 8 {
		return 0, false
	}
	at := uint64(order.Uint32(tiff[4:]))
	if at+2 > uint64(len(tiff)) {
		return 0, false
	}
	entries := tiff[at+2:]
	const size, tag, byteType, short, long = 12, 0x112, 1, 3, 4
	for range order.Uint16(tiff[at:]) {
		if len(entries) < size {
			break
		}
		if order.Uint16(entries) == tag {
			v := 0
			switch order.Uint16(entries[2:]) {
			case byteType:
				v = int(entries[8])
			case short:
				v = int(order.Uint16(entries[8:]))
			case long:
				v = int(min(order.Uint32(entries[8:]), 9))
			}
			return v, v >= 1 && v <= 8
		}
		entries = entries[size:]
	}
	return 0, false
}

// upright shows an image that was stored with an orientation as it was seen.
func upright(img image.Image, orientation int) image.Image {
	if orientation == asStored {
		return img
	}
	return turned{img, orientation}
}

// turned is an image mirrored and turned while its pixels are read.
type turned struct {
	image.Image
	orientation int
}

// Bounds implements image.Image.
func (t turned) Bounds() image.Rectangle {
	b := t.Image.Bounds()
	if t.orientation > 4 {
		return image.Rect(0, 0, b.Dy(), b.Dx())
	}
	return image.Rect(0, 0, b.Dx(), b.Dy())
}

// At implements image.Image.
func (t turned) At(x, y int) color.Color {
	b := t.Image.Bounds()
	right, bottom := b.Dx()-1, b.Dy()-1
	switch t.orientation {
	case 2:
		x = right - x
	case 3:
		x, y = right-x, bottom-y
	case 4:
		y = bottom - y
	case 5:
		x, y = y, x
	case 6:
		x, y = y, bottom-x
	case 7:
		x, y = right-y, bottom-x
	case 8:
		x, y = right-y, x
	}
	return t.Image.At(b.Min.X+x, b.Min.Y+y)
}
