package pth

import (
	"archive/zip"
	"bytes"
	"hash/crc32"
	"path"
	"strings"
)

// archive is a zip archive of torch.save: a pickle, which says what tensors there are, and a file of elements for each
// storage.
type archive struct {
	b         []byte
	entries   map[string]*zip.File // by their names below the folder that all are in
	read      map[string][]byte    // those whose checksum was compared
	size      int                  // of those together
	unchecked bool                 // no entry has a checksum
}

func isZip(b []byte) bool { return prefixed(b, "PK\x03\x04", "PK\x05\x06") } // the second is of an empty archive

func decodeZip(b []byte) (*Checkpoint, error) {
	a, err := open(b)
	if err != nil {
		return nil, err
	}
	pickle, err := a.entry("data.pkl")
	if err != nil {
		return nil, err
	}
	root, end, err := newUnpickler("data.pkl", reference).read(pickle, 0)
	if err != nil {
		return nil, err
	}
	if end != len(pickle) {
		return nil, damaged("data.pkl", "the pickle ends with %d bytes left", len(pickle)-end)
	}
	elements := func(key string) ([]byte, error) { return a.entry("data/" + key) }
	return &Checkpoint{Format: "PyTorch", Unchecked: a.unchecked, root: root, elements: elements}, nil
}

func open(b []byte) (*archive, error) {
	z, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		return nil, damaged("", "the zip archive is damaged (is the file truncated?): %v", err)
	}
	a := &archive{b: b, entries: map[string]*zip.File{}, read: map[string][]byte{}}
	folder, found := "", false
	for _, f := range z.File {
		if path.Base(f.Name) != "data.pkl" {
			continue
		}
		if found {
			return nil, damaged("", "the zip archive has two files data.pkl")
		}
		folder, found = strings.TrimSuffix(f.Name, "data.pkl"), true
	}
	if !found {
		return nil, damaged("", "the zip archive has no data.pkl, so it is not of torch.save%s", insteadOf(z.File))
	}
	a.unchecked = true
	for _, f := range z.File {
		name, inside := strings.CutPrefix(f.Name, folder)
		if !inside {
			continue
		}
		if a.entries[name] != nil {
			return nil, damaged("", "the zip archive has two files %.100s", f.Name)
		}
		a.entries[name] = f
		a.unchecked = a.unchecked && f.CRC32 == 0
	}
	if a.entries["constants.pkl"] != nil {
		return nil, damaged("", "it is a TorchScript program (torch.jit.save); save the state_dict instead: "+
			"torch.save(model.state_dict(), FILE)")
	}
	if a.entries["byteorder"] != nil { // newer versions tell; before, only little-endian machines were in use
		order, err := a.entry("byteorder")
		if err != nil {
			return nil, err
		}
		if string(order) != "little" {
			return nil, damaged("", "its byte order is %.20q, only little is supported; save it on a little-endian "+
				"machine", order)
		}
	}
	return a, nil
}

// insteadOf says what a zip archive is that torch.save did not write.
func insteadOf(files []*zip.File) string {
	if len(files) == 0 {
		return ": it is empty"
	}
	for _, f := range files {
		switch name := path.Base(f.Name); {
		case strings.HasSuffix(name, ".npy"):
			return ": it holds NumPy arrays (.npz)"
		case name == "model.weights.h5":
			return ": it is a model of Keras"
		case name == "[Content_Types].xml":
			return ": it is an office document"
		case strings.HasSuffix(name, ".pth"), strings.HasSuffix(name, ".pt"), strings.HasSuffix(name, ".safetensors"):
			return "; unpack it: " + strings.ToValidUTF8(strings.Map(printable, shorten(name)),
				"?") + " in it may be the weights"
		}
	}
	return ""
}

// printable keeps what can be shown on a terminal.
func printable(r rune) rune {
	if r < ' ' || r >= 0x7f && r < 0xa0 {
		return '?'
	}
	return r
}

// entry is the content of a file of the archive: a slice of the archive, never a copy, since torch.save does not
// compress.
func (a *archive) entry(name string) ([]byte, error) {
	if content, ok := a.read[name]; ok {
		return content, nil
	}
	refuse := func(format string, v ...any) ([]byte, error) {
		return nil, damaged(strings.Map(printable, shorten(name)), format, v...)
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
	if size := uint64(len(a.b)); uint64(at) > size || f.UncompressedSize64 > size-uint64(at) ||
		f.UncompressedSize64 != f.CompressedSize64 {
		return refuse("its %d bytes are not all there (is the file truncated?)", f.UncompressedSize64)
	}
	if a.size += int(f.UncompressedSize64); a.size > len(a.b) {
		return refuse("it overlaps with other files of the archive")
	}
	content := a.b[at:][:f.UncompressedSize64:f.UncompressedSize64]
	if sum := crc32.ChecksumIEEE(content); !a.unchecked && sum != f.CRC32 {
		return refuse("its CRC-32 is %08x, the archive says %08x: the file is damaged", sum, f.CRC32)
	}
	a.read[name] = content
	return content, nil
}
