package nn

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"unsafe"

	"ninvk/gpu"
	"ninvk/ops"
)

// Options say what a network is built for.
type Options struct {
	Batch     int // largest batch
	Train     bool
	Loss      ops.CrossEntropy
	Clip      ops.GradNorm
	Optimiser ops.SGD
	Average   ops.Average // of weights and running statistics, which evaluation then uses
	Since     int         // steps of the run before its first with this size of images: the averages of the running statistics, which depend on it, begin anew there
	Augment   ops.Augment
	Tuned     map[string]string // variants by ops.ConvCall.Key; what is missing is up to the heuristic
	Pairs     bool              // evaluation makes one answer of two views of each image: the entries' second half are the other views of the images of the first half
	Keep      []*Node           // layers whose outputs Activation reads after a step; their memory is not shared
}

// Net is a network on an adapter: weights, momenta, gradients and activations are allocated once, and the tapes of its steps are recorded once for each batch size.
type Net struct {
	Graph   *Graph
	Options Options

	dev     *gpu.Device
	out     *Node
	plan    *plan
	need    ops.Need // memory shared by the layers' kernels
	choice  ops.Choice
	used    map[string]string
	buffers []*gpu.Buffer

	params   []Param
	trained  int // floats
	running  int // floats
	weights  *gpu.Buffer
	grads    *gpu.Buffer
	velocity *gpu.Buffer
	state    *gpu.Buffer                          // running statistics
	averages struct{ weights, state *gpu.Buffer } // nil without averaging
	tracked  int64                                // training batches seen by the batch normalisations

	scratch  *ops.Scratch
	partial  *gpu.Buffer
	unfolded *gpu.Buffer
	step     *gpu.Buffer
	batch    *gpu.Buffer
	labels   *gpu.Buffer
	result   *gpu.Buffer
	metrics  *gpu.Buffer // of the last batch
	totals   *gpu.Buffer

	tapes    map[tapeKey]*gpu.Tape
	ring     []*slot
	next     int
	done     []StepResult    // of the last call of TrainStep
	copyTape *gpu.Tape       // of a snapshot
	copies   []*gpu.Readback // weights, momenta, running statistics; then, where there are any, the averages of weights and running statistics

	stepWords [4]uint32 // what the adapter's step holds
}

// Param is a parameter or running value with its place on the adapter.
type Param struct {
	ParamSpec
	at ops.Param // in weights where trained, else in state
}

type tapeKey struct {
	images *ops.Images
	n      int
	train  bool
}

// recorder is what layers record with.
type recorder struct {
	*ops.Recorder
	step  *gpu.Buffer
	state *gpu.Buffer
}

// bound is a layer's memory: activations, gradients (a tensor without buffer where none is wanted), parameters in the order of its specs, and what it keeps.
type bound struct {
	layer     string
	in, dIn   []ops.Tensor
	out, dOut ops.Tensor
	params    []ops.Param
	aux       gpu.Slice

	afterReLU  bool // in[0] is the output of a ReLU that no other layer takes
	masked     bool // dOut has gone through the ReLU of out
	masksInput bool // dIn[0] must go through the ReLU of in[0]
	centred    bool // dOut sums to zero over the pixels of a channel
}

// Build allocates the network on d. It checks everything that can be checked before any work of the adapter.
func Build(d *gpu.Device, g *Graph, out *Node, o Options) (*Net, error) {
	n, err := planned(d, g, out, o)
	if err != nil {
		return nil, err
	}
	if n.need, err = n.needs(o.Batch); err != nil {
		return nil, err
	}
	for _, p := range g.Params() {
		q := Param{ParamSpec: p}
		at := &n.trained
		if !p.Trained() {
			at = &n.running
		}
		if p.Role != BatchesTracked {
			q.at = ops.Param{Offset: *at, Len: p.Len()}
			*at += p.Len()
		}
		n.params = append(n.params, q)
	}
	before := d.Allocated()
	if err := n.allocate(); err != nil {
		had := d.Allocated() - before
		n.Release()
		if errors.As(err, new(*gpu.NoMemoryError)) {
			err = &MemoryError{o.Batch, n.largest(func(b int) bool { return n.plannedFor(b) <= had }), err.Error()}
		}
		return nil, err
	}
	return n, nil
}

