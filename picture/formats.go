package picture

import (
	"bytes"
	"errors"
	"image"
	"image/png"
	"path/filepath"
	"slices"
	"strings"

	"ninvk/codec"
)

// format is a kind of image that is read.
type format struct {
	name       string
	extensions []string // of files
	is         func(data []byte) bool
	decode     func(data []byte) (image.Image, error)
}

// formats are all that are read. A file is of the first that its content fits, whatever its name is.
var formats = []format{
	{"PNG", []string{".png", ".apng"}, prefix("\x89PNG\r\n\x1a\n"), decodePNG},
	{"JPEG", []string{".jpg", ".jpeg", ".jpe", ".jfif", ".jif", ".pjpeg", ".pjp"}, prefix("\xff\xd8\xff"), decodeJPEG},
	{"GIF", []string{".gif"}, prefix("GIF87a", "GIF89a"), decodeGIF},
	{"WebP", []string{".webp"}, isWebP, decodeWebP},
	{"BMP", []string{".bmp", ".dib"}, prefix("BM"), decodeBMP},
	{"AVIF", []string{".avif", ".avifs"}, brand("avif", "avis"), decodeHEIF},
	{"HEIC", []string{".heic", ".heif", ".hif", ".heics", ".heifs"}, brand(heifBrands...), decodeHEIF},
}

// others are kinds of files that people take for images and that are not read, by how they begin, to be named. Those
// with extensions are images; the others are none, or known by so few letters that a text may begin with them.
var others = []struct {
	name       string
	is         func(data []byte) bool
	extensions []string
}{
	{"a TIFF image, or a camera's raw image",
		prefix("II*\x00", "MM\x00*", "II+\x00", "MM\x00+", "IIU\x00", "IIRO", "MMOR", "FUJIFILMCCD-RAW"),
		[]string{".tif", ".tiff", ".dng", ".cr2", ".nef", ".arw", ".orf", ".rw2", ".raf", ".pef"}},
	{"a JPEG XL image", prefix("\xff\x0a", "\x00\x00\x00\x0cJXL \r\n\x87\n"), []string{".jxl"}},
	{"a JPEG 2000 image", prefix("\x00\x00\x00\x0cjP  \r\n\x87\n", "\xff\x4f\xff\x51"),
		[]string{".jp2", ".j2k", ".jpx", ".jpf"}},
	{"a camera's raw image", brand("crx "), []string{".cr3"}},
	{"a video", brand("isom", "iso2", "iso4", "iso5", "iso6", "mp41", "mp42", "avc1", "qt  ", "M4V ", "3gp4", "3gp5",
		"3g2a"),
		nil},
	{"an icon or cursor of Windows", prefix("\x00\x00\x01\x00", "\x00\x00\x02\x00"), nil},
	{"an icon, pointer or array of bitmaps of OS/2", prefix("BA", "CI", "CP", "IC", "PT"), nil},
	{"a Photoshop image", prefix("8BPS"), []string{".psd", ".psb"}},
	{"an image of the Netpbm formats", netpbm, []string{".pbm", ".pgm", ".ppm", ".pnm", ".pam", ".pfm"}},
	{"an MNG or JNG image", prefix("\x8aMNG\r\n\x1a\n", "\x8bJNG\r\n\x1a\n"), []string{".mng", ".jng"}},
	{"a QOI image", prefix("qoif"), []string{".qoi"}},
	{"an OpenEXR image", prefix("\x76\x2f\x31\x01"), []string{".exr"}},
	{"a Radiance image", prefix("#?RADIANCE", "#?RGBE"), []string{".hdr"}},
	{"a DirectDraw texture", prefix("DDS "), []string{".dds"}},
	{"a BPG image", prefix("BPG\xfb"), []string{".bpg"}},
	{"a FLIF image", prefix("FLIF"), []string{".flif"}},
	{"a GIMP image", prefix("gimp xcf"), []string{".xcf"}},
	{"a PDF document", prefix("%PDF-"), nil},
	{"a PostScript document", prefix("%!PS", "\xc5\xd0\xd3\xc6"), nil},
	{"an SVG drawing", markup("<svg"), nil},
	{"a page of HTML, perhaps an error that was saved as an image", markup("<!doctype html", "<html"), nil},
	{"a pointer of Git LFS to an image (git lfs pull brings the image itself)", prefix("version https://git-lfs"), nil},
	{"an archive or compressed file",
		prefix("PK\x03\x04", "\x1f\x8b", "BZh", "\xfd7zXZ\x00", "7z\xbc\xaf\x27\x1c", "Rar!", "\x28\xb5\x2f\xfd"), nil},
}

