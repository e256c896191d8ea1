package nn

import (
	"time"

	"ninvk/dist"
	"ninvk/gpu"
	"ninvk/ops"
)

// shardStep submits a training step whose batch is cut into shards; keys are of the dropout of those of this process.
func (n *Net) shardStep(images *ops.Images, entries []Entry, keys []uint32, into *gpu.Readback) error {
	t := n.tree
	t.begun = time.Now()
	t.pending = t.pending[:0]
	for k := range t.own {
		if err := n.shard(images, entries, k, keys[k]); err != nil {
			return err
		}
	}
	n.tracked += n.batchesSeen(len(entries))
	t.known = t.raised
	if t.host != nil {
		for len(t.pending) < len(t.buckets) {
			if err := t.leave(); err != nil {
				return err
			}
		}
		if err := n.arrive(); err != nil {
			return err
		}
		t.summed = time.Since(t.begun)
	}
	t.raised = [flags]bool{}
	return n.submitRead(tapeKey{kind: update}, nil, into)
}

// shard submits a shard of this process, bucket by bucket, and the joining of each to those of the shards before. Those
// of the last one begin to leave for the host.
func (n *Net) shard(images *ops.Images, entries []Entry, k int, key uint32) error {
	t := n.tree
	from, to := Cut(len(entries), n.Options.shards(), t.first+k)
	own := entries[from:to]
	n.told.Key, n.told.FromImage, n.told.Share = key, 0, float32(len(own))/float32(len(entries))
	if err := n.beginShard(k); err != nil {
		return err
	}
	whole := !n.Options.inParts() && len(own) > 0 // computed at once, and thus bucket by bucket
	if !whole {
		if err := n.shardInParts(images, own, len(entries)); err != nil {
			return err
		}
	}
	for i := range t.buckets {
		if whole {
			var batch []Entry
			if i == 0 {
				batch = own
			}
			if err := n.submit(tapeKey{images, len(own), len(entries), sharded, i}, batch); err != nil {
				return err
			}
		}
		if i == 0 && len(own) > 0 {
			if err := n.submit(tapeKey{kind: resting}, nil); err != nil {
				return err
			}
		}
		if err := n.submit(tapeKey{n: k, kind: joining, bucket: i}, nil); err != nil {
			return err
		}
		if k < t.own-1 || t.host == nil {
			continue
		}
		t.buckets[i].readback.Start()
		for len(t.pending) <= i && t.buckets[len(t.pending)].readback.Ready() {
			if err := t.leave(); err != nil {
				return err
			}
		}
	}
	return nil
}

// shardInParts submits a shard that is not computed at once: in parts, or, without an image, not at all.
func (n *Net) shardInParts(images *ops.Images, own []Entry, whole int) error {
	if len(own) == 0 {
		return n.submit(tapeKey{kind: emptying}, nil)
	}
	return n.submitParts(images, own, whole)
}

// beginShard has a shard of this process find the running statistics of before the step.
func (n *Net) beginShard(k int) error {
	switch {
	case n.tree.own == 1 || n.placed.moving == 0:
		return nil
	case k == 0:
		return n.submit(tapeKey{kind: keeping}, nil)
	}
	return n.submit(tapeKey{kind: restoring}, nil)
}

// leave waits for the next bucket to reach the host and begins its sum.
func (t *tree) leave() error {
	number := len(t.pending)
	b := &t.buckets[number]
	floats := t.host[b.at : b.at+b.floats]
	if err := b.readback.Wait(gpu.Bytes(floats)); err != nil {
		return err
	}
	if number == 0 { // which ends with what is no gradient
		for f, raised := range t.raised {
			floats[len(floats)-int(flags)+f] = 0
			if raised {
				floats[len(floats)-int(flags)+f] = 1
			}
		}
	}
	b.left = time.Since(t.begun)
	p, err := t.group.Begin(floats)
	t.pending = append(t.pending, p)
	return err
}

// arrive waits for the sums over all processes and writes them to the adapter.
func (n *Net) arrive() error {
	t := n.tree
	for i, b := range t.buckets {
		if err := t.pending[i].Wait(); err != nil {
			return err
		}
		floats := t.host[b.at : b.at+b.floats]
		if i == 0 {
			for f := range t.known {
				t.known[f] = floats[len(floats)-int(flags)+f] > 0
			}
		}
		for _, s := range b.chunks {
			to := t.vectors[s.vector].result()
			if err := n.dev.Write(to, uint64(4*s.from), gpu.Bytes(floats[:s.floats])); err != nil {
				return err
			}
			floats = floats[s.floats:]
		}
	}
	return nil
}

// Raise asks something of all processes with the next step. The network must be one that adds up shards.
func (n *Net) Raise(f Flag) { n.tree.raised[f] = true }

// Raised says whether any process asked for it with the last step.
func (n *Net) Raised(f Flag) bool { return n.tree != nil && n.tree.known[f] }

// Messages are what the last step sent to the other processes of a group, in the order in which it left, and how long
// the step took until the sums of all were there; none where there are no other processes.
func (n *Net) Messages() (all []dist.Message, summed time.Duration) {
	if !n.grouped() {
		return nil, 0
	}
	for _, b := range n.tree.buckets {
		all = append(all, dist.Message{Bytes: 4 * b.floats, After: b.left})
	}
	return all, n.tree.summed
}
