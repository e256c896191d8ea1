package safetensors

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// assemble builds a file from a header and data.
func assemble(header string, data []byte) []byte {
	b := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	return append(append(b, header...), data...)
}

func sample() *File {
	return &File{
		Tensors: []Tensor{
			FromFloat32s("a.weight", []int{2, 3}, []float32{1, -2, 3.5, 0, float32(math.Inf(1)), 1e-40}),
			FromFloat32s("b.bias", []int{1}, []float32{7}),
			{Name: "c.empty", DType: "U8", Shape: []int{4, 0}, Data: []byte{}},
			FromInt64("d.num_batches_tracked", -9),
		},
		Metadata: map[string]string{"model": "nin", "a <b> & é": "\"\\\n"},
	}
}

func TestRoundTrip(t *testing.T) {
	path := filepath.Join(t.TempDir(), "w.safetensors")
	for _, f := range []*File{sample(), {}, {Metadata: map[string]string{}}} {
		if err := Write(path, f); err != nil {
			t.Fatal(err)
		}
		got, err := Read(path)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(f, got); diff != "" {
			t.Errorf("round trip (-wrote +read):\n%s", diff)
		}
	}
}

func TestBytesAreDeterministicAndAligned(t *testing.T) {
	first, err := Encode(sample())
	if err != nil {
		t.Fatal(err)
	}
	if n := binary.LittleEndian.Uint64(first); n%8 != 0 {
		t.Errorf("the header has %d bytes, expected a multiple of 8", n)
	}
	for range 20 {
		again, err := Encode(sample())
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(first, again) {
			t.Fatal("the same file was written as different bytes")
		}
	}
	f := &File{Tensors: []Tensor{FromInt64("x", 1)}, Metadata: map[string]string{"b": "2", "a": "1"}}
	got, err := Encode(f)
	if err != nil {
		t.Fatal(err)
	}
	header := `{"__metadata__":{"a":"1","b":"2"},"x":{"dtype":"I64","shape":[],"data_offsets":[0,8]}}`
	header += strings.Repeat(" ", (8-len(header)%8)%8)
	if diff := cmp.Diff(assemble(header, []byte{1, 0, 0, 0, 0, 0, 0, 0}), got); diff != "" {
		t.Errorf("bytes (-want +got):\n%s", diff)
	}
}

func TestOrderAndSharing(t *testing.T) {
	f := &File{Tensors: []Tensor{FromInt64("z", 1), FromInt64("a", 2)}}
	b, err := Encode(f)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Index(b, []byte(`"z"`)) > bytes.Index(b, []byte(`"a"`)) {
		t.Error("the writer changed the order of the tensors")
	}
	got, err := Decode(b)
	if err != nil {
		t.Fatal(err)
	}
	if got.Tensors[0].Name != "a" || got.Tensors[1].Name != "z" {
		t.Errorf("tensors after reading: %v, expected them sorted by name", got.Tensors)
	}
	if z, ok := got.Tensor("z"); !ok || &z.Data[0] != &b[len(b)-16] {
		t.Error("the data was copied, expected a slice of the input")
	}
	if _, ok := got.Tensor("missing"); ok {
		t.Error("a tensor that is not there was found")
	}
}

