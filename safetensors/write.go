package safetensors

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"unicode/utf8"

	"github.com/moby/sys/atomicwriter"
)

// Write writes f to path as a whole: the bytes go to a temporary file that is synced and then renamed, so an
// interruption leaves the old file or the new one, never a part. The same File always gives the same bytes. A tensor
// whose data does not fit its shape, an unknown type, or a name used twice is an error, and nothing is written.
func Write(path string, f *File) error {
	b, err := Encode(f)
	if err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	if err := atomicwriter.WriteFile(path, b, 0o644); err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	return nil
}

// Encode gives the bytes that Write writes: metadata first, its keys sorted, then the tensors in their order; the
// header is padded with spaces to a multiple of 8 bytes, so that the data is aligned.
func Encode(f *File) ([]byte, error) {
	list := make([]described, len(f.Tensors))
	size := 0
	for i, t := range f.Tensors {
		if err := t.check(); err != nil {
			return nil, err
		}
		list[i] = described{t.Name, t.DType, t.Shape, len(t.Data)}
		size += len(t.Data)
	}
	head, err := header(f.Metadata, list)
	if err != nil {
		return nil, err
	}
	b := append(make([]byte, 0, len(head)+size), head...)
	for _, t := range f.Tensors {
		b = append(b, t.Data...)
	}
	return b, nil
}

// described is a tensor as the header has it.
type described struct {
	name, dtype string
	shape       []int
	size        int // bytes
}

// header is what is before the data.
func header(metadata map[string]string, tensors []described) ([]byte, error) {
	var h bytes.Buffer
	h.Write(make([]byte, 8)) // the header's length, known at the end
	h.WriteByte('{')
	if metadata != nil {
		for k, v := range metadata {
			if !utf8.ValidString(k) || !utf8.ValidString(v) {
				return nil, fmt.Errorf("metadata %q is not valid UTF-8", k)
			}
		}
		fmt.Fprintf(&h, "%s:%s", quote(metadataKey), quote(metadata))
	}
	seen := map[string]bool{metadataKey: true}
	at := 0
	for i, t := range tensors {
		switch {
		case !utf8.ValidString(t.name):
			return nil, fmt.Errorf("tensor name %q is not valid UTF-8", t.name)
		case t.name == metadataKey:
			return nil, fmt.Errorf("a tensor can't be named %q", t.name)
		case seen[t.name]:
			return nil, fmt.Errorf("two tensors are named %q", t.name)
		}
		seen[t.name] = true
		if i > 0 || metadata != nil {
			h.WriteByte(',')
		}
		shape := t.shape
		if shape == nil {
			shape = []int{}
		}
		fmt.Fprintf(&h, `%s:{"dtype":%s,"shape":%s,"data_offsets":[%d,%d]}`, quote(t.name), quote(t.dtype), quote(shape), at,
			at+t.size)
		at += t.size
	}
	h.WriteByte('}')
	for h.Len()%8 != 0 {
		h.WriteByte(' ')
	}
	n := h.Len() - 8
	if n > maxHeader {
		return nil, fmt.Errorf("the header would take %d bytes, at most %d are allowed", n, maxHeader)
	}
	binary.LittleEndian.PutUint64(h.Bytes(), uint64(n))
	return h.Bytes(), nil
}

// quote gives v as JSON. Only strings, maps of strings and lists of numbers come here, for which marshalling does not
// fail; map keys come out sorted.
func quote(v any) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		panic(err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}
