package dist

import (
	"encoding/binary"
	"math"
	"math/bits"
	"slices"
	"time"
)

// Link is how fast the ranks of a group exchange.
type Link struct {
	Latency   time.Duration // of a message of a few bytes from one rank to another
	Bandwidth float64       // bytes a second that a rank sends while it receives as many; +Inf alone
}

// Sum is how long a sum of so many bytes takes among ranks that are a power of two: at each level of the tree two
// messages one after the other, and 2(R-1)/R times the bytes from and to each rank.
func (l Link) Sum(bytes, ranks int) time.Duration {
	levels := bits.Len(uint(ranks)) - 1
	return time.Duration(2*levels)*l.Latency + time.Duration(Traffic(bytes, ranks)/l.Bandwidth*float64(time.Second))
}

// Traffic is the bytes that a rank sends for a sum.
func Traffic(bytes, ranks int) float64 { return 2 * float64(ranks-1) / float64(ranks) * float64(bytes) }

// Measure times sums of a few and of so many bytes, each several times after a rest as long as a step's computing: what
// joins machines begins slowly after one. All ranks call it, and get the same.
func Measure(g Group, bytes int, rest time.Duration) (Link, error) {
	const tries, first = 15, 3 // the first ones find the way, and how much it holds
	if g.Size() == 1 {
		return Link{0, math.Inf(1)}, nil
	}
	took := func(n int) (time.Duration, error) {
		v := make([]float32, n)
		var all []time.Duration
		for i := range first + tries {
			if _, err := g.Gather(nil); err != nil { // so that none waits for another in what follows
				return 0, err
			}
			time.Sleep(rest)
			begun := time.Now()
			if err := Sum(g, v); err != nil {
				return 0, err
			}
			if i >= first {
				all = append(all, time.Since(begun))
			}
		}
		slices.Sort(all)
		return all[tries/2], nil
	}
	few, err := took(1)
	if err != nil {
		return Link{}, err
	}
	many, err := took(max(bytes/4, 1))
	if err != nil {
		return Link{}, err
	}
	// Ranks begin a sum together but for the gather's end, so that the slowest one's times are those of the group.
	mine := binary.LittleEndian.AppendUint64(nil, uint64(few))
	times, err := g.Gather(binary.LittleEndian.AppendUint64(mine, uint64(many)))
	if err != nil {
		return Link{}, err
	}
	for _, b := range times {
		few = max(few, time.Duration(binary.LittleEndian.Uint64(b)))
		many = max(many, time.Duration(binary.LittleEndian.Uint64(b[8:])))
	}
	levels := bits.Len(uint(g.Size())) - 1
	link := Link{Latency: few / time.Duration(2*levels), Bandwidth: math.Inf(1)}
	if many > few {
		link.Bandwidth = Traffic(bytes, g.Size()) / (many - few).Seconds()
	}
	return link, nil
}