func TestValues(t *testing.T) {
	u16 := func(v ...uint16) (b []byte) {
		for _, x := range v {
			b = binary.LittleEndian.AppendUint16(b, x)
		}
		return b
	}
	f64 := func(v ...float64) (b []byte) {
		for _, x := range v {
			b = binary.LittleEndian.AppendUint64(b, math.Float64bits(x))
		}
		return b
	}
	inf, zero := float32(math.Inf(1)), float32(math.Copysign(0, -1))
	for _, c := range []struct {
		dtype string
		data  []byte
		want  []float32
	}{
		{"F16", u16(0x3c00, 0xc000, 0x0001, 0x03ff, 0x0400, 0x7bff, 0x7c00, 0xfc00, 0x8000, 0x3555),
			[]float32{1, -2, 0x1p-24, 0x3ffp-24, 0x1p-14, 65504, inf, -inf, zero, 0.333251953125}},
		{"BF16", u16(0x3f80, 0xc000, 0x7f80, 0x4049), []float32{1, -2, inf, 3.140625}},
		{"F64", f64(1, -0.1, 1e300), []float32{1, -0.1, inf}},
		// smallest and largest subnormal and normal numbers, of both signs
		{"F8_E5M2", []byte{0, 1, 3, 4, 0x3c, 0xbd, 0x7b, 0x7c, 0xfc, 0x80},
			[]float32{0, 0x1p-16, 0x3p-16, 0x1p-14, 1, -1.25, 57344, inf, -inf, zero}},
		{"F8_E4M3", []byte{0, 1, 7, 8, 0x38, 0xb9, 0x7e, 0xfe, 0x80},
			[]float32{0, 0x1p-9, 0x7p-9, 0x1p-6, 1, -1.125, 448, -448, zero}},
		{"F8_E5M2FNUZ", []byte{0, 1, 3, 4, 0x40, 0xc1, 0x7f, 0xff},
			[]float32{0, 0x1p-17, 0x3p-17, 0x1p-15, 1, -1.25, 57344, -57344}},
		{"F8_E4M3FNUZ", []byte{0, 1, 7, 8, 0x40, 0xc1, 0x7f, 0xff},
			[]float32{0, 0x1p-10, 0x7p-10, 0x1p-7, 1, -1.125, 240, -240}},
		{"F8_E8M0", []byte{0, 1, 126, 127, 128, 254}, []float32{0x1p-127, 0x1p-126, 0.5, 1, 2, 0x1p127}},
	} {
		got, err := Tensor{Name: "x", DType: c.dtype, Shape: []int{len(c.want)}, Data: c.data}.Float32s()
		if err != nil {
			t.Errorf("%s: %v", c.dtype, err)
			continue
		}
		for i := range got {
			if math.Float32bits(got[i]) != math.Float32bits(c.want[i]) {
				t.Errorf("%s[%d] = %v, want %v", c.dtype, i, got[i], c.want[i])
			}
		}
	}
	for dtype, nans := range map[string][]byte{
		"F8_E5M2": {0x7d, 0x7e, 0x7f, 0xfd, 0xfe, 0xff}, "F8_E4M3": {0x7f, 0xff}, "F8_E5M2FNUZ": {0x80},
		"F8_E4M3FNUZ": {0x80}, "F8_E8M0": {0xff},
	} {
		var all []byte // of 256
		for b := range 256 {
			all = append(all, byte(b))
		}
		got, err := Tensor{Name: "x", DType: dtype, Shape: []int{256}, Data: all}.Float32s()
		if err != nil {
			t.Fatal(err)
		}
		for b, v := range got {
			if nan := v != v; nan != bytes.Contains(nans, []byte{byte(b)}) {
				t.Errorf("%s: byte %#x is %v", dtype, b, v)
			}
		}
	}
	if v := halfToFloat32(0x7e00); v == v {
		t.Errorf("half NaN became %v", v)
	}

	if v, err := FromInt64("n", -5).Int64(); err != nil || v != -5 {
		t.Errorf("Int64 = %d, %v", v, err)
	}
	one := FromInt64("n", 5)
	one.Shape = []int{1}
	if v, err := one.Int64(); err != nil || v != 5 {
		t.Errorf("Int64 of shape [1] = %d, %v", v, err)
	}
	if _, err := FromInt64("n", 5).Float32s(); err == nil || !strings.Contains(err.Error(), "floating-point") {
		t.Errorf("Float32s of I64: %v", err)
	}
	if v, err := FromFloat32s("n", nil, []float32{7}).Int64(); err != nil || v != 7 { // converted with all others
		t.Errorf("Int64 of F32 = %d, %v", v, err)
	}
	most := bytes.Repeat([]byte{0xff}, 8)
	for dtype, want := range map[string]int64{
		"I64": -1, "I32": -1, "I16": -1, "I8": -1, "U32": 1<<32 - 1, "U16": 1<<16 - 1, "U8": 255,
	} {
		x := Tensor{Name: "n", DType: dtype, Shape: []int{}, Data: most[:dtypes[dtype].bits/8]}
		if v, err := x.Int64(); err != nil || v != want {
			t.Errorf("Int64 of %s = %d, %v; want %d", dtype, v, err, want)
		}
		if _, err := x.Float32s(); err == nil || !strings.Contains(err.Error(), `"n" has dtype `+dtype) {
			t.Errorf("Float32s of %s: %v", dtype, err)
		}
	}
	large := Tensor{Name: "n", DType: "U64", Shape: []int{}, Data: slices.Clone(most)}
	if v, err := large.Int64(); err == nil || !strings.Contains(err.Error(), `"n" is beyond`) {
		t.Errorf("Int64 of a U64 beyond I64 = %d, %v", v, err)
	}
	large.Data[7] = 0x7f
	if v, err := large.Int64(); err != nil || v != math.MaxInt64 {
		t.Errorf("Int64 of the largest U64 that I64 has = %d, %v", v, err)
	}
	for _, x := range []float32{0.5, float32(math.Inf(1)), float32(math.NaN()), 1e30} {
		if v, err := FromFloat32s("n", nil, []float32{x}).Int64(); err == nil {
			t.Errorf("Int64 of %v = %d", x, v)
		}
	}
	if v, err := FromFloat32s("n", []int{2}, []float32{7, 7}).Int64(); err == nil {
		t.Errorf("Int64 of two numbers = %d", v)
	}
	if _, err := FromFloat32s("n", []int{3}, []float32{1}).Float32s(); err == nil {
		t.Error("Float32s with too little data succeeded")
	}
}

