package pth

import (
	"archive/tar"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"path"
	"strconv"
)

// The format of before PyTorch 0.1.10: a tar archive of the files storages, tensors and pickle. Storages and tensors
// have numbers there.

// maxNumbered is the most storages and tensors of such a file.
const maxNumbered = 100_000

func isTar(b []byte) bool {
	const at = 257 // of the magic in the first header
	return len(b) >= 512 && prefixed(b[at:], "ustar")
}

func decodeTar(b []byte) (*Checkpoint, error) {
	files, err := untar(b)
	if err != nil {
		return nil, err
	}
	t := &tarred{classes: map[int64]string{}, elements: map[string][]byte{}, parts: map[int64]storage{},
		tensors: map[int64]*tensor{}}
	if err := t.readStorages(files["storages"]); err != nil {
		return nil, err
	}
	if err := t.readTensors(files["tensors"]); err != nil {
		return nil, err
	}
	root, _, err := newUnpickler("pickle", t.persistent).read(files["pickle"], 0)
	if err != nil {
		return nil, err
	}
	return &Checkpoint{Format: "PyTorch before 0.1.10", Unchecked: true, root: root, elements: lookup(t.elements)}, nil
}

// untar gives the archive's three files.
func untar(b []byte) (map[string][]byte, error) {
	files := map[string][]byte{"storages": nil, "tensors": nil, "pickle": nil}
	found := 0
	for r := tar.NewReader(bytes.NewReader(b)); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, damaged("", "the tar archive is damaged (is the file truncated?): %v", err)
		}
		name := path.Clean(h.Name)
		content, wanted := files[name]
		if !wanted || h.Typeflag != tar.TypeReg {
			continue
		}
		if content != nil {
			return nil, damaged("", "the tar archive has two files %s", name)
		}
		if h.Size > int64(len(b)) { // with holes in it
			return nil, damaged(name, "its %d bytes are more than the archive has", h.Size)
		}
		if content, err = io.ReadAll(r); err != nil {
			return nil, damaged(name, "the tar archive is damaged (is the file truncated?): %v", err)
		}
		files[name] = content
		found++
	}
	if found < len(files) {
		return nil, damaged("", "it is a tar archive without the files storages, tensors and pickle, so it is not of "+
			"torch.save; unpack it first")
	}
	return files, nil
}

// tarred is what the files of such an archive tell, by number.
type tarred struct {
	classes  map[int64]string  // of storages
	elements map[string][]byte // of storages, by the number in digits
	parts    map[int64]storage // storages, and parts of them under numbers of their own
	tensors  map[int64]*tensor
}

// numbersOf are the whole numbers at the given places of a tuple.
func numbersOf(v any, places ...int) ([]int64, error) {
	t, _ := v.(*sequence)
	out := make([]int64, len(places))
	for i, p := range places {
		ok := t != nil && p < len(t.items)
		if ok {
			out[i], ok = t.items[p].(int64)
		}
		if !ok || out[i] < 0 && i > 1 {
			return nil, fmt.Errorf("it has %s where a tuple of numbers is expected", kindOf(v))
		}
	}
	return out, nil
}

// numbered reads how many things follow, and of each its pickle; next reads what is behind that, from at on, and returns
// where it ends. The end of the last one is returned.
func numbered(u *unpickler, b []byte, next func(v any, at int) (int, error)) (at int, err error) {
	v, at, err := u.read(b, 0)
	if err != nil {
		return 0, err
	}
	n, ok := v.(int64)
	if !ok || n < 0 || n > maxNumbered {
		return 0, damaged(u.entry, "it begins with %s, %v, where a number up to %d is expected", kindOf(v), n,
			maxNumbered)
	}
	for range n {
		if v, at, err = u.read(b, at); err != nil {
			return 0, err
		}
		if at, err = next(v, at); err != nil {
			return 0, err
		}
	}
	return at, nil
}

// none is for pickles without references.
func none(any) any {
	refuse("a reference outside the pickle, where none is expected")
	return nil
}

