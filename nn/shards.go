package nn

import (
	"fmt"
	"math"
	"math/bits"
	"slices"
	"time"

	"ninvk/dist"
	"ninvk/gpu"
	"ninvk/ops"
)

// The images of a batch may be cut into shards, each of which is computed as if it were a batch of its own, but for the
// loss, which is divided by all images. What comes of them is added up in a binary tree over the shards: gradients, the
// running statistics after each shard, weighted by its images, its part of the loss, and the number right. A process
// computes shards that are a subtree, which it adds up on its adapter; the group adds up the rest of the tree. So how
// many processes there are, if they divide the shards, changes no bit; that NaN or infinite values are among the
// gradients shows in their sum, at every process.

// Cut says which images of a batch of n a shard has: from on, below to. The shards are as large as each other, but for
// one image that the first ones may have more.
func Cut(n, shards, shard int) (from, to int) {
	at := func(s int) int { return n/shards*s + min(s, n%shards) }
	return at(shard), at(shard + 1)
}

// Flag is what any process of a group may ask of all of them.
type Flag int

const (
	Stop Flag = iota
	Save
	flags
)

// A bucket is what leaves for the other processes together, as soon as it is computed: at least leastBucket floats, as
// each costs a message, and at most so many that there are mostBuckets. Tests have them smaller.
var leastBucket = 1 << 18

const mostBuckets = 8

// tree is the sum of a batch's shards.
type tree struct {
	group      dist.Group
	first, own int // the shards that this process computes

	vectors []vector // the gradients of each part with parameters that are trained; last what else is added up
	before  *gpu.Buffer
	buckets []bucket
	ends    map[*Node]bool // the nodes with whose backward pass the gradients of a bucket are computed

	host    []float32 // what is exchanged, bucket by bucket; nil where this process computes all shards
	pending []dist.Pending
	raised  [flags]bool // for the next step
	known   [flags]bool // after the last step

	begun  time.Time     // the last step
	summed time.Duration // how long it took until all sums were there
}

// vector is floats of the tree.
type vector struct {
	floats int
	leaf   *gpu.Buffer   // of a shard
	sums   []*gpu.Buffer // of 2, 4, … shards of this process
}

// result is the buffer for the sum of all shards of this process, and then of all.
func (v vector) result() *gpu.Buffer {
	if len(v.sums) > 0 {
		return v.sums[len(v.sums)-1]
	}
	return v.leaf
}

// bucket is floats that are exchanged together.
type bucket struct {
	spans    []span
	floats   int
	at       int // in tree.host
	readback *gpu.Readback
	left     time.Duration // when the last step's left for the other processes, from the step's beginning
}

// span is a run of floats of a vector, in fours.
type span struct{ vector, from, floats int }

// What is added up beside the gradients: running statistics that training moves, rounded up to 4, and then these.
const (
	lossAt = iota
	rightAt
	flagsAt
	restFloats = flagsAt + int(flags)
)

func (n *Net) restAt() int { return floatsIn(n.placed.moving) }

// shards is the number of parts that a batch is cut into, which are added up.
func (o Options) shards() int { return max(1, o.Shards) }

// shard is the most images that one has.
func (o Options) shard() int {
	_, to := Cut(o.Batch, o.shards(), 0)
	return to
}

// group is that of the processes which train the network.
func (o Options) group() dist.Group {
	if o.Group == nil {
		return dist.Alone
	}
	return o.Group
}

// ownShards is the number of those that this process computes.
func (o Options) ownShards() int { return o.shards() / o.group().Size() }

// sharded says whether training adds up shards.
func (o Options) sharded() bool { return o.Train && o.shards() > 1 }

// levels is the number of sums of a vector that this process keeps, each of which takes twice the shards of the one
// before.
func (o Options) levels() int { return bits.Len(uint(o.ownShards())) - 1 }

// checkShards says what can't be right about the shards and the group.
func (o Options) checkShards() error {
	ranks := o.group().Size()
	switch {
	case !dist.PowerOfTwo(o.shards()):
		return fmt.Errorf("%d shards, which is no power of two", o.Shards)
	case !dist.PowerOfTwo(ranks) || ranks > o.shards():
		return fmt.Errorf("%d shards can't be divided among %d processes", o.shards(), ranks)
	case o.shards() > o.Batch:
		return fmt.Errorf("a batch of %d images can't be cut into %d shards", o.Batch, o.shards())
	}
	return nil
}

// shardFloats is the memory that adding up shards takes, in floats of the adapter.
func (n *Net) shardFloats(trained int) int {
	if !n.Options.sharded() {
		return 0
	}
	one := trained + n.restAt() + restFloats
	all := n.Options.levels()*one + n.placed.moving + n.restAt() + restFloats
	if n.Options.group().Size() > 1 {
		all += one // on its way
	}
	return all
}