func TestMalformed(t *testing.T) {
	data := make([]byte, 16)
	x := func(rest string) []byte { return assemble(`{"x":{`+rest+`}}`, data) }
	huge := binary.LittleEndian.AppendUint64(nil, maxHeader+1)
	for _, c := range []struct {
		name    string
		file    []byte
		problem string
	}{
		{"empty", nil, "0 bytes"},
		{"short", []byte{1, 2, 3}, "3 bytes"},
		{"header too large", huge, "at most"},
		{"header length with its highest bit", bytes.Repeat([]byte{0xff}, 20), "at most"},
		{"header beyond the file", assemble(`{}`, nil)[:9], "truncated"},
		{"no header", make([]byte, 8), "start with '{'"},
		{"space first", assemble(` {}`, nil), "start with '{'"},
		{"an array", assemble(`[]`, nil), "start with '{'"},
		{"bad UTF-8", assemble("{\"\xff\":{}}", nil), "UTF-8"},
		{"broken JSON", assemble(`{"x"}`, nil), "valid JSON"},
		{"unclosed", assemble(`{"x":{"dtype":"U8"`, nil), "ends too early"},
		{"trailing comma", assemble(`{"__metadata__":{},}`, nil), "valid JSON"},
		{"two objects", assemble(`{}{}`, nil), "closing"},
		{"zero padding", assemble("{}\x00\x00", nil), "closing"},
		{"left-over bytes", assemble(`{}`, data), "left over"},
		{"left-over bytes after a tensor", x(`"dtype":"U8","shape":[15],"data_offsets":[0,15]`), "left over"},
		{"not an object", assemble(`{"x":3}`, data), "must start with '{'"},
		{"null", assemble(`{"x":null}`, data), "must start with '{'"},
		{"no dtype", x(`"shape":[16],"data_offsets":[0,16]`), "no dtype"},
		{"no shape", x(`"dtype":"U8","data_offsets":[0,16]`), "no shape"},
		{"no offsets", x(`"dtype":"U8","shape":[16]`), "no data_offsets"},
		{"unknown key", x(`"dtype":"U8","shape":[16],"data_offsets":[0,16],"z":1`), "unknown key"},
		{"unknown dtype", x(`"dtype":"F8","shape":[16],"data_offsets":[0,16]`), "unknown dtype"},
		{"half a byte", x(`"dtype":"F4","shape":[31],"data_offsets":[0,16]`), "whole bytes"},
		{"dtype a number", x(`"dtype":8,"shape":[16],"data_offsets":[0,16]`), "must be a string"},
		{"negative shape", x(`"dtype":"U8","shape":[-16],"data_offsets":[0,16]`), "whole number"},
		{"minus zero", x(`"dtype":"U8","shape":[-0],"data_offsets":[0,16]`), "whole number"},
		{"fractional shape", x(`"dtype":"U8","shape":[16.0],"data_offsets":[0,16]`), "whole number"},
		{"exponent", x(`"dtype":"U8","shape":[16e0],"data_offsets":[0,16]`), "whole number"},
		{"shape beyond int", x(`"dtype":"U8","shape":[9223372036854775808],"data_offsets":[0,16]`), "whole number"},
		{"shape of strings", x(`"dtype":"U8","shape":["16"],"data_offsets":[0,16]`), "whole numbers"},
		{"shape nested", x(`"dtype":"U8","shape":[[16]],"data_offsets":[0,16]`), "whole numbers"},
		{"shape a number", x(`"dtype":"U8","shape":16,"data_offsets":[0,16]`), "must start with '['"},
		{"overflow", x(`"dtype":"F32","shape":[4611686018427387904,4611686018427387904],"data_offsets":[0,16]`), "overflows"},
		{"overflow that wraps to the right size", x(`"dtype":"F32","shape":[4611686018427387908],"data_offsets":[0,16]`),
			"overflows"},
		{"overflow of bytes, then zero", x(`"dtype":"F32","shape":[2305843009213693952,0],"data_offsets":[0,0]`),
			"overflows"},
		{"overflow, then zero", x(`"dtype":"F32","shape":[4611686018427387904,4,0],"data_offsets":[0,0]`), "overflows"},
		{"one offset", x(`"dtype":"U8","shape":[16],"data_offsets":[16]`), "expected 2"},
		{"three offsets", x(`"dtype":"U8","shape":[16],"data_offsets":[0,16,16]`), "expected 2"},
		{"negative offset", x(`"dtype":"U8","shape":[16],"data_offsets":[-1,15]`), "whole number"},
		{"begin after end", x(`"dtype":"U8","shape":[16],"data_offsets":[16,0]`), "end before"},
		{"outside", x(`"dtype":"U8","shape":[17],"data_offsets":[0,17]`), "only 16 bytes"},
		{"wrong size", x(`"dtype":"F32","shape":[3],"data_offsets":[0,16]`), "takes 12"},
		{"hole at the start", x(`"dtype":"U8","shape":[12],"data_offsets":[4,16]`), "belong to no tensor"},
		{"hole",
			assemble(`{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},`+
				`"b":{"dtype":"U8","shape":[4],"data_offsets":[12,16]}}`, data), "belong to no tensor"},
		{"overlap",
			assemble(`{"a":{"dtype":"U8","shape":[10],"data_offsets":[0,10]},`+
				`"b":{"dtype":"U8","shape":[10],"data_offsets":[6,16]}}`, data), "overlap"},
		{"same data twice",
			assemble(`{"a":{"dtype":"U8","shape":[16],"data_offsets":[0,16]},`+
				`"b":{"dtype":"U8","shape":[16],"data_offsets":[0,16]}}`, data), "overlap"},
		{"duplicate name",
			assemble(`{"a":{"dtype":"U8","shape":[16],"data_offsets":[0,16]},`+
				`"a":{"dtype":"U8","shape":[16],"data_offsets":[0,16]}}`, data), "twice"},
		{"duplicate name, escaped",
			assemble(`{"a":{"dtype":"U8","shape":[16],"data_offsets":[0,16]},`+
				`"\u0061":{"dtype":"U8","shape":[0],"data_offsets":[16,16]}}`, data), "twice"},
		{"duplicate key", x(`"dtype":"U8","shape":[16],"shape":[16],"data_offsets":[0,16]`), "twice"},
		{"duplicate metadata", assemble(`{"__metadata__":{"a":"1","a":"2"}}`, nil), "twice"},
		{"metadata twice", assemble(`{"__metadata__":{},"__metadata__":{}}`, nil), "twice"},
		{"metadata not an object", assemble(`{"__metadata__":"x"}`, nil), "must start with '{'"},
		{"metadata number", assemble(`{"__metadata__":{"a":1}}`, nil), "must be a string"},
		{"metadata null", assemble(`{"__metadata__":{"a":null}}`, nil), "must be a string"},
		{"metadata nested", assemble(`{"__metadata__":{"a":{}}}`, nil), "must be a string"},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "w.safetensors")
			if err := os.WriteFile(path, c.file, 0o644); err != nil {
				t.Fatal(err)
			}
			_, err := Read(path)
			var format *FormatError
			if !errors.As(err, &format) {
				t.Fatalf("error %v, expected a *FormatError", err)
			}
			if !strings.Contains(format.Problem, c.problem) {
				t.Errorf("problem %q, expected it to mention %q", format.Problem, c.problem)
			}
			if format.Path != path || !strings.Contains(err.Error(), path) {
				t.Errorf("%q does not name the file", err)
			}
			if format.Offset < 0 || format.Offset > int64(len(c.file)) {
				t.Errorf("offset %d is outside the file of %d bytes", format.Offset, len(c.file))
			}
		})
	}
}

