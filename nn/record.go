package nn

import (
	"fmt"

	"ninvk/gpu"
	"ninvk/ops"
)

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

// Record records the step over b images, which the first step does otherwise. Afterwards Variants is complete. The first
// step compiles the kernels, each while the adapter works on what comes before it.
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

// Variants names the variant of each convolution's pass recorded so far, by ops.ConvCall.Key.
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
		r.begin(Part{Layer: "update", Operator: "sum of gradients", Pass: updatePass, Shape: fmt.Sprint(p.trained),
			Flops: float64(p.trained), Bytes: 12 * float64(p.trained)})
		if err := ops.AddFloats(r.Recorder, p.trained, p.grads, p.sums); err != nil {
			return err
		}
	}
	return nil
}

// recordForward records augmentation, the layers and the losses.
func (n *Net) recordForward(r *recorder, key tapeKey) error {
	x, b, train := n.Graph.nodes[0], key.n, key.kind != evaluation
	first := n.tensor(x, n.plan.act[x.id], b)
	r.begin(Part{Layer: "input", Operator: "augment", Pass: forwardPass, Shape: first.Shape.String(),
		Bytes: float64(first.C * b * key.images.H * key.images.W)}, first)
	if err := n.Options.Augment.Forward(r.Recorder, key.images, n.batch, first, n.labels); err != nil {
		return err
	}
	for _, x := range n.Graph.nodes {
		if n.plan.act[x.id] == nowhere || !train && !n.inferred[x.id] {
			continue
		}
		w := n.bind(x, b)
		if t := x.traits; t.inPlace && !t.overwrites && w.out != w.in[0] {
			r.begin(Part{Layer: w.layer, Operator: "copy", Pass: forwardPass, Shape: w.out.Shape.String()}, w.in[0], w.out)
			r.copy(w.in[0], w.out)
		}
		if len(w.pieces) > 0 {
			r.use(w.pieces[0].part)
		}
		if err := x.layer.forward(r, w, train); err != nil {
			return fmt.Errorf("layer %s: %w", x.Name, err)
		}
	}
	return n.recordLoss(r, key)
}

func (n *Net) recordLoss(r *recorder, key tapeKey) error {
	b, judged, train := key.n, key.n, key.kind != evaluation
	loss := n.Options.Loss
	if !train {
		loss.Smoothing = 0 // smoothing is a means of training; what is reported is the cross entropy itself
	}
	heads, weights := n.heads, ops.ClassWeights{Values: n.classes, Step: n.step}
	if !train {
		heads, weights = heads[:1], ops.ClassWeights{}
	}
	loss.Of = key.of
	for i, h := range heads {
		x := h.Logits
		logits, dLogits := n.tensor(x, n.plan.act[x.id], b), n.tensor(x, n.plan.grad[x.id], b)
		if !train && n.Options.Pairs {
			r.begin(Part{Layer: "loss", Operator: "pairs", Pass: forwardPass, Shape: logits.Shape.String(),
				Flops: float64(logits.Elements())}, logits)
			if err := (ops.Pairs{}).Forward(r.Recorder, logits); err != nil {
				return err
			}
			judged = b / 2
		}
		r.begin(Part{Layer: "loss", Operator: "cross entropy", Pass: forwardPass, Shape: logits.Shape.String(),
			Flops: 8 * float64(logits.Elements())}, logits, dLogits)
		loss.Weight, loss.Added = h.Weight, i > 0
		if err := loss.Forward(r.Recorder, logits, n.labels, dLogits, n.result, weights); err != nil {
			return err
		}
	}
	r.begin(Part{Layer: "loss", Operator: "metrics", Pass: forwardPass, Shape: fmt.Sprint(judged), Bytes: float64(8 * judged)})
	m := ops.Metrics{N: judged, Of: key.of, Added: key.kind == partial}
	if key.kind == evaluation {
		m.Of = judged
	}
	return m.Forward(r.Recorder, n.result, n.metrics, n.totals)
}

// recordUpdate records what is done with the gradients of a batch.
func (n *Net) recordUpdate(r *recorder) error {
	if n.tree != nil {
		n.recordTaken(r)
	}
	var all []ops.Vector
	for _, p := range n.trainedParts() {
		all = append(all, ops.Vector{N: p.trained, Weights: p.weights, Grads: p.summed()})
	}
	_, trained := n.placed.floats()
	floats := float64(trained) // weights and momenta are read and written, gradients read
	r.begin(Part{Layer: "update", Operator: "gradient norm", Pass: updatePass, Shape: fmt.Sprint(trained),
		Flops: 2 * floats, Bytes: 8 * floats})
	if err := n.Options.Clip.Update(r.Recorder, all, n.metrics); err != nil {
		return err
	}
	for _, p := range n.trainedParts() {
		r.Weights, r.Grads = p.weights, p.summed()
		for _, run := range p.runs {
			floats := float64(run.floats)
			r.begin(Part{Layer: "update", Operator: "sgd", Pass: updatePass, Shape: fmt.Sprint(run.floats), Flops: 6 * floats,
				Bytes: 20 * floats})
			optimiser := n.Options.Optimiser
			optimiser.Scale = run.rate
			if err := optimiser.Update(r.Recorder, n.step, run.from, run.floats, p.velocity); err != nil {
				return err
			}
		}
		if !n.averaging() {
			continue
		}
		if err := n.recordAverage(r, p.trained, p.weights, p.average, false); err != nil {
			return err
		}
	}
	if !n.averaging() || n.placed.moving == 0 {
		return nil
	}
	return n.recordAverage(r, n.placed.moving, n.state, n.averageState, true)
}

