package pth

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

// What a pickle can put together here: nil, bool, int64, float64 and string as in Go, and these. Whatever holds others
// is a pointer, so that one which comes again, or holds itself, is known by its address.
type (
	sequence struct {
		items []any
		tuple bool // else a list
	}

	dict struct{ keys, values []any } // in order, keys not compared

	// object stands for what Python would make by calling a function or class: nothing was called.
	object struct {
		class string // of the function or class, with its module
		args  any
		state any  // what its attributes are set from; nil for nothing
		items dict // of a class that is a kind of dict
	}

	// global is a function or class of Python, by name alone.
	global struct{ module, name string }

	number struct{} // an integer beyond 64 bits
	data   []byte   // bytes, a part of the pickle

	mark struct{} // on the stack, where the items of a tuple or list begin
)

// kindOf says in Python's words what a value is.
func kindOf(v any) string {
	switch v := v.(type) {
	case nil:
		return "None"
	case bool:
		return "a bool"
	case int64, number:
		return "an int"
	case float64:
		return "a float"
	case string:
		return "a str"
	case data:
		return "bytes"
	case *sequence:
		if v.tuple {
			return "a tuple"
		}
		return "a list"
	case *dict:
		return "a dict"
	case *tensor:
		return "a tensor"
	case storage:
		return "a storage"
	case global:
		return fmt.Sprintf("the name %.100q", v.String())
	case *object:
		return fmt.Sprintf("an object of %.100q, which was not run", v.class)
	}
	return "something else"
}

func (g global) String() string { return g.module + "." + g.name }

const (
	// maxDims is the most dimensions of a tensor; PyTorch itself allows 64.
	maxDims = 64

	// maxPickle is the largest pickle of a file of weights, in bytes. It holds names, shapes and what was saved beside
	// the weights;
	// those of large networks take some 100 kB.
	maxPickle = 64 << 20

	// maxInstructions is the most that the pickles of a file may have together. An instruction takes some hundred bytes
	// of memory at most.
	maxInstructions = 2_000_000

	// lastProtocol is the newest version of pickles that is known.
	lastProtocol = 5
)

// Instructions, by their names in CPython's Lib/pickle.py.
const (
	opProto           = 0x80
	opStop            = '.'
	opMark            = '('
	opPop             = '0'
	opPopMark         = '1'
	opDup             = '2'
	opNone            = 'N'
	opNewTrue         = 0x88
	opNewFalse        = 0x89
	opInt             = 'I'
	opBinInt          = 'J'
	opBinInt1         = 'K'
	opBinInt2         = 'M'
	opLong            = 'L'
	opLong1           = 0x8a
	opLong4           = 0x8b
	opFloat           = 'F'
	opBinFloat        = 'G'
	opString          = 'S'
	opBinString       = 'T'
	opShortBinString  = 'U'
	opBinBytes        = 'B'
	opShortBinBytes   = 'C'
	opBinBytes8       = 0x8e
	opByteArray8      = 0x96
	opUnicode         = 'V'
	opBinUnicode      = 'X'
	opShortBinUnicode = 0x8c
	opBinUnicode8     = 0x8d
	opEmptyTuple      = ')'
	opTuple           = 't'
	opTuple1          = 0x85
	opTuple2          = 0x86
	opTuple3          = 0x87
	opEmptyList       = ']'
	opList            = 'l'
	opAppend          = 'a'
	opAppends         = 'e'
	opEmptyDict       = '}'
	opDict            = 'd'
	opSetItem         = 's'
	opSetItems        = 'u'
	opEmptySet        = 0x8f
	opAddItems        = 0x90
	opFrozenSet       = 0x91
	opPut             = 'p'
	opBinPut          = 'q'
	opLongBinPut      = 'r'
	opMemoize         = 0x94
	opGet             = 'g'
	opBinGet          = 'h'
	opLongBinGet      = 'j'
	opGlobal          = 'c'
	opStackGlobal     = 0x93
	opPersID          = 'P'
	opBinPersID       = 'Q'
	opReduce          = 'R'
	opBuild           = 'b'
	opInst            = 'i'
	opObj             = 'o'
	opNewObj          = 0x81
	opNewObjEx        = 0x92
	opFrame           = 0x95
)

// unpickler reads the pickles of one file. It makes values of the types above only.
type unpickler struct {
	entry      string           // what is read, for errors
	persistent func(id any) any // what a reference out of the pickle stands for; refuses what it can't be
	left       int              // instructions
	most       int              // bytes of a pickle
	writer     string           // what wrote it, for errors
}