// Check says what Build would refuse before it allocates anything, a batch too large among it.
func Check(d *gpu.Device, g *Graph, out *Node, o Options) error {
	_, err := planned(d, g, out, o)
	return err
}

// planned is a network without memory, all of whose input is right.
func planned(d *gpu.Device, g *Graph, out *Node, o Options) (*Net, error) {
	if g.err != nil {
		return nil, g.err
	}
	if o.Batch < 1 {
		return nil, fmt.Errorf("batch size %d: at least 1 is needed", o.Batch)
	}
	if o.Pairs && o.Batch < 2 {
		return nil, fmt.Errorf("batch size %d: pairs of views need at least 2", o.Batch)
	}
	if err := o.Loss.Check(out.Shape); err != nil {
		return nil, fmt.Errorf("layer %s: %w", out.Name, err)
	}
	forced, err := ops.ForcedVariants()
	if err != nil {
		return nil, err
	}
	n := &Net{
		Graph: g, Options: o, dev: d, out: out, plan: g.makePlan(o.Batch, out, o.Train, o.Keep...), tapes: map[tapeKey]*gpu.Tape{},
		choice: ops.Choice{Forced: forced, Tuned: o.Tuned}, used: map[string]string{},
	}
	return n, n.checkSizes()
}

// MemoryError says that a batch does not fit the adapter.
type MemoryError struct {
	Batch   int
	Largest int // the largest batch that fits, 0 if none
	Reason  string
}

func (e *MemoryError) Error() string {
	s := fmt.Sprintf("a batch of %d images does not fit the adapter: %s", e.Batch, e.Reason)
	if e.Largest > 0 {
		s += fmt.Sprintf("; the largest that fits is --batch %d", e.Largest)
	}
	return s
}

// fits says why a batch of b images does not fit the adapter's limits, or "".
func (n *Net) fits(b int) string {
	l := n.dev.Limits()
	p := n.Graph.makePlan(b, n.out, n.Options.Train, n.Options.Keep...)
	for _, x := range n.Graph.nodes {
		s := x.batch(b)
		if plane := uint64(s.Plane()) * 16; plane > l.MaxStorageBufferBindingSize {
			return fmt.Sprintf("four channels of layer %s take %d bytes, the adapter binds %d", x.Name, plane, l.MaxStorageBufferBindingSize)
		}
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
		return fmt.Sprintf("a convolution takes %d bytes for a while, the adapter's largest buffer is %d", most, l.MaxBufferSize)
	}
	if weights, most := n.parameterBytes(), min(l.MaxBufferSize, l.MaxStorageBufferBindingSize); weights > most {
		return fmt.Sprintf("the weights take %d bytes, the adapter binds %d", weights, most)
	}
	if n.dev.Adapter.CPU() {
		return beyondMemory(hostMemory(), n.dev.Allocated(), n.plannedBytes(p, need), n.Options.Train)
	}
	return ""
}

// needs is the memory that the layers' kernels take while they run on a batch of b images.
func (n *Net) needs(b int) (ops.Need, error) {
	r := n.recorder(b)
	var need ops.Need
	for _, x := range n.Graph.nodes {
		t := x.layer.traits(x.inputShapes())
		if t.need == nil {
			continue
		}
		one, err := t.need(r, x.inputs[0].batch(b), n.Options.Train)
		if err != nil {
			return need, fmt.Errorf("layer %s: %w", x.Name, err)
		}
		need = need.Max(one)
	}
	return need, nil
}

