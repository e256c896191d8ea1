package nn

import (
	"fmt"

	"ninvk/gpu"
	"ninvk/ops"
)

// Param is a parameter or running value with its place on the adapter.
type Param struct {
	ParamSpec
	at []place // one behind the other its values; none for counts
}

// place is a run of values: in a part of the parameters where trained, else in the running statistics.
type place struct {
	part int
	ops.Param
}

// part is a piece of all trained parameters with what goes with them, each of which one binding holds.
type part struct {
	floats                                  int
	weights, grads, sums, velocity, average *gpu.Buffer // sums are of gradients, where a batch is computed in parts
}

// piece says where the parameters of a run of a layer's outputs are: all in one part.
type piece struct {
	part     int
	from, to int         // outputs
	params   []ops.Param // in the order of the layer's; running values in the running statistics
}

// placement is where all parameters of a graph are.
type placement struct {
	parts   []int     // floats of each
	running int       // floats of the running statistics
	params  []Param   // in the order of Graph.Params
	pieces  [][]piece // of each node
}

// floatsIn is n floats rounded up to whole vectors, at which parameters begin.
func floatsIn(n int) int { return (n + 3) &^ 3 }

// place puts the parameters one behind the other into parts of at most most floats. Those of a layer stay together; where
// they are more, they are cut by the layer's outputs, in fours, if the layer can have that.
func (g *Graph) place(most int) (*placement, error) {
	p := &placement{pieces: make([][]piece, len(g.nodes))}
	room := 0 // in the last part
	for _, x := range g.nodes {
		all := trainedFloats(x, 1, 1)
		switch {
		case len(x.params) == 0:
			continue
		case all <= most:
			if room < all {
				p.parts, room = append(p.parts, 0), most
			}
			room -= all
			p.piece(x, 0, x.Shape.C)
		case !x.traits.cuts:
			return nil, fmt.Errorf("layer %s: its parameters take %d bytes, the adapter binds %d", x.Name, 4*all, most*4)
		default:
			outputs := x.Shape.C
			rows := most / trainedFloats(x, outputs, 1) &^ 3
			for rows > 0 && trainedFloats(x, outputs, rows) > most {
				rows -= 4
			}
			if rows == 0 {
				return nil, fmt.Errorf("layer %s: the parameters of four outputs take %d bytes, the adapter binds %d", x.Name,
					4*trainedFloats(x, outputs, 4), most*4)
			}
			for from := 0; from < outputs; from += rows {
				to := min(from+rows, outputs)
				p.parts = append(p.parts, 0)
				p.piece(x, from, to)
				room = most - p.parts[len(p.parts)-1]
			}
		}
		p.list(x)
	}
	return p, nil
}

// trainedFloats is the room that the trained parameters of so many of a layer's outputs take.
func trainedFloats(x *Node, outputs, n int) int {
	sum := 0
	for _, s := range x.params {
		if s.Trained() {
			sum += floatsIn((s.Len() + outputs - 1) / outputs * n)
		}
	}
	return sum
}

// piece places the parameters of a layer's outputs behind the last part, those of the first also its running values.
func (p *placement) piece(x *Node, from, to int) {
	last := len(p.parts) - 1
	q := piece{part: last, from: from, to: to}
	for _, s := range x.params {
		at := ops.Param{Len: s.Len()}
		switch {
		case s.Role == BatchesTracked:
			at.Len = 0
		case !s.Trained():
			at.Offset = p.running
			p.running += at.Len
		default:
			if x.Shape.C != to-from { // cut
				at.Len = s.Len() / x.Shape.C * (to - from)
			}
			at.Offset = p.parts[last]
			p.parts[last] += floatsIn(at.Len)
		}
		q.params = append(q.params, at)
	}
	p.pieces[x.id] = append(p.pieces[x.id], q)
}

// list lists the parameters of a layer that has been placed.
func (p *placement) list(x *Node) {
	for i, s := range x.params {
		param := Param{ParamSpec: s}
		for j, q := range p.pieces[x.id] {
			if s.Role != BatchesTracked && (j == 0 || s.Trained()) {
				param.at = append(param.at, place{q.part, q.params[i]})
			}
		}
		p.params = append(p.params, param)
	}
}