// read reads the pickle that begins at byte from of b, and says where it ends.
func (u *unpickler) read(b []byte, from int) (value any, end int, err error) {
	m := &machine{unpickler: u, b: b[:min(len(b), from+u.most)], at: from, start: from, memo: map[uint32]any{}}
	m.cut = len(m.b) < len(b)
	defer func() {
		if r := recover(); r != nil {
			refusal, ours := r.(refusal)
			if !ours {
				panic(r)
			}
			err = &FormatError{Entry: u.entry, Offset: int64(m.start), Problem: string(refusal)}
		}
	}()
	return m.run(), m.at, nil
}

// refusal ends the reading from whatever depth; read turns it into an error.
type refusal string

func refuse(format string, a ...any) { panic(refusal(fmt.Sprintf(format, a...))) }

// machine is pickle's: instructions push values to a stack and combine them; a memo keeps those that come again.
type machine struct {
	*unpickler
	b     []byte
	cut   bool // more follows, beyond the largest pickle
	at    int  // next byte
	start int  // of the current instruction
	stack []any
	memo  map[uint32]any
}

// bytes reads the n bytes that come next.
func (m *machine) bytes(n uint64) []byte {
	if n > uint64(len(m.b)-m.at) {
		if m.cut {
			refuse("the pickle is larger than %d bytes, the most that is accepted", m.most)
		}
		refuse("the pickle ends too early (is the file truncated?)")
	}
	m.at += int(n)
	return m.b[m.at-int(n) : m.at : m.at]
}

func (m *machine) byte() uint64   { return uint64(m.bytes(1)[0]) }
func (m *machine) uint32() uint32 { return binary.LittleEndian.Uint32(m.bytes(4)) }
func (m *machine) uint64() uint64 { return binary.LittleEndian.Uint64(m.bytes(8)) }

// maxLine is the longest line of text in a pickle: a name, or a number in digits.
const maxLine = 1024

// line reads up to the next newline.
func (m *machine) line() string {
	n := bytes.IndexByte(m.b[m.at:min(len(m.b), m.at+maxLine)], '\n')
	if n < 0 {
		refuse("a name or number has no end")
	}
	s := string(m.bytes(uint64(n)))
	m.at++
	return s
}

// text is bytes as a str.
func text(b []byte) string {
	if !utf8.Valid(b) {
		refuse("a string is not valid UTF-8")
	}
	return string(b)
}

// str is the str of Python 2, which may hold anything.
func str(b []byte) any {
	if utf8.Valid(b) {
		return string(b)
	}
	return data(b)
}

func (m *machine) push(v any) { m.stack = append(m.stack, v) }

func (m *machine) pop() any {
	if len(m.stack) == 0 {
		refuse("an instruction finds nothing to work on")
	}
	v := m.stack[len(m.stack)-1]
	if _, is := v.(mark); is {
		refuse("an instruction finds a mark where it needs a value")
	}
	m.stack = m.stack[:len(m.stack)-1]
	return v
}

// top is the last value.
func (m *machine) top() any {
	v := m.pop()
	m.push(v)
	return v
}

// popN removes the last n values.
func (m *machine) popN(n int) []any {
	v := make([]any, n)
	for i := n - 1; i >= 0; i-- {
		v[i] = m.pop()
	}
	return v
}

// popMark removes what lies above the last mark, and the mark.
func (m *machine) popMark() []any {
	for i := len(m.stack) - 1; i >= 0; i-- {
		if _, found := m.stack[i].(mark); found {
			v := append([]any(nil), m.stack[i+1:]...)
			m.stack = m.stack[:i]
			return v
		}
	}
	refuse("a mark is missing")
	return nil
}

func (m *machine) run() any {
	if m.byte() != opProto {
		refuse("it is not a pickle of protocol 2 to %d, as a %s is", lastProtocol, m.writer)
	}
	if p := m.byte(); p < 2 || p > lastProtocol {
		refuse("it is a pickle of protocol %d; 2 to %d are read", p, lastProtocol)
	}
	for {
		m.start = m.at
		if m.left--; m.left < 0 {
			refuse("it has more than %d instructions, the most that are accepted", maxInstructions)
		}
		op := m.bytes(1)[0]
		if op == opStop {
			if len(m.stack) != 1 {
				refuse("the pickle ends with %d values, expected one", len(m.stack))
			}
			return m.pop()
		}
		if !m.literal(op) && !m.container(op) && !m.reference(op) {
			refuse("it has the instruction 0x%02x, which no %s needs", op, m.writer)
		}
	}
}