// recorder is one for batches of up to b images, without a tape.
func (n *Net) recorder(b int) *ops.Recorder {
	return &ops.Recorder{
		Dev: n.dev, Scratch: n.scratch, Unfolded: n.unfolded, Partial: n.partial, Weights: n.weights, Grads: n.grads, Batch: b, Choice: n.choice, Used: n.used,
	}
}

// Record records the step over b images, which the first step does otherwise. Afterwards Variants is complete. The first step compiles the kernels, each
// while the adapter works on what comes before it.
func (n *Net) Record(images *ops.Images, b int, train bool) error {
	_, err := n.tape(images, b, train)
	return err
}

// Kernels lists the kernels of the step over b images, without compiling them.
func (n *Net) Kernels(images *ops.Images, b int, train bool) ([]gpu.Kernel, error) {
	t, err := n.record(images, b, train)
	if err != nil {
		return nil, err
	}
	return t.Kernels(), nil
}

// Variants names the variant of each convolution's pass recorded so far, by ops.ConvCall.Key.
func (n *Net) Variants() map[string]string { return n.used }

// parameterBytes is the memory of all parameters.
func (n *Net) parameterBytes() uint64 {
	var sum uint64
	for _, s := range n.Graph.Params() {
		sum += 4 * uint64(s.Len())
	}
	return sum
}

// plannedFor is the memory for a batch of b images.
func (n *Net) plannedFor(b int) uint64 {
	need, err := n.needs(b)
	if err != nil {
		return math.MaxUint64 // no variant fits
	}
	return n.plannedBytes(n.Graph.makePlan(b, n.out, n.Options.Train), need)
}

// plannedBytes is the memory of a plan and of its kernels with the parameters, and in training their gradients, momenta and averages.
func (n *Net) plannedBytes(p *plan, need ops.Need) uint64 {
	params := n.parameterBytes()
	if n.Options.Train {
		copies := uint64(3)
		if n.averaging() {
			copies++
		}
		params *= copies
	}
	return p.bytes() + params + need.Scratch.Bytes() + need.Unfolded + need.Partial
}

// PlannedBytes is the memory the network asks the adapter for: activations, parameters, in training their gradients and momenta, and scratch.
func (n *Net) PlannedBytes() uint64 { return n.plannedBytes(n.plan, n.need) }

func (n *Net) checkSizes() error {
	reason := n.fits(n.Options.Batch)
	if reason == "" {
		return nil
	}
	return &MemoryError{n.Options.Batch, n.largest(func(b int) bool { return n.fits(b) == "" }), reason}
}

// largest is the largest batch below that asked for which fits, 0 if none does.
func (n *Net) largest(fits func(b int) bool) int {
	low, high := 0, n.Options.Batch
	for low+1 < high {
		if mid := (low + high) / 2; fits(mid) {
			low = mid
		} else {
			high = mid
		}
	}
	return low
}

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
	floats := uint64(4 * n.trained)
	n.weights = buffer("weights", floats)
	n.state = buffer("running statistics", uint64(4*n.running))
	n.partial = buffer("partial sums", n.need.Partial)
	n.unfolded = buffer("unfolded activation", n.need.Unfolded)
	n.step = buffer("step", 256)
	n.batch = buffer("batch", uint64(n.Options.Batch*ops.BatchBytes))
	n.labels = buffer("labels", uint64(4*n.Options.Batch))
	n.result = buffer("results", uint64(8*n.Options.Batch))
	n.metrics = buffer("batch metrics", 16)
	n.totals = buffer("totals", 16)
	if n.Options.Train {
		n.grads = buffer("gradients", floats)
		n.velocity = buffer("momenta", floats)
	}
	if n.averaging() {
		n.averages.weights = buffer("average weights", floats)
		n.averages.state = buffer("average running statistics", uint64(4*n.running))
	}
	if err != nil {
		return err
	}
	if n.need.Scratch.Width > 0 {
		if n.scratch, err = ops.NewScratch(n.dev, n.need.Scratch); err != nil {
			return err
		}
	}
	for range ringSlots {
		r, err := n.dev.NewReadback("batch metrics", 16)
		if err != nil {
			return err
		}
		n.ring = append(n.ring, &slot{readback: r})
	}
	return nil
}

