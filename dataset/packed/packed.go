// Package packed keeps a data set as it is trained on, in one file of decoded images. The file has labels and names as
// well, is of the safetensors format, written once and mapped into memory afterwards, image by image, whatever its
// size.
//
// The tensors are
//
//	train.images, test.images  U8 [n, C, H, W], C is 1 or 3; sizes may differ between the two
//	train.labels, test.labels  I64 [n], from 0 on; other types of whole numbers are read, too
//	train.names, test.names    U8, optional: the names of the images in UTF-8, a zero byte after each
//	sha256                     U8 [32], optional: see dataset.Sum
//
// and the metadata, all optional, ninvk.classes (a JSON list of the classes' names), ninvk.format (what was packed),
// ninvk.notes and ninvk.broken (JSON lists: what a person should be told).
// Without test.images some of the training images are tested with.
package packed

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"ninvk/dataset"
	"ninvk/safetensors"
)

// Format is a packed set.
var Format = dataset.Format{Name: formatName, Is: is, Open: open}

const formatName = "a packed set (ninvk data pack)"

// Names of tensors, after "train." and "test.".
const (
	images = ".images"
	labels = ".labels"
	names  = ".names"
	sum    = "sha256"
)

// Keys of the metadata.
const (
	classesKey = "ninvk.classes"
	formatKey  = "ninvk.format"
	notesKey   = "ninvk.notes"
	brokenKey  = "ninvk.broken"
)

var splitNames = [2]string{"train", "test"}

// What images without names are called, with their number.
var imageNames = [2]string{"training image", "test image"}

const hint = "`ninvk data pack` writes such a set; its tensors are train.images, train.labels, test.images and " +
	"test.labels (pack the set again if the file is damaged)"

// is says whether a file is in the safetensors format and has images.
func is(path string) bool {
	info, err := os.Stat(path)
	if err != nil || !info.Mode().IsRegular() {
		return false
	}
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	start := make([]byte, 9)
	if _, err := io.ReadFull(f, start); err != nil || start[8] != '{' {
		return false
	}
	const most = 25_000_000 // bytes of a header
	n := binary.LittleEndian.Uint64(start)
	if n > most {
		return false
	}
	header, err := io.ReadAll(io.LimitReader(f, int64(n))) // one that is cut off is still one
	return err == nil && bytes.Contains(header, []byte(`"train`+images+`"`))
}

// set is an open file.
type set struct {
	path string
	file file
	*safetensors.Layout
}

// file is what images are read from.
type file interface {
	// read fills dst from a byte of the file on, which is known to hold it.
	read(dst []byte, at int64) error
}

func (s *set) fail(at int64, format string, a ...any) error {
	return &dataset.FileError{Path: s.path, Offset: at, Problem: fmt.Sprintf(format, a...), Hint: hint}
}

// load opens a file and reads its header.
func load(path string) (*set, error) {
	s := &set{path: path}
	f, err := os.Open(path)
	if err != nil {
		return nil, s.fail(-1, "cannot be read: %s", dataset.Cause(err))
	}
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		f.Close()
		return nil, s.fail(-1, "is not a regular file")
	}
	if s.Layout, err = safetensors.ReadLayout(f, info.Size()); err != nil {
		f.Close()
		var format *safetensors.FormatError
		if errors.As(err, &format) {
			return nil, s.fail(format.Offset, "%s", format.Problem)
		}
		return nil, s.fail(-1, "cannot be read: %s", dataset.Cause(err))
	}
	s.file = mapped(path, f, info.Size())
	return s, nil
}

// open opens a set without reading its images, unless it has no checksum or no images to test with.
func open(path string, o dataset.Options) (*dataset.Set, error) {
	s, err := load(path)
	if err != nil {
		return nil, err
	}
	d := &dataset.Set{Name: filepath.Clean(path), Format: formatName, Named: true}
	for _, key := range []struct {
		name string
		list *[]string
	}{{classesKey, &d.Classes}, {notesKey, &d.Notes}, {brokenKey, &d.Broken}} {
		text, ok := s.Metadata[key.name]
		if !ok {
			continue
		}
		if err := json.Unmarshal([]byte(text), key.list); err != nil {
			return nil, s.fail(-1, "its metadata %s is no JSON list of text: %v", key.name, err)
		}
	}
	if from := s.Metadata[formatKey]; from != "" {
		d.Format = fmt.Sprintf("a packed set of %s", from)
	}
	largest := -1
	for i, split := range []*dataset.Split{&d.Train, &d.Test} {
		if err := s.split(i, split); err != nil {
			return nil, err
		}
		for _, l := range split.Labels {
			largest = max(largest, int(l))
		}
	}
	if err := s.name(d, largest); err != nil {
		return nil, err
	}
	if d.Train.Shape.C != d.Test.Shape.C && d.Test.Len() > 0 {
		return nil, s.fail(-1, "its training images have %d channels, those to test with %d", d.Train.Shape.C,
			d.Test.Shape.C)
	}
	d.Channels = d.Train.Shape.C
	recorded, ok := s.Tensor(sum)
	if !ok || d.Test.Len() == 0 {
		return d, d.Arrays(o)
	}
	b, err := s.bytes(recorded)
	if err != nil {
		return nil, err
	}
	if len(b) != 32 || recorded.DType != "U8" {
		return nil, s.fail(recorded.Offset, "its sha256 is %s of shape %v, expected 32 bytes", recorded.DType, recorded.Shape)
	}
	d.SHA256 = hex.EncodeToString(b)
	d.SetChannels(o.Channels)
	return d, nil
}

