package safetensors

import (
	"encoding/binary"
	"math"
	"slices"
	"strings"
)

// dtype is a type of elements.
type dtype struct {
	bits    int
	float   func(data []byte, i int) float32 // element i; nil where the type is none of numbers that a float32 can be near
	integer func(data []byte, i int) (v int64, fits bool)
}

// dtypes are all of the format.
var dtypes = map[string]dtype{
	"F64": {bits: 64, float: func(b []byte, i int) float32 {
		return float32(math.Float64frombits(binary.LittleEndian.Uint64(b[8*i:])))
	}},
	"F32": {bits: 32, float: func(b []byte, i int) float32 {
		return math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:]))
	}},
	"F16": {bits: 16, float: func(b []byte, i int) float32 {
		return halfToFloat32(binary.LittleEndian.Uint16(b[2*i:]))
	}},
	"BF16": {bits: 16, float: func(b []byte, i int) float32 {
		return math.Float32frombits(uint32(binary.LittleEndian.Uint16(b[2*i:])) << 16)
	}},
	"F8_E5M2":     {bits: 8, float: func(b []byte, i int) float32 { return halfToFloat32(uint16(b[i]) << 8) }},
	"F8_E4M3":     {bits: 8, float: func(b []byte, i int) float32 { return byteToFloat32(b[i], 3, 7, b[i]&0x7f == 0x7f) }},
	"F8_E4M3FNUZ": {bits: 8, float: func(b []byte, i int) float32 { return byteToFloat32(b[i], 3, 8, b[i] == 0x80) }},
	"F8_E5M2FNUZ": {bits: 8, float: func(b []byte, i int) float32 { return byteToFloat32(b[i], 2, 16, b[i] == 0x80) }},
	"F8_E8M0": {bits: 8, float: func(b []byte, i int) float32 { // powers of two, without a sign
		if b[i] == 0xff {
			return float32(math.NaN())
		}
		return float32(math.Ldexp(1, int(b[i])-127))
	}},

	"I64": {bits: 64, integer: func(b []byte, i int) (int64, bool) {
		return int64(binary.LittleEndian.Uint64(b[8*i:])), true
	}},
	"U64": {bits: 64, integer: func(b []byte, i int) (int64, bool) {
		v := binary.LittleEndian.Uint64(b[8*i:])
		return int64(v), v <= math.MaxInt64
	}},
	"I32": {bits: 32, integer: func(b []byte, i int) (int64, bool) {
		return int64(int32(binary.LittleEndian.Uint32(b[4*i:]))), true
	}},
	"U32": {bits: 32, integer: func(b []byte, i int) (int64, bool) {
		return int64(binary.LittleEndian.Uint32(b[4*i:])), true
	}},
	"I16": {bits: 16, integer: func(b []byte, i int) (int64, bool) {
		return int64(int16(binary.LittleEndian.Uint16(b[2*i:]))), true
	}},
	"U16": {bits: 16, integer: func(b []byte, i int) (int64, bool) {
		return int64(binary.LittleEndian.Uint16(b[2*i:])), true
	}},
	"I8":   {bits: 8, integer: func(b []byte, i int) (int64, bool) { return int64(int8(b[i])), true }},
	"U8":   {bits: 8, integer: func(b []byte, i int) (int64, bool) { return int64(b[i]), true }},
	"BOOL": {bits: 8},

	// Parts of what only other programs make sense of: pairs, and numbers that are packed with a scale elsewhere.
	"C64": {bits: 64}, "F4": {bits: 4}, "F6_E2M3": {bits: 6}, "F6_E3M2": {bits: 6},
}

// knownDTypes are the names of all types that meet the condition, in order.
func knownDTypes(are func(dtype) bool) string {
	var names []string
	for name, d := range dtypes {
		if are(d) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

// halfToFloat32 converts an IEEE 754 binary16 number; every one of them is a float32 exactly.
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

// byteToFloat32 converts a number of eight bits without infinities, whose fraction and bias of the exponent are given;
// every one of them is a float32 exactly.
func byteToFloat32(b byte, fractionBits, bias int, nan bool) float32 {
	if nan {
		return float32(math.NaN())
	}
	exponent := int(b&0x7f) >> fractionBits
	fraction := int(b) & (1<<fractionBits - 1)
	if exponent == 0 { // zero or subnormal
		exponent = 1
	} else {
		fraction += 1 << fractionBits
	}
	v := math.Ldexp(float64(fraction), exponent-bias-fractionBits)
	if b>>7 == 1 {
		v = -v
	}
	return float32(v)
}

// float32ToHalf rounds to the nearest IEEE 754 binary16 number, of two equally near to the even one, and to infinity
// beyond the largest.
func float32ToHalf(v float32) uint16 {
	b := math.Float32bits(v)
	sign := uint16(b >> 16 & 0x8000)
	b &= 0x7fffffff
	switch {
	case b > 0x7f800000:
		return sign | 0x7e00 // NaN
	case b >= 0x477ff000: // from 65520 on
		return sign | 0x7c00
	case b < 0x38800000: // below the smallest normal number, 2^-14: a multiple of 2^-24
		return sign | uint16(math.RoundToEven(float64(math.Float32frombits(b))*(1<<24)))
	}
	b += 0xfff + b>>13&1 // rounds the 13 bits that go; a carry into the exponent is right
	return sign | uint16(b>>13-(127-15)<<10)
}
