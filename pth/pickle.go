package pth

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"strings"
	"unicode/utf8"
)

// What a pickle can put together here: nil, bool, int64, float64 and string as in Go, and these.
type (
	tuple []any
	list  struct{ items []any }
	dict  struct{ keys, values []any } // in order, keys not compared

	// global is a function or class of Python, by name alone.
	global struct{ module, name string }

	mark struct{} // on the stack, where the items of a tuple or list begin
)

// kindOf says in Python's words what a value is.
func kindOf(v any) string {
	switch v := v.(type) {
	case nil:
		return "None"
	case bool:
		return "a bool"
	case int64:
		return "an int"
	case float64:
		return "a float"
	case string:
		return "a str"
	case tuple:
		return "a tuple"
	case *list:
		return "a list"
	case *dict:
		return "a dict"
	case *tensor:
		return "a tensor"
	case storage:
		return "a storage"
	case global:
		return v.module + "." + v.name
	}
	return "something else"
}

// maxDims is the most dimensions of a tensor; PyTorch itself allows 64.
const maxDims = 64

// Instructions, by their names in CPython's Lib/pickle.py.
const (
	opProto           = 0x80
	opStop            = '.'
	opMark            = '('
	opNone            = 'N'
	opNewTrue         = 0x88
	opNewFalse        = 0x89
	opBinInt          = 'J'
	opBinInt1         = 'K'
	opBinInt2         = 'M'
	opLong1           = 0x8a
	opBinFloat        = 'G'
	opBinUnicode      = 'X'
	opEmptyTuple      = ')'
	opTuple           = 't'
	opTuple1          = 0x85
	opTuple2          = 0x86
	opTuple3          = 0x87
	opEmptyList       = ']'
	opAppend          = 'a'
	opAppends         = 'e'
	opEmptyDict       = '}'
	opSetItem         = 's'
	opSetItems        = 'u'
	opBinPut          = 'q'
	opLongBinPut      = 'r'
	opBinGet          = 'h'
	opLongBinGet      = 'j'
	opGlobal          = 'c'
	opBinPersID       = 'Q'
	opReduce          = 'R'
	opBuild           = 'b'
	protocol     byte = 2 // torch.save's default
)

// unpickle reads the pickle of a checkpoint. It makes values of the types above only.
func unpickle(b []byte) (value any, err error) {
	m := &machine{b: b, memo: map[uint32]any{}}
	defer func() {
		if r := recover(); r != nil {
			refusal, ours := r.(refusal)
			if !ours {
				panic(r)
			}
			err = &FormatError{Entry: "data.pkl", Offset: int64(m.start), Problem: string(refusal)}
		}
	}()
	return m.run(), nil
}

// refusal ends the reading from whatever depth; unpickle turns it into an error.
type refusal string

func refuse(format string, a ...any) { panic(refusal(fmt.Sprintf(format, a...))) }

// machine is pickle's: instructions push values to a stack and combine them; a memo keeps those that come again.
type machine struct {
	b     []byte
	at    int // next byte
	start int // of the current instruction
	stack []any
	memo  map[uint32]any
}

// bytes reads the n bytes that come next.
func (m *machine) bytes(n int) []byte {
	if n < 0 || n > len(m.b)-m.at {
		refuse("the pickle ends too early")
	}
	m.at += n
	return m.b[m.at-n : m.at]
}

func (m *machine) uint32() uint32 { return binary.LittleEndian.Uint32(m.bytes(4)) }

// line reads up to the next newline.
func (m *machine) line() string {
	n := bytes.IndexByte(m.b[m.at:min(len(m.b), m.at+256)], '\n')
	if n < 0 {
		refuse("a name has no end")
	}
	s := string(m.bytes(n))
	m.at++
	return s
}

func (m *machine) push(v any) { m.stack = append(m.stack, v) }

