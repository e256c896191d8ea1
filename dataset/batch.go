package dataset

import "ninvk/rng"

// Order returns the order in which an epoch visits the n images of a split: as they lie, or shuffled by (seed, epoch).
func Order(seed uint64, epoch, n int, shuffle bool) []uint32 {
	if shuffle {
		return rng.New(seed, "shuffle", uint64(epoch), 0).Perm(n)
	}
	order := make([]uint32, n)
	for i := range order {
		order[i] = uint32(i)
	}
	return order
}
