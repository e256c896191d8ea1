package nn

import (
	"slices"
	"time"

	"ninvk/dist"
	"ninvk/gpu"
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
	chunks   []chunk
	floats   int
	at       int // in tree.host
	readback *gpu.Readback
	left     time.Duration // when the last step's left for the other processes, from the step's beginning
}

// chunk is a stretch of floats of a vector, in fours.
type chunk struct{ vector, from, floats int }

func (n *Net) restAt() int { return floatsIn(n.placed.moving) }

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
	b := bucket{chunks: []chunk{{len(t.vectors) - 1, 0, rest}}, floats: rest}
	left := trained
	for _, x := range slices.Backward(n.Graph.nodes) {
		had := b.floats
		for _, q := range n.placed.pieces[x.id] {
			for i, p := range x.params {
				if p.Trained() && !n.Options.Rates.frozen(p) {
					s := chunk{vectorOf[q.part], q.params[i].Offset, floatsIn(q.params[i].Len)}
					b.chunks, b.floats = append(b.chunks, s), b.floats+s.floats
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

// close adds a bucket, with chunks that lie side by side as one.
func (t *tree) close(b bucket) {
	slices.SortFunc(b.chunks, func(x, y chunk) int {
		if x.vector != y.vector {
			return x.vector - y.vector
		}
		return x.from - y.from
	})
	var chunks []chunk
	for _, s := range b.chunks {
		if last := len(chunks) - 1; last >= 0 && chunks[last].vector == s.vector &&
			chunks[last].from+chunks[last].floats == s.from {
			chunks[last].floats += s.floats
		} else {
			chunks = append(chunks, s)
		}
	}
	b.chunks = chunks
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