// readStorages reads number, location and class of each storage with its elements behind, then parts of storages: their
// number, the whole's number, first element and length.
func (t *tarred) readStorages(b []byte) error {
	u := newUnpickler("storages", none)
	at, err := numbered(u, b, func(v any, at int) (int, error) {
		id, err := numbersOf(v, 0)
		if err != nil || len(v.(*sequence).items) != 3 {
			return 0, damaged(u.entry, "a storage is %s, expected number, location and class", kindOf(v))
		}
		class := storageClass(v.(*sequence).items[2])
		typ, known := types[class]
		if !known {
			return 0, damaged(u.entry, "a storage is %s, whose elements are of an unknown type",
				kindOf(v.(*sequence).items[2]))
		}
		key := strconv.FormatInt(id[0], 10)
		if t.elements[key], at, err = elementsAt(b, at, typ.bytes); err != nil {
			return 0, err
		}
		t.parts[id[0]] = storage{class: class, key: key, count: int64(len(t.elements[key]) / typ.bytes)}
		return at, nil
	})
	if err != nil {
		return err
	}
	views, _, err := u.read(b, at)
	if err != nil {
		return err
	}
	list, _ := views.(*sequence)
	if list == nil {
		return damaged(u.entry, "the parts of storages are %s, expected a list", kindOf(views))
	}
	for _, v := range list.items {
		x, err := numbersOf(v, 0, 1, 2, 3)
		if err != nil {
			return damaged(u.entry, "%v", err)
		}
		whole, known := t.parts[x[1]]
		if !known || x[2] > whole.count || x[3] > whole.count-x[2] {
			return damaged(u.entry, "a part of a storage leaves it, or the storage is not there")
		}
		t.parts[x[0]] = storage{class: whole.class, key: whole.key, from: whole.from + x[2], count: x[3]}
	}
	return nil
}

// readTensors reads each tensor's number, storage and class, then number of dimensions, shape, strides and first
// element.
func (t *tarred) readTensors(b []byte) error {
	u := newUnpickler("tensors", none)
	_, err := numbered(u, b, func(v any, at int) (int, error) {
		id, err := numbersOf(v, 0, 1)
		if err != nil {
			return 0, damaged(u.entry, "%v", err)
		}
		s, known := t.parts[id[1]]
		if !known {
			return 0, damaged(u.entry, "the storage of a tensor is not there")
		}
		short := func() error {
			return &FormatError{Entry: u.entry, Offset: int64(at), Problem: "a tensor is not all there (is the file " +
				"truncated?)"}
		}
		if len(b)-at < 8 {
			return 0, short()
		}
		dims := binary.LittleEndian.Uint32(b[at:]) // and four bytes without meaning
		at += 8
		if dims > maxDims || len(b)-at < 16*int(dims)+8 {
			return 0, short()
		}
		word := func() int64 {
			at += 8
			return int64(binary.LittleEndian.Uint64(b[at-8:]))
		}
		x := &tensor{storage: s, size: make([]int64, dims), stride: make([]int64, dims)}
		ok := true
		for _, list := range [][]int64{x.size, x.stride} {
			for i := range list {
				list[i] = word()
				ok = ok && list[i] >= 0
			}
		}
		if x.offset = word(); !ok || x.offset < 0 {
			return 0, damaged(u.entry, "a tensor's shape, strides or first element are negative")
		}
		t.tensors[id[0]] = x
		return at, nil
	})
	return err
}

// persistent finds a tensor or storage by its number, in digits; a class that comes with its source, (class, …), is the
// class.
func (t *tarred) persistent(id any) any {
	if s, ok := id.(*sequence); ok && len(s.items) > 0 {
		return s.items[0]
	}
	n, ok := id.(int64)
	if text, isText := id.(string); isText {
		v, err := strconv.ParseInt(text, 10, 64)
		n, ok = v, err == nil
	}
	if ok && t.tensors[n] != nil {
		return t.tensors[n]
	}
	if s, known := t.parts[n]; ok && known {
		return s
	}
	refuse("a reference outside the pickle is to no tensor")
	return nil
}
