package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"ninvk/tune"
)

// lostCode is the exit code of a process for which the adapter had too little memory.
const lostCode = 4

// longestStep is the longest training step that is measured at other batch sizes than the one asked for.
const longestStep = 25 * time.Second

// Networks measures start-up and whole networks, each batch size in a process of its own. child returns the arguments
// that make the program exe print the Report of a batch size. Of the batch asked for, half is tried where it does not
// fit the adapter. Other sizes that do not fit, or would take too long, are left out. Both are noted.
//
// The first process finds the driver's caches empty. Where the adapter wants kernels chosen and they were not before,
// it does so; its choice, which is kept as the user's, serves the other batch sizes as well.
func (b *Bench) Networks(ctx context.Context, r *Result, exe string,
	child func(batch int, network bool) []string) error {
	cache, err := os.MkdirTemp("", "ninvk-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(cache)
	run := func(folder string, batch int, network bool) (Report, error) {
		compiling := func(done, total int) { b.Progress("compiling kernels", done, total) }
		return Isolate(ctx, folder, compiling, exe, child(batch, network)...)
	}
	share := func(from, to string) {
		if err := tune.Share(from, to, r.Adapter); err != nil {
			r.Notes = append(r.Notes, fmt.Sprintf("choices of kernels that were measured can't be used: %v", err))
		}
	}
	share("", cache)
	b.Progress("start-up with empty caches", 0, len(b.batches())+1)
	cold, err := run(cache, b.Batch, false)
	var failed *ChildError
	for errors.As(err, &failed) && failed.Code == lostCode && b.Batch > 1 {
		b.halve(failed.Message)
		cold, err = run(cache, b.Batch, false)
	}
	r.Notes = append(r.Notes, b.notes...)
	if err != nil {
		return err
	}
	cold.StartUp.Caches = "cold"
	r.StartUps = append(r.StartUps, cold.StartUp)
	share(cache, "")
	return b.eachBatch(r, cache, run)
}

// eachBatch measures the network with the batch asked for, with the caches in the folder, and then with the others.
func (b *Bench) eachBatch(r *Result, cache string,
	run func(folder string, batch int, network bool) (Report, error)) error {
	batches := b.batches()
	total := len(batches) + 1
	var rate float64 // images per second of training with the batch asked for
	for i, batch := range batches {
		if i > 0 {
			if step := time.Duration(float64(batch) / rate * float64(time.Second)); step > longestStep {
				r.Notes = append(r.Notes, fmt.Sprintf("batch %d left out: a training step would take about %v", batch,
					step.Round(time.Second)))
				continue
			}
		}
		b.Progress(fmt.Sprintf("training and inference, batch %d", batch), i+1, total)
		folder := ""
		if i == 0 {
			folder = cache
		}
		report, err := run(folder, batch, true)
		if failed := (*ChildError)(nil); i > 0 && errors.As(err, &failed) {
			r.Notes = append(r.Notes, fmt.Sprintf("batch %d left out: %s", batch, failed.Message))
			continue
		}
		if err != nil {
			return err
		}
		if i == 0 {
			report.StartUp.Caches, rate = "warm", report.Network.Train
			r.StartUps = append(r.StartUps, report.StartUp)
		}
		r.Networks = append(r.Networks, report.Network)
	}
	b.Progress("networks", total, total)
	slices.SortFunc(r.Networks, func(x, y Network) int { return x.Batch - y.Batch })
	return nil
}
