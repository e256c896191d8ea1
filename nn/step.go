package nn

import (
	"encoding/binary"
	"fmt"
	"math"

	"ninvk/gpu"
	"ninvk/ops"
)

// Entry is one image of a batch, see ops.BatchEntry.
type Entry = ops.Entry

// ringSlots is how many steps the host may be ahead of the adapter.
const ringSlots = 3

// balance is that of a batch's labels.
func (n *Net) balance(entries []Entry) float32 {
	if n.Options.ClassWeights == nil {
		return 0
	}
	return float32(ops.Balance(n.Options.ClassWeights, entries))
}

type slot struct {
	readback *gpu.Readback
	step     int
}

// StepResult is what a training step gives: the mean loss of the batch before the update, how many images were right,
// the norm of all gradients before clipping, and how many gradients, and weights before the update, are NaN or
// infinite.
type StepResult struct {
	Step         int
	Loss         float64
	Correct      int
	GradientNorm float64
	NotFinite    int
}

// TrainStep submits one training step over the given images; keys seed its dropout, one for each shard that this
// process computes. Of the images of other processes' shards the labels alone are looked at. It waits only when the
// adapter is ringSlots steps behind, and in a group for the other processes, and returns the results, in order, of the
// earlier steps that have become ready, in a group of all of them. They are valid until the next call.
func (n *Net) TrainStep(images *ops.Images, entries []Entry, step int, learningRate float64, keys ...uint32) (
	[]StepResult, error) {
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
	rate := func(step int) float32 { return float32(n.Options.Average.Rate(step)) }
	n.told = ops.Step{
		LearningRate: float32(learningRate), AverageRate: rate(step), StatisticsRate: rate(step - n.Options.Since),
		Balance: n.balance(entries),
	}
	if err := n.trainStep(images, entries, keys, s.readback); err != nil {
		return done, err
	}
	s.step = step
	n.next = (n.next + 1) % len(n.ring)
	for i := range n.ring {
		o := n.ring[(n.next+i)%len(n.ring)]
		if !o.readback.Busy() {
			continue
		}
		// In a group all processes have those of the same steps: what they do next depends on it.
		if n.grouped() && o == s || !n.grouped() && !o.readback.Ready() {
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

// EvalBatch is the most images that EvalStep takes.
func (n *Net) EvalBatch() int { return n.Options.part() }

// EvalStep submits the evaluation of one batch: its loss and number right are added to the totals. It waits when the
// adapter is ringSlots steps behind, so that progress means something. Training steps must have been drained.
func (n *Net) EvalStep(images *ops.Images, entries []Entry) error {
	s := n.ring[n.next]
	if s.readback.Busy() {
		if _, err := s.collect(); err != nil {
			return err
		}
	}
	n.next = (n.next + 1) % len(n.ring)
	n.told = ops.Step{}
	if err := n.checkBatch(len(entries), n.EvalBatch()); err != nil {
		return err
	}
	return n.submitRead(n.key(images, len(entries), false), entries, s.readback)
}

// trainStep submits a training step, at once or in parts.
func (n *Net) trainStep(images *ops.Images, entries []Entry, keys []uint32, into *gpu.Readback) error {
	if err := n.checkBatch(len(entries), n.Options.Batch); err != nil {
		return err
	}
	if own := n.Options.ownShards(); len(keys) != own {
		return fmt.Errorf("%d keys for the dropout of %d shards", len(keys), own)
	}
	if n.tree != nil {
		return n.shardStep(images, entries, keys, into)
	}
	n.told.Key = keys[0]
	n.tracked += n.batchesSeen(len(entries))
	if !n.Options.inParts() {
		return n.submitRead(n.key(images, len(entries), true), entries, into)
	}
	if err := n.submitParts(images, entries, len(entries)); err != nil {
		return err
	}
	return n.submitRead(tapeKey{kind: update}, nil, into)
}

// submitParts submits images of a batch of so many in parts, whose gradients are added up.
func (n *Net) submitParts(images *ops.Images, entries []Entry, whole int) error {
	if err := n.submit(tapeKey{kind: beginning}, nil); err != nil {
		return err
	}
	for from := 0; from < len(entries); from += n.Options.Micro {
		one := entries[from:min(from+n.Options.Micro, len(entries))]
		n.told.FromImage = uint32(from)
		if err := n.submit(tapeKey{images: images, n: len(one), of: whole, kind: partial}, one); err != nil {
			return err
		}
	}
	return nil
}

// batchesSeen is the number of batches that a normalisation sees in a step over so many images: of several shards that
// of the largest.
func (n *Net) batchesSeen(images int) int64 {
	if !n.Options.inParts() {
		return 1
	}
	_, largest := Cut(images, n.Options.shards(), 0)
	return int64((largest + n.Options.Micro - 1) / n.Options.Micro)
}

func (n *Net) checkBatch(images, most int) error {
	if images == 0 || images > most {
		return fmt.Errorf("a batch of %d images; the network was built for 1 to %d", images, most)
	}
	return nil
}

// prepare writes what the step needs to the adapter, and returns its tape.
func (n *Net) prepare(key tapeKey, entries []Entry) (*gpu.Tape, error) {
	t, err := n.tape(key)
	if err != nil {
		return nil, err
	}
	if len(entries) > 0 {
		if err := n.dev.Write(n.batch, 0, ops.EntryBytes(entries)); err != nil {
			return nil, err
		}
	}
	return t, n.dev.Write(n.step, 0, gpu.Bytes(n.told.Words()))
}

func (n *Net) submit(key tapeKey, entries []Entry) error {
	t, err := n.prepare(key, entries)
	if err != nil {
		return err
	}
	return n.dev.Submit(t)
}

// submitRead submits, and reads the metrics behind it.
func (n *Net) submitRead(key tapeKey, entries []Entry, into *gpu.Readback) error {
	t, err := n.prepare(key, entries)
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
func (n *Net) ResetTotals() error { return n.dev.Write(n.totals, 0, make([]byte, ops.TotalsBytes)) }

// Totals waits for the adapter and reads the totals of all batches since ResetTotals.
func (n *Net) Totals() (ops.Totals, error) {
	if _, err := n.Drain(); err != nil {
		return ops.Totals{}, err
	}
	raw, err := n.dev.Read(n.totals, 0, ops.TotalsBytes)
	if err != nil {
		return ops.Totals{}, err
	}
	return ops.ReadTotals(raw), nil
}

// Wait returns when the adapter has done everything submitted.
func (n *Net) Wait() error { return n.dev.Wait("the last step") }
