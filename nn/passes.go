package nn

import (
	"fmt"

	"ninvk/gpu"
	"ninvk/ops"
)

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
	r.begin(Part{Layer: "loss", Operator: "metrics", Pass: forwardPass, Shape: fmt.Sprint(judged),
		Bytes: float64(8 * judged)})
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