// Release frees everything the network holds on the adapter.
func (n *Net) Release() {
	// After an error something may still be on its way into the read-back slots.
	busy := slices.ContainsFunc(n.ring, func(s *slot) bool { return s.readback.Busy() }) || slices.ContainsFunc(n.copies, (*gpu.Readback).Busy)
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
	if n.scratch != nil {
		n.scratch.Release()
	}
	for _, b := range append(n.buffers, n.weights, n.grads, n.velocity, n.state, n.averages.weights, n.averages.state, n.partial, n.unfolded, n.step, n.batch, n.labels, n.result, n.metrics, n.totals) {
		b.Release()
	}
}

// Params lists the parameters and running values.
func (n *Net) Params() []Param { return n.params }

// averaging says whether averages of the weights are kept.
func (n *Net) averaging() bool { return n.Options.Train && n.Options.Average.Decay > 0 }

// SetParam writes the values of parameter i, row-major in its PyTorch shape. Its average, where there is one, starts from them.
func (n *Net) SetParam(i int, v []float32) error {
	p := n.params[i]
	if len(v) != p.Len() {
		return fmt.Errorf("parameter %s has %d values, %d given", p.Name, p.Len(), len(v))
	}
	if p.Role == BatchesTracked {
		return fmt.Errorf("parameter %s is a count", p.Name)
	}
	home, average := n.state, n.averages.state
	if p.Trained() {
		home, average = n.weights, n.averages.weights
	}
	if average != nil {
		if err := n.dev.Write(average, uint64(4*p.at.Offset), gpu.Bytes(v)); err != nil {
			return err
		}
	}
	return n.dev.Write(home, uint64(4*p.at.Offset), gpu.Bytes(v))
}

// Tracked is the number of training batches that the batch normalisations have seen; SetTracked sets it.
func (n *Net) Tracked() int64     { return n.tracked }
func (n *Net) SetTracked(v int64) { n.tracked = v }

// ReadParams waits for the adapter and reads all parameters and running values, in the order of Params (nil for counts).
func (n *Net) ReadParams() ([][]float32, error) { return n.readParams(n.weights) }

// ReadGrads reads the gradients of the last training step in the order of Params (nil where there is none).
func (n *Net) ReadGrads() ([][]float32, error) { return n.readParams(n.grads) }

func (n *Net) readParams(trained *gpu.Buffer) ([][]float32, error) {
	w, err := n.dev.ReadFloats(trained, n.trained)
	if err != nil {
		return nil, err
	}
	state, err := n.dev.ReadFloats(n.state, n.running)
	if err != nil {
		return nil, err
	}
	if trained != n.weights {
		state = nil
	}
	return n.split(w, state), nil
}

// tensor is node x's activation or gradient in storage s, for a batch of b images.
func (n *Net) tensor(x *Node, s, b int) ops.Tensor {
	if s < 0 {
		return ops.Tensor{}
	}
	return ops.Tensor{Shape: x.batch(b), Buf: n.buffers[n.plan.storages[s].buffer]}
}

func (n *Net) bind(x *Node, b int) *bound {
	w := &bound{layer: x.Name, afterReLU: n.Graph.soleAfterReLU(x), out: n.tensor(x, n.plan.act[x.id], b), dOut: n.tensor(x, n.plan.grad[x.id], b)}
	for _, in := range x.inputs {
		w.in = append(w.in, n.tensor(in, n.plan.act[in.id], b))
		w.dIn = append(w.dIn, ops.Tensor{})
	}
	for _, spec := range x.params {
		for _, p := range n.params {
			if p.Name == spec.Name {
				w.params = append(w.params, p.at)
			}
		}
	}
	if a := n.plan.aux[x.id]; a >= 0 {
		w.aux = gpu.All(n.buffers[n.plan.storages[a].buffer])
	}
	return w
}