// A file with a type that is in no weights is read all the same: the tensor may lie beside them. One with a type that
// nobody knows yet is refused, and not called damaged.
func TestOtherTypes(t *testing.T) {
	for dtype, shape := range map[string]string{"C64": "[1]", "F4": "[4,4]", "F6_E2M3": "[4]", "F6_E3M2": "[2,2]",
		"BOOL": "[2]"} {
		size := map[string]int{"F6_E2M3": 3, "F6_E3M2": 3, "BOOL": 2}[dtype]
		if size == 0 {
			size = 8
		}
		header := fmt.Sprintf(`{"x":{"dtype":%q,"shape":%s,"data_offsets":[0,%d]}}`, dtype, shape, size)
		f, err := Decode(assemble(header, make([]byte, size)))
		if err != nil {
			t.Errorf("%s: %v", dtype, err)
			continue
		}
		_, err = f.Tensors[0].Float32s()
		if err == nil || !strings.Contains(err.Error(), `tensor "x" has dtype `+dtype) ||
			!strings.Contains(err.Error(), ".float()") {
			t.Errorf("%s as weights: %v", dtype, err)
		}
		if v, err := f.Tensors[0].Int64(); err == nil && f.Tensors[0].Len() == 1 {
			t.Errorf("%s as a count: %d", dtype, v)
		}
	}
	_, err := Decode(assemble(`{"x":{"dtype":"F12","shape":[2],"data_offsets":[0,3]}}`, make([]byte, 3)))
	if err == nil || strings.Contains(err.Error(), "not a valid") ||
		!strings.Contains(err.Error(), `tensor "x" has the unknown dtype "F12"`) ||
		!strings.Contains(err.Error(), ".float()") {
		t.Errorf("an unknown type: %v", err)
	}
}

