// Package bench measures what an adapter does with networks. It tells how fast they are trained and evaluated, where
// the time of a step goes, and how far each operator is from what the adapter can do.
package bench

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"ninvk/dataset"
	"ninvk/dist"
	"ninvk/gpu"
	"ninvk/models"
	"ninvk/nn"
	"ninvk/ops"
	"ninvk/tune"
)

// Options say what is measured.
type Options struct {
	Model    string
	Size     int           // pixels a side of the images; 0: the network's own
	Batch    int           // images a step while operators are measured, and of the first network; halved until it fits
	Others   []int         // further batch sizes of whole networks
	Budget   time.Duration // for the operators of one step, beyond the least number of repetitions
	Tune     tune.Options  // how kernels are chosen
	Progress func(stage string, done, total int)
}

// batches are the batch sizes of whole networks in the order of measuring, each once.
func (o Options) batches() []int {
	all := []int{o.Batch}
	for _, n := range o.Others {
		if !slices.Contains(all, n) {
			all = append(all, n)
		}
	}
	return all
}

// Result is everything measured; its JSON field names are a promise.
type Result struct {
	Version   string      `json:"version"`
	Time      time.Time   `json:"time"`
	Adapter   gpu.Adapter `json:"adapter"`
	Limits    Limits      `json:"limits"`
	Networks  []Network   `json:"networks"`
	Operators []Operator  `json:"operators"`
	Steps     []Step      `json:"steps"`
	StartUps  []StartUp   `json:"start_up"`
	Notes     []string    `json:"notes"` // what was left out, and why
}

// Bench measures on one device.
type Bench struct {
	Options
	dev   *gpu.Device
	data  *dataset.Set
	notes []string // what was left out, and why
}

// New prepares measurements on d with the images of data.
func New(d *gpu.Device, set *dataset.Set, o Options) *Bench {
	o.Size = cmp.Or(o.Size, models.Size(o.Model))
	return &Bench{Options: o, dev: d, data: set}
}

// Notes says what was left out, and why.
func (b *Bench) Notes() []string { return b.notes }

// halve makes the batch that is asked for half as large, where it does not fit, and notes it.
func (b *Bench) halve(why string) {
	b.notes = append(b.notes, fmt.Sprintf("batch %d does not fit, %d is tried: %s", b.Batch, b.Batch/2, why))
	b.Batch /= 2
}

// Operators measures every operator of a training step and of an evaluation step, and the steps as a whole.
func (b *Bench) Operators(ctx context.Context, l Limits) (rows []Operator, steps []Step, err error) {
	for _, train := range []bool{true, false} {
		s, err := b.build(ctx, b.Batch, train)
		for b.Batch > 1 && (errors.As(err, new(*nn.MemoryError)) || errors.As(err, new(*gpu.NoMemoryError))) {
			b.halve(err.Error())
			s, err = b.build(ctx, b.Batch, train)
		}
		if err != nil {
			return nil, nil, err
		}
		r, step, err := s.profile(ctx, l)
		s.release()
		if err != nil {
			return nil, nil, err
		}
		rows, steps = append(rows, r...), append(steps, step)
	}
	return rows, steps, nil
}

// subject is a network of one batch size on the adapter, with images to work on.
type subject struct {
	*Bench
	net     *nn.Net
	images  *ops.Images
	entries []nn.Entry
	train   bool
	steps   int           // of training submitted
	upload  time.Duration // of the images
	tune    time.Duration // to choose kernels
	warm    time.Duration // of a step after the first; 0 where there was none
}

// build sets a network up as ninvk train does by default.
func (b *Bench) build(ctx context.Context, batch int, train bool) (*subject, error) {
	return b.buildIn(ctx, batch, train, dist.Alone)
}

// buildIn is build of what the processes of a group share out, in as many shards.
func (b *Bench) buildIn(ctx context.Context, batch int, train bool, g dist.Group) (*subject, error) {
	size := b.Size
	graph, out, err := models.Build(models.Config{Model: b.Model, Classes: len(b.data.Classes), Size: size, Dropout: -1})
	if err != nil {
		return nil, err
	}
	first := func() *models.Weights { return models.Random(graph, 1, models.Own) }
	if !train { // as ninvk eval does
		whole, folded := graph, graph.Fold(out)
		graph, out = folded.Graph, folded.Node(out)
		first = func() *models.Weights { return models.Random(whole, 1, models.Own).Fold(folded) }
	}
	s := &subject{Bench: b, train: train}
	start := time.Now()
	_, part := nn.Cut(batch, g.Size(), 0)
	tuned, err := dist.First(g, func() (map[string]string, error) {
		return tune.Choose(ctx, b.dev, tune.Calls(graph, part, train), b.Tune)
	})
	if err != nil {
		return nil, err
	}
	s.tune = time.Since(start)
	initial := make(chan *models.Weights, 1)
	go func() { initial <- first() }() // beside the allocation, as train does
	s.net, err = nn.Build(b.dev, graph, out, nn.Options{
		Batch: batch, Train: train, Optimiser: ops.SGD{Momentum: 0.9, WeightDecay: 0.0005},
		Augment: ops.Augment{Size: size, Mean: models.Mean[:], Std: models.Std[:]}, Tuned: tuned,
		Shards: g.Size(), Group: g,
	})
	if err != nil {
		return nil, err
	}
	start = time.Now()
	shape := b.data.Train.Shape
	pixels, err := b.data.Train.All()
	if err == nil {
		s.images, err = ops.UploadImages(b.dev, "training images", ops.Shape{C: shape.C, H: shape.H, W: shape.W}, pixels)
	}
	if err != nil {
		s.release()
		return nil, err
	}
	s.upload = time.Since(start)
	if err := (<-initial).Load(s.net); err != nil {
		s.release()
		return nil, err
	}
	m := dataset.Plain(dataset.Crop, shape, size)
	for i := range batch {
		k := i % b.data.Train.Len()
		s.entries = append(s.entries, ops.BatchEntry(uint32(k), uint32(b.data.Train.Labels[k]), m))
	}
	return s, nil
}

func (s *subject) release() {
	if s.net == nil {
		return
	}
	s.net.Release()
	if s.images != nil {
		s.images.Release()
	}
	s.net = nil
}

// step names the kind of step.
func (s *subject) step() string {
	if s.train {
		return "training"
	}
	return "evaluation"
}
