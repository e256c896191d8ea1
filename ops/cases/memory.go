package cases

import (
	"strings"

	"ninvk/gpu"
	"ninvk/ops"
)

// Memory holds the operands of a case on the adapter.
type Memory struct {
	*ops.Recorder
	Tensors map[string]ops.Tensor
	Params  map[string]ops.Param
	Buffers map[string]*gpu.Buffer
	State   *gpu.Buffer
}

// gap is the number of floats between parameters, so that none begins where a vector does by chance and writes past an
// end are seen.
const gap = 3

// Allocate makes the memory of the case; r lends the device, and scratch texture and partial sums as Need says.
// Everything else is the memory's own.
func (c Case) Allocate(r *ops.Recorder) (*Memory, error) {
	own := *r
	m := &Memory{Recorder: &own, Tensors: map[string]ops.Tensor{}, Params: map[string]ops.Param{},
		Buffers: map[string]*gpu.Buffer{}}
	m.Batch = max(c.In.N, c.Batch)
	var weights, state int
	place := func(name string, end *int, n int) {
		if _, ok := m.Params[name]; !ok {
			m.Params[name] = ops.Param{Offset: *end, Len: n}
			*end += n + gap
		}
	}
	var err error
	buffer := func(name string, size int) *gpu.Buffer {
		if err != nil {
			return nil
		}
		var b *gpu.Buffer
		b, err = r.Dev.NewBuffer(c.Operator+" "+name, uint64(size))
		return b
	}
	for _, o := range c.Operands {
		switch o.Place {
		case Activation:
			m.Tensors[o.Name] = ops.Tensor{Shape: o.Shape, Buf: buffer(o.Name, int(o.Shape.Bytes()))}
		case Weight:
			place(o.Name, &weights, o.Len)
		case Gradient:
			place(strings.TrimPrefix(o.Name, "d"), &weights, o.Len)
		case State:
			place(o.Name, &state, o.Len)
		default:
			m.Buffers[o.Name] = buffer(o.Name, 4*o.Len)
		}
	}
	m.Weights, m.Grads, m.State = buffer("weights", 4*weights), buffer("gradients", 4*weights), buffer("state", 4*state)
	if err != nil {
		m.Release()
		return nil, err
	}
	return m, nil
}

// Release frees the memory, but for what the recorder lent.
func (m *Memory) Release() {
	for _, t := range m.Tensors {
		t.Buf.Release()
	}
	for _, b := range m.Buffers {
		b.Release()
	}
	for _, b := range []*gpu.Buffer{m.Weights, m.Grads, m.State} {
		b.Release()
	}
}

// Where is the buffer that holds an operand and the byte offset in it.
func (m *Memory) Where(o Operand) (*gpu.Buffer, uint64) {
	at := func(name string) uint64 { return 4 * uint64(m.Params[name].Offset) }
	switch o.Place {
	case Activation:
		return m.Tensors[o.Name].Buf, 0
	case Weight:
		return m.Weights, at(o.Name)
	case Gradient:
		return m.Grads, at(strings.TrimPrefix(o.Name, "d"))
	case State:
		return m.State, at(o.Name)
	}
	return m.Buffers[o.Name], 0
}