// trained is the number of floats of all parts.
func (p *placement) trained() int {
	sum := 0
	for _, n := range p.parts {
		sum += n
	}
	return sum
}

// Params lists the parameters and running values.
func (n *Net) Params() []Param { return n.placed.params }

// averaging says whether averages of the weights are kept.
func (n *Net) averaging() bool { return n.Options.Train && n.Options.Average.Decay > 0 }

// write writes values of parameter p to the buffers that home names: for a part, and for the running statistics (-1).
func (n *Net) write(p Param, v []float32, home func(part int) *gpu.Buffer) error {
	for _, at := range p.at {
		part := at.part
		if !p.Trained() {
			part = -1
		}
		if b := home(part); b != nil {
			if err := n.dev.Write(b, uint64(4*at.Offset), gpu.Bytes(v[:at.Len])); err != nil {
				return err
			}
		}
		v = v[at.Len:]
	}
	return nil
}

// weightsAt, averagesAt and momentaAt are what write takes for these.
func (n *Net) weightsAt(part int) *gpu.Buffer {
	if part < 0 {
		return n.state
	}
	return n.parts[part].weights
}

func (n *Net) averagesAt(part int) *gpu.Buffer {
	if part < 0 {
		return n.averageState
	}
	return n.parts[part].average
}

func (n *Net) momentaAt(part int) *gpu.Buffer {
	if part < 0 {
		return nil
	}
	return n.parts[part].velocity
}

// SetParam writes the values of parameter i, row-major in its PyTorch shape. Its average, where there is one, starts
// from them.
func (n *Net) SetParam(i int, v []float32) error {
	p := n.placed.params[i]
	if len(v) != p.Len() {
		return fmt.Errorf("parameter %s has %d values, %d given", p.Name, p.Len(), len(v))
	}
	if p.Role == BatchesTracked {
		return fmt.Errorf("parameter %s is a count", p.Name)
	}
	if err := n.write(p, v, n.averagesAt); err != nil {
		return err
	}
	return n.write(p, v, n.weightsAt)
}

// Tracked is the number of training batches that the batch normalisations have seen; SetTracked sets it.
func (n *Net) Tracked() int64     { return n.tracked }
func (n *Net) SetTracked(v int64) { n.tracked = v }

// ReadParams waits for the adapter and reads all parameters and running values, in the order of Params (nil for counts).
func (n *Net) ReadParams() ([][]float32, error) {
	state, err := n.dev.ReadFloats(n.state, n.placed.running)
	if err != nil {
		return nil, err
	}
	return n.readParts(func(p *part) *gpu.Buffer { return p.weights }, state)
}

// ReadGrads reads the gradients of the last training step in the order of Params (nil where there is none).
func (n *Net) ReadGrads() ([][]float32, error) {
	return n.readParts(func(p *part) *gpu.Buffer { return p.summed() }, nil)
}

// summed is the buffer with the gradients of the whole batch.
func (p *part) summed() *gpu.Buffer {
	if p.sums != nil {
		return p.sums
	}
	return p.grads
}

func (n *Net) readParts(of func(*part) *gpu.Buffer, running []float32) ([][]float32, error) {
	var trained [][]float32
	for i := range n.parts {
		v, err := n.dev.ReadFloats(of(&n.parts[i]), n.parts[i].floats)
		if err != nil {
			return nil, err
		}
		trained = append(trained, v)
	}
	return n.placed.split(trained, running), nil
}

// split cuts the values of the trained parameters by part, and of the running ones where given, by parameter.
func (p *placement) split(trained [][]float32, running []float32) [][]float32 {
	out := make([][]float32, len(p.params))
	for i, x := range p.params {
		for _, at := range x.at {
			from, to := at.Offset, at.Offset+at.Len
			switch {
			case !x.Trained() && running != nil:
				out[i] = running[from:to]
			case !x.Trained():
			case len(x.at) == 1:
				out[i] = trained[at.part][from:to]
			default:
				out[i] = append(out[i], trained[at.part][from:to]...)
			}
		}
	}
	return out
}
