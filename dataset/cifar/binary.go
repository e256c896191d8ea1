package cifar

import (
	"bufio"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"ninvk/dataset"
)

// Binary100 is CIFAR-100's binary version: files of records without header or separator, two bytes of labels, the
// coarse one first, then the image as three planes (red, green, blue) of 32×32 bytes.
var Binary100 = dataset.Format{Name: binary100, Coarse: true, Is: isBinary, Open: openBinary}

const (
	binary100 = "CIFAR-100's binary version"

	trainFile, testFile = "train.bin", "test.bin"

	nestedBinary = "cifar-100-binary" // the folder in the official archive
)

// recordBytes are two labels and an image.
var recordBytes = 2 + shape.Bytes()

const recordsHint = "CIFAR-100's binary version is expected: records of 3074 bytes, a coarse label, a fine one and " +
	"3072 bytes of image; `ninvk data fetch cifar100` obtains it"

// isBinary looks for train.bin with the names of the classes beside it, or with records whose labels may be
// CIFAR-100's.
func isBinary(path string) bool {
	dir, ok := locate(path, nestedBinary, trainFile, testFile)
	if !ok {
		return false
	}
	for _, l := range published {
		if exists(filepath.Join(dir, l.file)) {
			return true
		}
	}
	f, err := os.Open(filepath.Join(dir, trainFile))
	if err != nil {
		return false
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || info.Size()%int64(recordBytes) != 0 {
		return false
	}
	b := make([]byte, recordBytes)
	for range 10 {
		if n, err := io.ReadFull(f, b); n == 0 && err == io.EOF {
			return info.Size() > 0
		} else if err != nil {
			return false
		}
		for _, l := range published {
			if int(b[l.at]) >= len(l.names) {
				return false
			}
		}
	}
	return true
}

// openBinary reads a folder with train.bin and, if it is there, test.bin. fine_label_names.txt or
// coarse_label_names.txt name the classes, one a line.
func openBinary(path string, o dataset.Options) (*dataset.Set, error) {
	dir, ok := locate(path, nestedBinary, trainFile, testFile)
	if !ok {
		return nil, dataset.Unread(path, "the folder has no "+trainFile, recordsHint, fs.ErrNotExist)
	}
	l := labellingOf(o)
	var names []string
	if file := filepath.Join(dir, l.file); exists(file) {
		var err error
		if names, err = dataset.ReadClasses(file); err != nil {
			return nil, err
		}
		if err := checkNames(file, names); err != nil {
			return nil, err
		}
	}
	classes := len(l.names)
	if names != nil {
		classes = len(names)
	}
	var splits [2]records
	for i, name := range []string{trainFile, testFile} {
		file := filepath.Join(dir, name)
		if name == testFile && !exists(file) {
			continue
		}
		var err error
		if splits[i], err = l.read(file, classes); err != nil {
			return nil, err
		}
	}
	return l.set(path, binary100, splits, names, o)
}

// read reads a file of records whose labels are below classes.
func (l labelling) read(path string, classes int) (records, error) {
	fail := func(at int64, hint, format string, a ...any) (records, error) {
		return records{}, &dataset.FileError{Path: path, Offset: at, Problem: fmt.Sprintf(format, a...), Hint: hint}
	}
	f, err := os.Open(path)
	if err != nil {
		return records{}, unreadable(path, err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return records{}, unreadable(path, err)
	}
	size, each := info.Size(), int64(recordBytes)
	switch {
	case !info.Mode().IsRegular():
		return fail(-1, recordsHint, "is not a regular file")
	case size == 0:
		return fail(0, recordsHint, "the file is empty, expected records of %d bytes", each)
	case size%each != 0:
		return fail(size-size%each, recordsHint,
			"%d bytes are not a whole number of %d-byte records: %d are left over after record %d", size, each, size%each,
			size/each)
	}
	n := int(size / each)
	r := records{pixels: make([]byte, n*shape.Bytes()), labels: make([]uint16, n)}
	from := bufio.NewReaderSize(f, 1<<20)
	labels := make([]byte, 2)
	for i := range n {
		if _, err := io.ReadFull(from, labels); err != nil {
			return records{}, unreadable(path, err)
		}
		if int(labels[l.at]) >= classes {
			return fail(int64(i)*each+int64(l.at), "as many classes as "+l.file+" names are expected, without it CIFAR-100's; "+
				recordsHint, "record %d has label %d, expected 0 to %d", i, labels[l.at], classes-1)
		}
		r.labels[i] = uint16(labels[l.at])
		if _, err := io.ReadFull(from, r.pixels[i*shape.Bytes():][:shape.Bytes()]); err != nil {
			return records{}, unreadable(path, err)
		}
	}
	return r, nil
}