func TestReadMissingFile(t *testing.T) {
	if _, err := Read(filepath.Join(t.TempDir(), "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error %v, expected that the file does not exist", err)
	}
}

func TestOffsetPointsAtTheTrouble(t *testing.T) {
	for _, c := range []struct {
		file []byte
		want int64
	}{
		{assemble(`{"a":x}`, nil), 8 + 5},
		{assemble("{\"ab\xff\":1}", nil), 8 + 4},
		{assemble(`{}`, []byte{1}), 8 + 2},
	} {
		_, err := Decode(c.file)
		var format *FormatError
		if !errors.As(err, &format) || format.Offset != c.want {
			t.Errorf("%q: %v, expected offset %d", c.file, err, c.want)
		}
	}
}

func TestWriteRefuses(t *testing.T) {
	for _, c := range []struct {
		name string
		file *File
		want string
	}{
		{"wrong size", &File{Tensors: []Tensor{FromFloat32s("x", []int{2}, []float32{1})}}, "takes 8"},
		{"unknown dtype", &File{Tensors: []Tensor{{Name: "x", DType: "F8"}}}, "unknown dtype"},
		{"negative", &File{Tensors: []Tensor{{Name: "x", DType: "U8", Shape: []int{-1}}}}, "negative"},
		{"same name", &File{Tensors: []Tensor{FromInt64("x", 1), FromInt64("x", 2)}}, "two tensors"},
		{"reserved name", &File{Tensors: []Tensor{FromInt64("__metadata__", 1)}}, "can't be named"},
		{"bad name", &File{Tensors: []Tensor{FromInt64("\xff", 1)}}, "UTF-8"},
		{"bad metadata", &File{Metadata: map[string]string{"a": "\xff"}}, "UTF-8"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			err := Write(filepath.Join(dir, "w.safetensors"), c.file)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, expected it to mention %q", err, c.want)
			}
			if left, _ := os.ReadDir(dir); len(left) != 0 {
				t.Errorf("%v was left behind", left)
			}
		})
	}
	path := filepath.Join(t.TempDir(), "none", "w.safetensors")
	if err := Write(path, &File{}); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("writing into a missing folder: %v", err)
	}
}

