// Package safetensors is the safetensors file format, strictly read. A file has named, little-endian, row-major arrays
// behind a JSON header.
//
// The reader is strict. A file that is truncated, has gaps, overlaps or left-over bytes, or says anything twice is
// refused with a *FormatError that names the place, so a tensor that was read always is what the file's author wrote.
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

// Tensor is one named array. Data holds its elements little-endian and row-major; after reading it is a slice of the
// file's bytes, not a copy. A scalar has an empty shape.
type Tensor struct {
	Name  string
	DType string // as the format has it: F64 F32 F16 BF16 F8_E4M3 … I64 … U8 BOOL
	Shape []int
	Data  []byte
}

// byteSize is the number of bytes that dtype and shape ask for. The problem is
// empty where they make sense and fit an int.
func byteSize(name string, shape []int) (size int, problem string) {
	n := uint64(1)
	width := uint64(dtypes[name].bits)
	for _, d := range shape {
		if d < 0 {
			return 0, fmt.Sprintf("has a negative dimension in its shape %v", shape)
		}
		hi, lo := bits.Mul64(n, uint64(d))
		if over, all := bits.Mul64(lo, width); hi != 0 || over<<61|all>>3 > math.MaxInt || over > 7 {
			return 0, fmt.Sprintf("has the shape %v, whose size overflows", shape)
		}
		n = lo
	}
	hi, lo := bits.Mul64(n, width) // in bits
	if lo%8 != 0 {
		return 0, fmt.Sprintf("has the shape %v, with which %s does not fill whole bytes", shape, name)
	}
	return int(hi<<61 | lo>>3), ""
}

// unknown says that no size can be told for a type, or nothing.
func unknown(name string) (problem string) {
	if _, ok := dtypes[name]; ok {
		return ""
	}
	return fmt.Sprintf("has the unknown dtype %q (known: %s)", name, knownDTypes(func(dtype) bool { return true }))
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
	if problem := unknown(t.DType); problem != "" {
		return fmt.Errorf("tensor %q %s", t.Name, problem)
	}
	want, problem := byteSize(t.DType, t.Shape)
	if problem == "" && want != len(t.Data) {
		problem = fmt.Sprintf("has %d bytes of data, but %s of shape %v takes %d", len(t.Data), t.DType, t.Shape, want)
	}
	if problem != "" {
		return fmt.Errorf("tensor %q %s", t.Name, problem)
	}
	return nil
}

// Float32s returns a copy of the elements as float32. The types of 16 and 8 bits convert exactly; F64 is rounded to the
// nearest float32 (beyond its range to infinity). Integers are an error, as they are counts, not weights, and so are
// the types that are no numbers by themselves: complex and packed ones.
func (t Tensor) Float32s() ([]float32, error) {
	if err := t.check(); err != nil {
		return nil, err
	}
	value := dtypes[t.DType].float
	if value == nil {
		return nil, fmt.Errorf("tensor %q has dtype %s, expected a floating-point type (%s); convert the model by .float() "+
			"before saving",
			t.Name, t.DType, knownDTypes(func(d dtype) bool { return d.float != nil }))
	}
	v := make([]float32, t.Len())
	for i := range v {
		v[i] = value(t.Data, i)
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

// FromFloat32sHalf is FromFloat32s in half the bytes: an F16 tensor of the nearest numbers.
func FromFloat32sHalf(name string, shape []int, v []float32) Tensor {
	data := make([]byte, 2*len(v))
	for i, x := range v {
		binary.LittleEndian.PutUint16(data[2*i:], float32ToHalf(x))
	}
	return Tensor{Name: name, DType: "F16", Shape: append([]int{}, shape...), Data: data}
}

// Int64 returns the value of a tensor with a single element that is a whole number, such as batch normalisation's
// num_batches_tracked, whatever type a conversion of all tensors has given it. The shape may be [] or all ones.
func (t Tensor) Int64() (int64, error) {
	if err := t.check(); err != nil {
		return 0, err
	}
	if t.Len() != 1 {
		return 0, fmt.Errorf("tensor %q has shape %v, expected a single number", t.Name, t.Shape)
	}
	d := dtypes[t.DType]
	switch {
	case d.integer != nil:
		if n, fits := d.integer(t.Data, 0); fits {
			return n, nil
		}
		return 0, fmt.Errorf("tensor %q is beyond the range of a count, which is that of I64", t.Name)
	case d.float != nil:
		v := d.float(t.Data, 0)
		if n := int64(v); float32(n) == v {
			return n, nil
		}
	}
	return 0, fmt.Errorf("tensor %q is %s without a whole number, expected a count", t.Name, t.DType)
}

// FromInt64 makes an I64 scalar (shape []).
func FromInt64(name string, v int64) Tensor {
	return Tensor{Name: name, DType: "I64", Shape: []int{}, Data: binary.LittleEndian.AppendUint64(nil, uint64(v))}
}

// Int64s returns a copy of the elements of a tensor of whole numbers. One beyond the range of an int64, and a tensor of
// another type, is an error.
func (t Tensor) Int64s() ([]int64, error) {
	if err := t.check(); err != nil {
		return nil, err
	}
	value := dtypes[t.DType].integer
	if value == nil {
		return nil, fmt.Errorf("tensor %q has dtype %s, expected whole numbers (%s)", t.Name, t.DType,
			knownDTypes(func(d dtype) bool { return d.integer != nil }))
	}
	v := make([]int64, t.Len())
	for i := range v {
		var fits bool
		if v[i], fits = value(t.Data, i); !fits {
			return nil, fmt.Errorf("tensor %q has an element beyond the range of I64", t.Name)
		}
	}
	return v, nil
}