// literal follows an instruction that pushes a value which stands in the pickle; false where it is another one.
func (m *machine) literal(op byte) bool {
	switch op {
	case opNone:
		m.push(nil)
	case opNewTrue, opNewFalse:
		m.push(op == opNewTrue)
	case opInt:
		switch s := m.line(); s {
		case "00", "01": // a bool of the oldest protocols
			m.push(s == "01")
		default:
			m.push(digits(s))
		}
	case opLong:
		m.push(digits(strings.TrimSuffix(m.line(), "L")))
	case opBinInt:
		m.push(int64(int32(m.uint32())))
	case opBinInt1:
		m.push(int64(m.byte()))
	case opBinInt2:
		m.push(int64(binary.LittleEndian.Uint16(m.bytes(2))))
	case opLong1:
		m.push(integer(m.bytes(m.byte())))
	case opLong4:
		m.push(integer(m.bytes(uint64(m.uint32()))))
	case opFloat:
		v, err := strconv.ParseFloat(m.line(), 64)
		if err != nil && v == 0 { // beyond the range is infinite, as in Python
			refuse("a number can't be read")
		}
		m.push(v)
	case opBinFloat:
		m.push(math.Float64frombits(binary.BigEndian.Uint64(m.bytes(8))))
	case opString:
		s := m.line()
		if len(s) < 2 || s[0] != s[len(s)-1] || s[0] != '\'' && s[0] != '"' {
			refuse("a string has no quotes")
		}
		m.push(str([]byte(s[1 : len(s)-1])))
	case opBinString:
		m.push(str(m.bytes(uint64(m.uint32()))))
	case opShortBinString:
		m.push(str(m.bytes(m.byte())))
	case opBinBytes:
		m.push(data(m.bytes(uint64(m.uint32()))))
	case opShortBinBytes:
		m.push(data(m.bytes(m.byte())))
	case opBinBytes8, opByteArray8:
		m.push(data(m.bytes(m.uint64())))
	case opUnicode:
		m.push(text([]byte(m.line())))
	case opBinUnicode:
		m.push(text(m.bytes(uint64(m.uint32()))))
	case opShortBinUnicode:
		m.push(text(m.bytes(m.byte())))
	case opBinUnicode8:
		m.push(text(m.bytes(m.uint64())))
	default:
		return false
	}
	return true
}

// digits is an integer in text.
func digits(s string) any {
	v, err := strconv.ParseInt(s, 10, 64)
	if err == nil {
		return v
	}
	if strings.Trim(s, "+-0123456789") != "" || s == "" {
		refuse("a number can't be read")
	}
	return number{}
}

// integer is one of two's complement, the lowest byte first.
func integer(b []byte) any {
	if len(b) > 8 {
		return number{}
	}
	var v int64
	for i, x := range b {
		v |= int64(x) << (8 * i)
	}
	if n := len(b); 0 < n && n < 8 { // the sign
		v = v << (64 - 8*n) >> (64 - 8*n)
	}
	return v
}

// container follows an instruction that makes a tuple, list, dict or set, or puts values into one; false where it is
// another one.
func (m *machine) container(op byte) bool {
	switch op {
	case opMark:
		m.push(mark{})
	case opPop: // a mark as well
		if len(m.stack) == 0 {
			m.pop()
		}
		m.stack = m.stack[:len(m.stack)-1]
	case opPopMark:
		m.popMark()
	case opDup:
		m.push(m.top())
	case opEmptyTuple:
		m.push(&sequence{tuple: true})
	case opTuple:
		m.push(&sequence{m.popMark(), true})
	case opTuple1, opTuple2, opTuple3:
		m.push(&sequence{m.popN(int(op) - opTuple1 + 1), true})
	case opEmptyList:
		m.push(&sequence{})
	case opList:
		m.push(&sequence{items: m.popMark()})
	case opAppend:
		m.extend(m.popN(1))
	case opAppends:
		m.extend(m.popMark())
	case opEmptyDict:
		m.push(&dict{})
	case opDict:
		items := m.popMark()
		m.push(&dict{})
		m.setItems(items)
	case opSetItem:
		m.setItems(m.popN(2))
	case opSetItems:
		m.setItems(m.popMark())
	case opEmptySet:
		m.push(&object{class: "set"})
	case opFrozenSet:
		m.popMark()
		m.push(&object{class: "frozenset"})
	case opAddItems: // of a set, whose items are of no interest
		m.popMark()
		if _, ok := m.top().(*object); !ok {
			refuse("adding to a set needs a different value than %s", kindOf(m.top()))
		}
	default:
		return false
	}
	return true
}

