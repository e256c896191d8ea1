package onnx

import (
	"encoding/binary"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
)

// The tests read models back with field numbers of their own, not those of proto.go, so that a wrong number there
// shows.

type decoded struct {
	ir, opset         uint64
	producer, version string
	metadata          map[string]string
	name, doc         string
	nodes             []decodedNode
	tensors           map[string]decodedTensor
	order             []string // of the tensors
	inputs, outputs   []string
	shapes            map[string][]string // of inputs, outputs and what value_info has
}

type decodedNode struct {
	op, name        string
	inputs, outputs []string
	attributes      map[string]any // float32, int or []int
}

type decodedTensor struct {
	shape  []int
	values []float32 // of FLOAT
	ints   []int     // of INT64
}

// field is one field of a message: a number or bytes.
type field struct {
	number protowire.Number
	n      uint64
	b      []byte
}

func fields(t *testing.T, m []byte) []field {
	t.Helper()
	var out []field
	for len(m) > 0 {
		number, kind, size := protowire.ConsumeTag(m)
		if size < 0 {
			t.Fatalf("bad tag: %v", protowire.ParseError(size))
		}
		m = m[size:]
		f := field{number: number}
		switch kind {
		case protowire.VarintType:
			f.n, size = protowire.ConsumeVarint(m)
		case protowire.Fixed32Type:
			var v uint32
			v, size = protowire.ConsumeFixed32(m)
			f.n = uint64(v)
		case protowire.BytesType:
			f.b, size = protowire.ConsumeBytes(m)
		default:
			t.Fatalf("field %d has the unexpected wire type %d", number, kind)
		}
		if size < 0 {
			t.Fatalf("field %d: %v", number, protowire.ParseError(size))
		}
		m = m[size:]
		out = append(out, f)
	}
	return out
}

func decode(t *testing.T, b []byte) *decoded {
	t.Helper()
	d := &decoded{metadata: map[string]string{}, tensors: map[string]decodedTensor{}, shapes: map[string][]string{}}
	for _, f := range fields(t, b) {
		switch f.number {
		case 1:
			d.ir = f.n
		case 2:
			d.producer = string(f.b)
		case 3:
			d.version = string(f.b)
		case 7:
			d.graph(t, f.b)
		case 8:
			for _, o := range fields(t, f.b) {
				if o.number != 2 {
					t.Errorf("opset has the field %d", o.number)
				}
				d.opset = o.n
			}
		case 14:
			var kv [3]string
			for _, o := range fields(t, f.b) {
				kv[o.number] = string(o.b)
			}
			d.metadata[kv[1]] = kv[2]
		default:
			t.Errorf("the model has the unexpected field %d", f.number)
		}
	}
	return d
}

func (d *decoded) graph(t *testing.T, b []byte) {
	for _, f := range fields(t, b) {
		switch f.number {
		case 1:
			d.nodes = append(d.nodes, decodeNode(t, f.b))
		case 2:
			d.name = string(f.b)
		case 5:
			name, x := decodeTensor(t, f.b)
			if _, twice := d.tensors[name]; twice {
				t.Errorf("two initializers are named %s", name)
			}
			d.tensors[name] = x
			d.order = append(d.order, name)
		case 10:
			d.doc = string(f.b)
		case 11:
			d.inputs = append(d.inputs, d.value(t, f.b))
		case 12:
			d.outputs = append(d.outputs, d.value(t, f.b))
		case 13:
			d.value(t, f.b)
		default:
			t.Errorf("the graph has the unexpected field %d", f.number)
		}
	}
}

func decodeNode(t *testing.T, b []byte) decodedNode {
	n := decodedNode{attributes: map[string]any{}}
	for _, f := range fields(t, b) {
		switch f.number {
		case 1:
			n.inputs = append(n.inputs, string(f.b))
		case 2:
			n.outputs = append(n.outputs, string(f.b))
		case 3:
			n.name = string(f.b)
		case 4:
			n.op = string(f.b)
		case 5:
			var name string
			var kind uint64
			var f32 float32
			var i int
			var ints []int
			for _, a := range fields(t, f.b) {
				switch a.number {
				case 1:
					name = string(a.b)
				case 2:
					f32 = math.Float32frombits(uint32(a.n))
				case 3:
					i = int(a.n)
				case 8:
					ints = append(ints, int(a.n))
				case 20:
					kind = a.n
				}
			}
			n.attributes[name] = map[uint64]any{1: f32, 2: i, 7: ints}[kind]
		default:
			t.Errorf("a node has the unexpected field %d", f.number)
		}
	}
	return n
}

