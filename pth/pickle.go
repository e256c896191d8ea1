package pth

import (
	"bytes"
	"encoding/binary"
	"fmt"
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

	// maxPickle is the largest pickle of a file of weights, in bytes. It holds names, shapes and what was saved beside the
	// weights; those of large networks take some 100 kB.
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

func (m *machine) byte() uint64 { return uint64(m.bytes(1)[0]) }

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
