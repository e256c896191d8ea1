// Package idx reads data sets in MNIST's format, IDX. Fashion-MNIST, KMNIST and EMNIST have it too.
//
// A file is a big-endian header (two zeros, the type of the values, the number of dimensions, the length of each), then
// the values. A set is four files: images [n, rows, columns] and labels [n] to train and to test with, each compressed
// by gzip or not.
//
// Images are taken as they are stored. EMNIST's files, and some copies of others, hold them mirrored at the diagonal:
// networks learn from either, but what is classified later must be stored in the same way.
package idx

import (
	"bufio"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"strings"

	"ninvk/dataset"
)

// An array is the content of a file.
type array struct {
	path   string
	size   []int // the length of each dimension
	values []byte
}

const (
	headerHint = "MNIST's format (IDX) is expected: two zeros, the type of the values, the number of dimensions and " +
		"each of them, then the values"
	againHint = "the file is damaged: obtain it again"

	unsigned = 8 // the type of values which are bytes from 0 to 255

	// mostBytes is the largest array that is read into memory.
	mostBytes = 8 << 30

	// mostRatio is how many bytes gzip can make of one.
	mostRatio = 1032
)

// types are the names of the types of values by their number in the header.
var types = map[byte]string{unsigned: "bytes", 9: "signed bytes", 11: "int16", 12: "int32", 13: "float32",
	14: "float64"}

// header is the beginning of a file.
type header struct {
	kind byte
	size []int64
	zip  bool // the file is compressed
}

// count is the number of values.
func (h header) count() (n int64, fits bool) {
	n = 1
	for _, s := range h.size {
		if s > 0 && n > math.MaxInt64/s {
			return 0, false
		}
		n *= s
	}
	return n, true
}

func (h header) length() int64 { return int64(4 + 4*len(h.size)) }

// reader reads the bytes of a file as they were before compression, and says whether it was compressed.
func reader(f io.Reader) (io.Reader, bool, error) {
	b := bufio.NewReaderSize(f, 1<<16)
	if magic, _ := b.Peek(2); string(magic) != "\x1f\x8b" { // short where the file is
		return b, false, nil
	}
	z, err := gzip.NewReader(b)
	return z, true, err
}

// problem is what is wrong with a file's content, and where.
type problem struct {
	at         int64 // byte of what was read; -1 without a place
	text, hint string
	err        error
}

func (p *problem) Error() string { return p.text }

// readHeader reads the beginning of a file.
func readHeader(r io.Reader) (header, *problem) {
	var h header
	b := make([]byte, 4)
	if n, err := io.ReadFull(r, b); err != nil {
		return h, &problem{int64(n), "the file ends within its header" + cause(err), againHint, err}
	}
	if b[0] != 0 || b[1] != 0 || types[b[2]] == "" || b[3] == 0 {
		return h, &problem{0, fmt.Sprintf("it begins with the bytes % x, which is no header", b), headerHint, nil}
	}
	h.kind = b[2]
	for d := range b[3] {
		n, err := io.ReadFull(r, b)
		if err != nil {
			return h, &problem{4 + 4*int64(d) + int64(n), "the file ends within its header" + cause(err), againHint, err}
		}
		h.size = append(h.size, int64(binary.BigEndian.Uint32(b)))
	}
	return h, nil
}

// cause tells of an error other than the end of the file.
func cause(err error) string {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return ""
	}
	return ": " + dataset.Cause(err)
}