// tape records, or finds, the step for a batch of b images: augmentation, forward, loss, and in training backward and update.
func (n *Net) tape(images *ops.Images, b int, train bool) (*gpu.Tape, error) {
	key := tapeKey{images, b, train}
	if t := n.tapes[key]; t != nil {
		return t, nil
	}
	t, err := n.record(images, b, train)
	if err != nil {
		return nil, err
	}
	n.tapes[key] = t
	return t, nil
}

// record records the step on a new tape.
func (n *Net) record(images *ops.Images, b int, train bool) (*gpu.Tape, error) {
	label := "evaluation step"
	if train {
		label = "training step"
	}
	r := &recorder{Recorder: n.recorder(n.Options.Batch), step: n.step, state: n.state}
	r.Tape = n.dev.NewTape(label)
	if !train && n.averaging() {
		r.Weights, r.state = n.averages.weights, n.averages.state
	}
	return r.Tape, n.recordStep(r, images, b, train)
}

func (n *Net) recordStep(r *recorder, images *ops.Images, b int, train bool) error {
	x := n.Graph.nodes[0]
	first := n.tensor(x, n.plan.act[x.id], b)
	r.begin(Part{Layer: "input", Operator: "augment", Pass: forwardPass, Shape: first.Shape.String(), Bytes: float64(3 * b * images.H * images.W)}, first)
	if err := n.Options.Augment.Forward(r.Recorder, images, n.batch, first, n.labels); err != nil {
		return err
	}
	for _, x := range n.Graph.nodes {
		w := n.bind(x, b)
		if t := x.layer.traits(x.inputShapes()); t.inPlace && w.out.Buf != w.in[0].Buf {
			r.pass(w, "copy", forwardPass, 0, w.in[0], w.out)
			r.Tape.Copy(w.in[0].Buf, 0, w.out.Buf, 0, w.out.Bytes())
		}
		if err := x.layer.forward(r, w, train); err != nil {
			return fmt.Errorf("layer %s: %w", x.Name, err)
		}
	}
	loss, judged := n.Options.Loss, b
	if !train {
		loss.Smoothing = 0 // smoothing is a means of training; what is reported is the cross entropy itself
	}
	logits, dLogits := n.tensor(n.out, n.plan.act[n.out.id], b), n.tensor(n.out, n.plan.grad[n.out.id], b)
	if !train && n.Options.Pairs {
		r.begin(Part{Layer: "loss", Operator: "pairs", Pass: forwardPass, Shape: logits.Shape.String(), Flops: float64(logits.Elements())}, logits)
		if err := (ops.Pairs{}).Forward(r.Recorder, logits); err != nil {
			return err
		}
		judged = b / 2
	}
	r.begin(Part{Layer: "loss", Operator: "cross entropy", Pass: forwardPass, Shape: logits.Shape.String(), Flops: 8 * float64(logits.Elements())}, logits, dLogits)
	if err := loss.Forward(r.Recorder, logits, n.labels, dLogits, n.result); err != nil {
		return err
	}
	r.begin(Part{Layer: "loss", Operator: "metrics", Pass: forwardPass, Shape: fmt.Sprint(judged), Bytes: float64(8 * judged)})
	if err := ops.Metrics(r.Recorder, judged, n.result, n.metrics, n.totals); err != nil {
		return err
	}
	if !train {
		return nil
	}
	if err := n.recordBackward(r, b); err != nil {
		return err
	}
	floats := float64(n.trained) // weights and momenta are read and written, gradients read
	r.begin(Part{Layer: "update", Operator: "gradient norm", Pass: updatePass, Shape: fmt.Sprint(n.trained), Flops: 2 * floats, Bytes: 8 * floats})
	parameters := []ops.Vector{{N: n.trained, Weights: r.Weights, Grads: r.Grads}}
	if err := n.Options.Clip.Update(r.Recorder, parameters, n.metrics); err != nil {
		return err
	}
	r.begin(Part{Layer: "update", Operator: "sgd", Pass: updatePass, Shape: fmt.Sprint(n.trained), Flops: 6 * floats, Bytes: 20 * floats})
	if err := n.Options.Optimiser.Update(r.Recorder, n.step, n.trained, n.velocity); err != nil || !n.averaging() {
		return err
	}
	for _, x := range []struct {
		n                int
		values, averages *gpu.Buffer
		statistics       bool
	}{{n.trained, n.weights, n.averages.weights, false}, {n.running, n.state, n.averages.state, true}} {
		if x.n == 0 {
			continue
		}
		r.begin(Part{Layer: "update", Operator: "average", Pass: updatePass, Shape: fmt.Sprint(x.n), Flops: 3 * float64(x.n), Bytes: 12 * float64(x.n)})
		if err := n.Options.Average.Update(r.Recorder, n.step, x.n, x.values, x.averages, x.statistics); err != nil {
			return err
		}
	}
	return nil
}

