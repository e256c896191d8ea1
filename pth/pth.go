// Package pth reads PyTorch's own checkpoint files, as torch.save writes them since version 1.6: a zip archive of a pickle, which says
// what tensors there are, and of their raw data.
//
// A pickle is a program for a small machine that can call any Python function. Nothing is ever run here: the few instructions that a state_dict
// needs are read as data, and every other is refused. The reader is strict: a tensor that was read is what the file's author saved.
package pth

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path"
	"strings"

	"ninvk/safetensors"
)

// maxBytes is the most that the tensors of a file may take together. Tensors can share data, so a small file could ask for much.
const maxBytes = 1 << 30

// maxPickle is the largest pickle accepted, in bytes. It holds names and shapes alone; those of large networks take some 100 kB.
const maxPickle = 16 << 20

// FormatError says what is wrong with a checkpoint, or what in it is not supported.
type FormatError struct {
	Path    string // empty where the bytes did not come from a file
	Entry   string // of the archive; empty where the archive itself is meant
	Offset  int64  // bytes from the start of the entry; -1 where the problem has no place
	Problem string
}

func (e *FormatError) Error() string {
	var b strings.Builder
	if e.Path == "" {
		b.WriteString("data")
	}
	b.WriteString(e.Path)
	if e.Entry != "" {
		b.WriteString(", " + e.Entry + " in it")
	}
	if e.Offset >= 0 {
		fmt.Fprintf(&b, ", byte %d", e.Offset)
	}
	b.WriteString(": " + e.Problem)
	return b.String()
}

const (
	zipMagic    = "PK\x03\x04"
	legacyMagic = "\x80\x02\x8a\x0a" // the pickle of the number that files of PyTorch before 1.6 begin with
)

// Is says whether a file's bytes are those of a PyTorch checkpoint, new or old, rather than of another format.
func Is(b []byte) bool {
	return bytes.HasPrefix(b, []byte(zipMagic)) || bytes.HasPrefix(b, []byte(legacyMagic))
}

// Read reads a whole file: a state_dict of float32 and int64 tensors, or a dictionary that has one under "state_dict". The tensors are in the
// order of the state_dict and row-major, whatever their strides were. The error is a *FormatError where the content is at fault, and the
// operating system's where the file can't be read.
func Read(path string) (*safetensors.File, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading weights: %w", err)
	}
	f, err := Decode(b)
	var format *FormatError
	if errors.As(err, &format) {
		format.Path = path
	}
	return f, err
}

// Decode reads a file's bytes. The tensors' Data may be slices of b, so b must not change afterwards. An error is always a *FormatError
// without a path.
func Decode(b []byte) (*safetensors.File, error) {
	a, err := open(b)
	if err != nil {
		return nil, err
	}
	pickle, err := a.entry("data.pkl")
	if err != nil {
		return nil, err
	}
	if len(pickle) > maxPickle {
		return nil, &FormatError{Entry: "data.pkl", Offset: -1, Problem: fmt.Sprintf("it has %d bytes, at most %d are accepted", len(pickle), maxPickle)}
	}
	value, err := unpickle(pickle)
	if err != nil {
		return nil, err
	}
	names, tensors, err := stateDict(value)
	if err != nil {
		return nil, err
	}
	// All are checked before the first is copied.
	total := 0
	for i, t := range tensors {
		size, err := a.check(t)
		if err == nil {
			if total += size; total > maxBytes {
				err = fmt.Errorf("with it the tensors take more than %d bytes, the most that is accepted", maxBytes)
			}
		}
		var format *FormatError
		if err != nil && !errors.As(err, &format) {
			err = &FormatError{Entry: "data.pkl", Offset: -1, Problem: fmt.Sprintf("tensor %q: %v", names[i], err)}
		}
		if err != nil {
			return nil, err
		}
	}
	f := &safetensors.File{}
	for i, t := range tensors {
		data, err := a.entry("data/" + t.storage.key)
		if err != nil {
			return nil, err
		}
		f.Tensors = append(f.Tensors, t.rowMajor(names[i], data))
	}
	return f, nil
}

// archive is an open checkpoint.
type archive struct {
	b       []byte
	entries map[string]*zip.File // by their names below the folder that all are in
	read    map[string][]byte    // those whose checksum was compared
	size    int                  // of those together
}

