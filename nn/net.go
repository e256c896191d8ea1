package nn

import (
	"errors"
	"fmt"
	"math"

	"ninvk/dist"
	"ninvk/gpu"
	"ninvk/ops"
)

// Options say what a network is built for.
type Options struct {
	Batch int // largest batch
	Micro int // most images computed at a time: a larger batch's gradients are added up; 0 for no such bound
	Train bool
	Loss  ops.CrossEntropy
	// ClassWeights has training take the mean of the images' losses weighted by their classes; nil: all weigh the same
	ClassWeights []float64
	Clip         ops.GradNorm
	Optimiser    ops.SGD
	Rates        Rates       // of parameters that learn at another rate, or are frozen
	Average      ops.Average // of weights and running statistics, which evaluation then uses
	// Since is the steps of the run before its first with this size of images: the averages of the running statistics,
	// which depend on it, begin anew there.
	Since   int
	Augment ops.Augment
	Tuned   map[string]string // variants by the keys of ops.Varied; what is missing is up to the heuristic
	// Pairs has evaluation make one answer of two views of each image: the entries' second half are the other views of
	// the images of the first half.
	Pairs bool
	Keep  []*Node // layers whose outputs Activation reads after a step; their memory is not shared
	// Shards has training cut each batch into so many, a power of two, see Cut; 0 stands for 1. Each is computed as if it
	// were a batch, and Group's processes share them out. A nil Group is of this process alone.
	Shards int
	Group  dist.Group
}

// Net is a network on an adapter: weights, momenta, gradients and activations are allocated once, and the tapes of its
// steps are recorded once for each batch size.
type Net struct {
	Graph   *Graph
	Options Options

	dev     *gpu.Device
	heads   []Head // the logits, and the outputs with a loss of their own
	plan    *plan
	need    ops.Need // memory shared by the layers' kernels
	choice  ops.Choice
	used    map[string]string
	buffers []*gpu.Buffer

	consumers []int  // by node
	inferred  []bool // nodes that evaluation runs
	learning  *learning
	placed    placement // of the parameters
	parts     []part
	state     *gpu.Buffer // running statistics
	tracked   int64       // training batches seen by the batch normalisations

	averageState *gpu.Buffer // of the running statistics; nil without averaging

	tree *tree // of the sums over shards; nil where a batch is one

	scratch  *ops.Scratch
	partial  *gpu.Buffer
	unfolded *gpu.Buffer
	step     *gpu.Buffer
	batch    *gpu.Buffer
	labels   *gpu.Buffer
	classes  *gpu.Buffer // weights of the classes; nil without
	result   *gpu.Buffer
	metrics  *gpu.Buffer // of the last batch
	totals   *gpu.Buffer

	tapes    map[tapeKey]*gpu.Tape
	ring     []*slot
	next     int
	done     []StepResult // of the last call of TrainStep
	copyTape *gpu.Tape    // of a snapshot
	// running statistics, weights and momenta of each part; then the averages, where there are any
	copies []*gpu.Readback

	told ops.Step // what the adapter is told of the step
}

// part is the number of images computed at a time.
func (o Options) part() int {
	if o.inParts() {
		return o.Micro
	}
	return o.shard()
}

// inParts says whether a batch, or a shard of it, is computed in parts.
func (o Options) inParts() bool { return o.Micro > 0 && o.Micro < o.shard() }

// Build allocates the network on d. It checks everything that can be checked before any work of the adapter.
func Build(d *gpu.Device, g *Graph, out *Node, o Options) (*Net, error) {
	n, err := planned(d, g, out, o)
	if err != nil {
		return nil, err
	}
	if n.need, err = n.needs(o.part()); err != nil {
		return nil, err
	}
	before := d.Allocated()
	if err := n.allocate(); err != nil {
		had := d.Allocated() - before
		n.Release()
		if errors.As(err, new(*gpu.NoMemoryError)) {
			err = n.tooLarge(err.Error(), func(n *Net, part int) bool { return n.plannedFor(part) <= had })
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
	if o.Micro < 0 {
		return nil, fmt.Errorf("%d images at a time: at least 1 is needed", o.Micro)
	}
	if o.Pairs && o.Batch < 2 {
		return nil, fmt.Errorf("batch size %d: pairs of views need at least 2", o.Batch)
	}
	if err := o.checkShards(); err != nil {
		return nil, err
	}
	if err := o.Augment.Check(g.nodes[0].Shape.C); err != nil {
		return nil, err
	}
	heads := []Head{{Logits: out}}
	if o.Train {
		heads = append(heads, g.heads...)
	}
	for _, h := range heads {
		if err := o.Loss.Check(h.Logits.Shape); err != nil {
			return nil, fmt.Errorf("layer %s: %w", h.Logits.Name, err)
		}
		if h.Logits.Shape != out.Shape {
			return nil, fmt.Errorf("layer %s: %d classes, the network has %d", h.Logits.Name, h.Logits.Shape.C, out.Shape.C)
		}
	}
	if o.Train {
		if err := o.Rates.check(g); err != nil {
			return nil, err
		}
	}
	if err := checkClassWeights(o.ClassWeights, out.Shape.C); err != nil {
		return nil, err
	}
	forced, err := ops.ForcedVariants()
	if err != nil {
		return nil, err
	}
	n := &Net{
		Graph: g, Options: o, dev: d, heads: heads, tapes: map[tapeKey]*gpu.Tape{},
		choice: ops.Choice{Forced: forced, Tuned: o.Tuned}, used: map[string]string{},
		inferred: g.leadingTo(append([]*Node{out}, o.Keep...)...), learning: g.learning(o.Rates),
	}
	n.consumers = g.consumersAmong(g.leadingTo(append(n.ends(), o.Keep...)...))
	n.plan = n.planFor(o.part())
	l := d.Limits()
	placed, err := g.place(int(min(l.MaxBufferSize, l.MaxStorageBufferBindingSize)/16)*4, n.learning)
	if err != nil {
		return nil, n.tooLarge(err.Error(), func(*Net, int) bool { return false })
	}
	n.placed = *placed
	return n, n.checkSizes()
}

// checkClassWeights says what can't be right about the weights of so many classes.
func checkClassWeights(weights []float64, classes int) error {
	if weights != nil && len(weights) != classes {
		return fmt.Errorf("weights of %d classes, the network has %d", len(weights), classes)
	}
	for i, w := range weights {
		if !(w >= 0) || math.IsInf(w, 0) {
			return fmt.Errorf("class %d has the weight %v", i, w)
		}
	}
	return nil
}

// ends are the outputs with a loss, the logits first.
func (n *Net) ends() []*Node {
	var ends []*Node
	for _, h := range n.heads {
		ends = append(ends, h.Logits)
	}
	return ends
}

// planFor is the plan for b images computed at a time.
func (n *Net) planFor(b int) *plan {
	var l *learning
	if n.Options.Train {
		l = n.learning
	}
	return n.Graph.makePlan(b, n.ends(), l, n.Options.Keep...)
}