// decode reads an array of the given number of dimensions, out of a file of so many bytes. What says what they are.
func decode(f io.Reader, stored int64, dimensions int, what string) (*array, *problem) {
	r, zipped, err := reader(f)
	if err != nil {
		return nil, &problem{-1, "its compression by gzip is damaged: " + dataset.Cause(err), againHint, err}
	}
	h, p := readHeader(r)
	if p != nil {
		return nil, p
	}
	h.zip = zipped
	if p := h.supported(dimensions, what); p != nil {
		return nil, p
	}
	n, fits := h.count()
	if !fits || n > mostBytes {
		return nil, &problem{4, fmt.Sprintf("its header says %s values, more than the %d that are read", h.dimensions(),
			int64(mostBytes)), "is it damaged? data of this size are better a folder of images", nil}
	}
	// An array that can't be all there is not made room for.
	if short := h.length() + n; !zipped && short > stored || zipped && short/mostRatio > stored {
		return nil, &problem{stored, fmt.Sprintf("the file ends too early: %s values are %d bytes with the header",
			h.dimensions(), short), againHint, nil}
	}
	a := &array{values: make([]byte, n)}
	for _, s := range h.size {
		a.size = append(a.size, int(s))
	}
	if got, err := io.ReadFull(r, a.values); err != nil {
		return nil, &problem{h.length() + int64(got), fmt.Sprintf("the file ends too early: %d of %s values are there%s",
			got, h.dimensions(), cause(err)), againHint, err}
	}
	// The checksum of gzip is behind the last byte.
	switch left, err := io.CopyN(io.Discard, r, 1); {
	case left > 0:
		return nil, &problem{h.length() + n, fmt.Sprintf("something follows the %s values", h.dimensions()), againHint, nil}
	case !errors.Is(err, io.EOF):
		return nil, &problem{-1, "its compression by gzip is damaged: " + dataset.Cause(err), againHint, err}
	}
	return a, nil
}

// dimensions are the lengths as "60000×28×28".
func (h header) dimensions() string {
	parts := make([]string, len(h.size))
	for i, s := range h.size {
		parts[i] = fmt.Sprint(s)
	}
	return strings.Join(parts, "×")
}

// supported says what in a whole file is not read.
func (h header) supported(dimensions int, what string) *problem {
	switch {
	case h.kind != unsigned:
		return &problem{2, "its values are " + types[h.kind] + ", which are not supported as " + what,
			"bytes (type 8) are read: convert the file", nil}
	case len(h.size) != dimensions && dimensions == 1:
		return &problem{3, fmt.Sprintf("it has %s values, expected one dimension, as labels have (idx1)",
			h.dimensions()), "is it a file of images under the name of labels?", nil}
	case len(h.size) != dimensions:
		return &problem{3, fmt.Sprintf("it has %s values, expected three dimensions, as grey images have (idx3)",
			h.dimensions()), "others are not supported; save the images as PNG files, a folder for each class", nil}
	}
	for i, s := range h.size {
		if s == 0 {
			return &problem{4 + 4*int64(i), fmt.Sprintf("it is empty: its header says %s values", h.dimensions()),
				"obtain the file again", nil}
		}
	}
	return nil
}

// read is decode of a file by its name; errors are *dataset.FileError.
func read(path string, dimensions int, what string) (*array, error) {
	fail := func(p *problem) (*array, error) {
		return nil, &dataset.FileError{Path: path, Offset: p.at, Problem: p.text, Hint: p.hint, Err: p.err}
	}
	f, err := os.Open(path)
	if err != nil {
		return fail(&problem{-1, "cannot be read: " + dataset.Cause(err), "", err})
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return fail(&problem{-1, "cannot be read: " + dataset.Cause(err), "", err})
	}
	a, p := decode(f, info.Size(), dimensions, what)
	if p != nil {
		return fail(p)
	}
	a.path = path
	return a, nil
}

// peek is the header of a file, if it is a regular one with such a header.
func peek(path string) (header, bool) {
	info, err := os.Stat(path)
	if err != nil || !info.Mode().IsRegular() { // a pipe would be waited for
		return header{}, false
	}
	f, err := os.Open(path)
	if err != nil {
		return header{}, false
	}
	defer f.Close()
	r, zipped, err := reader(f)
	if err != nil {
		return header{}, false
	}
	h, p := readHeader(io.LimitReader(r, 2000))
	h.zip = zipped
	return h, p == nil
}
