package pth

import (
	"encoding/binary"
	"math"
	"strconv"
	"strings"
)

// literal follows an instruction that pushes a value which stands in the pickle; false where it is another one.
func (m *machine) literal(op byte) bool { return m.numeral(op) || m.letters(op) }

// numeral follows an instruction that pushes a number, a truth value or nothing; false where it is another one.
func (m *machine) numeral(op byte) bool {
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
	default:
		return false
	}
	return true
}

// letters follows an instruction that pushes a text or bytes; false where it is another one.
func (m *machine) letters(op byte) bool {
	switch op {
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
