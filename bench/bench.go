// Package bench measures how fast an adapter trains and evaluates the networks, where the time of a step goes, and how far each operator is from what the
// adapter can do.
package bench

import (
	"context"
	"fmt"
	"time"

	"github.com/go-gl/mathgl/mgl32"

	"ninvk/cifar10"
	"ninvk/gpu"
	"ninvk/nin"
	"ninvk/nn"
	"ninvk/ops"
)

// Options say what is measured.
type Options struct {
	Model    string
	Batch    int // images a step while operators are measured
	Progress func(stage string, done, total int)
}

// Result is everything measured; its JSON field names are a promise.
type Result struct {
	Adapter   gpu.Adapter `json:"adapter"`
	Operators []Operator  `json:"operators"`
}

// Bench measures on one device.
type Bench struct {
	Options
	dev  *gpu.Device
	data *cifar10.Dataset
}

// New prepares measurements on d with the images of data.
func New(d *gpu.Device, data *cifar10.Dataset, o Options) *Bench {
	return &Bench{Options: o, dev: d, data: data}
}

// Operators measures every operator of a training step and of an evaluation step.
func (b *Bench) Operators(ctx context.Context) ([]Operator, error) {
	var out []Operator
	for _, train := range []bool{true, false} {
		s, err := b.build(b.Batch, train)
		if err != nil {
			return nil, err
		}
		rows, err := s.operators(ctx)
		s.release()
		if err != nil {
			return nil, err
		}
		out = append(out, rows...)
	}
	return out, nil
}

// subject is a network of one batch size on the adapter, with images to work on.
type subject struct {
	*Bench
	net     *nn.Net
	images  *ops.Images
	entries []nn.Entry
	train   bool
}

// build sets a network up as ninvk train does by default.
func (b *Bench) build(batch int, train bool) (*subject, error) {
	size := cifar10.Width
	if b.Model == "nin-imagenet" {
		size = 224
	}
	graph, out, err := nin.Build(nin.Config{Model: b.Model, Classes: cifar10.Classes, Size: size, Dropout: 0.5})
	if err != nil {
		return nil, err
	}
	s := &subject{Bench: b, train: train}
	s.net, err = nn.Build(b.dev, graph, out, nn.Options{
		Batch: batch, Train: train, Optimiser: ops.SGD{Momentum: 0.9, WeightDecay: 0.0005},
		Augment: ops.Augment{Size: size, Mean: cifar10.Mean, Std: cifar10.Std},
	})
	if err != nil {
		return nil, err
	}
	if err := nin.Init(s.net, 1); err != nil {
		s.release()
		return nil, err
	}
	if s.images, err = ops.NewImages(b.dev, "training images", cifar10.Height, cifar10.Width, b.data.Train.Images); err != nil {
		s.release()
		return nil, err
	}
	scale := float32(cifar10.Width) / float32(size)
	m := mgl32.Mat3{scale, 0, 0, 0, scale, 0, (scale - 1) / 2, (scale - 1) / 2, 1}
	for i := range batch {
		k := i % b.data.Train.Len()
		s.entries = append(s.entries, ops.BatchEntry(uint32(k), uint32(b.data.Train.Labels[k]), m))
	}
	return s, nil
}

func (s *subject) release() {
	s.net.Release()
	if s.images != nil {
		s.images.Release()
	}
}

// step names the kind of step.
func (s *subject) step() string {
	if s.train {
		return "training"
	}
	return "evaluation"
}

// operators times the commands of a step one by one.
func (s *subject) operators(ctx context.Context) ([]Operator, error) {
	tape, err := s.net.Tape(s.images, s.entries, s.train)
	if err != nil {
		return nil, err
	}
	stage := fmt.Sprintf("operators of %s, %s step, batch %d", s.Model, s.step(), len(s.entries))
	timings, err := s.dev.Time(ctx, tape, gpu.TimingOptions{
		Submit: 10 * time.Millisecond, Rounds: 20, Least: 3, Budget: 25 * time.Second,
		Progress: func(done, total int) { s.Progress(stage, done, total) },
	})
	if err != nil {
		return nil, err
	}
	out := operators(timings)
	for i := range out {
		out[i].Model, out[i].Batch, out[i].Step = s.Model, len(s.entries), s.step()
	}
	return out, nil
}