// extend appends to the list on top of the stack. Objects that are a kind of list lose their items.
func (m *machine) extend(items []any) {
	switch l := m.top().(type) {
	case *sequence:
		if l.tuple {
			refuse("appending needs a different value than %s", kindOf(l))
		}
		l.items = append(l.items, items...)
	case *object:
	default:
		refuse("appending needs a different value than %s", kindOf(l))
	}
}

// setItems adds to the dict, or the object that is a kind of one, on top of the stack.
func (m *machine) setItems(items []any) {
	var d *dict
	switch x := m.top().(type) {
	case *dict:
		d = x
	case *object:
		d = &x.items
	default:
		refuse("setting items needs a different value than %s", kindOf(x))
	}
	if len(items)%2 != 0 {
		refuse("a key has no value")
	}
	for i := 0; i < len(items); i += 2 {
		d.keys, d.values = append(d.keys, items[i]), append(d.values, items[i+1])
	}
}

// reference follows an instruction that refers to something: a value before, a name of Python's, something outside; or
// that builds an object of it. False where it is another one.
func (m *machine) reference(op byte) bool {
	switch op {
	case opProto: // once more
		m.byte()
	case opFrame: // a hint for readers of streams
		m.uint64()
	case opPut:
		m.put(m.place())
	case opBinPut:
		m.put(uint32(m.byte()))
	case opLongBinPut:
		m.put(m.uint32())
	case opMemoize:
		m.put(uint32(len(m.memo)))
	case opGet:
		m.get(m.place())
	case opBinGet:
		m.get(uint32(m.byte()))
	case opLongBinGet:
		m.get(m.uint32())
	case opGlobal:
		m.push(global{m.line(), m.line()})
	case opStackGlobal:
		v := m.popN(2)
		module, ok1 := v[0].(string)
		name, ok2 := v[1].(string)
		if !ok1 || !ok2 {
			refuse("a name of Python's is %s", kindOf(v[0]))
		}
		m.push(global{module, name})
	case opPersID:
		m.push(m.persistent(m.line()))
	case opBinPersID:
		m.push(m.persistent(m.pop()))
	case opReduce, opNewObj:
		v := m.popN(2)
		m.build(v[0], v[1])
	case opNewObjEx: // with arguments by name
		v := m.popN(3)
		m.build(v[0], v[1])
	case opInst:
		g := global{m.line(), m.line()}
		m.build(g, &sequence{m.popMark(), true})
	case opObj:
		v := m.popMark()
		if len(v) == 0 {
			refuse("an object has no class")
		}
		m.build(v[0], &sequence{v[1:], true})
	// attributes; those of a dict are the versions of a state_dict's modules, those of a tensor whether it is trained
	case opBuild:
		state := m.pop()
		if o, ok := m.top().(*object); ok {
			o.state = state
		}
	default:
		return false
	}
	return true
}

// build pushes the result of call. It counts as many instructions as it has parts, since arguments can be used again
// and again.
func (m *machine) build(callable, args any) {
	v := call(callable, args)
	switch v := v.(type) {
	case *dict:
		m.left -= len(v.keys)
	case *tensor:
		m.left -= 2 * len(v.size)
	}
	m.push(v)
}

// place is a number of the memo in text.
func (m *machine) place() uint32 {
	n, err := strconv.ParseUint(m.line(), 10, 32)
	if err != nil {
		refuse("a number can't be read")
	}
	return uint32(n)
}

func (m *machine) put(i uint32) { m.memo[i] = m.top() }

func (m *machine) get(i uint32) {
	v, ok := m.memo[i]
	if !ok {
		refuse("it refers to value %d, which is not there", i)
	}
	m.push(v)
}

