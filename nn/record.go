package nn

import (
	"fmt"

	"ninvk/gpu"
	"ninvk/ops"
)

// kind is what a tape does.
type kind int

const (
	evaluation kind = iota
	training        // of a whole batch
	beginning       // of a batch in parts: sets sums to 0
	partial         // of a batch in parts: adds its gradients to the sums
	update          // of a batch in parts or shards: what comes after the last one
	sharded         // of a shard of a batch: its passes
	keeping         // of a batch in shards: keeps the running statistics of before
	restoring       // which another shard begins with
	resting         // what is added up beside a shard's gradients
	emptying        // that a shard has no image
	joining         // adds what a shard gives to the sums
)

var kinds = []string{"evaluation step", "training step", "beginning of a step", "part of a step", "update of a step",
	"shard of a step", "keeping of statistics", "return of statistics", "statistics of a shard", "empty shard",
	"sum of shards"}

type tapeKey struct {
	images *ops.Images
	n      int // images computed; of a sum of shards: the shard
	of     int // images of the batch that they are part of
	kind   kind
	bucket int // see tree
}

// recorder is what layers record with.
type recorder struct {
	*ops.Recorder
	step  *gpu.Buffer
	state *gpu.Buffer

	net      *Net
	averaged bool // the weights are their averages
}

// use has the following passes find their parameters in a part.
func (r *recorder) use(part int) {
	p := &r.net.parts[part]
	r.Weights, r.Grads = p.weights, p.grads
	if r.averaged {
		r.Weights = p.average
	}
}

// copy records that one activation is copied to another of its shape.
func (r *recorder) copy(from, to ops.Tensor) {
	if from.Buf == to.Buf {
		between := r.net.spare(to.Shape)
		r.copy(from, between)
		from = between
	}
	r.Tape.Copy(from.Buf, from.At, to.Buf, to.At, to.Bytes())
}

// spare is memory for a while, where that was planned.
func (n *Net) spare(s ops.Shape) ops.Tensor {
	if n.plan.spare < 0 {
		return ops.Tensor{}
	}
	p := n.plan.storages[n.plan.spare]
	return ops.Tensor{Shape: s, Buf: n.buffers[p.buffer], At: p.offset}
}

// bound is a layer's memory: activations, gradients (a tensor without buffer where none is wanted), parameters in the
// order of its specs, and what it keeps.
type bound struct {
	layer, title string
	in, dIn      []ops.Tensor
	out, dOut    ops.Tensor
	params       []ops.Param // where they are not cut
	pieces       []piece
	frozen       []bool // parameters, in the order of the layer's
	still        bool   // all of them are
	aux          gpu.Slice

	afterReLU  bool // in[0] is the output of a ReLU that no other layer takes
	masksInput bool // dIn[0] must go through the ReLU of in[0]
	centred    bool // dOut sums to zero over the pixels of a channel
}

// grad is where the gradient of parameter i of a piece goes; of length 0 where none is wanted.
func (b *bound) grad(params []ops.Param, i int) ops.Param {
	if b.frozen[i] {
		return ops.Param{}
	}
	return params[i]
}

// recorder is one for batches of up to b images, without a tape.
func (n *Net) recorder(b int) *ops.Recorder {
	return &ops.Recorder{
		Dev: n.dev, Scratch: n.scratch, Unfolded: n.unfolded, Partial: n.partial, Batch: b, Choice: n.choice, Used: n.used,
	}
}

// Record records the step over b images, which the first step does otherwise. Afterwards Variants is complete. The
// first step compiles the kernels, each while the adapter works on what comes before it.
func (n *Net) Record(images *ops.Images, b int, train bool) error {
	_, err := n.tape(n.key(images, b, train))
	return err
}

// Kernels lists the kernels of the step over b images, without compiling them.
func (n *Net) Kernels(images *ops.Images, b int, train bool) ([]gpu.Kernel, error) {
	keys := []tapeKey{n.key(images, b, train)}
	if train && n.tree != nil {
		keys = append(keys, n.summing()...)
	}
	var kernels []gpu.Kernel
	for _, key := range keys {
		tapes, err := n.record(key)
		if err != nil {
			return nil, err
		}
		for _, t := range tapes {
			kernels = append(kernels, t.Kernels()...)
		}
	}
	return kernels, nil
}

// key is the tape of a step over b images, where those are computed at once.
func (n *Net) key(images *ops.Images, b int, train bool) tapeKey {
	own := b
	if train && n.tree != nil {
		from, to := Cut(b, n.Options.shards(), n.tree.first)
		own = to - from
	}
	k := tapeKey{images: images, n: min(own, n.Options.part()), of: b, kind: evaluation}
	switch {
	case train && n.Options.inParts():
		k.kind = partial
	case train && n.tree != nil:
		k.kind = sharded
	case train:
		k.kind = training
	}
	return k
}

