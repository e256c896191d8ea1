package nn

import (
	"fmt"
	"math/bits"

	"ninvk/dist"
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

// What is added up beside the gradients: running statistics that training moves, rounded up to 4, and then these.
const (
	lossAt = iota
	rightAt
	flagsAt
	restFloats = flagsAt + int(flags)
)

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
