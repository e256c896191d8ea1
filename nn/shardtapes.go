package nn

import (
	"fmt"
	"math/bits"

	"ninvk/gpu"
	"ninvk/ops"
)

// recordShard records the forward and backward pass of a shard, a tape for each bucket.
func (n *Net) recordShard(r *recorder, key tapeKey) ([]*gpu.Tape, error) {
	if err := n.recordForward(r, key); err != nil {
		return nil, err
	}
	var tapes []*gpu.Tape
	err := n.recordBackward(r, key.n, func(x *Node) {
		if n.tree.ends[x] {
			tapes = append(tapes, r.Tape)
			r.Tape = n.dev.NewTape(kinds[key.kind])
		}
	})
	return append(tapes, r.Tape), err
}

// recordRest records what is added up beside the gradients of a shard.
func (n *Net) recordRest(r *recorder) error {
	rest := n.tree.vectors[len(n.tree.vectors)-1].leaf
	r.begin(Phase{Layer: "update", Operator: "share of statistics", Pass: updatePass, Shape: fmt.Sprint(n.placed.moving),
		Bytes: 8 * float64(n.placed.moving)})
	if n.placed.moving > 0 {
		if err := ops.Share(r.Recorder, n.step, n.placed.moving, n.state, rest); err != nil {
			return err
		}
	}
	r.Tape.Copy(n.metrics, 0, rest, uint64(4*n.restAt()), 4*flagsAt)
	return nil
}

// recordJoin records that a bucket of a shard, counted from 0 at this process, goes into the sums, and that of the last
// one on its way to the host where others wait for it.
func (n *Net) recordJoin(r *recorder, shard, number int) error {
	t := n.tree
	b := t.buckets[number]
	r.begin(Phase{Layer: "update", Operator: "sum of shards", Pass: updatePass, Shape: fmt.Sprint(b.floats),
		Flops: float64(b.floats), Bytes: 12 * float64(b.floats)})
	for _, s := range b.chunks {
		v := t.vectors[s.vector]
		own := v.leaf
		for level := range bits.TrailingZeros(^uint(shard)) {
			if err := ops.AddTree(r.Recorder, s.from, s.floats, own, v.sums[level]); err != nil {
				return err
			}
			own = v.sums[level]
		}
		if own != v.result() { // the first half of a larger sum
			to := v.sums[bits.TrailingZeros(^uint(shard))]
			r.Tape.Copy(own, uint64(4*s.from), to, uint64(4*s.from), uint64(4*s.floats))
		}
	}
	if shard < t.own-1 || b.readback == nil {
		return nil
	}
	at := uint64(0)
	for _, s := range b.chunks {
		r.Tape.Copy(t.vectors[s.vector].result(), uint64(4*s.from), b.readback.Target(), at, uint64(4*s.floats))
		at += uint64(4 * s.floats)
	}
	return nil
}

// summing are the tapes of a step beside the passes of its shards.
func (n *Net) summing() []tapeKey {
	keys := []tapeKey{{kind: resting}, {kind: update}}
	for shard := range n.tree.own {
		for i := range n.tree.buckets {
			keys = append(keys, tapeKey{n: shard, kind: joining, bucket: i})
		}
	}
	return keys
}

// recordTaken records that statistics, loss and number right of the step are the sums.
func (n *Net) recordTaken(r *recorder) {
	rest := n.tree.vectors[len(n.tree.vectors)-1].result()
	if n.placed.moving > 0 {
		r.Tape.Copy(rest, 0, n.state, 0, uint64(4*n.placed.moving))
	}
	r.Tape.Copy(rest, uint64(4*n.restAt()), n.metrics, 0, 4*flagsAt)
}
