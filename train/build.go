package train

import (
	"errors"
	"fmt"
	"maps"
	"runtime/debug"
	"slices"
	"strings"

	"ninvk/dataset"
	"ninvk/models"
	"ninvk/nn"
	"ninvk/ops"
)

// mostRead is the most training images that a batch is read of.
func (l *loop) mostRead() int {
	from, to := l.own(l.Config.Batch)
	return max(to-from, l.Config.MicroBatch()) // evaluations read micro-batches
}

// readInit reads the weights to start from, for the graph that is trained.
func (l *loop) readInit(given models.Given, g *nn.Graph) (*models.Network, *models.Weights, error) {
	given.Size = l.size
	n, err := models.OpenNetwork(l.Config.Init, given)
	if err != nil {
		return nil, nil, err
	}
	if err := n.TakesChannels(l.about.Channels, l.Data.Name); err != nil {
		return nil, nil, err
	}
	if !l.Config.NewHead {
		err = n.NameClasses(l.Data.Classes)
	}
	if e := (*models.ClassesError)(nil); errors.As(err, &e) {
		return nil, nil, &models.WeightsError{Path: l.Config.Init,
			Problem: fmt.Sprintf("its network has %d classes, the data "+
				"set %s has %d; --new-head makes its last layer (%s) anew for these and starts from the rest", e.Have, l.Data.Name,
				e.Given, strings.Join(n.HeadLayers(), ", "))}
	}
	if err != nil {
		return nil, nil, err
	}
	weights, anew := n.Start(g, l.Config.Seed, models.RuleOf(l.Config.Initial), l.Config.NewHead)
	notes := n.Notes()
	if l.Config.NewHead {
		notes = n.Notes(models.ClassesKey)
	} else if s := n.OtherNames(l.Data.Classes, l.Data.Name); s != "" {
		notes = append(notes, s)
	}
	if len(anew) > 0 {
		notes = append(notes, fmt.Sprintf("made anew, as --init has no values for it: %s", strings.Join(anew, ", ")))
	}
	if l.Note != nil {
		for _, s := range notes {
			l.Note(s)
		}
	}
	return n, weights, nil
}

// graph is the network for images of size pixels a side, and its last node.
func (l *loop) graph(size int) (*nn.Graph, *nn.Node, error) {
	return models.Build(models.Config{Model: l.Config.Model, Classes: len(l.Data.Classes), Size: size,
		Channels: l.about.Channels,
		Dropout:  *l.Config.Dropout, Aux: l.Config.Aux})
}

// tellParts says what computing a batch in parts changes of the network's results.
func (l *loop) tellParts(g *nn.Graph) {
	c := l.Config
	normalises := slices.ContainsFunc(g.Nodes(), func(n *nn.Node) bool {
		_, ok := n.Op().(ops.BatchNorm)
		return ok
	})
	if l.Note != nil && normalises && c.MicroBatch() < c.Batch {
		flag := "--shards"
		if c.MicroBatch() == c.Micro {
			flag = "--micro-batch"
		}
		l.Note(fmt.Sprintf("batch normalisation takes its statistics from %d images at a time, as %s has it, "+
			"rather than from all %d of a batch", c.MicroBatch(), flag, c.Batch))
	}
}

// chooseKernels asks for the variants at all sizes of the run.
func (l *loop) chooseKernels() error {
	if l.Kernels == nil {
		return nil
	}
	for _, size := range append(l.sizes.Below(l.size), l.size) {
		g, _, err := l.graph(size)
		if err != nil {
			return err
		}
		tuned, err := l.Kernels(g)
		if err != nil {
			return err
		}
		maps.Copy(l.tuned, tuned)
	}
	return nil
}

// build allocates the network for the images of a step, which counts from 0.
func (l *loop) build(step int) (*nn.Net, error) {
	size, since := l.sizes.At(step, l.total, l.size)
	graph, out, err := l.graph(size)
	if err != nil {
		return nil, err
	}
	return nn.Build(l.Device, graph, out, l.options(size, since))
}

// options are those of the network for images of size pixels a side, from a step on.
func (l *loop) options(size, since int) nn.Options {
	c := l.Config
	return nn.Options{
		Batch: c.Batch, Micro: c.Micro, Train: true, Shards: c.Shards, Group: l.Group,
		Loss:      ops.CrossEntropy{Smoothing: c.LabelSmoothing},
		Clip:      ops.GradNorm{Clip: c.ClipNorm},
		Optimiser: ops.SGD{Momentum: c.Momentum, WeightDecay: c.WeightDecay, Nesterov: c.Nesterov},
		Rates:     l.rates, ClassWeights: l.classWeights,
		Average: ops.Average{Decay: c.EMA},
		Since:   since,
		Augment: ops.Augment{Size: size, Mean: l.about.Mean, Std: l.about.Std},
		Tuned:   l.tuned,
	}
}

// resize makes the network one for the images of a step, which counts from 0, with the same state. All steps so far are
// waited for.
func (l *loop) resize(step int) error {
	if size, since := l.sizes.At(step, l.total, l.size); l.net.Options.Augment.Size == size &&
		l.net.Options.Since == since {
		return nil
	}
	if err := l.collect(l.net.Drain()); err != nil {
		return err
	}
	if l.taking != nil { // its copy is the old network's
		if err := l.takeCheckpoint(); err != nil {
			return err
		}
	}
	snapshot, err := l.net.Snapshot()
	if err != nil {
		return err
	}
	state, err := snapshot.Wait()
	if err != nil {
		return err
	}
	l.net.Release()
	l.net = nil
	// which frees the old network before there is a new one
	if err := l.Device.Wait("the change of the images' size"); err != nil {
		return err
	}
	if l.net, err = l.build(step); err != nil {
		return err
	}
	if err := l.net.SetState(state); err != nil {
		return err
	}
	return l.net.Record(l.trainFeed.Images, l.Config.Batch, true)
}

// feed brings the images of a split to the adapter.
func (l *loop) feed(name string, s dataset.Split, batch int) (*Feed, error) {
	return OpenFeed(l.Device, name+" images", l.Data, s, l.fit, batch, l.Config.Stream, func(done, total int) {
		l.Report.Reading(name, done, total)
	})
}

// dropImages lets go of the images in host memory which the adapter now has: on a software driver both are the same
// memory.
func (l *loop) dropImages() {
	d := *l.Data
	l.Job.Data = &d
	for _, x := range []struct {
		feed  *Feed
		split *dataset.Split
	}{{l.trainFeed, &d.Train}, {l.testFeed, &d.Test}} {
		if m, ok := x.split.Source.(dataset.Memory); ok && x.feed != nil && x.feed.reader == nil {
			m.Pixels = nil
			x.split.Source, x.feed.Split.Source = m, m
		}
	}
	go debug.FreeOSMemory() // the first step need not wait for it
}
