// Package safetensors reads and writes the safetensors format: named,
// little-endian, row-major arrays behind a JSON header.
//
// The reader is strict. A file that is truncated, has gaps, overlaps or
// left-over bytes, or says anything twice is refused with a *FormatError that
// names the place, so a tensor that was read always is what the file's author
// wrote.
package safetensors

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"
	"sort"
)

// File is the content of a safetensors file.
type File struct {
	// Tensors is sorted by name after reading; writing keeps the given order.
	Tensors []Tensor
	// Metadata is the optional "__metadata__" object; nil where there is none.
	Metadata map[string]string
}

// Tensor looks a tensor up by name.
func (f *File) Tensor(name string) (Tensor, bool) {
	for _, t := range f.Tensors {
		if t.Name == name {
			return t, true
		}
	}
	return Tensor{}, false
}

func (f *File) sortTensors() {
	sort.Slice(f.Tensors, func(i, j int) bool { return f.Tensors[i].Name < f.Tensors[j].Name })
}

// Tensor is one named array. Data holds its elements little-endian and
// row-major; after reading it is a slice of the file's bytes, not a copy. A
// scalar has an empty shape.
type Tensor struct {
	Name  string
	DType string // F64 F32 F16 BF16 I64 I32 I16 I8 U8 BOOL
	Shape []int
	Data  []byte
}

// elementSizes is the size in bytes of an element of each known type.
var elementSizes = map[string]int{
	"F64": 8, "F32": 4, "F16": 2, "BF16": 2,
	"I64": 8, "I32": 4, "I16": 2, "I8": 1,
	"U8": 1, "BOOL": 1,
}

// byteSize is the number of bytes that dtype and shape ask for. The problem is
// empty where they make sense and fit an int.
func byteSize(dtype string, shape []int) (size int, problem string) {
	element, ok := elementSizes[dtype]
	if !ok {
		return 0, fmt.Sprintf("has the unknown dtype %q (known: BF16, BOOL, F16, F32, F64, I16, I32, I64, I8, U8)", dtype)
	}
	n := uint64(element)
	for _, d := range shape {
		if d < 0 {
			return 0, fmt.Sprintf("has a negative dimension in its shape %v", shape)
		}
		hi, lo := bits.Mul64(n, uint64(d))
		if hi != 0 || lo > math.MaxInt {
			return 0, fmt.Sprintf("has the shape %v, whose size overflows", shape)
		}
		n = lo
	}
	return int(n), ""
}

// Len is the number of elements, the product of the shape.
func (t Tensor) Len() int {
	n := 1
	for _, d := range t.Shape {
		n *= d
	}
	return n
}

// check says whether the data has the size that dtype and shape ask for.
func (t Tensor) check() error {
	want, problem := byteSize(t.DType, t.Shape)
	if problem == "" && want != len(t.Data) {
		problem = fmt.Sprintf("has %d bytes of data, but %s of shape %v takes %d", len(t.Data), t.DType, t.Shape, want)
	}
	if problem != "" {
		return fmt.Errorf("tensor %q %s", t.Name, problem)
	}
	return nil
}

// Float32s returns a copy of the elements as float32. F16 and BF16 convert
// exactly; F64 is rounded to the nearest float32 (beyond its range to
// infinity). Integer types are an error: they are counters, not weights.
func (t Tensor) Float32s() ([]float32, error) {
	if err := t.check(); err != nil {
		return nil, err
	}
	v := make([]float32, t.Len())
	switch t.DType {
	case "F32":
		for i := range v {
			v[i] = math.Float32frombits(binary.LittleEndian.Uint32(t.Data[4*i:]))
		}
	case "F64":
		for i := range v {
			v[i] = float32(math.Float64frombits(binary.LittleEndian.Uint64(t.Data[8*i:])))
		}
	case "F16":
		for i := range v {
			v[i] = halfToFloat32(binary.LittleEndian.Uint16(t.Data[2*i:]))
		}
	case "BF16":
		for i := range v {
			v[i] = math.Float32frombits(uint32(binary.LittleEndian.Uint16(t.Data[2*i:])) << 16)
		}
	default:
		return nil, fmt.Errorf("tensor %q has dtype %s, expected a floating-point type (F32, F64, F16 or BF16)", t.Name, t.DType)
	}
	return v, nil
}

// FromFloat32s makes an F32 tensor that holds a copy of v. A length that does
// not fit the shape is reported when the tensor is written or read back.
func FromFloat32s(name string, shape []int, v []float32) Tensor {
	data := make([]byte, 4*len(v))
	for i, x := range v {
		binary.LittleEndian.PutUint32(data[4*i:], math.Float32bits(x))
	}
	return Tensor{Name: name, DType: "F32", Shape: append([]int{}, shape...), Data: data}
}

// Int64 returns the value of a tensor with a single element that is a whole
// number, such as batch normalisation's num_batches_tracked, whatever type a
// conversion of all tensors has given it. The shape may be [] or all ones.
func (t Tensor) Int64() (int64, error) {
	if err := t.check(); err != nil {
		return 0, err
	}
	if t.Len() != 1 {
		return 0, fmt.Errorf("tensor %q has shape %v, expected a single number", t.Name, t.Shape)
	}
	switch t.DType {
	case "I64":
		return int64(binary.LittleEndian.Uint64(t.Data)), nil
	case "I32":
		return int64(int32(binary.LittleEndian.Uint32(t.Data))), nil
	case "F64", "F32", "F16", "BF16":
		v, err := t.Float32s()
		if n := int64(v[0]); err == nil && float32(n) == v[0] {
			return n, nil
		}
	}
	return 0, fmt.Errorf("tensor %q is %s without a whole number, expected a count", t.Name, t.DType)
}

// FromInt64 makes an I64 scalar (shape []).
func FromInt64(name string, v int64) Tensor {
	return Tensor{Name: name, DType: "I64", Shape: []int{}, Data: binary.LittleEndian.AppendUint64(nil, uint64(v))}
}

// halfToFloat32 converts an IEEE 754 binary16 number; every one of them is a
// float32 exactly.
func halfToFloat32(h uint16) float32 {
	sign := uint32(h>>15) << 31
	exponent := uint32(h >> 10 & 0x1f)
	fraction := uint32(h & 0x3ff)
	switch exponent {
	case 0: // zero or subnormal: fraction × 2⁻²⁴
		v := math.Float32bits(float32(fraction) / (1 << 24))
		return math.Float32frombits(sign | v)
	case 0x1f: // infinity or NaN
		return math.Float32frombits(sign | 0xff<<23 | fraction<<13)
	}
	return math.Float32frombits(sign | (exponent+127-15)<<23 | fraction<<13)
}