// name checks the classes' names, or makes some of numbers.
func (s *set) name(d *dataset.Set, largest int) error {
	if d.Classes == nil {
		d.Named = false
		for i := range largest + 1 {
			d.Classes = append(d.Classes, strconv.Itoa(i))
		}
		d.Notes = append(d.Notes, fmt.Sprintf("the classes are called by their labels, 0 to %d; the metadata %s can name "+
			"them", largest, classesKey))
	}
	switch n := len(d.Classes); {
	case largest >= n:
		return s.fail(-1, "it has the label %d, but only %d classes", largest, n)
	case n < 2 || n > dataset.MostClasses:
		return s.fail(-1, "it has %d classes, expected 2 to %d", n, dataset.MostClasses)
	}
	for i, name := range d.Classes {
		if !utf8.ValidString(name) || strings.TrimSpace(name) == "" {
			return s.fail(-1, "class %d has no name", i)
		}
	}
	return nil
}

// bytes is the content of a tensor, which must not be large.
func (s *set) bytes(t safetensors.Place) ([]byte, error) {
	b := make([]byte, t.Bytes)
	if err := s.file.read(b, t.Offset); err != nil {
		return nil, s.fail(t.Offset, "%v", err)
	}
	return b, nil
}

// split reads all of a split but its images. One to test with may be missing.
func (s *set) split(i int, split *dataset.Split) error {
	name := splitNames[i]
	pixels, ok := s.Tensor(name + images)
	if !ok {
		if i == 1 {
			return nil
		}
		return s.fail(-1, "it has no %s%s", name, images)
	}
	shape := pixels.Shape
	if pixels.DType != "U8" || len(shape) != 4 || shape[1] != 1 && shape[1] != 3 || slices.Contains(shape, 0) {
		return s.fail(pixels.Offset, "its %s%s is %s of shape %v, expected U8 [images, 1 or 3 channels, rows, columns]", name,
			images, pixels.DType, shape)
	}
	given, ok := s.Tensor(name + labels)
	if !ok {
		return s.fail(-1, "it has no %s%s", name, labels)
	}
	if len(given.Shape) != 1 || given.Shape[0] != shape[0] {
		return s.fail(given.Offset, "its %s%s has shape %v, expected a label for each of %d images", name, labels,
			given.Shape,
			shape[0])
	}
	b, err := s.bytes(given)
	if err != nil {
		return err
	}
	given.Data = b
	list, err := given.Int64s()
	if err != nil {
		return s.fail(given.Offset, "%v", err)
	}
	split.Shape = dataset.Shape{C: shape[1], H: shape[2], W: shape[3]}
	split.Labels = make([]uint16, len(list))
	for i, l := range list {
		if l < 0 || l >= dataset.MostClasses {
			return s.fail(given.Offset, "label %d of its %s%s is %d, expected 0 to %d", i, name, labels, l,
				dataset.MostClasses-1)
		}
		split.Labels[i] = uint16(l)
	}
	source := source{set: s, at: pixels.Offset, one: split.Shape.Bytes(), what: imageNames[i]}
	if list, ok := s.Tensor(name + names); ok {
		b, err := s.bytes(list)
		if err != nil {
			return err
		}
		source.names = strings.Split(string(b), "\x00")
		if n := len(source.names) - 1; n != len(split.Labels) || source.names[n] != "" || list.DType != "U8" {
			return s.fail(list.Offset, "its %s%s has %d names, expected one for each of %d images, a zero byte after each",
				name, names, n, shape[0])
		}
	}
	split.Source = source
	return nil
}

// source are the images of a split.
type source struct {
	*set
	at    int64 // of the first image
	one   int   // bytes of an image
	names []string
	what  string
}

// Read reads image i out of the file.
func (s source) Read(i int, dst []byte) error {
	at := s.at + int64(i)*int64(s.one)
	if err := s.file.read(dst[:s.one], at); err != nil {
		return &dataset.FileError{Path: s.path, Offset: at, Problem: err.Error(), Err: err,
			Hint: "was the file changed meanwhile, or its disk taken away?"}
	}
	return nil
}

// Name is the name that the image had in the set that was packed.
func (s source) Name(i int) string {
	if s.names == nil {
		return fmt.Sprintf("%s %d", s.what, i)
	}
	return s.names[i]
}

// errCut is what reading a part of a file gives that is no longer there.
var errCut = errors.New("a part of the file can't be read: it was cut off or its disk has an error")

// Verify reads all of a file and compares it with its checksum. A file without one is a *dataset.FileError, too.
func Verify(path string) error {
	s, err := load(path)
	if err != nil {
		return err
	}
	if _, ok := s.Tensor(sum); !ok {
		return s.fail(-1, "it has no checksum to compare with")
	}
	d, err := open(path, dataset.Options{})
	if err != nil {
		return err
	}
	got := dataset.NewSum(len(d.Classes))
	for _, split := range []dataset.Split{d.Train, d.Test} {
		if err := got.Split(split); err != nil {
			return err
		}
	}
	if got.Hex() != d.SHA256 {
		return s.fail(-1, "its images and labels have SHA-256 %s, expected %s", got.Hex(), d.SHA256)
	}
	return nil
}