func (n *Net) recordBackward(r *recorder, b int) error {
	written := map[*Node]bool{n.out: true}
	masked, centred := map[*Node]bool{}, map[*Node]bool{}
	consumers := n.Graph.consumers()
	for i := len(n.Graph.nodes) - 1; i >= 0; i-- {
		x := n.Graph.nodes[i]
		if !written[x] {
			continue
		}
		w := n.bind(x, b)
		w.masked, w.centred = masked[x], centred[x]
		t := x.layer.traits(x.inputShapes())
		type join struct{ from, to ops.Tensor }
		var joins []join
		for i, in := range x.inputs {
			if !in.needsGrad() {
				continue
			}
			grad := n.tensor(in, n.plan.grad[in.id], b)
			w.dIn[i] = grad
			if written[in] {
				spare := n.tensor(in, n.plan.spare, b)
				if t.gradInPlace {
					spare = w.dOut
				}
				w.dIn[i] = spare
				joins = append(joins, join{spare, grad})
			}
			written[in] = true
			centred[in] = consumers[in.id] == 1 && t.centresGrad
			w.masksInput = w.afterReLU && (t.marksReLU || t.masksInput != nil && t.masksInput(r.Recorder, in.batch(b)))
			masked[in] = w.masksInput
		}
		if err := x.layer.backward(r, w); err != nil {
			return fmt.Errorf("layer %s, backward: %w", x.Name, err)
		}
		for _, j := range joins {
			r.pass(w, "add", inputGradPass, float64(j.to.Elements()), j.from, j.to, j.to)
			if err := (ops.Add{}).Accumulate(r.Recorder, j.from, j.to); err != nil {
				return err
			}
		}
	}
	return nil
}

// Entry is one image of a batch, see ops.BatchEntry.
type Entry = [8]uint32

// ringSlots is how many steps the host may be ahead of the adapter.
const ringSlots = 3

type slot struct {
	readback *gpu.Readback
	step     int
}

// StepResult is what a training step gives: the mean loss of the batch before the update, how many images were right, the norm of all gradients before clipping,
// and how many gradients, and weights before the update, are NaN or infinite.
type StepResult struct {
	Step         int
	Loss         float64
	Correct      int
	GradientNorm float64
	NotFinite    int
}

// TrainStep submits one training step over the given images; key seeds its dropout. It waits only when the adapter is ringSlots steps behind, and
// returns the results, in order, of the earlier steps that have become ready. They are valid until the next call.
func (n *Net) TrainStep(images *ops.Images, entries []Entry, step int, learningRate float64, key uint32) ([]StepResult, error) {
	done := n.done[:0]
	defer func() { n.done = done }()
	s := n.ring[n.next]
	if s.readback.Busy() {
		r, err := s.collect()
		if err != nil {
			return nil, err
		}
		done = append(done, r)
	}
	rate := func(step int) uint32 { return math.Float32bits(float32(n.Options.Average.Rate(step))) }
	n.stepWords = [4]uint32{math.Float32bits(float32(learningRate)), key, rate(step), rate(step - n.Options.Since)}
	if err := n.submit(images, entries, true, s.readback); err != nil {
		return done, err
	}
	s.step = step
	n.tracked++
	n.next = (n.next + 1) % len(n.ring)
	for i := range n.ring {
		o := n.ring[(n.next+i)%len(n.ring)]
		if !o.readback.Busy() {
			continue
		}
		if !o.readback.Ready() {
			break
		}
		r, err := o.collect()
		if err != nil {
			return done, err
		}
		done = append(done, r)
	}
	return done, nil
}