func FuzzDecode(f *testing.F) {
	b, err := Encode(sample())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add(b[:len(b)-3])
	f.Add(assemble(`{"x":{"dtype":"F16","shape":[2,1],"data_offsets":[0,4]}}   `, make([]byte, 4)))
	f.Add(assemble(`{"__metadata__":{"a":"\ud800"},"a":{"dtype":"U8","shape":[],"data_offsets":[0,1]}}`, []byte{1}))
	f.Fuzz(func(t *testing.T, b []byte) {
		file, err := Decode(b)
		if err != nil {
			var format *FormatError
			if !errors.As(err, &format) || format.Offset < 0 || format.Offset > int64(len(b)) {
				t.Fatalf("error %#v for %d bytes", err, len(b))
			}
			return
		}
		// What is accepted must be the same after writing and reading again.
		again, err := Encode(file)
		if err != nil {
			t.Fatal(err)
		}
		got, err := Decode(again)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(file, got); diff != "" {
			t.Fatal(diff)
		}
	})
}

// Every half number comes back as it is, and what lies between two goes to the nearest, of two equally near to the
// even.
func TestHalf(t *testing.T) {
	for h := range 1 << 16 {
		v := halfToFloat32(uint16(h))
		if got := float32ToHalf(v); v == v && got != uint16(h) {
			t.Fatalf("%#04x is %v, which became %#04x", h, v, got)
		}
	}
	if h := float32ToHalf(float32(math.NaN())); h&0x7c00 != 0x7c00 || h&0x3ff == 0 {
		t.Errorf("NaN became %#04x", h)
	}
	for h := range uint16(0x7c00) { // finite, positive
		low, high := halfToFloat32(h), float32(65536) // where the next would be if there were one
		if h+1 < 0x7c00 {
			high = halfToFloat32(h + 1)
		}
		middle, even := (low+high)/2, h+h&1
		for _, c := range []struct {
			v    float32
			want uint16
		}{{math.Nextafter32(middle, low), h}, {middle, even}, {math.Nextafter32(middle, high), h + 1}} {
			if got := float32ToHalf(c.v); got != c.want {
				t.Fatalf("%v became %#04x, expected %#04x", c.v, got, c.want)
			}
			if got := float32ToHalf(-c.v); got != c.want|0x8000 {
				t.Fatalf("%v became %#04x, expected %#04x", -c.v, got, c.want|0x8000)
			}
		}
	}
}
