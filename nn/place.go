package nn

import (
	"fmt"
	"slices"

	"ninvk/gpu"
	"ninvk/ops"
)

// Param is a parameter or running value with its place on the adapter.
type Param struct {
	ParamSpec
	Frozen bool    // see Rates
	at     []place // one behind the other its values; none for counts
}

// Trained says whether the optimiser updates the parameter.
func (p Param) Trained() bool { return p.ParamSpec.Trained() && !p.Frozen }

// place is a stretch of values: in a part of the parameters, or in the running statistics.
type place struct {
	part int
	ops.Param
}

// part is a piece of all parameters with what goes with them, each of which one binding holds.
type part struct {
	layout
	weights, average      *gpu.Buffer
	grads, sums, velocity *gpu.Buffer // of those trained; sums are of gradients, where a batch is computed in parts
	total                 *gpu.Buffer // sum of the gradients of all shards; one of the tree's. Nil where there are none
}

// layout is how the parameters of a part lie: first those that are trained, stretch by stretch.
type layout struct {
	floats    int // of all
	trained   int // of those that are trained, with which the part begins
	stretches []stretch
}

// stretch is parameters with one factor of the learning rate.
type stretch struct {
	from, floats int
	rate         float64
}

// piece says where the parameters of a stretch of a layer's outputs are: all in one part.
type piece struct {
	part     int
	from, to int         // outputs
	params   []ops.Param // in the order of the layer's; running values in the running statistics
}

// placement is where all parameters of a graph are.
type placement struct {
	parts   []layout
	running int       // floats of the running statistics
	moving  int       // of those that training moves, with which they begin
	params  []Param   // in the order of Graph.Params
	pieces  [][]piece // of each node
}

// floatsIn is n floats rounded up to whole vectors, at which parameters begin.
func floatsIn(n int) int { return (n + 3) &^ 3 }

// place puts the parameters one behind the other into parts of at most most floats. Those of a layer stay together;
// where they are more, they are cut by the layer's outputs, in fours, if the layer can have that.
func (g *Graph) place(most int, l *learning) (*placement, error) {
	p := &placement{pieces: make([][]piece, len(g.nodes))}
	room := 0 // in the last part
	for _, x := range g.nodes {
		all := trainedFloats(x, 1, 1)
		switch {
		case len(x.params) == 0:
			continue
		case all <= most:
			if room < all {
				p.parts, room = append(p.parts, layout{}), most
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
				p.parts = append(p.parts, layout{})
				p.piece(x, from, to)
				room = most - trainedFloats(x, outputs, to-from)
			}
		}
	}
	p.arrange(g, l)
	for _, x := range g.nodes {
		p.list(x, l.rates)
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
		case s.Trained() && x.Shape.C != to-from: // cut
			at.Len = s.Len() / x.Shape.C * (to - from)
		}
		q.params = append(q.params, at)
	}
	p.pieces[x.id] = append(p.pieces[x.id], q)
}

// arrange gives each parameter its place in its part: those with one factor of the learning rate lie one behind the
// other, the frozen ones at the end; and so the running statistics, at the end those that training leaves as they are.
func (p *placement) arrange(g *Graph, l *learning) {
	type own struct {
		rate float64
		at   *ops.Param
	}
	params := make([][]own, len(p.parts))
	var moving, resting []*ops.Param
	for _, x := range g.nodes {
		for j, q := range p.pieces[x.id] {
			for i, s := range x.params {
				at := &p.pieces[x.id][j].params[i]
				switch {
				case s.Role == BatchesTracked:
				case s.Trained():
					params[q.part] = append(params[q.part], own{l.rates.of(s), at})
				case l.still[x.id]:
					resting = append(resting, at)
				default:
					moving = append(moving, at)
				}
			}
		}
	}
	for i, all := range params {
		part := &p.parts[i]
		var rates []float64
		for _, o := range all {
			if !slices.Contains(rates, o.rate) && o.rate != 0 {
				rates = append(rates, o.rate)
			}
		}
		for _, rate := range append(rates, 0) {
			r := stretch{from: part.floats, rate: rate}
			for _, o := range all {
				if o.rate == rate {
					o.at.Offset = part.floats
					part.floats += floatsIn(o.at.Len)
				}
			}
			r.floats = part.floats - r.from
			if rate != 0 {
				part.trained, part.stretches = part.floats, append(part.stretches, r)
			}
		}
	}
	for _, at := range moving {
		at.Offset = p.moving
		p.moving += at.Len
	}
	p.running = p.moving
	for _, at := range resting {
		at.Offset = p.running
		p.running += at.Len
	}
}

