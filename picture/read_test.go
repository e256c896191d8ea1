package picture

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"image/png"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/image/bmp"

	"ninvk/codec"
)

// arrow is an image in which no two corners are alike: 24×16 pixels, red above left, green above right, blue below
// left, white below right.
func arrow() *image.RGBA {
	img := image.NewRGBA(image.Rect(0, 0, 24, 16))
	for y := range 16 {
		for x := range 24 {
			c := color.RGBA{0xff, 0xff, 0xff, 0xff}
			switch {
			case x < 12 && y < 8:
				c = color.RGBA{0xff, 0, 0, 0xff}
			case y < 8:
				c = color.RGBA{0, 0xff, 0, 0xff}
			case x < 12:
				c = color.RGBA{0, 0, 0xff, 0xff}
			}
			img.SetRGBA(x, y, c)
		}
	}
	return img
}

// corners names the colours of an image's corners by their largest parts, row by row.
func corners(img image.Image) string {
	b := img.Bounds()
	var s strings.Builder
	for _, p := range []image.Point{{b.Min.X + 2, b.Min.Y + 2}, {b.Max.X - 3, b.Min.Y + 2}, {b.Min.X + 2, b.Max.Y - 3},
		{b.Max.X - 3, b.Max.Y - 3}} {
		r, g, bl, _ := img.At(p.X, p.Y).RGBA()
		switch hi := uint32(0x9000); {
		case r > hi && g > hi && bl > hi:
			s.WriteByte('w')
		case r > hi:
			s.WriteByte('r')
		case g > hi:
			s.WriteByte('g')
		case bl > hi:
			s.WriteByte('b')
		default:
			s.WriteByte('?')
		}
	}
	return s.String()
}

func encoded(t testing.TB, encode func(w io.Writer, img image.Image) error) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := encode(&b, arrow()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// webp is that image as cwebp of libwebp 1.2.4 writes it (-q 95, -lossless): Go has no encoder.
func webp(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func asPNG(t testing.TB) []byte { return encoded(t, png.Encode) }

func asJPEG(t testing.TB) []byte {
	return encoded(t, func(w io.Writer, img image.Image) error { return jpeg.Encode(w, img, &jpeg.Options{Quality: 95}) })
}

func asGIF(t testing.TB) []byte {
	return encoded(t, func(w io.Writer, img image.Image) error { return gif.Encode(w, img, nil) })
}

func TestDecodeFormats(t *testing.T) {
	for name, data := range map[string][]byte{
		"png": asPNG(t), "jpeg": asJPEG(t), "gif": asGIF(t), "bmp": encoded(t, bmp.Encode), "webp": webp(t, "lossy.webp"),
		"lossless webp": webp(t, "lossless.webp"),
	} {
		img, err := Decode(bytes.NewReader(data))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if b := img.Bounds(); b.Dx() != 24 || b.Dy() != 16 || corners(img) != "rgbw" {
			t.Errorf("%s: %v with the corners %s, want 24×16 with rgbw", name, b, corners(img))
		}
		// Nothing of a damaged file may be taken for an image, and nothing may panic.
		if _, err := Decode(bytes.NewReader(data[:len(data)/2])); !isFormatError(err) {
			t.Errorf("half of a %s file: %v", name, err)
		}
	}
}

func isFormatError(err error) bool { return errors.As(err, new(*FormatError)) }

// pngOf is the beginning of a PNG that claims a size.
func pngOf(width, height uint32) []byte {
	b := []byte("\x89PNG\r\n\x1a\n\x00\x00\x00\x0dIHDR")
	b = binary.BigEndian.AppendUint32(b, width)
	b = binary.BigEndian.AppendUint32(b, height)
	b = append(b, 8, 2, 0, 0, 0)
	return binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b[12:]))
}

// extended is a WebP whose header claims 1×1 pixels with transparency, which it has, while its picture has more.
func extended(t testing.TB) []byte {
	chunk := func(id string, data []byte) []byte {
		b := binary.LittleEndian.AppendUint32([]byte(id), uint32(len(data)))
		b = append(b, data...)
		return append(b, make([]byte, len(data)%2)...)
	}
	lossy := webp(t, "lossy.webp")
	body := append([]byte("WEBP"), chunk("VP8X", []byte{16, 0, 0, 0, 0, 0, 0, 0, 0, 0})...)
	body = append(body, chunk("ALPH", []byte{0, 128})...)
	body = append(body, lossy[12:]...)
	return append(binary.LittleEndian.AppendUint32([]byte("RIFF"), uint32(len(body))), body...)
}

