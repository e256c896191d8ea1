// Package picture is where images enter the program or leave it. It reads those of every common format, fits them to a
// network's input, and draws what a network sees: maps of heat, grids of filters and feature maps, contact sheets with
// captions, matrices.
package picture

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"

	"ninvk/codec"
)

// Limits of what is read.
const (
	MaxPixels = 1 << 26 // of an image; 8,192 × 8,192
	MaxBytes  = 1 << 28 // of a file
)

// FormatError says, in half a sentence, what is wrong with an image, or what it is that is not read.
type FormatError struct{ Problem string }

func (e *FormatError) Error() string { return e.Problem }

var errBytes = bad("more than the %d MiB that an image may have", MaxBytes>>20)

func bad(format string, a ...any) error { return &FormatError{fmt.Sprintf(format, a...)} }

// unsupported names a whole image that is not read.
func unsupported(what string) error {
	return bad("%s, which is not supported; convert it, for example to PNG", what)
}

// ReadFile is Decode for a file, which must be a regular one: others might block for ever.
func ReadFile(path string) (image.Image, error) {
	data, _, err := ReadBytes(path, nil)
	if err != nil {
		return nil, err
	}
	return DecodeBytes(data)
}

// ReadBytes are the bytes of a regular file of at most MaxBytes, in the memory of buffer where that suffices, and what
// the file system says of it.
func ReadBytes(path string, buffer []byte) ([]byte, fs.FileInfo, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, nil, reason(err)
	}
	if err := regular(info); err != nil {
		return nil, nil, err
	}
	f, err := os.OpenFile(path, os.O_RDONLY|dontWait, 0)
	if err != nil {
		return nil, nil, reason(err)
	}
	defer f.Close()
	if info, err = f.Stat(); err != nil { // it may be another by now
		return nil, nil, reason(err)
	}
	if err := regular(info); err != nil {
		return nil, nil, err
	}
	if info.Size() > MaxBytes {
		return nil, nil, errBytes
	}
	b := bytes.NewBuffer(slices.Grow(buffer[:0], int(info.Size())+bytes.MinRead)) // so that it need not grow at the end
	if _, err := b.ReadFrom(io.LimitReader(f, MaxBytes+1)); err != nil {
		return nil, nil, reason(err)
	}
	return b.Bytes(), info, nil
}

// regular says what a file is that is no regular one.
func regular(info fs.FileInfo) error {
	if kind := Irregular(info.Mode()); kind != "" {
		return fmt.Errorf("is %s; only regular files are opened (an image from elsewhere can come by stdin)", kind)
	}
	return nil
}

// Irregular names the kind of a file by its mode; "" is a regular file.
func Irregular(mode fs.FileMode) string {
	switch {
	case mode.IsRegular():
		return ""
	case mode.IsDir():
		return "a folder"
	case mode&fs.ModeNamedPipe != 0:
		return "a pipe"
	case mode&fs.ModeSocket != 0:
		return "a socket"
	case mode&fs.ModeDevice != 0:
		return "a device"
	case mode&fs.ModeSymlink != 0:
		return "a link"
	}
	return "no regular file"
}

// reason is an error of the file system without operation and path, which whoever named the file adds.
func reason(err error) error {
	if e := (*os.PathError)(nil); errors.As(err, &e) {
		return e.Err
	}
	return err
}

// Decode reads an image of one of the formats that Formats names, recognised by its content, as it is to be seen:
// turned as the file says, the first frame of an animation on its canvas, transparent where nothing is. What is no such
// image, or a damaged one, is a *FormatError; so is one of more than MaxPixels, before memory is taken for it, and one
// that ends its decoder by a panic.
func Decode(r io.Reader) (image.Image, error) {
	data, err := io.ReadAll(io.LimitReader(r, MaxBytes+1))
	if err != nil {
		return nil, reason(err)
	}
	return DecodeBytes(data)
}

// DecodeBytes is Decode for bytes in memory, of which the image keeps none.
func DecodeBytes(data []byte) (image.Image, error) {
	switch {
	case len(data) > MaxBytes:
		return nil, errBytes
	case len(data) == 0:
		return nil, bad("the file is empty")
	}
	f, err := recognise(data)
	if err != nil {
		return nil, err
	}
	return f.read(data)
}

// read decodes; all that is wrong with the file is a *FormatError.
func (f format) read(data []byte) (img image.Image, err error) {
	defer func() {
		if r := recover(); r != nil {
			img, err = nil, bad("a damaged %s image: its decoder failed (%v)", f.name, r)
		}
	}()
	img, err = f.decode(data)
	if e := (*codec.Error)(nil); errors.As(err, &e) {
		switch e.Kind {
		case codec.Unsupported:
			return nil, unsupported(fmt.Sprintf("a %s image that needs what its decoder does not do (%s)", f.name, e.Problem))
		case codec.Limit:
			return nil, bad("a %s image: %s", f.name, e.Problem)
		}
		return nil, damaged(f.name, err)
	}
	return img, err
}

// fits is an error for an image that is larger than may be, or has no pixels.
func fits(width, height int) error {
	switch {
	case width < 1 || height < 1:
		return bad("an image of %d×%d pixels", width, height)
	case width > MaxPixels/height:
		return bad("an image of %d×%d pixels; at most %d million are read", width, height, MaxPixels/1_000_000)
	}
	return nil
}

// damaged is an error of the decoder of a format.
func damaged(format string, err error) error {
	if errors.As(err, new(*FormatError)) {
		return err
	}
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return bad("a damaged %s image: it ends too early", format)
	}
	return bad("a damaged %s image: %s", format, strings.TrimPrefix(err.Error(), strings.ToLower(format)+": "))
}