func decodeTensor(t *testing.T, b []byte) (string, decodedTensor) {
	var name string
	var x decodedTensor
	var kind uint64
	var raw []byte
	for _, f := range fields(t, b) {
		switch f.number {
		case 1:
			x.shape = append(x.shape, int(f.n))
		case 2:
			kind = f.n
		case 8:
			name = string(f.b)
		case 9:
			raw = f.b
		default:
			t.Errorf("a tensor has the unexpected field %d", f.number)
		}
	}
	switch kind {
	case 1:
		for ; len(raw) >= 4; raw = raw[4:] {
			x.values = append(x.values, math.Float32frombits(binary.LittleEndian.Uint32(raw)))
		}
	case 7:
		for ; len(raw) >= 8; raw = raw[8:] {
			x.ints = append(x.ints, int(binary.LittleEndian.Uint64(raw)))
		}
	default:
		t.Errorf("tensor %s has data type %d, neither FLOAT nor INT64", name, kind)
	}
	if len(raw) != 0 {
		t.Errorf("tensor %s has %d bytes too many", name, len(raw))
	}
	return name, x
}

// value reads a ValueInfoProto, keeps its shape, and returns its name.
func (d *decoded) value(t *testing.T, b []byte) (name string) {
	var shape []string
	for _, f := range fields(t, b) {
		if f.number == 1 {
			name = string(f.b)
			continue
		}
		for _, typ := range fields(t, f.b) { // TypeProto
			if typ.number != 1 {
				t.Errorf("%s is no tensor", name)
			}
			for _, x := range fields(t, typ.b) { // TypeProto.Tensor
				if x.number == 1 {
					if x.n != 1 {
						t.Errorf("%s has element type %d, expected FLOAT", name, x.n)
					}
					continue
				}
				for _, dim := range fields(t, x.b) { // TensorShapeProto
					for _, v := range fields(t, dim.b) {
						if v.number == 2 {
							shape = append(shape, string(v.b))
						} else {
							shape = append(shape, fmt.Sprint(v.n))
						}
					}
				}
			}
		}
	}
	d.shapes[name] = shape
	return name
}

// String shows the structure for people and goldens: everything but the weights, of which it has only the shapes.
func (d *decoded) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "ir %d, opset %d, producer %s %s\n%s: %s\n", d.ir, d.opset, d.producer, d.version, d.name, d.doc)
	for _, k := range slices.Sorted(maps.Keys(d.metadata)) {
		fmt.Fprintf(&b, "metadata %s = %s\n", k, d.metadata[k])
	}
	for _, in := range d.inputs {
		fmt.Fprintf(&b, "input %s %v\n", in, d.shapes[in])
	}
	for _, n := range d.nodes {
		fmt.Fprintf(&b, "%s %s(%s)", strings.Join(n.outputs, " "), n.op, strings.Join(n.inputs, ", "))
		for _, k := range slices.Sorted(maps.Keys(n.attributes)) {
			fmt.Fprintf(&b, " %s=%v", k, n.attributes[k])
		}
		fmt.Fprintf(&b, " -> %v\n", d.shapes[n.outputs[0]])
	}
	for _, out := range d.outputs {
		fmt.Fprintf(&b, "output %s %v\n", out, d.shapes[out])
	}
	for _, name := range d.order {
		fmt.Fprintf(&b, "tensor %s %v", name, d.tensors[name].shape)
		if ints := d.tensors[name].ints; ints != nil {
			fmt.Fprintf(&b, " = %v", ints)
		}
		b.WriteByte('\n')
	}
	return b.String()
}