// call stands for the result of calling a function or class: of those that a state_dict needs what they would give, of
// every other an object. Nothing is ever run.
func call(callable, args any) any {
	a, ok := args.(*sequence)
	if !ok {
		refuse("arguments are %s", kindOf(args))
	}
	g, ok := callable.(global)
	if !ok {
		o, isObject := callable.(*object)
		if !isObject {
			refuse("%s can't be called", kindOf(callable))
		}
		return &object{class: o.class, args: a}
	}
	if f := known[g]; f != nil {
		if v := f(a.items); v != nil {
			return v
		}
		refuse("%s with %d arguments can't be followed", g, len(a.items))
	}
	return &object{class: g.String(), args: a}
}

// known are the functions and classes that a state_dict is made of. They give nil for arguments which can't be right.
var known map[global]func(args []any) any

func init() { // refers to itself
	known = map[global]func([]any) any{
		{"collections", "OrderedDict"}: orderedDict,
		{"torch", "Size"}: func(a []any) any {
			if len(a) == 1 {
				if s, ok := a[0].(*sequence); ok {
					return s
				}
			}
			return nil
		},
		{"torch._utils", "_rebuild_tensor"}:               rebuildTensor, // before PyTorch 0.4
		{"torch._utils", "_rebuild_tensor_v2"}:            rebuildTensor,
		{"torch._utils", "_rebuild_tensor_v3"}:            rebuildUntyped,
		{"torch._utils", "_rebuild_parameter"}:            rebuildParameter,
		{"torch._utils", "_rebuild_parameter_with_state"}: rebuildParameter,
		{"torch.nn.parameter", "Parameter"}:               rebuildParameter, // before PyTorch 0.4
		{"torch.autograd.variable", "Variable"}:           rebuildParameter,
		{"torch._tensor", "_rebuild_from_type_v2"}: func(a []any) any { // function, class, arguments, attributes
			if len(a) != 4 {
				return nil
			}
			// within itself without end
			if f, ok := a[0].(global); ok && f == (global{"torch._tensor", "_rebuild_from_type_v2"}) {
				return nil
			}
			return call(a[0], a[2])
		},
	}
}

func orderedDict(a []any) any {
	d := &dict{}
	if len(a) == 0 {
		return d
	}
	pairs, ok := a[0].(*sequence) // as Python 2 wrote them
	if !ok || len(a) > 1 {
		return nil
	}
	for _, p := range pairs.items {
		pair, ok := p.(*sequence)
		if !ok || len(pair.items) != 2 {
			return nil
		}
		d.keys, d.values = append(d.keys, pair.items[0]), append(d.values, pair.items[1])
	}
	return d
}

// rebuildTensor takes storage, offset, size, stride, and more that is of no interest.
func rebuildTensor(a []any) any {
	if len(a) < 4 {
		return nil
	}
	s, ok1 := a[0].(storage)
	offset, ok2 := a[1].(int64)
	if !ok1 || !ok2 || offset < 0 {
		return nil
	}
	t := &tensor{storage: s, offset: offset, size: lengths(a[2]), stride: lengths(a[3])}
	if len(t.size) != len(t.stride) {
		refuse("a tensor has %d dimensions and %d strides", len(t.size), len(t.stride))
	}
	return t
}

// rebuildUntyped takes a storage of bytes, what rebuildTensor takes, whether it is trained, hooks, and the type.
func rebuildUntyped(a []any) any {
	if len(a) < 7 {
		return nil
	}
	dtype, ok := a[6].(global)
	t, isTensor := rebuildTensor(a).(*tensor)
	if !ok || !isTensor || dtype.module != "torch" {
		return nil
	}
	t.storage.class = byDType[dtype.name]
	if t.storage.class == "" { // unknown, and said where it is needed
		t.storage.class = dtype.name
		return t
	}
	t.storage.count /= int64(types[t.storage.class].bytes)
	return t
}

// rebuildParameter takes a tensor, and more that is of no interest.
func rebuildParameter(a []any) any {
	if len(a) > 0 {
		if t, ok := a[0].(*tensor); ok {
			return t
		}
	}
	return nil
}

// lengths are the numbers of a tuple, none of them negative.
func lengths(v any) []int64 {
	t, ok := v.(*sequence)
	if !ok || len(t.items) > maxDims {
		refuse("a tensor's shape or strides are %s, expected a tuple of at most %d numbers", kindOf(v), maxDims)
	}
	n := make([]int64, len(t.items))
	for i, x := range t.items {
		if n[i], ok = x.(int64); !ok || n[i] < 0 {
			refuse("a tensor's shape or strides have %s where a whole number from 0 is expected", kindOf(x))
		}
	}
	return n
}
