// Package picture reads images of every common format, fits them to a network's input, and draws what a network sees: maps of heat, grids of filters and
// feature maps, contact sheets with captions, matrices.
package picture

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	_ "image/gif" // the first frame
	_ "image/jpeg"
	_ "image/png"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	_ "golang.org/x/image/bmp"
	_ "golang.org/x/image/webp"
)

// Limits of what is read.
const (
	MaxPixels = 1 << 26 // of an image; 8,192 × 8,192
	MaxBytes  = 1 << 28 // of a file
)

// extensions are those of the formats that Decode knows.
var extensions = []string{".bmp", ".gif", ".jpeg", ".jpg", ".png", ".webp"}

// HasExtension says whether a file's name ends as that of a format that Decode knows.
func HasExtension(name string) bool {
	return slices.Contains(extensions, strings.ToLower(filepath.Ext(name)))
}

// FormatError says, in half a sentence, what is wrong with an image.
type FormatError struct{ Problem string }

func (e *FormatError) Error() string { return e.Problem }

func bad(format string, a ...any) error { return &FormatError{fmt.Sprintf(format, a...)} }

// ReadFile is Decode for a file.
func ReadFile(path string) (image.Image, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, reason(err)
	}
	defer f.Close()
	return Decode(f)
}

// reason is an error of the file system without operation and path, which whoever named the file adds.
func reason(err error) error {
	if e := (*os.PathError)(nil); errors.As(err, &e) {
		return e.Err
	}
	return err
}

// Decode reads a PNG, JPEG, GIF, WebP or BMP image, upright: a JPEG is turned as its Exif orientation says. Of an animation it is the first frame. What is no
// such image, or a damaged one, is a *FormatError; one of more than MaxPixels is refused before it is decoded.
func Decode(r io.Reader) (image.Image, error) {
	data, err := io.ReadAll(io.LimitReader(r, MaxBytes+1))
	switch {
	case err != nil:
		return nil, reason(err)
	case len(data) > MaxBytes:
		return nil, bad("more than the %d MiB that an image may have", MaxBytes>>20)
	case len(data) == 0:
		return nil, bad("the file is empty")
	}
	config, format, err := image.DecodeConfig(bytes.NewReader(data))
	switch {
	case errors.Is(err, image.ErrFormat):
		return nil, bad("not an image that is known here (PNG, JPEG, GIF, WebP, BMP)")
	case err != nil:
		return nil, damaged(format, err)
	case config.Width < 1 || config.Height < 1:
		return nil, bad("an image of %d×%d pixels", config.Width, config.Height)
	case config.Width > MaxPixels/config.Height:
		return nil, bad("an image of %d×%d pixels; at most %d million are read", config.Width, config.Height, MaxPixels/1_000_000)
	}
	img, format, err := image.Decode(bytes.NewReader(data))
	if err != nil {
		return nil, damaged(format, err)
	}
	// A GIF's first frame may be smaller than its screen. Where a WebP's frame and its transparency differ in size, reading pixels would fail.
	if b := img.Bounds(); b.Dx() > config.Width || b.Dy() > config.Height || b.Empty() || format != "gif" && b.Size() != (image.Point{X: config.Width, Y: config.Height}) {
		return nil, damaged(format, fmt.Errorf("its header says %d×%d pixels, the image has %d×%d", config.Width, config.Height, b.Dx(), b.Dy()))
	}
	switch format {
	case "jpeg":
		img = upright(img, orientation(data))
	case "webp":
		fullRange(img)
	}
	return img, nil
}

func damaged(format string, err error) error {
	if format == "" {
		return bad("a damaged image: %v", err)
	}
	text := err.Error()
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		text = "it ends too early"
	}
	return bad("a damaged %s image: %s", strings.ToUpper(format), strings.TrimPrefix(text, format+": "))
}