// plant allocates the tree.
func (n *Net) plant(buffer func(label string, size uint64) *gpu.Buffer) {
	o := n.Options
	t := &tree{group: o.group(), own: o.ownShards(), ends: map[*Node]bool{}}
	t.first = t.group.Rank() * t.own
	n.tree = t
	at := make([]int, len(n.parts)) // vectors of the parts
	add := func(leaf *gpu.Buffer, floats int) {
		v := vector{floats: floats, leaf: leaf}
		for range o.levels() {
			v.sums = append(v.sums, buffer("sums over shards", uint64(4*floats)))
		}
		t.vectors = append(t.vectors, v)
	}
	for i := range n.parts {
		if p := &n.parts[i]; p.trained > 0 {
			at[i] = len(t.vectors)
			add(p.ofShard(), p.trained)
			p.total = t.vectors[at[i]].result()
		}
	}
	rest := n.restAt() + restFloats
	add(buffer("statistics of a shard", uint64(4*rest)), rest)
	t.before = buffer("running statistics before the step", uint64(4*n.placed.moving))
	n.fill(at)
}

// fill puts the gradients into buckets, in the order in which the backward pass computes them. What is added up beside
// them is known before, and is in the first one.
func (n *Net) fill(vectorOf []int) {
	t := n.tree
	_, trained := n.placed.floats()
	least := max(leastBucket, trained/mostBuckets)
	rest := t.vectors[len(t.vectors)-1].floats
	b := bucket{spans: []span{{len(t.vectors) - 1, 0, rest}}, floats: rest}
	left := trained
	for _, x := range slices.Backward(n.Graph.nodes) {
		had := b.floats
		for _, q := range n.placed.pieces[x.id] {
			for i, p := range x.params {
				if p.Trained() && !n.Options.Rates.frozen(p) {
					s := span{vectorOf[q.part], q.params[i].Offset, floatsIn(q.params[i].Len)}
					b.spans, b.floats = append(b.spans, s), b.floats+s.floats
				}
			}
		}
		if left -= b.floats - had; left > 0 && b.floats > had && b.floats >= least {
			t.ends[x] = true
			t.close(b)
			b = bucket{}
		}
	}
	t.close(b)
}

// close adds a bucket, with spans that lie side by side as one.
func (t *tree) close(b bucket) {
	slices.SortFunc(b.spans, func(x, y span) int {
		if x.vector != y.vector {
			return x.vector - y.vector
		}
		return x.from - y.from
	})
	var spans []span
	for _, s := range b.spans {
		if last := len(spans) - 1; last >= 0 && spans[last].vector == s.vector &&
			spans[last].from+spans[last].floats == s.from {
			spans[last].floats += s.floats
		} else {
			spans = append(spans, s)
		}
	}
	b.spans = spans
	if last := len(t.buckets) - 1; last >= 0 {
		b.at = t.buckets[last].at + t.buckets[last].floats
	}
	t.buckets = append(t.buckets, b)
}

// connect allocates what is exchanged with other processes.
func (n *Net) connect() error {
	t := n.tree
	if t.group.Size() == 1 {
		return nil
	}
	last := t.buckets[len(t.buckets)-1]
	t.host = make([]float32, last.at+last.floats)
	for i := range t.buckets {
		r, err := n.dev.NewReadback("sums to exchange", uint64(4*t.buckets[i].floats))
		if err != nil {
			return err
		}
		t.buckets[i].readback = r
	}
	return nil
}

// grouped says whether other processes are waited for.
func (n *Net) grouped() bool { return n.tree != nil && n.tree.host != nil }

// busy says whether something is on its way to the host.
func (t *tree) busy() bool {
	return t != nil && slices.ContainsFunc(t.buckets, func(b bucket) bool {
		return b.readback != nil && b.readback.Busy()
	})
}

func (t *tree) release() {
	if t == nil {
		return
	}
	for _, v := range t.vectors {
		for _, b := range v.sums {
			b.Release()
		}
	}
	if len(t.vectors) > 0 {
		t.vectors[len(t.vectors)-1].leaf.Release()
	}
	t.before.Release()
	for _, b := range t.buckets {
		if b.readback != nil {
			b.readback.Release()
		}
	}
}

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
	r.begin(Part{Layer: "update", Operator: "share of statistics", Pass: updatePass, Shape: fmt.Sprint(n.placed.moving),
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
	r.begin(Part{Layer: "update", Operator: "sum of shards", Pass: updatePass, Shape: fmt.Sprint(b.floats),
		Flops: float64(b.floats), Bytes: 12 * float64(b.floats)})
	for _, s := range b.spans {
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
	for _, s := range b.spans {
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

// shardStep submits a training step whose batch is cut into shards; keys are of the dropout of those of this process.
func (n *Net) shardStep(images *ops.Images, entries []Entry, keys []uint32, into *gpu.Readback) error {
	t := n.tree
	t.begun = time.Now()
	t.pending = t.pending[:0]
	left := 0 // buckets that have left for the host
	for k := range t.own {
		from, to := Cut(len(entries), n.Options.shards(), t.first+k)
		own := entries[from:to]
		n.stepWords[dropoutKey] = keys[k]
		n.stepWords[fromImage] = 0
		n.stepWords[shareAt] = math.Float32bits(float32(len(own)) / float32(len(entries)))
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
			for ; left <= i && t.buckets[left].readback.Ready(); left++ {
				if err := t.leave(left); err != nil {
					return err
				}
			}
		}
	}
	n.tracked += n.batchesSeen(len(entries))
	t.known = t.raised
	if t.host != nil {
		for ; left < len(t.buckets); left++ {
			if err := t.leave(left); err != nil {
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

// leave waits for a bucket to reach the host and begins its sum.
func (t *tree) leave(number int) error {
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
		for _, s := range b.spans {
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
