// Package pth reads PyTorch's own weights files as data. They are those that torch.save wrote in all its versions: a
// zip archive (since 1.6), a stream of pickles with the tensors' elements behind (since 0.1.10), or a tar archive.
//
// A pickle is a program for a small machine that can call any Python function. Nothing is ever run here: what a
// state_dict needs is read as data, and every other object is a name without content. The reader is strict: a tensor
// that was read is what the file's author saved.
//
// Pickles of NumPy's arrays, as CIFAR is published in, are read by the same machine (ReadDict).
package pth

import (
	"bytes"
	"fmt"
	"strings"

	"ninvk/safetensors"
)

// maxBytes is the most that the tensors of a file may take together. Tensors can share data, so a small file could ask
// for much.
const maxBytes = 1 << 30

// FormatError says what is wrong with a checkpoint, or what in it is not supported.
type FormatError struct {
	Path    string // empty where the bytes did not come from a file
	Entry   string // of the archive, or part of the file; empty where the whole is meant
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

// damaged is a *FormatError about a part of a file, or the whole if entry is empty.
func damaged(entry, format string, a ...any) error {
	return &FormatError{Entry: entry, Offset: -1, Problem: fmt.Sprintf(format, a...)}
}

// Checkpoint is what a file holds. The bytes it was read from must not change.
type Checkpoint struct {
	Format    string       // what kind of file it is, in words
	Unchecked bool         // the file has no checksums, as torch.save can be told
	Sets      []*TensorSet // at least one

	root     any
	elements func(key string) ([]byte, error) // of a storage
	taken    int                              // bytes of the tensors read so far
}

// TensorSet is a dictionary with tensors among its values, such as a state_dict, or the tensors of a whole model that
// was saved.
type TensorSet struct {
	Tensors []Tensor // in the dictionary's order
	at      *way
	value   any
}

// Tensor tells of a tensor; Read reads it.
type Tensor struct {
	Name  string
	DType string // as in package safetensors; another name where the type is not supported
	Shape []int

	view *tensor
	of   *Checkpoint
}

// Entry is what lies beside a set's tensors, for messages.
type Entry struct {
	Name string // where it lies, such as "optimizer" or "state_dict.epoch"
	Kind string // in words, such as "a dict"
}

// Is says whether a file's bytes begin as those of a PyTorch file, or of any zip or tar archive, rather than of another
// format.
func Is(b []byte) bool { return isZip(b) || isStream(b) || isTar(b) }

// Decode reads a file's bytes. It checks no tensor that is not read. An error is always a *FormatError without a path.
func Decode(b []byte) (*Checkpoint, error) {
	open := decodeZip
	switch {
	case isStream(b):
		open = decodeStream
	case isTar(b):
		open = decodeTar
	case !isZip(b):
		return nil, damaged("", "it is no file of torch.save: neither a zip archive nor one of the formats before "+
			"PyTorch 1.6")
	}
	c, err := open(b)
	if err != nil {
		return nil, err
	}
	if err := c.find(); err != nil {
		return nil, err
	}
	if len(c.Sets) == 0 {
		var parts []string
		for _, e := range entries(c.root) {
			if parts = append(parts, fmt.Sprintf("%.100q is %s", e.name, kindOf(e.value))); len(parts) == 5 {
				break
			}
		}
		what := kindOf(c.root)
		if len(parts) > 0 {
			what += " in which " + strings.Join(parts, ", ")
		}
		return nil, damaged("", "it holds no tensors, but %s; save the weights: torch.save(model.state_dict(), FILE)",
			what)
	}
	return c, nil
}

// newUnpickler reads the pickles of a file, whose part entry is meant in errors.
func newUnpickler(entry string, persistent func(id any) any) *unpickler {
	return &unpickler{entry: entry, persistent: persistent, left: maxInstructions, most: maxPickle,
		writer: "file of torch.save"}
}

// reference reads what stands for a storage: ("storage", class, key, location, elements), in the stream followed by
// what part of another storage it is. The location, a device, is of no interest. A class with its source, ("module",
// class, …), stands for the class.
func reference(v any) any {
	t, _ := v.(*sequence)
	if t == nil || len(t.items) < 2 {
		refuse("a reference outside the pickle is %s, not to a storage of elements", kindOf(v))
	}
	id := t.items
	if id[0] == any("module") {
		return id[1]
	}
	if id[0] != any("storage") || len(id) < 5 || len(id) > 6 {
		refuse("a reference outside the pickle is not to a storage of elements")
	}
	class := storageClass(id[1])
	key, ok1 := id[2].(string)
	count, ok2 := id[4].(int64)
	if class == "" || !ok1 || !ok2 || count < 0 {
		refuse("a reference to a storage has %s, a key that is %s and a length that is %s", kindOf(id[1]),
			kindOf(id[2]), kindOf(id[4]))
	}
	s := storage{class: class, key: key, count: count}
	if len(id) == 6 && id[5] != nil {
		view, _ := id[5].(*sequence)
		if view == nil || len(view.items) != 3 { // key, offset, elements
			refuse("a reference to a part of a storage is %s", kindOf(id[5]))
		}
		from, ok1 := view.items[1].(int64)
		n, ok2 := view.items[2].(int64)
		if !ok1 || !ok2 || from < 0 || n < 0 || from > count || n > count-from {
			refuse("a part of a storage leaves its %d elements", count)
		}
		s.from, s.count = from, n
	}
	return s
}

// Read reads the tensor, row-major whatever its strides were. Its Data may be a slice of the file's bytes.
func (t Tensor) Read() (safetensors.Tensor, error) {
	fail := func(format string, a ...any) (safetensors.Tensor, error) {
		return safetensors.Tensor{}, damaged("", "tensor %.200q: "+format, append([]any{t.Name}, a...)...)
	}
	typ, known := types[t.view.storage.class]
	if !known || typ.dtype == "" {
		return fail("its type is %.100s, which no weights have; convert the model by .float() before saving", t.DType)
	}
	elements, err := t.of.elements(t.view.storage.key)
	if err != nil {
		return safetensors.Tensor{}, err
	}
	size, err := t.view.check(elements)
	if err != nil {
		return fail("%v", err)
	}
	if size > maxBytes-t.of.taken {
		return fail("with it the tensors take more than %d bytes, the most that is accepted", maxBytes)
	}
	t.of.taken += size
	return t.view.rowMajor(t.Name, elements), nil
}

// prefixed says whether b begins with one of the beginnings.
func prefixed(b []byte, beginnings ...string) bool {
	for _, p := range beginnings {
		if bytes.HasPrefix(b, []byte(p)) {
			return true
		}
	}
	return false
}
