package nn

import (
	"fmt"
	"math"

	"ninvk/ops"
)

// MemoryError says that a batch does not fit the adapter.
type MemoryError struct {
	Batch   int // images computed at a time
	Shards  int // that batches are cut into
	Largest int // the largest batch that fits, 0 if none
	Micro   int // in training, the most images at a time that fit, 0 if none
	Reason  string
}

func (e *MemoryError) Error() string {
	s := fmt.Sprintf("a batch of %d images does not fit the adapter: %s", e.Batch, e.Reason)
	if e.Shards > 1 {
		s = fmt.Sprintf("a shard of %d images, one of the %d of a batch, does not fit the adapter: %s", e.Batch, e.Shards,
			e.Reason)
	}
	if e.Largest > 0 {
		s += fmt.Sprintf("; the largest that fits is --batch %d", e.Largest)
	}
	if e.Micro > 0 {
		s += fmt.Sprintf(", and computed in parts --micro-batch %d", e.Micro)
	}
	return s
}

// tooLarge is the error for a reason; fits tells of a network, which may differ in Options, whether it fits with so
// many images computed at a time.
func (n *Net) tooLarge(reason string, fits func(n *Net, part int) bool) error {
	e := &MemoryError{Batch: n.Options.part(), Shards: n.Options.shards(), Reason: reason}
	other := *n
	other.Options.Micro = 0
	e.Largest = e.Shards * largest(e.Batch, func(b int) bool { return fits(&other, b) })
	if n.Options.Train && n.Options.shard() > 1 {
		other.Options.Micro, other.Options.Batch = 1, math.MaxInt // for the memory of sums
		e.Micro = largest(e.Batch, func(b int) bool { return fits(&other, b) })
	}
	return e
}

// largest is the largest number below n that fits, 0 if none does.
func largest(n int, fits func(b int) bool) int {
	low, high := 0, n
	for low+1 < high {
		if mid := (low + high) / 2; fits(mid) {
			low = mid
		} else {
			high = mid
		}
	}
	return low
}

func (n *Net) checkSizes() error {
	reason := n.fits(n.Options.part())
	if reason == "" {
		return nil
	}
	return n.tooLarge(reason, func(n *Net, b int) bool { return n.fits(b) == "" })
}

// fits says why b images at a time do not fit the adapter's limits, or "".
func (n *Net) fits(b int) string {
	l := n.dev.Limits()
	for _, x := range n.Graph.nodes {
		s := x.batch(b)
		if plane := uint64(s.Plane()) * 16; plane > l.MaxStorageBufferBindingSize {
			return fmt.Sprintf("four channels of layer %s take %d bytes, the adapter binds %d", x.Name, plane,
				l.MaxStorageBufferBindingSize)
		}
	}
	p := n.plan
	if p.n != b {
		p = n.planFor(b)
	}
	for _, size := range p.buffers {
		if size > l.MaxBufferSize {
			return fmt.Sprintf("an activation takes %d bytes, the adapter's largest buffer is %d", size, l.MaxBufferSize)
		}
	}
	need, err := n.needs(b)
	if err != nil {
		return err.Error()
	}
	if most := max(need.Partial, need.Unfolded); most > l.MaxBufferSize {
		return fmt.Sprintf("a convolution takes %d bytes for a while, the adapter's largest buffer is %d", most,
			l.MaxBufferSize)
	}
	if n.dev.Adapter.CPU() {
		return beyondMemory(hostMemory(), n.dev.Allocated(), n.plannedBytes(p, need), n.Options.Train)
	}
	return ""
}

// needs is the memory that the layers' kernels take while they run on b images.
func (n *Net) needs(b int) (ops.Need, error) {
	r := n.recorder(b)
	need := ops.Need{Partial: ops.NormPartBytes * uint64(max(1, len(n.placed.parts)))}
	for _, x := range n.Graph.nodes {
		if x.traits.need == nil {
			continue
		}
		one, err := x.traits.need(r, x.inputs[0].batch(b), n.Options.Train && n.learning.reached[x.id])
		if err != nil {
			return need, fmt.Errorf("layer %s: %w", x.Name, err)
		}
		need = need.Max(one)
	}
	return need, nil
}

// plannedFor is the memory for b images at a time.
func (n *Net) plannedFor(b int) uint64 {
	need, err := n.needs(b)
	if err != nil {
		return math.MaxUint64 // no variant fits
	}
	return n.plannedBytes(n.planFor(b), need)
}

// plannedBytes is the memory of a plan and of its kernels with the parameters, and in training their gradients, momenta
// and averages.
func (n *Net) plannedBytes(p *plan, need ops.Need) uint64 {
	all, trained := n.placed.floats()
	values, changes := 1, 0 // sets of all parameters, and of what goes with those that are trained
	if n.Options.Train {
		changes = 2
		if n.averaging() {
			values++
		}
		if n.Options.inParts() {
			changes++
		}
	}
	floats := values*(all+n.placed.running) + changes*trained + n.shardFloats(trained)
	return p.bytes() + 4*uint64(floats) + need.Scratch.Bytes() + need.Unfolded + need.Partial
}

// PlannedBytes is the memory the network asks the adapter for: activations, parameters, in training their gradients and
// momenta, and scratch.
func (n *Net) PlannedBytes() uint64 { return n.plannedBytes(n.plan, n.need) }

// TrainingBytes is the memory that training a graph on batches of b images takes on any adapter: activations,
// parameters, gradients and momenta, without what an adapter's kernels take beside.
func TrainingBytes(g *Graph, out *Node, b int) uint64 {
	ends := []*Node{out}
	for _, h := range g.heads {
		ends = append(ends, h.Logits)
	}
	sum := g.makePlan(b, ends, g.learning(nil)).bytes()
	for _, p := range g.Params() {
		if p.Role != BatchesTracked {
			sum += 3 * 4 * uint64(p.Len())
		}
	}
	return sum
}
