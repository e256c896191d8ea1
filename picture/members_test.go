package picture

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ninvk/codec"
)

const expectedSuffix = ".expected.png"

// members are images of many kinds with what they must look like, as testdata/members.py makes them.
func members(t testing.TB, pattern string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", "members", pattern))
	if err != nil || len(files) == 0 {
		t.Fatalf("no files %s: %v", pattern, err)
	}
	return files
}

// onWhite is a picture as it is seen.
func onWhite(img image.Image) *image.RGBA {
	b := img.Bounds()
	out := image.NewRGBA(image.Rect(0, 0, b.Dx(), b.Dy()))
	for y := range b.Dy() {
		for x := range b.Dx() {
			c := color.NRGBA64Model.Convert(img.At(b.Min.X+x, b.Min.Y+y)).(color.NRGBA64)
			over := func(v uint16) uint8 {
				return uint8((int(v)*int(c.A) + 0xffff*(0xffff-int(c.A)) + 0xffff*0xffff/510) / 0xffff * 255 / 0xffff)
			}
			out.SetRGBA(x, y, color.RGBA{over(c.R), over(c.G), over(c.B), 0xff})
		}
	}
	return out
}

// farthest is the largest difference of a channel of a pixel, of 255.
func farthest(a, b *image.RGBA) int {
	most := 0
	for i, v := range a.Pix {
		most = max(most, int(v)-int(b.Pix[i]), int(b.Pix[i])-int(v))
	}
	return most
}

// A file may be off by one step of 255 from the expected picture.
func TestMembers(t *testing.T) {
	for _, expected := range members(t, "*"+expectedSuffix) {
		file := strings.TrimSuffix(expected, expectedSuffix)
		t.Run(filepath.Base(file), func(t *testing.T) {
			f, err := os.Open(expected)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			want, err := png.Decode(f)
			if err != nil {
				t.Fatal(err)
			}
			img, err := ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(fmt.Sprint(want.Bounds().Size()), fmt.Sprint(img.Bounds().Size())); diff != "" {
				t.Fatalf("size (-want +got):\n%s", diff)
			}
			if n := farthest(onWhite(want), onWhite(img)); n > 1 {
				t.Errorf("a channel is %d of 255 off", n)
			}
		})
	}
}

// What is whole but not read is named as what it is, and never called damaged.
func TestRefused(t *testing.T) {
	want := map[string]string{
		"refused-twelve-bits.jpg":         "a JPEG image of 12 bits a sample",
		"refused-lossless.jpg":            "a lossless JPEG image",
		"refused-lossless-arithmetic.jpg": "a lossless JPEG image",
		"refused-hierarchical.jpg":        "a hierarchical JPEG image",
		"refused-jpeg-ls.jpg":             "a JPEG-LS image",
		"refused-height-later.jpg":        "a JPEG image that tells its height after its pixels",
		"refused-two-channels.jpg":        "a JPEG image of 2 channels",
		"refused-fractional.jpg":          "a JPEG image that needs what its decoder does not do (Fractional sampling",
		"refused-cgbi.png":                "a PNG image in Apple's form for apps (CgBI)",
		"refused-os2-huffman.bmp":         "a BMP image of OS/2 in Huffman coding",
		"refused-os2-runs-24.bmp":         "a BMP image of OS/2 with runs of 24 bits",
	}
	for _, file := range members(t, "refused-*") {
		name := filepath.Base(file)
		_, err := ReadFile(file)
		if want[name] == "" || err == nil || !strings.HasPrefix(err.Error(), want[name]) ||
			!strings.Contains(err.Error(), "not supported; convert it") {
			t.Errorf("%s: %v, want %q", name, err, want[name])
		}
		delete(want, name)
	}
	if len(want) > 0 {
		t.Errorf("not there: %v", want)
	}
}

// Other kinds of files are named by their content, whatever their names are.
func TestOtherFiles(t *testing.T) {
	ftyp := func(brand string) string { return "\x00\x00\x00\x18ftyp" + brand + "\x00\x00\x00\x00mif1heic" }
	for begin, want := range map[string]string{
		"II*\x00\x08\x00\x00\x00": "a TIFF image", "MM\x00*": "a TIFF image", "\xff\x0a": "a JPEG XL image",
		"\x00\x00\x00\x0cjP  \r\n\x87\n": "a JPEG 2000 image", "\x00\x00\x01\x00": "an icon or cursor",
		"8BPS":           "a Photoshop image",
		"P6\n2 2\n255\n": "an image of the Netpbm formats", "<?xml version='1.0'?><svg>": "an SVG drawing",
		"<!DOCTYPE html>": "a page of HTML",
		"version https://git-lfs.github.com/spec/v1\n": "a pointer of Git LFS", "%PDF-1.7": "a PDF document",
		ftyp("isom"): "a video",
		ftyp("crx "): "a camera's raw image", "PK\x03\x04": "an archive",
	} {
		_, err := Decode(strings.NewReader(begin))
		if !isFormatError(err) || !strings.HasPrefix(err.Error(), want) || !strings.Contains(err.Error(), "not supported") {
			t.Errorf("%q: %v, want %q", begin, err, want)
		}
	}
}

// A panic of a decoder is that file's error.
func TestDecoderPanics(t *testing.T) {
	f := format{name: "X", decode: func(data []byte) (image.Image, error) {
		return nil,
			fmt.Errorf("%v", data[len(data)])
	}}
	if _, err := f.read([]byte("x")); !isFormatError(err) || !strings.HasPrefix(err.Error(),
		"a damaged X image: its decoder failed (") {
		t.Errorf("%v", err)
	}
}

// Cut off anywhere, and with any byte changed, a file is read or refused; nothing panics, in or outside of a sandbox.
func TestDamagedMembers(t *testing.T) {
	for _, file := range members(t, "*") {
		if strings.HasSuffix(file, expectedSuffix) {
			continue
		}
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		f, err := recognise(data)
		if err != nil {
			t.Fatal(err)
		}
		sandboxed := f.name == "HEIC" || f.name == "AVIF" // these take longer
		for part := 1; part < 8; part += 3 {
			try := func(data []byte) {
				_, err := f.decode(data)
				if err != nil && !isFormatError(err) && !errors.As(err, new(*codec.Error)) {
					t.Errorf("%s: %T %v", file, err, err)
				}
			}
			try(data[:len(data)*part/8])
			if sandboxed {
				break
			}
			changed := bytes.Clone(data)
			changed[len(data)*part/8] ^= 0xff
			try(changed)
		}
	}
}
