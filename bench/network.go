package bench

import (
	"context"
	"fmt"
	"time"
)

// Network is how fast a whole network runs.
type Network struct {
	Model string `json:"model"`
	Size  int    `json:"size"` // pixels a side of the images
	Batch int    `json:"batch"`

	Train       float64 `json:"train_images_per_second"` // median
	TrainSpread float64 `json:"train_spread"`            // half the distance between the quartiles, over the median
	Infer       float64 `json:"infer_images_per_second"`
	InferSpread float64 `json:"infer_spread"`

	PlannedBytes uint64 `json:"planned_bytes"`  // of training: what the network asks the adapter for
	PeakRSS      uint64 `json:"peak_rss_bytes"` // of the process, after training; 0 where the system does not tell

	TrainSamples []float64 `json:"train_samples_images_per_second"`
	InferSamples []float64 `json:"infer_samples_images_per_second"`
}

// network measures training by s, which has just been built by a process that did nothing else, so that the peak of its
// memory is that of training; and then inference by batches of the same size. It releases s.
func (b *Bench) network(ctx context.Context, s *subject) (Network, error) {
	batch := len(s.entries)
	n := Network{Model: b.Model, Size: b.Size, Batch: batch, PlannedBytes: s.net.PlannedBytes()}
	rates, err := s.rates(ctx)
	n.PeakRSS = PeakRSS()
	s.release()
	if err != nil {
		return n, err
	}
	r := sampled(rates)
	n.Train, n.TrainSpread, n.TrainSamples = r.Median, r.Spread(), rates
	if s, err = b.build(ctx, batch, false); err != nil {
		return n, err
	}
	defer s.release()
	if rates, err = s.rates(ctx); err != nil {
		return n, err
	}
	r = sampled(rates)
	n.Infer, n.InferSpread, n.InferSamples = r.Median, r.Spread(), rates
	return n, nil
}

// A sample of throughput is so many steps as take about sampleTime, or a single longer one; at least leastSamples
// are taken, and more until sampleBudget is spent. Of steps that take longer than that, one is enough.
const (
	sampleTime   = 400 * time.Millisecond
	leastSamples = 3
	mostSamples  = 12
	sampleBudget = 5 * time.Second
)

// rates runs steps as training and evaluation do, several in flight, and returns images per second, once for every
// sample.
func (s *subject) rates(ctx context.Context) ([]float64, error) {
	stage := fmt.Sprintf("%s of %s, batch %d", map[bool]string{true: "training", false: "inference"}[s.train], s.Model,
		len(s.entries))
	s.Progress(stage, 0, mostSamples)
	took := s.warm
	for n := 0; n < 2 && took < sampleTime; n++ { // in the very first step the driver may compile
		var err error
		if took, err = s.run(ctx, 1); err != nil {
			return nil, err
		}
	}
	steps := max(1, int(sampleTime/max(took, time.Microsecond)))
	least := leastSamples
	if took >= sampleBudget {
		least = 1
	}
	var rates []float64
	start := time.Now()
	for len(rates) < mostSamples && (len(rates) < least || time.Since(start) < sampleBudget) {
		took, err := s.run(ctx, steps)
		if err != nil {
			return nil, err
		}
		rates = append(rates, float64(steps*len(s.entries))/took.Seconds())
		if next := int(sampleTime / (took / time.Duration(steps))); next > 2*steps { // the first step still compiled
			steps = next
		}
		s.Progress(stage, len(rates), mostSamples)
	}
	return rates, nil
}

// run submits steps and waits for the last.
func (s *subject) run(ctx context.Context, steps int) (time.Duration, error) {
	if ctx.Err() != nil {
		return 0, ctx.Err()
	}
	start := time.Now()
	for range steps {
		if err := s.submit(); err != nil {
			return 0, err
		}
	}
	if _, err := s.net.Drain(); err != nil {
		return 0, err
	}
	return time.Since(start), nil
}

// submit submits one step.
func (s *subject) submit() error {
	if s.train {
		s.steps++
		_, err := s.net.TrainStep(s.images, s.entries, s.steps, 0.01, uint32(s.steps))
		return err
	}
	return s.net.EvalStep(s.images, s.entries)
}