// Drain waits for all submitted training steps and returns the results still missing, in order.
func (n *Net) Drain() ([]StepResult, error) {
	var done []StepResult
	for i := range n.ring {
		if s := n.ring[(n.next+i)%len(n.ring)]; s.readback.Busy() {
			r, err := s.collect()
			if err != nil {
				return done, err
			}
			done = append(done, r)
		}
	}
	return done, nil
}

func (s *slot) collect() (StepResult, error) {
	var raw [16]byte
	if err := s.readback.Wait(raw[:]); err != nil {
		return StepResult{}, err
	}
	f := func(i int) float64 { return float64(math.Float32frombits(binary.LittleEndian.Uint32(raw[i:]))) }
	return StepResult{Step: s.step, Loss: f(0), Correct: int(f(4)), GradientNorm: f(8), NotFinite: int(f(12))}, nil
}

// EvalStep submits the evaluation of one batch: its loss and number right are added to the totals. It waits when the adapter is ringSlots steps behind,
// so that progress means something. Training steps must have been drained.
func (n *Net) EvalStep(images *ops.Images, entries []Entry) error {
	s := n.ring[n.next]
	if s.readback.Busy() {
		if _, err := s.collect(); err != nil {
			return err
		}
	}
	n.next = (n.next + 1) % len(n.ring)
	n.stepWords = [4]uint32{}
	return n.submit(images, entries, false, s.readback)
}

// prepare writes what the step needs to the adapter, and returns its tape.
func (n *Net) prepare(images *ops.Images, entries []Entry, train bool) (*gpu.Tape, error) {
	if len(entries) == 0 || len(entries) > n.Options.Batch {
		return nil, fmt.Errorf("a batch of %d images; the network was built for 1 to %d", len(entries), n.Options.Batch)
	}
	t, err := n.tape(images, len(entries), train)
	if err != nil {
		return nil, err
	}
	if err := n.dev.Write(n.batch, 0, gpu.Bytes(unsafe.Slice(&entries[0][0], 8*len(entries)))); err != nil {
		return nil, err
	}
	return t, n.dev.Write(n.step, 0, gpu.Bytes(n.stepWords[:]))
}

func (n *Net) submit(images *ops.Images, entries []Entry, train bool, into *gpu.Readback) error {
	t, err := n.prepare(images, entries, train)
	if err != nil {
		return err
	}
	if err := n.dev.SubmitRead(t, n.metrics, into); err != nil {
		return err
	}
	into.Start()
	return nil
}

// ResetTotals zeroes the running totals before everything submitted later.
func (n *Net) ResetTotals() error { return n.dev.Write(n.totals, 0, make([]byte, 16)) }

// Totals waits for the adapter and reads the totals of all batches since ResetTotals.
func (n *Net) Totals() (ops.Totals, error) {
	if _, err := n.Drain(); err != nil {
		return ops.Totals{}, err
	}
	raw, err := n.dev.Read(n.totals, 0, 16)
	if err != nil {
		return ops.Totals{}, err
	}
	word := func(i int) uint32 { return binary.LittleEndian.Uint32(raw[4*i:]) }
	return ops.Totals{Loss: float64(math.Float32frombits(word(0))), Correct: int(word(2)), Images: int(word(3))}, nil
}

// Wait returns when the adapter has done everything submitted.
func (n *Net) Wait() error { return n.dev.Wait("the last step") }