// list lists the parameters of a layer that has been placed.
func (p *placement) list(x *Node, r Rates) {
	for i, s := range x.params {
		param := Param{ParamSpec: s, Frozen: r.frozen(s)}
		for j, q := range p.pieces[x.id] {
			if s.Role != BatchesTracked && (j == 0 || s.Trained()) {
				param.at = append(param.at, place{q.part, q.params[i]})
			}
		}
		p.params = append(p.params, param)
	}
}

// floats counts those of all parts, and of them those that are trained.
func (p *placement) floats() (all, trained int) {
	for _, n := range p.parts {
		all, trained = all+n.floats, trained+n.trained
	}
	return all, trained
}

// Params lists the parameters and running values.
func (n *Net) Params() []Param { return n.placed.params }

// averaging says whether averages of the weights are kept.
func (n *Net) averaging() bool { return n.Options.Train && n.Options.Average.Decay > 0 }

// write writes values of parameter p to the buffers that home names: for a part, and for the running statistics (-1).
func (n *Net) write(p Param, v []float32, home func(part int) *gpu.Buffer) error {
	for _, at := range p.at {
		part := at.part
		if !p.ParamSpec.Trained() {
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

// ReadParams waits for the adapter and reads all parameters and running values, in the order of Params (nil for
// counts).
func (n *Net) ReadParams() ([][]float32, error) {
	state, err := n.dev.ReadFloats(n.state, n.placed.running)
	if err != nil {
		return nil, err
	}
	weights, err := n.readParts(func(p *part) (*gpu.Buffer, int) { return p.weights, p.floats })
	if err != nil {
		return nil, err
	}
	return n.placed.split(weights, state), nil
}

// ReadGrads reads the gradients of the last training step in the order of Params (nil where there is none).
func (n *Net) ReadGrads() ([][]float32, error) {
	grads, err := n.readParts(func(p *part) (*gpu.Buffer, int) { return p.summed(), p.layout.trained })
	if err != nil {
		return nil, err
	}
	return n.placed.splitTrained(grads), nil
}

// summed is the buffer with the gradients of the whole batch.
func (p *part) summed() *gpu.Buffer {
	if p.total != nil {
		return p.total
	}
	return p.ofShard()
}

// ofShard is the buffer with the gradients of a shard.
func (p *part) ofShard() *gpu.Buffer {
	if p.sums != nil {
		return p.sums
	}
	return p.grads
}

// readParts reads so many floats of a buffer of each part.
func (n *Net) readParts(of func(*part) (*gpu.Buffer, int)) ([][]float32, error) {
	out := make([][]float32, len(n.parts))
	for i := range n.parts {
		b, floats := of(&n.parts[i])
		if floats == 0 {
			continue
		}
		var err error
		if out[i], err = n.dev.ReadFloats(b, floats); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// split cuts the parameters by part, and the running values, by parameter.
func (p *placement) split(parts [][]float32, running []float32) [][]float32 {
	out := make([][]float32, len(p.params))
	for i, x := range p.params {
		if x.ParamSpec.Trained() {
			out[i] = x.of(parts)
		} else if len(x.at) > 0 {
			out[i] = running[x.at[0].Offset:][:x.at[0].Len]
		}
	}
	return out
}

// splitTrained cuts what only trained parameters have; nil elsewhere.
func (p *placement) splitTrained(parts [][]float32) [][]float32 {
	out := make([][]float32, len(p.params))
	for i, x := range p.params {
		if x.Trained() {
			out[i] = x.of(parts)
		}
	}
	return out
}

// of are the parameter's values out of those of the parts.
func (p Param) of(parts [][]float32) []float32 {
	if len(p.at) == 1 {
		return parts[p.at[0].part][p.at[0].Offset:][:p.at[0].Len]
	}
	var v []float32
	for _, at := range p.at {
		v = append(v, parts[at.part][at.Offset:][:at.Len]...)
	}
	return v
}
