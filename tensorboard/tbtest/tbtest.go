// Package tbtest reads event files back, for tests alone. The field numbers are its own, not those of package
// tensorboard, so that a wrong one there shows.
package tbtest

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"

	"google.golang.org/protobuf/encoding/protowire"
)

// Event is a record of an event file; what it has not is zero.
type Event struct {
	Time    float64 // seconds since 1970
	Step    int
	Version string
	Session int // 1: START
	Values  []Value
}

// Value is a number or a picture.
type Value struct {
	Tag                       string
	Simple                    float32
	Height, Width, Colorspace int
	PNG                       []byte // nil: a number
}

// Read reads a whole event file. Every checksum must be right, every field known, and the last record whole.
func Read(b []byte) ([]Event, error) {
	var events []Event
	for at := 0; at < len(b); {
		rest := b[at:]
		if len(rest) < 16 {
			return nil, fmt.Errorf("byte %d: a record cut off", at)
		}
		n := binary.LittleEndian.Uint64(rest)
		if got, want := binary.LittleEndian.Uint32(rest[8:]), masked(rest[:8]); got != want {
			return nil, fmt.Errorf("byte %d: the length's checksum is %08x, expected %08x", at, got, want)
		}
		if n > uint64(len(rest)-16) {
			return nil, fmt.Errorf("byte %d: a record of %d bytes cut off", at, n)
		}
		content := rest[12 : 12+n]
		if got, want := binary.LittleEndian.Uint32(rest[12+n:]), masked(content); got != want {
			return nil, fmt.Errorf("byte %d: the content's checksum is %08x, expected %08x", at, got, want)
		}
		var e Event
		if err := e.read(content); err != nil {
			return nil, fmt.Errorf("byte %d: %w", at, err)
		}
		events = append(events, e)
		at += 16 + int(n)
	}
	return events, nil
}

// masked is the checksum as TensorFlow's crc32c.h masks it: rotated right by 15 bits, plus a constant.
func masked(b []byte) uint32 {
	crc := crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli))
	return ((crc >> 15) | (crc << 17)) + 2726488792
}

// fields calls f with every field of a message: its number, what number it holds (of a float its bits), or its bytes.
func fields(m []byte, f func(number protowire.Number, kind protowire.Type, n uint64, b []byte) error) error {
	for len(m) > 0 {
		number, kind, size := protowire.ConsumeTag(m)
		if size < 0 {
			return protowire.ParseError(size)
		}
		m = m[size:]
		var n uint64
		var b []byte
		switch kind {
		case protowire.VarintType:
			n, size = protowire.ConsumeVarint(m)
		case protowire.Fixed32Type:
			var v uint32
			v, size = protowire.ConsumeFixed32(m)
			n = uint64(v)
		case protowire.Fixed64Type:
			n, size = protowire.ConsumeFixed64(m)
		case protowire.BytesType:
			b, size = protowire.ConsumeBytes(m)
		default:
			return fmt.Errorf("field %d has wire type %d", number, kind)
		}
		if size < 0 {
			return protowire.ParseError(size)
		}
		m = m[size:]
		if err := f(number, kind, n, b); err != nil {
			return err
		}
	}
	return nil
}

// field is what a field is called in the switches below: its number and its wire type.
type field struct {
	number protowire.Number
	kind   protowire.Type
}

func (e *Event) read(m []byte) error {
	return fields(m, func(number protowire.Number, kind protowire.Type, n uint64, b []byte) error {
		switch (field{number, kind}) {
		case field{1, protowire.Fixed64Type}:
			e.Time = math.Float64frombits(n)
		case field{2, protowire.VarintType}:
			e.Step = int(n)
		case field{3, protowire.BytesType}:
			e.Version = string(b)
		case field{5, protowire.BytesType}:
			return fields(b, func(number protowire.Number, kind protowire.Type, _ uint64, b []byte) error {
				if (field{number, kind}) != (field{1, protowire.BytesType}) {
					return fmt.Errorf("unknown field %d of a summary", number)
				}
				var v Value
				e.Values = append(e.Values, v)
				return e.Values[len(e.Values)-1].read(b)
			})
		case field{7, protowire.BytesType}:
			return fields(b, func(number protowire.Number, kind protowire.Type, n uint64, _ []byte) error {
				if (field{number, kind}) != (field{1, protowire.VarintType}) {
					return fmt.Errorf("unknown field %d of a session log", number)
				}
				e.Session = int(n)
				return nil
			})
		default:
			return fmt.Errorf("unknown field %d of an event", number)
		}
		return nil
	})
}

func (v *Value) read(m []byte) error {
	return fields(m, func(number protowire.Number, kind protowire.Type, n uint64, b []byte) error {
		switch (field{number, kind}) {
		case field{1, protowire.BytesType}:
			v.Tag = string(b)
		case field{2, protowire.Fixed32Type}:
			v.Simple = math.Float32frombits(uint32(n))
		case field{4, protowire.BytesType}:
			return fields(b, func(number protowire.Number, kind protowire.Type, n uint64, b []byte) error {
				switch (field{number, kind}) {
				case field{1, protowire.VarintType}:
					v.Height = int(n)
				case field{2, protowire.VarintType}:
					v.Width = int(n)
				case field{3, protowire.VarintType}:
					v.Colorspace = int(n)
				case field{4, protowire.BytesType}:
					v.PNG = b
				default:
					return fmt.Errorf("unknown field %d of a picture", number)
				}
				return nil
			})
		default:
			return fmt.Errorf("unknown field %d of a value", number)
		}
		return nil
	})
}
