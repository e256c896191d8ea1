package cifar

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"ninvk/dataset"
	"ninvk/pth"
)

// The Python versions of CIFAR: pickles of dictionaries, with the images as a NumPy array of bytes. Nothing of them is
// run.
var (
	Pickles10 = dataset.Format{Name: pickles10.name,
		Is:   func(path string) bool { _, ok := pickles10.find(path); return ok },
		Open: func(path string, o dataset.Options) (*dataset.Set, error) { return pickles10.open(path, o) }}
	Pickles100 = dataset.Format{Name: pickles100.name, Coarse: true,
		Is:   func(path string) bool { _, ok := pickles100.find(path); return ok },
		Open: func(path string, o dataset.Options) (*dataset.Set, error) { return pickles100.open(path, o) }}
)

// pickles is a set's layout.
type pickles struct {
	name       string
	train      string // the beginning of the names of files to train on, or the whole name
	numbered   bool   // which a number follows
	test, meta string
	nested     string // the folder in the official archive
	labelling  func(dataset.Options) labelling
}

var (
	pickles10 = pickles{"CIFAR-10's Python version (pickles)", "data_batch_", true, "test_batch", "batches.meta",
		"cifar-10-batches-py", func(dataset.Options) labelling { return cifar10 }}
	pickles100 = pickles{"CIFAR-100's Python version (pickles)", "train", false, "test", "meta", "cifar-100-python",
		labellingOf}

	// cifar10 are CIFAR-10's labels.
	cifar10 = labelling{key: "labels", names: strings.Fields(
		"airplane automobile bird cat deer dog frog horse ship truck")}
)

// namesKey is the key of the names of classes in the file beside the batches.
func (l labelling) namesKey() string {
	return strings.TrimSuffix(l.key, "labels") + "label_names"
}

const pickleHint = "a pickle of CIFAR is expected, a dict with \"data\" and labels; obtain the file again, or " +
	"write it anew by Python 3: pickle.dump(batch, file, protocol=4)"

// isTrain says whether a file is to train on by its name.
func (p pickles) isTrain(name string) bool {
	if !p.numbered {
		return name == p.train
	}
	number, ok := strings.CutPrefix(name, p.train)
	return ok && strings.Trim(number, "0123456789") == "" && number != ""
}

// find finds the folder of a set: the path, or the one that the official archive makes in it.
func (p pickles) find(path string) (string, bool) {
	for _, dir := range []string{path, filepath.Join(path, p.nested)} {
		entries, err := os.ReadDir(dir)
		if err != nil {
			continue
		}
		for _, e := range entries {
			if file := filepath.Join(dir, e.Name()); (p.isTrain(e.Name()) || e.Name() == p.test) && pickled(file) {
				return dir, true
			}
		}
		// A damaged file has the name alone, and the names of the classes beside it.
		if meta := filepath.Join(dir, p.meta); regular(meta) && pickled(meta) {
			return dir, true
		}
	}
	return "", false
}

// pickled says whether a regular file begins as a pickle does.
func pickled(path string) bool {
	if !regular(path) { // a pipe would be waited for
		return false
	}
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	b := make([]byte, 2)
	if _, err := f.Read(b); err != nil {
		return false
	}
	return b[0] == 0x80 && b[1] >= 2 && b[1] <= 5 || string(b) == "(d" // the oldest protocol
}

// number is that in a file's name.
func (p pickles) number(name string) uint64 {
	n, err := strconv.ParseUint(strings.TrimPrefix(name, p.train), 10, 64)
	if err != nil {
		return math.MaxUint64
	}
	return n
}