// Variants names the variant of each pass of a convolution or linear layer recorded so far, by its key (see
// ops.Varied).
func (n *Net) Variants() map[string]string { return n.used }

// tensor is an activation or gradient of node x, for b images.
func (n *Net) tensor(x *Node, h home, b int) ops.Tensor {
	if h == nowhere {
		return ops.Tensor{}
	}
	s := n.plan.storages[h.storage]
	return ops.Tensor{Shape: x.batch(b), Buf: n.buffers[s.buffer], At: s.offset}.Range(h.channel, x.Shape.C)
}

func (n *Net) bind(x *Node, b int) *bound {
	w := &bound{
		layer: x.Name, title: x.Title(), afterReLU: x.soleAfterReLU(n.consumers),
		out: n.tensor(x, n.plan.act[x.id], b), dOut: n.tensor(x, n.plan.grad[x.id], b), pieces: n.placed.pieces[x.id],
		still: n.learning.still[x.id],
	}
	for _, p := range x.params {
		w.frozen = append(w.frozen, n.Options.Rates.frozen(p))
	}
	for _, in := range x.inputs {
		w.in = append(w.in, n.tensor(in, n.plan.act[in.id], b))
		w.dIn = append(w.dIn, ops.Tensor{})
	}
	if len(w.pieces) > 0 {
		w.params = w.pieces[0].params
	}
	if a := n.plan.aux[x.id]; a != nowhere {
		s := n.plan.storages[a.storage]
		w.aux = gpu.Slice{Buffer: n.buffers[s.buffer], Offset: s.offset, Size: s.size}
	}
	return w
}

// tape records, or finds, a tape.
func (n *Net) tape(key tapeKey) (*gpu.Tape, error) {
	if t := n.tapes[key]; t != nil {
		return t, nil
	}
	tapes, err := n.record(key)
	if err != nil {
		return nil, err
	}
	if len(tapes) == 1 {
		n.tapes[key] = tapes[0]
		return tapes[0], nil
	}
	one := key
	for i, t := range tapes {
		one.bucket = i
		n.tapes[one] = t
	}
	return n.tapes[key], nil
}

// record records a new tape, or those of all buckets of a shard.
func (n *Net) record(key tapeKey) ([]*gpu.Tape, error) {
	r := &recorder{Recorder: n.recorder(n.Options.part()), step: n.step, state: n.state, net: n}
	r.Tape = n.dev.NewTape(kinds[key.kind])
	if key.kind == evaluation && n.averaging() {
		r.averaged, r.state = true, n.averageState
	}
	if key.kind == sharded {
		return n.recordShard(r, key)
	}
	return []*gpu.Tape{r.Tape}, n.recordKind(r, key)
}

// recordKind records what a tape does.
func (n *Net) recordKind(r *recorder, key tapeKey) error {
	moving := uint64(4 * n.placed.moving)
	switch key.kind {
	case beginning:
		for _, p := range n.trainedParts() {
			r.Tape.Clear(p.sums, 0, p.sums.Size)
		}
		r.Tape.Clear(n.metrics, 0, n.metrics.Size)
		return nil
	case keeping:
		r.Tape.Copy(n.state, 0, n.tree.before, 0, moving)
		return nil
	case restoring:
		r.Tape.Copy(n.tree.before, 0, n.state, 0, moving)
		return nil
	case resting:
		return n.recordRest(r)
	case emptying:
		for _, v := range n.tree.vectors {
			r.Tape.Clear(v.leaf, 0, v.leaf.Size)
		}
		return nil
	case joining:
		return n.recordJoin(r, key.n, key.bucket)
	case update:
		return n.recordUpdate(r)
	}
	if err := n.recordForward(r, key); err != nil || key.kind == evaluation {
		return err
	}
	if err := n.recordBackward(r, key.n, func(*Node) {}); err != nil {
		return err
	}
	if key.kind == training {
		return n.recordUpdate(r)
	}
	for _, p := range n.trainedParts() {
		r.begin(Phase{Layer: "update", Operator: "sum of gradients", Pass: updatePass, Shape: fmt.Sprint(p.trained),
			Flops: float64(p.trained), Bytes: 12 * float64(p.trained)})
		if err := ops.AddFloats(r.Recorder, p.trained, p.grads, p.sums); err != nil {
			return err
		}
	}
	return nil
}
