package pth

import (
	"fmt"
	"slices"
	"unicode/utf8"
)

// maxData is the largest pickle of a data set, in bytes; CIFAR-100's has 155 MB.
const maxData = 1 << 30

// Dict is a dictionary of a pickle that holds data, as CIFAR's are published in.
type Dict struct{ d *dict }

// ReadDict reads a file that is one pickle of a dictionary, whose protocol is 2 to 5. Nothing of it is run. What is
// read of it may be slices of b, so b must not change. An error is always a *FormatError without a path.
func ReadDict(b []byte) (Dict, error) {
	u := &unpickler{left: maxInstructions, most: maxData, writer: "data set", persistent: func(any) any {
		refuse("it refers to something outside the pickle")
		return nil
	}}
	v, end, err := u.read(b, 0)
	if err != nil {
		return Dict{}, err
	}
	d, ok := v.(*dict)
	switch {
	case !ok:
		return Dict{}, damaged("", "it holds %s, expected a dict", kindOf(v))
	case end != len(b):
		return Dict{}, &FormatError{Offset: int64(end), Problem: fmt.Sprintf("%d bytes follow the pickle", len(b)-end)}
	}
	return Dict{d}, nil
}

// find is the value of a key, which may be text or bytes.
func (d Dict) find(key string) (any, bool) {
	for i := len(d.d.keys) - 1; i >= 0; i-- { // the last one counts, as in Python
		if k, ok := stringOf(d.d.keys[i]); ok && k == key {
			return d.d.values[i], true
		}
	}
	return nil, false
}

// Has says whether the dictionary has a key.
func (d Dict) Has(key string) bool {
	_, ok := d.find(key)
	return ok
}

// value is find of a key that has to be there.
func (d Dict) value(key string) (any, error) {
	if v, ok := d.find(key); ok {
		return v, nil
	}
	var keys []string
	for _, k := range d.d.keys {
		if s, ok := stringOf(k); ok && len(keys) < 10 {
			keys = append(keys, fmt.Sprintf("%.50q", s))
		}
	}
	return nil, damaged("", "it has no %q, but %v", key, keys)
}

// Strings are those of a list or tuple.
func (d Dict) Strings(key string) ([]string, error) {
	v, err := d.value(key)
	if err != nil {
		return nil, err
	}
	s, ok := v.(*sequence)
	if !ok {
		return nil, damaged("", "its %q is %s, expected a list of text", key, kindOf(v))
	}
	list := make([]string, len(s.items))
	for i, item := range s.items {
		if list[i], ok = stringOf(item); !ok || !utf8.ValidString(list[i]) {
			return nil, damaged("", "item %d of its %q is %s, expected text", i, key, kindOf(item))
		}
	}
	return list, nil
}

// Ints are the whole numbers of a list or tuple, or of an array of one dimension.
func (d Dict) Ints(key string) ([]int64, error) {
	v, err := d.value(key)
	if err != nil {
		return nil, err
	}
	if s, ok := v.(*sequence); ok {
		list := make([]int64, len(s.items))
		for i, item := range s.items {
			if list[i], ok = intOf(item); !ok {
				return nil, damaged("", "item %d of its %q is %s, expected a whole number", i, key, kindOf(item))
			}
		}
		return list, nil
	}
	a, err := array(key, v)
	if err != nil {
		return nil, err
	}
	if len(a.Shape) != 1 {
		return nil, damaged("", "its %q has the shape %v, expected one dimension", key, a.Shape)
	}
	list := make([]int64, a.Shape[0])
	for i := range list {
		n, ok := a.int(i)
		if !ok {
			return nil, damaged("", "its %q has elements of type %.20q, expected whole numbers", key, a.Type)
		}
		list[i] = n
	}
	return list, nil
}

// Array is one of NumPy's.
type Array struct {
	Type    string // of the elements, in NumPy's short form, as "u1" for bytes
	Shape   []int
	Fortran bool   // the first index changes fastest
	Data    []byte // the elements
	big     bool   // their bytes begin with the highest
}

// Array is a NumPy array.
func (d Dict) Array(key string) (*Array, error) {
	v, err := d.value(key)
	if err != nil {
		return nil, err
	}
	return array(key, v)
}

// How NumPy's functions are called, before version 2 and since.
func numpy(class, module, name string) bool {
	return class == "numpy.core."+module+"."+name || class == "numpy._core."+module+"."+name
}