// trainedParts are the parts with parameters that are trained.
func (n *Net) trainedParts() []*part {
	var parts []*part
	for i := range n.parts {
		if n.parts[i].trained > 0 {
			parts = append(parts, &n.parts[i])
		}
	}
	return parts
}

func (n *Net) recordAverage(r *recorder, floats int, values, averages *gpu.Buffer, statistics bool) error {
	r.begin(Part{Layer: "update", Operator: "average", Pass: updatePass, Shape: fmt.Sprint(floats),
		Flops: 3 * float64(floats), Bytes: 12 * float64(floats)})
	return n.Options.Average.Update(r.Recorder, n.step, floats, values, averages, statistics)
}

// recordBackward records the backward pass, and tells of each node when its is recorded, or there is none.
func (n *Net) recordBackward(r *recorder, b int, recorded func(*Node)) error {
	written := map[*Node]bool{}
	for _, x := range n.ends() {
		written[x] = true
	}
	masked, centred := map[*Node]bool{}, map[*Node]bool{} // gradients that have gone through the ReLU; see bound.centred
	for i := len(n.Graph.nodes) - 1; i >= 0; i-- {
		x := n.Graph.nodes[i]
		if !written[x] || !n.learning.reached[x.id] {
			recorded(x)
			continue
		}
		w := n.bind(x, b)
		w.centred = centred[x]
		t := x.traits
		if n.learning.masks(x) && !masked[x] {
			out, err := n.reading(r, x, masking, x, b)
			if err != nil {
				return err
			}
			r.pass(w, inputGradPass, float64(w.dOut.Elements()), out, w.dOut, w.dOut)
			if err := (ops.ReLU{}).Grad(r.Recorder, out, w.dOut); err != nil {
				return fmt.Errorf("layer %s, backward: %w", x.Name, err)
			}
		}
		if n.learning.readsInputs(x) {
			for i, in := range x.inputs {
				var err error
				if w.in[i], err = n.reading(r, x, weighing, in, b); err != nil {
					return err
				}
			}
		}
		type join struct{ from, to ops.Tensor }
		var joins []join
		for i, in := range x.inputs {
			if !n.learning.reached[in.id] {
				continue
			}
			grad := n.tensor(in, n.plan.grad[in.id], b)
			w.dIn[i] = grad
			if written[in] {
				spare := n.spare(in.batch(b))
				if t.gradAt != nil {
					if channel, ok := t.gradAt(i); ok {
						spare = w.dOut.Range(channel, in.Shape.C)
					}
				}
				w.dIn[i] = spare
				joins = append(joins, join{spare, grad})
			}
			written[in] = true
			centred[in] = n.consumers[in.id] == 1 && t.centresGrad && !w.still
			w.masksInput = w.afterReLU && (t.marksReLU || t.masksInput != nil && !n.plan.remade[in.id] &&
				t.masksInput(r.Recorder, in.batch(b)))
			masked[in] = w.masksInput
		}
		if len(w.pieces) > 0 {
			r.use(w.pieces[0].part)
		}
		if err := x.layer.backward(r, w); err != nil {
			return fmt.Errorf("layer %s, backward: %w", x.Name, err)
		}
		for _, j := range joins {
			r.begin(Part{Layer: w.layer, Operator: "add", Pass: inputGradPass, Shape: j.to.Shape.String(),
				Flops: float64(j.to.Elements())}, j.from, j.to, j.to)
			if j.from.Buf == j.to.Buf { // one dispatch can't read and write one buffer
				spare := n.spare(j.to.Shape)
				r.copy(j.from, spare)
				j.from = spare
			}
			if err := (ops.Add{}).Accumulate(r.Recorder, j.from, j.to); err != nil {
				return err
			}
		}
		recorded(x)
	}
	return nil
}

// reading is the output of y as a phase of the backward pass of x reads it. What is not kept is recorded once more.
func (n *Net) reading(r *recorder, x *Node, f phase, y *Node, b int) (ops.Tensor, error) {
	if !n.plan.remade[y.id] {
		return n.tensor(y, n.plan.act[y.id], b), nil
	}
	made := f
	if f == weighing {
		made = remaking
	}
	in, err := n.reading(r, x, made, y.inputs[0], b)
	if err != nil {
		return in, err
	}
	w := n.bind(y, b)
	w.in[0] = in
	w.out = n.tensor(y, n.plan.again[reading{y.id, back(len(n.Graph.nodes), x.id, f)}], b)
	r.use(w.pieces[0].part)
	if err := y.traits.again(r, w); err != nil {
		return w.out, fmt.Errorf("layer %s, once more: %w", y.Name, err)
	}
	return w.out, nil
}
