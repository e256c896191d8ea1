package onnx

import (
	"encoding/binary"
	"math"

	"google.golang.org/protobuf/encoding/protowire"
)

// The fields of the messages that a model of ours needs, by their numbers in onnx.proto
// (https://github.com/onnx/onnx/blob/v1.12.0/onnx/onnx.proto).
const (
	modelIRVersion       protowire.Number = 1
	modelProducerName    protowire.Number = 2
	modelProducerVersion protowire.Number = 3
	modelGraph           protowire.Number = 7
	modelOpsetImport     protowire.Number = 8
	modelMetadataProps   protowire.Number = 14

	opsetVersion protowire.Number = 2

	entryKey   protowire.Number = 1
	entryValue protowire.Number = 2

	graphNode        protowire.Number = 1
	graphName        protowire.Number = 2
	graphInitializer protowire.Number = 5
	graphDocString   protowire.Number = 10
	graphInput       protowire.Number = 11
	graphOutput      protowire.Number = 12
	graphValueInfo   protowire.Number = 13

	nodeInput     protowire.Number = 1
	nodeOutput    protowire.Number = 2
	nodeName      protowire.Number = 3
	nodeOpType    protowire.Number = 4
	nodeAttribute protowire.Number = 5

	attributeName protowire.Number = 1
	attributeF    protowire.Number = 2
	attributeI    protowire.Number = 3
	attributeInts protowire.Number = 8
	attributeType protowire.Number = 20

	tensorDims     protowire.Number = 1
	tensorDataType protowire.Number = 2
	tensorName     protowire.Number = 8
	tensorRawData  protowire.Number = 9

	valueName protowire.Number = 1
	valueType protowire.Number = 2

	typeTensor protowire.Number = 1

	tensorTypeElemType protowire.Number = 1
	tensorTypeShape    protowire.Number = 2

	shapeDim protowire.Number = 1

	dimValue protowire.Number = 1
	dimParam protowire.Number = 2
)

// Values of the enumerations AttributeProto.AttributeType and TensorProto.DataType.
const (
	typeFloat = 1
	typeInt   = 2
	typeInts  = 7

	dataFloat = 1
	dataInt64 = 7
)

// message is a protobuf message under construction: fields are appended, in any order.
type message []byte

func (m *message) int(field protowire.Number, v int) {
	*m = protowire.AppendVarint(protowire.AppendTag(*m, field, protowire.VarintType), uint64(v))
}

func (m *message) float(field protowire.Number, v float32) {
	*m = protowire.AppendFixed32(protowire.AppendTag(*m, field, protowire.Fixed32Type), math.Float32bits(v))
}

func (m *message) text(field protowire.Number, s string) {
	*m = protowire.AppendString(protowire.AppendTag(*m, field, protowire.BytesType), s)
}

func (m *message) add(field protowire.Number, sub message) {
	*m = protowire.AppendBytes(protowire.AppendTag(*m, field, protowire.BytesType), sub)
}

// attribute is one attribute of a node: a float32, an int or a list of ints.
type attribute struct {
	name  string
	value any
}

func (a attribute) message() message {
	var m message
	m.text(attributeName, a.name)
	switch v := a.value.(type) {
	case float32:
		m.float(attributeF, v)
		m.int(attributeType, typeFloat)
	case int:
		m.int(attributeI, v)
		m.int(attributeType, typeInt)
	case []int:
		for _, i := range v {
			m.int(attributeInts, i)
		}
		m.int(attributeType, typeInts)
	}
	return m
}

func nodeMessage(op, name string, inputs []string, output string, attributes []attribute) message {
	var m message
	for _, in := range inputs {
		m.text(nodeInput, in)
	}
	m.text(nodeOutput, output)
	m.text(nodeName, name)
	m.text(nodeOpType, op)
	for _, a := range attributes {
		m.add(nodeAttribute, a.message())
	}
	return m
}

// tensor is a tensor under construction. Its values are written once, straight into the model: they are most of it.
type tensor struct {
	head   message // all but floats
	floats []float32
}

// floatTensor is one of float32, its values row-major.
func floatTensor(name string, shape []int, values []float32) tensor {
	return tensor{tensorHead(name, dataFloat, shape), values}
}

// intTensor is a list of int64.
func intTensor(name string, values []int) tensor {
	raw := make(message, 0, 8*len(values))
	for _, v := range values {
		raw = binary.LittleEndian.AppendUint64(raw, uint64(v))
	}
	head := tensorHead(name, dataInt64, []int{len(values)})
	head.add(tensorRawData, raw)
	return tensor{head: head}
}

func tensorHead(name string, dataType int, shape []int) message {
	var m message
	for _, d := range shape {
		m.int(tensorDims, d)
	}
	m.int(tensorDataType, dataType)
	m.text(tensorName, name)
	return m
}

// size is that of the tensor's message in bytes.
func (t tensor) size() int {
	n := len(t.head)
	if t.floats != nil {
		n += sizeOf(tensorRawData, 4*len(t.floats))
	}
	return n
}

// sizeOf is that of a field which has so many bytes.
func sizeOf(field protowire.Number, bytes int) int {
	return protowire.SizeTag(field) + protowire.SizeBytes(bytes)
}

// begin starts a field of so many bytes, which are to follow.
func (m *message) begin(field protowire.Number, bytes int) {
	*m = protowire.AppendVarint(protowire.AppendTag(*m, field, protowire.BytesType), uint64(bytes))
}

func (m *message) tensor(field protowire.Number, t tensor) {
	m.begin(field, t.size())
	*m = append(*m, t.head...)
	if t.floats == nil {
		return
	}
	m.begin(tensorRawData, 4*len(t.floats))
	for _, v := range t.floats {
		*m = binary.LittleEndian.AppendUint32(*m, math.Float32bits(v))
	}
}

// valueMessage describes a float32 value whose first dimension is the batch, "N", and whose others are dims.
func valueMessage(name string, dims ...int) message {
	var n, shape message
	n.text(dimParam, "N")
	shape.add(shapeDim, n)
	for _, d := range dims {
		var dim message
		dim.int(dimValue, d)
		shape.add(shapeDim, dim)
	}
	var tensor, typ, m message
	tensor.int(tensorTypeElemType, dataFloat)
	tensor.add(tensorTypeShape, shape)
	typ.add(typeTensor, tensor)
	m.text(valueName, name)
	m.add(valueType, typ)
	return m
}
