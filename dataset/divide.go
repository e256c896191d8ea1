package dataset

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
)

// Divide chooses the images of data without a split that are to be tested with: about fraction of each class, by the
// SHA-256 of their contents alone. So the choice is the same on every machine and in every order, another image moves
// none, and identical ones are on one side, whatever their classes are. Both lists are in the order of the images.
//
// A class that chance leaves without an image on one side gets the first one by its hash there, if it has two that
// differ and if that empties no other class's side: in classes that small, another image may move one.
func Divide(labels []uint16, classes int, hash func(i int) [32]byte, fraction float64) (train, test []int) {
	held := map[[32]byte]bool{} // by content: it is tested with
	contents := make([][][32]byte, classes)
	limit := fraction * math.Pow(2, 64)
	for i, label := range labels {
		h := hash(i)
		held[h] = float64(binary.BigEndian.Uint64(h[:])) < limit
		contents[label] = append(contents[label], h)
	}
	in := map[[32]byte][]int{} // the classes of a content
	for class := range contents {
		slices.SortFunc(contents[class], func(a, b [32]byte) int { return bytes.Compare(a[:], b[:]) })
		contents[class] = slices.Compact(contents[class])
		for _, h := range contents[class] {
			in[h] = append(in[h], class)
		}
	}
	on := func(class int, side bool) (n int) {
		for _, h := range contents[class] {
			if held[h] == side {
				n++
			}
		}
		return n
	}
	for class, list := range contents {
		for _, side := range []bool{true, false} {
			if len(list) < 2 || on(class, side) > 0 {
				continue
			}
			candidates := slices.Clone(list)
			if !side { // the last ones by their hashes are nearest to the other side
				slices.Reverse(candidates)
			}
			for _, h := range candidates {
				if !slices.ContainsFunc(in[h], func(other int) bool { return on(other, !side) < 2 }) {
					held[h] = side
					break
				}
			}
		}
	}
	for i := range labels {
		if held[hash(i)] {
			test = append(test, i)
		} else {
			train = append(train, i)
		}
	}
	return train, test
}

// Divided says how data without a split were divided.
func Divided(test, all int, fraction float64) string {
	return fmt.Sprintf("the data have no split of their own: %d of %s, chosen by their contents, are the test split, "+
		"%g %% of each class (--val-fraction)", test, Counted(all, "image"), math.Round(1000*fraction)/10)
}
