package pth

import (
	"fmt"
	"strings"

	"ninvk/safetensors"
)

// storage is a stretch of elements in a file; several tensors may be views of one.
type storage struct {
	class string // of PyTorch; one of types, or unknown
	key   string // what the file knows it by
	from  int64  // the first element, where the storage is itself a part of one
	count int64  // elements
}

// tensor is a view of a storage.
type tensor struct {
	storage storage
	offset  int64 // all in elements
	size    []int64
	stride  []int64
}

// types are PyTorch's types of elements, by the class that their storages are saved as.
var types = map[string]struct {
	name  string // in PyTorch
	dtype string // in safetensors; "" where weights are never of the type
	bytes int
}{
	"DoubleStorage":        {"float64", "F64", 8},
	"FloatStorage":         {"float32", "F32", 4},
	"HalfStorage":          {"float16", "F16", 2},
	"BFloat16Storage":      {"bfloat16", "BF16", 2},
	"LongStorage":          {"int64", "I64", 8}, // batch normalisation's num_batches_tracked
	"IntStorage":           {"int32", "I32", 4},
	"ShortStorage":         {"int16", "I16", 2},
	"CharStorage":          {"int8", "I8", 1},
	"ByteStorage":          {"uint8", "U8", 1},
	"BoolStorage":          {"bool", "BOOL", 1},
	"ComplexFloatStorage":  {"complex64", "", 8},
	"ComplexDoubleStorage": {"complex128", "", 16},
	"QInt8Storage":         {"qint8", "", 1},
	"QUInt8Storage":        {"quint8", "", 1},
	"QInt32Storage":        {"qint32", "", 4},
	"UntypedStorage":       {"bytes", "", 1},

	// Types that have no class: their tensors are views of bytes.
	"uint16":           {"uint16", "U16", 2},
	"uint32":           {"uint32", "U32", 4},
	"uint64":           {"uint64", "U64", 8},
	"float8_e4m3fn":    {"float8_e4m3fn", "F8_E4M3", 1},
	"float8_e5m2":      {"float8_e5m2", "F8_E5M2", 1},
	"float8_e4m3fnuz":  {"float8_e4m3fnuz", "F8_E4M3FNUZ", 1},
	"float8_e5m2fnuz":  {"float8_e5m2fnuz", "F8_E5M2FNUZ", 1},
	"float8_e8m0fnu":   {"float8_e8m0fnu", "F8_E8M0", 1},
	"float4_e2m1fn_x2": {"float4_e2m1fn_x2", "", 1},
}

// byDType finds the class of a storage by PyTorch's name of the elements' type.
var byDType = func() map[string]string {
	m := map[string]string{}
	for class, t := range types {
		m[t.name] = class
	}
	return m
}()

// storageClass is the class of a storage that a name of Python's stands for, "" for none.
func storageClass(v any) string {
	g, _ := v.(global)
	if !strings.HasSuffix(g.name, "Storage") || g.module != "torch" && g.module != "torch.storage" &&
		g.module != "torch.cuda" {
		return ""
	}
	return strings.TrimPrefix(g.name, "_")
}

// dtype is the type of the elements as safetensors has it, else PyTorch's name or that of the storage.
func (t *tensor) dtype() string {
	typ, known := types[t.storage.class]
	switch {
	case !known:
		return t.storage.class
	case typ.dtype == "":
		return typ.name
	}
	return typ.dtype
}

// shape is the size.
func (t *tensor) shape() []int {
	s := make([]int, len(t.size))
	for i, n := range t.size {
		s[i] = int(n)
	}
	return s
}

// check says whether the tensor lies in its storage, whose elements are data, and how many bytes it takes by itself.
func (t *tensor) check(elements []byte) (int, error) {
	typ := types[t.storage.class]
	count := int64(len(elements)/typ.bytes) - t.storage.from
	if len(elements)%typ.bytes != 0 || count < t.storage.count {
		return 0, fmt.Errorf("its storage should have %d elements of %d bytes, storage %.50q has %d bytes",
			t.storage.count, typ.bytes, t.storage.key, len(elements))
	}
	count = t.storage.count
	// An empty dimension counts as one here, so that none of the others can be absurd.
	product, empty := int64(1), false
	for _, s := range t.size {
		if s == 0 {
			empty = true
			continue
		}
		if product > maxBytes/s {
			return 0, fmt.Errorf("its shape %v is too large; at most %d bytes are accepted", t.size, maxBytes)
		}
		product *= s
	}
	if empty {
		return 0, nil
	}
	if product > count {
		return 0, fmt.Errorf("its shape %v has more elements than its storage, which has %d; call .contiguous() "+
			"before saving", t.size, count)
	}
	// the element farthest in; count stands for all that lie beyond the storage, so that nothing overflows
	last := min(t.offset, count)
	for i, s := range t.size {
		last = min(last+(s-1)*min(t.stride[i], count), count)
	}
	if last == count {
		return 0, fmt.Errorf("shape %v with strides %v from element %d leaves its storage of %d elements", t.size, t.stride,
			t.offset, count)
	}
	return int(product) * typ.bytes, nil
}

// rowMajor is the tensor, which check has found good, with the elements of its storage's data one after the other.
func (t *tensor) rowMajor(name string, elements []byte) safetensors.Tensor {
	typ := types[t.storage.class]
	out := safetensors.Tensor{Name: name, DType: typ.dtype, Shape: t.shape(), Data: []byte{}}
	product, contiguous := 1, true
	for i := len(t.size) - 1; i >= 0; i-- {
		if t.size[i] != 1 && t.stride[i] != int64(product) {
			contiguous = false
		}
		product *= out.Shape[i]
	}
	if product == 0 {
		return out
	}
	from := int(t.storage.from+t.offset) * typ.bytes
	if contiguous {
		out.Data = elements[from:][: product*typ.bytes : product*typ.bytes]
		return out
	}
	out.Data = make([]byte, 0, product*typ.bytes)
	var walk func(dim, at int)
	walk = func(dim, at int) {
		if dim == len(t.size) {
			out.Data = append(out.Data, elements[at:at+typ.bytes]...)
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