func TestDecodeRefuses(t *testing.T) {
	beyond, err := os.ReadFile(filepath.Join("testdata", "beyond-levels.avif"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		data []byte
		want string
	}{
		{"nothing", nil, "empty"},
		{"a text", []byte("#!/bin/sh\n"), "not an image that is known here (PNG"},
		{"a lying header", append([]byte("RIFF\x10\x00\x00\x00WEBPVP8 "), make([]byte, 8)...), "a damaged WebP image"},
		{"far too large", pngOf(1<<24, 1<<24), "16777216×16777216 pixels; at most 67 million"},
		{"too large", pngOf(8193, 8192), "8193×8192 pixels"},
		{"as large as may be, but cut off", pngOf(8192, 1), "ends too early"},
		{"no pixels", pngOf(0, 5), "PNG"},
		{"more picture than the header says", extended(t), "a damaged WebP image: its data contradict each other"},
		{"more pixels than AV1's levels have", beyond,
			"needs what its decoder does not do (Decoding of color planes failed; it has 48.0 million"},
	} {
		img, err := Decode(bytes.NewReader(c.data))
		if !isFormatError(err) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, %v; want an error with %q", c.name, img, err, c.want)
		}
	}
	if _, err := Decode(io.LimitReader(zeros{}, MaxBytes+5)); !isFormatError(err) || !strings.Contains(err.Error(),
		"256 MiB") {
		t.Errorf("an endless file: %v", err)
	}
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { return len(b), nil }

func TestReadFile(t *testing.T) {
	dir := t.TempDir()
	if _, err := ReadFile(filepath.Join(dir, "none.png")); !errors.Is(err, os.ErrNotExist) || strings.Contains(err.Error(),
		dir) {
		t.Errorf("a missing file: %v", err)
	}
	if _, err := ReadFile(dir); err == nil || strings.Contains(err.Error(), dir) {
		t.Errorf("a folder: %v", err)
	}
}

// withOrientation puts an Exif segment behind the start of a JPEG.
func withOrientation(jpeg []byte, order binary.AppendByteOrder, value uint16) []byte {
	tiff := []byte("MM\x00*")
	if order.String() == binary.LittleEndian.String() {
		tiff = []byte("II*\x00")
	}
	tiff = order.AppendUint32(tiff, 8)
	tiff = order.AppendUint16(tiff, 2)
	for _, e := range [][2]uint16{{0x10f, 7}, {0x112, value}} { // another entry, then the one that counts
		tiff = order.AppendUint16(tiff, e[0])
		tiff = order.AppendUint16(tiff, 3)
		tiff = order.AppendUint32(tiff, 1)
		tiff = order.AppendUint16(tiff, e[1])
		tiff = order.AppendUint16(tiff, 0)
	}
	segment := append([]byte("Exif\x00\x00"), tiff...)
	out := append([]byte{0xff, 0xd8, 0xff, 0xe1}, binary.BigEndian.AppendUint16(nil, uint16(len(segment)+2))...)
	return append(append(out, segment...), jpeg[2:]...)
}

func TestOrientation(t *testing.T) {
	plain := asJPEG(t)
	// What is seen of the stored rgbw (above left, above right, below left, below right) at each value; Exif 2.3, section
	// 4.6.4, tag 274.
	for value, want := range map[uint16]string{0: "rgbw", 1: "rgbw", 2: "grwb", 3: "wbgr", 4: "bwrg", 5: "rbgw", 6: "brwg",
		7: "wgbr", 8: "gwrb", 9: "rgbw"} {
		for _, order := range []binary.AppendByteOrder{binary.LittleEndian, binary.BigEndian} {
			img, err := Decode(bytes.NewReader(withOrientation(plain, order, value)))
			if err != nil {
				t.Fatal(err)
			}
			if got := corners(img); got != want {
				t.Errorf("orientation %d, %v: corners %s, want %s", value, order, got, want)
			}
			if size := img.Bounds().Size(); (size == image.Pt(16, 24)) != (value >= 5 && value <= 8) {
				t.Errorf("orientation %d: size %v", value, size)
			}
		}
	}
}

func TestHasExtension(t *testing.T) {
	got := map[string]bool{}
	for _, name := range []string{"a.png", "A.JPG", "b/c.jpeg", "d.gif", "e.webp", "f.bmp", "g.tiff", "png", "h.png.txt",
		"i.jfif", "j.HEIC", "k.avif"} {
		got[name] = HasExtension(name)
	}
	want := map[string]bool{"a.png": true, "A.JPG": true, "b/c.jpeg": true, "d.gif": true, "e.webp": true, "f.bmp": true,
		"g.tiff": false, "png": false, "h.png.txt": false, "i.jfif": true, "j.HEIC": true, "k.avif": true}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// FuzzImage reads anything, and fits what is an image to a network.
func FuzzImage(f *testing.F) {
	plain := asJPEG(f)
	for _, seed := range [][]byte{
		asPNG(f), plain, asGIF(f), encoded(f, bmp.Encode), webp(f, "lossy.webp"), webp(f, "lossless.webp"), extended(f),
		pngOf(70000, 70000),
		withOrientation(plain, binary.BigEndian, 6), withOrientation(plain, binary.LittleEndian, 3),
	} {
		f.Add(seed)
	}
	for _, file := range members(f, "*") {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	for _, name := range []string{"420.jpg", "lossy.webp", "420.heic", "420.avif"} { // an input has ten seconds, which
		if _, err := ReadFile(filepath.Join("testdata", "members", name)); err != nil { // compiling decoders may take
			f.Fatal(err)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		f, err := recognise(data)
		if err != nil {
			if !isFormatError(err) {
				t.Errorf("%T: %v", err, err)
			}
			return
		}
		img, err := f.decode(data) // not read, which turns a panic into an error
		if err != nil {
			if !isFormatError(err) && !errors.As(err, new(*codec.Error)) {
				t.Errorf("%T: %v", err, err)
			}
			return
		}
		if b := img.Bounds(); b.Dx() > 1<<20/max(1, b.Dy()) {
			return // allowed, but too slow for a fuzzer
		}
		if n := len(Planes(Square(img, 32))); n != 3*32*32 {
			t.Errorf("%d bytes", n)
		}
	})
}

// FuzzOrientation looks for the tag in anything.
func FuzzOrientation(f *testing.F) {
	f.Add(withOrientation([]byte{0xff, 0xd8}, binary.BigEndian, 6))
	f.Add(withOrientation([]byte{0xff, 0xd8, 0xff, 0xda}, binary.LittleEndian, 8))
	f.Add([]byte{0xff, 0xd8, 0xff, 0xe1, 0, 1})
	for _, file := range append(members(f, "*exif*"), members(f, "*xmp*")...) {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, of := range []func([]byte) int{jpegOrientation, pngOrientation, webpOrientation} {
			if o := of(data); o < 1 || o > 8 {
				t.Errorf("orientation %d", o)
			}
		}
	})
}
