package nn

import (
	"fmt"
	"slices"

	"ninvk/gpu"
	"ninvk/ops"
)

// allocate makes all of the network's memory.
func (n *Net) allocate() (err error) {
	buffer := func(label string, size uint64) *gpu.Buffer {
		if err != nil {
			return nil
		}
		var b *gpu.Buffer
		b, err = n.dev.NewBuffer(label, size)
		return b
	}
	for i, size := range n.plan.buffers {
		n.buffers = append(n.buffers, buffer(fmt.Sprintf("activations %d", i), size))
	}
	n.allocateParts(buffer)
	if n.Options.sharded() {
		n.plant(buffer)
	}
	n.partial = buffer("partial sums", n.need.Partial)
	n.unfolded = buffer("unfolded activation", n.need.Unfolded)
	n.step = buffer("step", 256)
	n.batch = buffer("batch", uint64(n.Options.part()*ops.BatchBytes))
	n.labels = buffer("labels", uint64(4*n.Options.part()))
	if n.Options.Train && n.Options.ClassWeights != nil {
		n.classes = buffer("weights of the classes", uint64(4*len(n.Options.ClassWeights)))
	}
	n.result = buffer("results", uint64(8*n.Options.part()))
	n.metrics = buffer("batch metrics", 16)
	n.totals = buffer("totals", ops.TotalsBytes)
	if err == nil {
		err = n.writeClassWeights()
	}
	if err == nil && n.need.Scratch.Width > 0 {
		n.scratch, err = ops.NewScratch(n.dev, n.need.Scratch)
	}
	if err == nil && n.tree != nil {
		err = n.connect()
	}
	for range ringSlots {
		if err != nil {
			return err
		}
		var r *gpu.Readback
		if r, err = n.dev.NewReadback("batch metrics", 16); err == nil {
			n.ring = append(n.ring, &slot{readback: r})
		}
	}
	return err
}

// allocateParts makes the parameters with what training keeps of them, and the running statistics.
func (n *Net) allocateParts(buffer func(label string, size uint64) *gpu.Buffer) {
	n.parts = make([]part, len(n.placed.parts))
	for i, layout := range n.placed.parts {
		p := &n.parts[i]
		p.layout = layout
		p.weights = buffer("weights", uint64(4*layout.floats))
		if trained := uint64(4 * layout.trained); n.Options.Train && trained > 0 {
			p.grads = buffer("gradients", trained)
			p.velocity = buffer("momenta", trained)
			if n.Options.inParts() {
				p.sums = buffer("sums of gradients", trained)
			}
		}
		if n.averaging() {
			p.average = buffer("average weights", uint64(4*layout.floats))
		}
	}
	running := uint64(4 * n.placed.running)
	n.state = buffer("running statistics", running)
	if n.averaging() {
		n.averageState = buffer("average running statistics", running)
	}
}

func (n *Net) writeClassWeights() error {
	if n.classes == nil {
		return nil
	}
	weights := make([]float32, len(n.Options.ClassWeights))
	for i, w := range n.Options.ClassWeights {
		weights[i] = float32(w)
	}
	return n.dev.Write(n.classes, 0, gpu.Bytes(weights))
}

// Release frees everything the network holds on the adapter.
func (n *Net) Release() {
	// After an error something may still be on its way into the read-back slots.
	busy := slices.ContainsFunc(n.ring, func(s *slot) bool { return s.readback.Busy() }) ||
		slices.ContainsFunc(n.copies, (*gpu.Readback).Busy) || n.tree.busy()
	if busy {
		_ = n.dev.Wait("the last steps")
	}
	for _, t := range n.tapes {
		t.Release()
	}
	for _, s := range n.ring {
		s.readback.Release()
	}
	if n.copyTape != nil {
		n.copyTape.Release()
	}
	for _, r := range n.copies {
		r.Release()
	}
	n.tree.release()
	if n.scratch != nil {
		n.scratch.Release()
	}
	for _, p := range n.parts {
		n.buffers = append(n.buffers, p.weights, p.grads, p.sums, p.velocity, p.average)
	}
	for _, b := range append(n.buffers, n.state, n.averageState, n.partial, n.unfolded, n.step, n.batch, n.labels,
		n.classes, n.result, n.metrics, n.totals) {
		b.Release()
	}
}