func open(b []byte) (*archive, error) {
	refuse := func(format string, a ...any) (*archive, error) {
		return nil, &FormatError{Offset: -1, Problem: fmt.Sprintf(format, a...)}
	}
	if bytes.HasPrefix(b, []byte(legacyMagic)) {
		return refuse("it has the format of PyTorch before 1.6; load it with a newer PyTorch and torch.save it again")
	}
	if !bytes.HasPrefix(b, []byte(zipMagic)) {
		return refuse("it is not a zip archive, as torch.save writes; weights in safetensors format need no import")
	}
	z, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		return refuse("the zip archive is damaged (is the file truncated?): %v", err)
	}
	a := &archive{b: b, entries: map[string]*zip.File{}, read: map[string][]byte{}}
	folder, found := "", false
	for _, f := range z.File {
		if path.Base(f.Name) != "data.pkl" {
			continue
		}
		if found {
			return refuse("the zip archive has two files data.pkl")
		}
		folder, found = strings.TrimSuffix(f.Name, "data.pkl"), true
	}
	if !found {
		return refuse("the zip archive has no data.pkl, so it is not of torch.save")
	}
	for _, f := range z.File {
		name, inside := strings.CutPrefix(f.Name, folder)
		if !inside {
			continue
		}
		if a.entries[name] != nil {
			return refuse("the zip archive has two files %s", f.Name)
		}
		a.entries[name] = f
	}
	if a.entries["constants.pkl"] != nil {
		return refuse("it is a TorchScript program (torch.jit.save); save the state_dict instead: torch.save(model.state_dict(), FILE)")
	}
	if a.entries["byteorder"] != nil { // newer versions tell; before, only little-endian machines were in use
		order, err := a.entry("byteorder")
		if err != nil {
			return nil, err
		}
		if string(order) != "little" {
			return refuse("its byte order is %.20q, only little is supported; save it on a little-endian machine", order)
		}
	}
	return a, nil
}

// entry is the content of a file of the archive: a slice of the archive, never a copy, since torch.save does not compress.
func (a *archive) entry(name string) ([]byte, error) {
	if data, ok := a.read[name]; ok {
		return data, nil
	}
	refuse := func(format string, v ...any) ([]byte, error) {
		return nil, &FormatError{Entry: name, Offset: -1, Problem: fmt.Sprintf(format, v...)}
	}
	f := a.entries[name]
	if f == nil {
		return refuse("it is missing")
	}
	if f.Method != zip.Store || f.Flags&1 != 0 {
		return refuse("it is compressed or encrypted, which torch.save never does; was the file packed again?")
	}
	at, err := f.DataOffset()
	if err != nil {
		return refuse("the zip archive is damaged: %v", err)
	}
	if size := uint64(len(a.b)); uint64(at) > size || f.UncompressedSize64 > size-uint64(at) || f.UncompressedSize64 != f.CompressedSize64 {
		return refuse("its %d bytes are not all there (is the file truncated?)", f.UncompressedSize64)
	}
	if a.size += int(f.UncompressedSize64); a.size > len(a.b) {
		return refuse("it overlaps with other files of the archive")
	}
	data := a.b[at:][:f.UncompressedSize64:f.UncompressedSize64]
	if sum := crc32.ChecksumIEEE(data); sum != f.CRC32 {
		return refuse("its CRC-32 is %08x, the archive says %08x: the file is damaged", sum, f.CRC32)
	}
	a.read[name] = data
	return data, nil
}

// stateDict finds the tensors in what was pickled.
func stateDict(value any) (names []string, tensors []*tensor, err error) {
	refuse := func(format string, a ...any) ([]string, []*tensor, error) {
		return nil, nil, &FormatError{Entry: "data.pkl", Offset: -1, Problem: fmt.Sprintf(format, a...)}
	}
	d, ok := value.(*dict)
	if !ok {
		return refuse("it holds %s, expected a state_dict", kindOf(value))
	}
	where := ""
	for i, k := range d.keys {
		if k == any("state_dict") {
			inner, ok := d.values[i].(*dict)
			if !ok {
				return refuse("what it has under \"state_dict\" is %s", kindOf(d.values[i]))
			}
			d = inner
			where = " of state_dict"
			break
		}
	}
	seen := map[string]bool{}
	for i, k := range d.keys {
		name, isText := k.(string)
		if !isText {
			return refuse("a key%s is %s, expected the names of tensors", where, kindOf(k))
		}
		t, isTensor := d.values[i].(*tensor)
		switch {
		case !isTensor:
			return refuse("entry %q%s is %s, expected a tensor; a checkpoint that holds more than weights must have them under \"state_dict\"", name, where, kindOf(d.values[i]))
		case seen[name]:
			return refuse("two tensors are named %q", name)
		}
		seen[name] = true
		names, tensors = append(names, name), append(tensors, t)
	}
	return names, tensors, nil
}
