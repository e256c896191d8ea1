package pth

import (
	"fmt"

	"ninvk/safetensors"
)

// storage is a run of elements in a file of the archive; several tensors may be views of one.
type storage struct {
	class string // of PyTorch
	key   string // the file's name in data/
	count int64  // elements
}

// tensor is a view of a storage.
type tensor struct {
	storage storage
	offset  int64 // all in elements
	size    []int64
	stride  []int64
}

// types are the storages that are supported, by the class that PyTorch saves them as.
var types = map[string]struct {
	dtype string // in safetensors
	bytes int
}{
	"FloatStorage": {"F32", 4},
	"LongStorage":  {"I64", 8}, // batch normalisation's num_batches_tracked
}

// check says whether the tensor lies in its storage, and how many bytes it takes by itself.
func (a *archive) check(t *tensor) (int, error) {
	typ, known := types[t.storage.class]
	if !known {
		return 0, fmt.Errorf("it is a torch.%s, only float32 tensors and int64 counts are supported; convert the model by .float() before saving", t.storage.class)
	}
	data, err := a.entry("data/" + t.storage.key)
	if err != nil {
		return 0, err
	}
	if t.storage.count != int64(len(data)/typ.bytes) || len(data)%typ.bytes != 0 {
		return 0, fmt.Errorf("its storage should have %d elements of %d bytes, data/%s has %d bytes", t.storage.count, typ.bytes, t.storage.key, len(data))
	}
	// An empty dimension counts as one here, so that none of the others can be absurd.
	elements, empty := int64(1), false
	for _, s := range t.size {
		if s == 0 {
			empty = true
			continue
		}
		if elements > maxBytes/s {
			return 0, fmt.Errorf("its shape %v is too large; at most %d bytes are accepted", t.size, maxBytes)
		}
		elements *= s
	}
	if empty {
		return 0, nil
	}
	if elements > t.storage.count {
		return 0, fmt.Errorf("its shape %v has more elements than its storage, which has %d; call .contiguous() before saving", t.size, t.storage.count)
	}
	count := t.storage.count
	last := min(t.offset, count) // the element farthest in; count stands for all that lie beyond the storage, so that nothing overflows
	for i, s := range t.size {
		last = min(last+(s-1)*min(t.stride[i], count), count)
	}
	if last == count {
		return 0, fmt.Errorf("shape %v with strides %v from element %d leaves its storage of %d elements", t.size, t.stride, t.offset, count)
	}
	return int(elements) * typ.bytes, nil
}

// rowMajor is the tensor, which check has found good, with the elements of its storage's data one after the other.
func (t *tensor) rowMajor(name string, data []byte) safetensors.Tensor {
	typ := types[t.storage.class]
	out := safetensors.Tensor{Name: name, DType: typ.dtype, Shape: make([]int, len(t.size)), Data: []byte{}}
	elements, contiguous := 1, true
	for i := len(t.size) - 1; i >= 0; i-- {
		out.Shape[i] = int(t.size[i])
		if t.size[i] != 1 && t.stride[i] != int64(elements) {
			contiguous = false
		}
		elements *= out.Shape[i]
	}
	from := int(t.offset) * typ.bytes
	if elements == 0 {
		return out
	}
	if contiguous {
		out.Data = data[from:][: elements*typ.bytes : elements*typ.bytes]
		return out
	}
	out.Data = make([]byte, 0, elements*typ.bytes)
	var walk func(dim, at int)
	walk = func(dim, at int) {
		if dim == len(t.size) {
			out.Data = append(out.Data, data[at:at+typ.bytes]...)
			return
		}
		for range out.Shape[dim] {
			walk(dim+1, at)
			at += int(t.stride[dim]) * typ.bytes
		}
	}
	walk(0, from)
	return out
}
