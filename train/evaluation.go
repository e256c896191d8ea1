package train

import (
	"context"

	"github.com/go-gl/mathgl/mgl32"

	"ninvk/dataset"
	"ninvk/nn"
	"ninvk/ops"
)

// evaluate fills in loss and accuracy over both splits, dropout off, and returns the verdicts on the first test images.
func (l *loop) evaluate(ctx context.Context, e *EpochRecord) ([]Verdict, error) {
	images := l.Data.Train.Len()
	if n := l.Config.EvalTrain; n > 0 {
		images = min(images, n)
	}
	d := division{l.group(), l.Config.Shards}
	train, stopped, err := evaluate(ctx, d, l.net, l.trainFeed, images, func(done, total int) {
		l.Report.Evaluating("train", done, total)
	}, func(int, int) error { return nil })
	var test Evaluation
	var verdicts []Verdict
	if err == nil && !stopped {
		test, verdicts, stopped, err = judge(ctx, d, l.net, l.testFeed, ObservedImages, func(done, total int) {
			l.Report.Evaluating("test", done, total)
		})
	}
	if l.stopped = l.stopped || stopped; err != nil || l.stopping(ctx) { // then only part of the splits was seen
		return nil, err
	}
	e.TrainAccuracy, e.TestAccuracy = train.Accuracy, test.Accuracy
	e.TestLoss = test.Loss
	if len(l.Data.Classes) > MostPlain {
		e.TrainTop5, e.TestTop5 = train.Top5, test.Top5
	}
	return verdicts, nil
}

// Evaluation is the mean loss and the accuracy over a split.
type Evaluation struct {
	Images   int
	Loss     float64
	Accuracy float64 // fraction of the images whose class has the largest logit
	Top5     float64 // fraction of those whose class has one of the five largest
}

// Evaluate runs the network over a whole split, dropout off, batch normalisation with its running statistics. When ctx
// ends it stops early with the figures so far. Where the network takes pairs, each image is seen together with its
// mirror image.
func Evaluate(ctx context.Context, net *nn.Net, f *Feed, progress func(done, total int)) (Evaluation, error) {
	e, _, err := evaluate(ctx, undivided, net, f, f.Split.Len(), progress, func(int, int) error { return nil })
	return e, err
}

// evaluate is Evaluate of the split's first images, with each called after every batch that this process has: the n
// images of the split from its image from on. The work is divided, and all processes return the same. When ctx ends at
// any of them, they stop early.
func evaluate(ctx context.Context, d division, net *nn.Net, f *Feed, images int, progress func(done, total int),
	each func(from, n int) error) (e Evaluation, stopped bool, err error) {
	size := net.Options.Augment.Size
	views := []mgl32.Mat3{dataset.Plain(f.Fit, f.Split.Shape, size)}
	if net.Options.Pairs {
		views = append(views, dataset.Mirror(f.Fit, f.Split.Shape, size))
	}
	batch := net.EvalBatch() / len(views)
	batches := (images + batch - 1) / batch
	entries := make([]nn.Entry, 0, net.EvalBatch())
	order := dataset.Order(0, 0, images, false)
	begin, end := shareOf(batches, d.shards, d.group)
	f.Begin(order[begin*batch:min(end*batch, images)], batch)
	own, pause := portion{}, pauses{division: d, ctx: ctx, stopped: d.group.Size() == 1 && ctx.Err() != nil}
	for shard := range d.shards / d.group.Size() {
		if err := net.ResetTotals(); err != nil {
			return e, false, err
		}
		from, to := nn.Cut(batches, d.shards, d.group.Rank()*d.shards/d.group.Size()+shard)
		for at := from * batch; at < min(to*batch, images) && !pause.stopped; at += batch {
			entries = entries[:0]
			places, err := f.Batch(order[at:min(at+batch, images)])
			if err != nil {
				return e, false, err
			}
			for _, m := range views {
				for k, place := range places {
					entries = append(entries, ops.BatchEntry(place, uint32(f.Split.Labels[at+k]), m))
				}
			}
			if err = net.EvalStep(f.Images, entries); err == nil {
				err = each(at, len(places))
			}
			if err == nil {
				err = pause.next()
			}
			if err != nil {
				return e, false, err
			}
			progress(min((at-begin*batch+batch)*d.group.Size(), images), images)
		}
		t, err := net.Totals()
		if err != nil {
			return e, false, err
		}
		own.Totals = append(own.Totals, t)
	}
	_, most := nn.Cut(batches, d.shards, d.shards/d.group.Size()-1) // of rank 0, which has no fewer than others
	for pause.done < most && !pause.stopped {
		if err := pause.next(); err != nil {
			return e, false, err
		}
	}
	return d.join(own, pause.stopped)
}