func (m *machine) pop() any {
	if len(m.stack) == 0 {
		refuse("an instruction finds nothing to work on")
	}
	v := m.stack[len(m.stack)-1]
	if v == any(mark{}) {
		refuse("an instruction finds a mark where it needs a value")
	}
	m.stack = m.stack[:len(m.stack)-1]
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

// top is the last value, which must be a T.
func top[T any](m *machine, what string) T {
	v := m.pop()
	t, ok := v.(T)
	if !ok {
		refuse("%s needs a different value than %s", what, kindOf(v))
	}
	m.push(v)
	return t
}

func (m *machine) run() any {
	if m.bytes(1)[0] != opProto || m.bytes(1)[0] != protocol {
		refuse("it is not a pickle of protocol %d, which torch.save uses", protocol)
	}
	for {
		m.start = m.at
		op := m.bytes(1)[0]
		switch op {
		case opStop:
			if len(m.stack) != 1 || m.at != len(m.b) {
				refuse("the pickle ends with %d values and %d bytes left, expected one value", len(m.stack), len(m.b)-m.at)
			}
			return m.pop()
		case opMark:
			m.push(mark{})
		case opNone:
			m.push(nil)
		case opNewTrue, opNewFalse:
			m.push(op == opNewTrue)
		case opBinInt:
			m.push(int64(int32(m.uint32())))
		case opBinInt1:
			m.push(int64(m.bytes(1)[0]))
		case opBinInt2:
			m.push(int64(binary.LittleEndian.Uint16(m.bytes(2))))
		case opLong1:
			m.push(m.long())
		case opBinFloat:
			m.push(math.Float64frombits(binary.BigEndian.Uint64(m.bytes(8))))
		case opBinUnicode:
			n := m.uint32()
			if uint64(n) > uint64(len(m.b)) {
				refuse("a string of %d bytes is longer than the pickle", n)
			}
			s := m.bytes(int(n))
			if !utf8.Valid(s) {
				refuse("a string is not valid UTF-8")
			}
			m.push(string(s))
		case opEmptyTuple:
			m.push(tuple{})
		case opTuple:
			m.push(tuple(m.popMark()))
		case opTuple1, opTuple2, opTuple3:
			m.push(tuple(m.popN(int(op) - opTuple1 + 1)))
		case opEmptyList:
			m.push(&list{})
		case opAppend:
			items := m.popN(1)
			l := top[*list](m, "appending")
			l.items = append(l.items, items...)
		case opAppends:
			items := m.popMark()
			l := top[*list](m, "appending")
			l.items = append(l.items, items...)
		case opEmptyDict:
			m.push(&dict{})
		case opSetItem:
			m.setItems(m.popN(2))
		case opSetItems:
			m.setItems(m.popMark())
		case opBinPut:
			m.put(uint32(m.bytes(1)[0]))
		case opLongBinPut:
			m.put(m.uint32())
		case opBinGet:
			m.get(uint32(m.bytes(1)[0]))
		case opLongBinGet:
			m.get(m.uint32())
		case opGlobal:
			m.push(m.global())
		case opBinPersID:
			m.push(persistent(m.pop()))
		case opReduce:
			args, callable := m.pop(), m.pop()
			m.push(call(callable, args))
		case opBuild: // an attribute of an OrderedDict: the versions of a state_dict's modules
			state := m.pop()
			if _, ok := state.(*dict); !ok {
				refuse("attributes of an object are set from %s", kindOf(state))
			}
			top[*dict](m, "setting attributes")
		default:
			refuse("it has the instruction 0x%02x, which no state_dict of tensors needs", op)
		}
	}
}

// long reads an integer of any length; what does not fit 64 bits is refused.
func (m *machine) long() int64 {
	n := int(m.bytes(1)[0])
	if n > 8 {
		refuse("an integer of %d bytes", n)
	}
	var v int64
	for i, b := range m.bytes(n) {
		v |= int64(b) << (8 * i)
	}
	if 0 < n && n < 8 { // the sign
		v = v << (64 - 8*n) >> (64 - 8*n)
	}
	return v
}

func (m *machine) setItems(items []any) {
	d := top[*dict](m, "setting items")
	if len(items)%2 != 0 {
		refuse("a key has no value")
	}
	for i := 0; i < len(items); i += 2 {
		d.keys, d.values = append(d.keys, items[i]), append(d.values, items[i+1])
	}
}

func (m *machine) put(i uint32) {
	v := m.pop()
	m.push(v)
	m.memo[i] = v
}

func (m *machine) get(i uint32) {
	v, ok := m.memo[i]
	if !ok {
		refuse("it refers to value %d, which is not there", i)
	}
	m.push(v)
}

// Names of what a state_dict refers to.
var (
	orderedDict      = global{"collections", "OrderedDict"}
	rebuildTensor    = global{"torch._utils", "_rebuild_tensor_v2"}
	rebuildParameter = global{"torch._utils", "_rebuild_parameter"}
)

// global reads a name; only those that a state_dict needs are known.
func (m *machine) global() global {
	g := global{m.line(), m.line()}
	if g == orderedDict || g == rebuildTensor || g == rebuildParameter || isStorage(g) {
		return g
	}
	refuse("it refers to the Python object %.100q, which no state_dict of tensors needs; nothing of it was run. Save the weights alone: torch.save(model.state_dict(), FILE)", g.module+"."+g.name)
	return global{}
}

func isStorage(g global) bool { return g.module == "torch" && strings.HasSuffix(g.name, "Storage") }

// persistent reads what stands for a storage: ("storage", class, key, location, elements). The location, a device, is of no interest.
func persistent(v any) storage {
	id, _ := v.(tuple)
	if len(id) == 5 && id[0] == any("storage") {
		class, ok1 := id[1].(global)
		key, ok2 := id[2].(string)
		count, ok3 := id[4].(int64)
		if ok1 && ok2 && ok3 && isStorage(class) && count >= 0 {
			return storage{class.name, key, count}
		}
	}
	refuse("a reference outside the pickle is not to a storage of elements")
	return storage{}
}

// call stands for the result of calling one of the known names.
func call(callable, args any) any {
	a, ok := args.(tuple)
	if !ok {
		refuse("arguments are %s", kindOf(args))
	}
	switch callable {
	case orderedDict:
		if len(a) == 0 {
			return &dict{}
		}
	case rebuildTensor:
		if len(a) == 6 { // storage, offset, size, stride, requires_grad, backward_hooks
			s, ok1 := a[0].(storage)
			offset, ok2 := a[1].(int64)
			if ok1 && ok2 && offset >= 0 {
				t := &tensor{storage: s, offset: offset, size: lengths(a[2]), stride: lengths(a[3])}
				if len(t.size) != len(t.stride) {
					refuse("a tensor has %d dimensions and %d strides", len(t.size), len(t.stride))
				}
				return t
			}
		}
	case rebuildParameter:
		if len(a) == 3 { // data, requires_grad, backward_hooks
			if t, ok := a[0].(*tensor); ok {
				return t
			}
		}
	}
	refuse("%s with %d arguments can't be followed", kindOf(callable), len(a))
	return nil
}

// lengths are the numbers of a tuple, none of them negative.
func lengths(v any) []int64 {
	t, ok := v.(tuple)
	if !ok || len(t) > maxDims {
		refuse("a tensor's shape or strides are %s, expected a tuple of at most %d numbers", kindOf(v), maxDims)
	}
	n := make([]int64, len(t))
	for i, x := range t {
		if n[i], ok = x.(int64); !ok || n[i] < 0 {
			refuse("a tensor's shape or strides have %s where a whole number from 0 is expected", kindOf(x))
		}
	}
	return n
}