// array is a value as an array, which is known by what would have made it.
func array(key string, v any) (*Array, error) {
	fail := func(format string, a ...any) (*Array, error) {
		return nil, damaged("", "its %q "+format, append([]any{key}, a...)...)
	}
	o, _ := v.(*object)
	if o == nil {
		return fail("is %s, expected a NumPy array", kindOf(v))
	}
	var parts []any // shape, type, order, elements
	switch state, _ := o.state.(*sequence); {
	case numpy(o.class, "multiarray", "_reconstruct") && state != nil && len(state.items) == 5:
		parts = state.items[1:]
	case numpy(o.class, "numeric", "_frombuffer"): // protocol 5: elements, type, shape, order
		if args, _ := o.args.(*sequence); args != nil && len(args.items) == 4 {
			a := args.items
			parts = []any{a[2], a[1], a[3] == any("F"), a[0]}
		}
	}
	if parts == nil {
		return fail("is %s, expected a NumPy array", kindOf(v))
	}
	a := &Array{}
	shape, _ := parts[0].(*sequence)
	if shape == nil || len(shape.items) > maxDims {
		return fail("is an array whose shape is %s", kindOf(parts[0]))
	}
	size := int64(1)
	for _, item := range shape.items {
		n, ok := item.(int64)
		if !ok || n < 0 || n > 0 && size > maxData/n {
			return fail("is an array whose shape has %s where a length is expected, or that is too large", kindOf(item))
		}
		size *= n
		a.Shape = append(a.Shape, int(n))
	}
	var ok bool
	if a.Type, a.big, ok = elementType(parts[1]); !ok {
		return fail("is an array of elements that are not numbers")
	}
	a.Fortran, _ = parts[2].(bool)
	elements, ok := bytesOf(parts[3])
	if !ok {
		return fail("is an array whose elements are %s", kindOf(parts[3]))
	}
	if a.Data = elements; int64(len(a.Data)) != size*int64(a.width()) {
		return fail("is an array with %d bytes, but %s of shape %v takes %d (is it truncated?)", len(a.Data), a.Type, a.Shape,
			size*int64(a.width()))
	}
	return a, nil
}

// elementType is NumPy's type of elements, which is called with its short form and then told its byte order.
func elementType(v any) (name string, big, ok bool) {
	o, _ := v.(*object)
	if o == nil || o.class != "numpy.dtype" && o.class != "numpy._dtype" {
		return "", false, false
	}
	args, _ := o.args.(*sequence)
	state, _ := o.state.(*sequence)
	if args == nil || len(args.items) == 0 {
		return "", false, false
	}
	name, _ = stringOf(args.items[0])
	if !slices.Contains([]string{"u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f2", "f4", "f8", "b1"}, name) {
		return "", false, false
	}
	if state != nil && len(state.items) > 1 {
		order, _ := stringOf(state.items[1])
		big = order == ">"
	}
	return name, big, true
}

// width is the bytes of an element.
func (a *Array) width() int { return int(a.Type[1] - '0') }

// int is element i, false where it is no whole number within 64 bits.
func (a *Array) int(i int) (int64, bool) {
	if a.Type[0] != 'u' && a.Type[0] != 'i' {
		return 0, false
	}
	b := slices.Clone(a.Data[i*a.width():][:a.width()])
	if a.big {
		slices.Reverse(b)
	}
	if a.Type[0] == 'u' {
		b = append(b, 0) // not the sign
	}
	n, ok := integer(b[:min(len(b), 8)]).(int64)
	return n, ok && (len(b) < 9 || n >= 0)
}

// stringOf is a value that is text, or bytes that stand for it.
func stringOf(v any) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case data:
		return string(v), true
	}
	return "", false
}

// bytesOf is a value that is bytes: as they are, as the str of Python 2, or as Python 3 writes them for it, the text in
// Latin-1 that encoding gives.
func bytesOf(v any) ([]byte, bool) {
	switch v := v.(type) {
	case data:
		return v, true
	case string:
		return []byte(v), true
	case *object:
		args, _ := v.args.(*sequence)
		if args == nil {
			return nil, false
		}
		if (v.class == "builtins.bytes" || v.class == "__builtin__.bytes" || v.class == "builtins.bytearray" ||
			v.class == "__builtin__.bytearray") && len(args.items) < 2 {
			if len(args.items) == 0 {
				return nil, true
			}
			return bytesOfArgument(args.items[0])
		}
		if v.class == "_codecs.encode" {
			return bytesOfArgument(v)
		}
	}
	return nil, false
}

// bytesOfArgument is bytesOf without going deeper, since a value may hold itself.
func bytesOfArgument(v any) ([]byte, bool) {
	switch v := v.(type) {
	case data:
		return v, true
	case *object:
		args, _ := v.args.(*sequence)
		if v.class != "_codecs.encode" || args == nil || len(args.items) != 2 || args.items[1] != any("latin1") {
			return nil, false
		}
		text, ok := args.items[0].(string)
		if !ok {
			return nil, false
		}
		b := make([]byte, 0, len(text))
		for _, r := range text {
			if r > 0xff {
				return nil, false
			}
			b = append(b, byte(r))
		}
		return b, true
	}
	return nil, false
}

// intOf is a value that is a whole number, one of NumPy's as well.
func intOf(v any) (int64, bool) {
	switch v := v.(type) {
	case int64:
		return v, true
	case *object: // a scalar is called with its type and its bytes
		args, _ := v.args.(*sequence)
		if !numpy(v.class, "multiarray", "scalar") || args == nil || len(args.items) != 2 {
			return 0, false
		}
		a := &Array{}
		var ok bool
		if a.Type, a.big, ok = elementType(args.items[0]); !ok {
			return 0, false
		}
		if a.Data, ok = bytesOf(args.items[1]); !ok || len(a.Data) != a.width() {
			return 0, false
		}
		return a.int(0)
	}
	return 0, false
}