// IsImage says whether a file is an image, be it one that is read or not, whole or damaged: by its beginning, or, where
// that says nothing, by how its name ends.
func IsImage(name string, head []byte) bool {
	for _, f := range formats {
		// A text may begin with BM, too, but has no zeros where a BMP file has them.
		if f.is(head) && (f.name != "BMP" || len(head) > 9 && string(head[6:10]) == "\x00\x00\x00\x00") {
			return true
		}
	}
	extension := strings.ToLower(filepath.Ext(name))
	for _, o := range others {
		if slices.Contains(o.extensions, extension) || len(o.extensions) > 0 && o.is(head) {
			return true
		}
	}
	return HasExtension(name)
}

// Formats names what Decode reads, for people.
func Formats() string {
	var names []string
	for _, f := range formats {
		names = append(names, f.name)
	}
	return strings.Join(names, ", ")
}

// HasExtension says whether a file's name ends as that of a format that Decode knows.
func HasExtension(name string) bool {
	extension := strings.ToLower(filepath.Ext(name))
	return slices.ContainsFunc(formats, func(f format) bool { return slices.Contains(f.extensions, extension) })
}

// recognise is the format of a file, by its content.
func recognise(data []byte) (format, error) {
	for _, f := range formats {
		if f.is(data) {
			return f, nil
		}
	}
	for _, o := range others {
		if o.is(data) {
			return format{}, unsupported(o.name)
		}
	}
	return format{}, bad("not an image that is known here (%s)", Formats())
}

// prefix says whether a file begins with one of some texts.
func prefix(begins ...string) func([]byte) bool {
	return func(data []byte) bool {
		return slices.ContainsFunc(begins, func(b string) bool { return bytes.HasPrefix(data, []byte(b)) })
	}
}

// markup says whether a file is a text of tags with one of some tags near its beginning, in small letters.
func markup(tags ...string) func([]byte) bool {
	return func(data []byte) bool {
		head := bytes.ToLower(bytes.TrimLeft(data[:min(len(data), 1024)], "\xef\xbb\xbf \t\r\n"))
		return bytes.HasPrefix(head, []byte("<")) &&
			slices.ContainsFunc(tags, func(t string) bool { return bytes.Contains(head, []byte(t)) })
	}
}

// netpbm says whether a file begins as PBM, PGM, PPM, PAM and PFM do.
func netpbm(data []byte) bool {
	return len(data) > 2 && data[0] == 'P' && bytes.IndexByte([]byte("1234567Ff"), data[1]) >= 0 &&
		bytes.IndexByte([]byte(" \t\r\n#"), data[2]) >= 0
}

func decodePNG(data []byte) (image.Image, error) {
	if len(data) >= 16 && string(data[12:16]) == "CgBI" {
		return nil, unsupported("a PNG image in Apple's form for apps (CgBI)")
	}
	config, err := png.DecodeConfig(bytes.NewReader(data))
	if err == nil {
		err = fits(config.Width, config.Height)
	}
	if err != nil {
		return nil, damaged("PNG", err)
	}
	img, err := png.Decode(bytes.NewReader(data))
	if e := png.UnsupportedError(""); errors.As(err, &e) {
		return nil, unsupported("a PNG image with an uncommon " + string(e))
	}
	if err != nil {
		return nil, damaged("PNG", err)
	}
	return upright(img, pngOrientation(data)), nil
}

func isWebP(data []byte) bool {
	return len(data) >= 12 && string(data[:4]) == "RIFF" && string(data[8:12]) == "WEBP"
}

func decodeWebP(data []byte) (image.Image, error) {
	img, err := codec.WebP(data, fits)
	if err != nil {
		return nil, err
	}
	return upright(img, webpOrientation(data)), nil
}
