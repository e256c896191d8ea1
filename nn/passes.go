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
	r.begin(Phase{Layer: "input", Operator: "augment", Pass: forwardPass, Shape: first.Shape.String(),
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
			r.begin(Phase{Layer: w.layer, Operator: "copy", Pass: forwardPass, Shape: w.out.Shape.String()}, w.in[0], w.out)
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
			r.begin(Phase{Layer: "loss", Operator: "pairs", Pass: forwardPass, Shape: logits.Shape.String(),
				Flops: float64(logits.Elements())}, logits)
			if err := (ops.Pairs{}).Forward(r.Recorder, logits); err != nil {
				return err
			}
			judged = b / 2
		}
		r.begin(Phase{Layer: "loss", Operator: "cross entropy", Pass: forwardPass, Shape: logits.Shape.String(),
			Flops: 8 * float64(logits.Elements())}, logits, dLogits)
		loss.Weight, loss.Added = h.Weight, i > 0
		if err := loss.Forward(r.Recorder, logits, n.labels, dLogits, n.result, weights); err != nil {
			return err
		}
	}
	r.begin(Phase{Layer: "loss", Operator: "metrics", Pass: forwardPass, Shape: fmt.Sprint(judged),
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
	r.begin(Phase{Layer: "update", Operator: "gradient norm", Pass: updatePass, Shape: fmt.Sprint(trained),
		Flops: 2 * floats, Bytes: 8 * floats})
	if err := n.Options.Clip.Update(r.Recorder, all, n.metrics); err != nil {
		return err
	}
	for _, p := range n.trainedParts() {
		r.Weights, r.Grads = p.weights, p.summed()
		for _, stretch := range p.stretches {
			floats := float64(stretch.floats)
			r.begin(Phase{Layer: "update", Operator: "sgd", Pass: updatePass, Shape: fmt.Sprint(stretch.floats),
				Flops: 6 * floats, Bytes: 20 * floats})
			optimiser := n.Options.Optimiser
			optimiser.Scale = stretch.rate
			if err := optimiser.Update(r.Recorder, n.step, stretch.from, stretch.floats, p.velocity); err != nil {
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
	r.begin(Phase{Layer: "update", Operator: "average", Pass: updatePass, Shape: fmt.Sprint(floats),
		Flops: 3 * float64(floats), Bytes: 12 * float64(floats)})
	return n.Options.Average.Update(r.Recorder, n.step, floats, values, averages, statistics)
}
