package pth

import (
	"encoding/binary"
	"fmt"
)

// The format of PyTorch 0.1.10 to 1.5: five pickles, one behind the other, then the elements of the storages.
const (
	streamMagic    = "\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19." // the pickle of a number
	streamProtocol = 1001
)

// isStream looks at the part of the first pickle that no other has; newer protocols put a frame around the rest.
func isStream(b []byte) bool {
	return prefixed(b, streamMagic[:4], "\x80\x03\x8a\x0a", "\x80\x04\x95\x0d\x00\x00\x00\x00\x00\x00\x00\x8a\x0a",
		"\x80\x05\x95\x0d\x00\x00\x00\x00\x00\x00\x00\x8a\x0a",
		"\x80\x04\x8a\x0a", "\x80\x05\x8a\x0a")
}

// streamEntry is what errors call the pickles.
const streamEntry = "the stream of pickles"

func decodeStream(b []byte) (*Checkpoint, error) {
	at := 0
	classes := map[string]string{} // of the storages referred to, by key
	u := newUnpickler(streamEntry, func(id any) any {
		v := reference(id)
		if s, ok := v.(storage); ok {
			if class, known := classes[s.key]; known && class != s.class {
				refuse("storage %.50q is a %s and a %s", s.key, class, s.class)
			}
			classes[s.key] = s.class
		}
		return v
	})
	next := func() (v any, err error) {
		v, at, err = u.read(b, at)
		return v, err
	}
	if err := checkPreamble(next); err != nil {
		return nil, err
	}
	root, err := next()
	if err != nil {
		return nil, err
	}
	keys, err := next()
	if err != nil {
		return nil, err
	}
	storages, at, err := readStorages(b, at, keys, classes)
	if err != nil {
		return nil, err
	}
	if at != len(b) {
		return nil, damaged(streamEntry, "%d bytes are left over at the end", len(b)-at)
	}
	return &Checkpoint{Format: "PyTorch before 1.6", Unchecked: true, root: root, elements: lookup(storages)}, nil
}

// checkPreamble reads the first three pickles: the magic number, the version, and what the machine was.
func checkPreamble(next func() (any, error)) error {
	if _, err := next(); err != nil {
		return err
	}
	protocol, err := next()
	if err != nil {
		return err
	}
	if protocol != any(int64(streamProtocol)) {
		return damaged("", "it has version %v of the format before PyTorch 1.6; %d is read", protocol, streamProtocol)
	}
	system, err := next()
	if err != nil {
		return err
	}
	for _, e := range entries(system) {
		if e.name == "little_endian" && e.value != any(true) {
			return damaged("", "its byte order is big, only little is supported; save it on a little-endian machine")
		}
	}
	return nil
}

// readStorages reads the storages from at on, in the order of their keys.
func readStorages(b []byte, at int, keys any, classes map[string]string) (map[string][]byte, int, error) {
	list, ok := keys.(*sequence)
	if !ok {
		return nil, at, damaged(streamEntry, "the list of storages is %s", kindOf(keys))
	}
	storages := map[string][]byte{}
	for _, k := range list.items {
		key, _ := k.(string)
		typ, known := types[classes[key]]
		if !known {
			return nil, at, damaged(streamEntry, "storage %.50q has elements of a type that is not known, %.100q", key,
				classes[key])
		}
		var err error
		if storages[key], at, err = elementsAt(b, at, typ.bytes); err != nil {
			return nil, at, err
		}
	}
	return storages, at, nil
}

// elementsAt reads a storage: the number of its elements, then they.
func elementsAt(b []byte, at, size int) (elements []byte, end int, err error) {
	if len(b)-at < 8 {
		return nil, at, &FormatError{Offset: int64(at), Problem: "the file ends where a storage is expected (is it " +
			"truncated?)"}
	}
	n := binary.LittleEndian.Uint64(b[at:])
	at += 8
	if left := len(b) - at; n > uint64(left/size) {
		return nil, at, &FormatError{Offset: int64(at), Problem: fmt.Sprintf("a storage of %d elements of %d bytes "+
			"is not all there (is the file truncated?)", n, size)}
	}
	end = at + int(n)*size
	return b[at:end:end], end, nil
}

// lookup finds storages that were all read.
func lookup(storages map[string][]byte) func(key string) ([]byte, error) {
	return func(key string) ([]byte, error) {
		if b, ok := storages[key]; ok {
			return b, nil
		}
		return nil, damaged("", "storage %.50q is missing", key)
	}
}