// open reads a set.
func (p pickles) open(path string, o dataset.Options) (*dataset.Set, error) {
	dir, ok := p.find(path)
	if !ok {
		return nil, dataset.Unread(path, "the folder has no "+p.train, pickleHint, fs.ErrNotExist)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, unreadable(dir, err)
	}
	var train []string
	for _, e := range entries {
		if p.isTrain(e.Name()) {
			train = append(train, e.Name())
		}
	}
	if len(train) == 0 {
		return nil, &dataset.FileError{Path: dir, Offset: -1, Problem: "it has no file to train on, " + p.train +
			map[bool]string{true: "1 and so on"}[p.numbered], Hint: pickleHint, Err: fs.ErrNotExist}
	}
	slices.SortStableFunc(train, func(a, b string) int { return cmp.Compare(p.number(a), p.number(b)) })
	l := p.labelling(o)
	var names []string
	if meta := filepath.Join(dir, p.meta); exists(meta) {
		if names, err = readNames(meta, l.namesKey()); err != nil {
			return nil, err
		}
	}
	classes := len(l.names)
	if names != nil {
		classes = len(names)
	}
	var splits [2]records
	for _, name := range train {
		if err := splits[0].readPickle(filepath.Join(dir, name), l.key, classes); err != nil {
			return nil, err
		}
	}
	if test := filepath.Join(dir, p.test); exists(test) {
		if err := splits[1].readPickle(test, l.key, classes); err != nil {
			return nil, err
		}
	}
	return l.set(path, p.name, splits, names, o)
}

// readDict reads a pickle of a dictionary.
func readDict(path string) (pth.Dict, error) {
	info, err := os.Stat(path)
	if err != nil {
		return pth.Dict{}, unreadable(path, err)
	}
	if !info.Mode().IsRegular() {
		return pth.Dict{}, &dataset.FileError{Path: path, Offset: -1, Problem: "is not a regular file", Hint: pickleHint}
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return pth.Dict{}, unreadable(path, err)
	}
	d, err := pth.ReadDict(b)
	return d, inFile(path, err)
}

// inFile is an error of reading a pickle with the file it is in.
func inFile(path string, err error) error {
	var e *pth.FormatError
	if !errors.As(err, &e) {
		return err
	}
	return &dataset.FileError{Path: path, Offset: e.Offset, Problem: e.Problem, Hint: pickleHint, Err: err}
}

// readNames reads the names of classes.
func readNames(path, key string) ([]string, error) {
	d, err := readDict(path)
	if err != nil {
		return nil, err
	}
	list, err := d.Strings(key)
	if err != nil {
		return nil, inFile(path, err)
	}
	if len(list) > 0 {
		names, err := dataset.ParseClasses(strings.Join(list, "\n"))
		if err != nil || len(names) != len(list) {
			return nil, &dataset.FileError{Path: path, Offset: -1, Problem: fmt.Sprintf("its %q are not names of classes: %v",
				key, cmp.Or(err, errors.New("one has a line end"))), Hint: pickleHint, Err: err}
		}
		list = names
	}
	return list, checkNames(path, list)
}

// readPickle appends the images of a file, whose labels are below classes.
func (r *records) readPickle(path, key string, classes int) error {
	d, err := readDict(path)
	if err != nil {
		return err
	}
	fail := func(format string, a ...any) error {
		return &dataset.FileError{Path: path, Offset: -1, Problem: fmt.Sprintf(format, a...), Hint: pickleHint}
	}
	labels, err := d.Ints(key)
	if err != nil {
		return inFile(path, err)
	}
	images, err := d.Array("data")
	if err != nil {
		return inFile(path, err)
	}
	if images.Type != "u1" {
		return fail("its \"data\" has elements of type %s, expected bytes (u1)", images.Type)
	}
	// Rows of planes, or the planes of each image.
	flat := len(images.Shape) == 2 && images.Shape[1] == shape.Bytes()
	if !flat && !(len(images.Shape) == 4 && slices.Equal(images.Shape[1:], []int{shape.C, shape.H, shape.W})) {
		return fail("its \"data\" has the shape %v, expected [images %d], the red, green and blue planes of 32×32 bytes",
			images.Shape, shape.Bytes())
	}
	n := images.Shape[0]
	switch {
	case n == 0:
		return fail("it has no images")
	case len(labels) != n:
		return fail("it has %d images and %d labels", n, len(labels))
	case images.Fortran && !flat:
		return fail("its \"data\" lies in Fortran's order with four dimensions, which is not supported")
	}
	for i, label := range labels {
		if label < 0 || label >= int64(classes) {
			return fail("label %d is %d, expected 0 to %d", i, label, classes-1)
		}
		r.labels = append(r.labels, uint16(label))
	}
	if !images.Fortran {
		r.pixels = append(r.pixels, images.Data...)
		return nil
	}
	for i := range n { // value after value of all images
		for v := range shape.Bytes() {
			r.pixels = append(r.pixels, images.Data[v*n+i])
		}
	}
	return nil
}
