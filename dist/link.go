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

// Message is a sum that is part of a step.
type Message struct {
	Bytes int
	After time.Duration // when it leaves, from the step's beginning
}

// Shown is how long after the last message has left all are summed: each goes when it leaves and the one before has
// gone.
func (l Link) Shown(messages []Message, ranks int) time.Duration {
	latency := l.Sum(0, ranks)
	var left, gone time.Duration
	for _, m := range messages {
		left = max(left, m.After)
		gone = max(gone, m.After) + l.Sum(m.Bytes, ranks) - latency
	}
	return max(0, gone+latency-left)
}

// Measure times sums of a few bytes, and of the messages of a step as they leave in it, each several times: what joins
// machines begins slowly after a rest, so that a step's messages tell more than as many bytes at once. All ranks call
// it, with the same messages, and get the same.
func Measure(g Group, messages []Message) (Link, error) {
	if g.Size() == 1 {
		return Link{0, math.Inf(1)}, nil
	}
	few, err := timeMessages(g, []Message{{4, messages[len(messages)-1].After}})
	if err != nil {
		return Link{}, err
	}
	many, err := timeMessages(g, messages)
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
	if link.Shown(messages, g.Size()) >= many {
		return link, nil
	}
	// The bandwidth by which a step's messages take as long as they did.
	low, high := 1.0, 1e15
	for range 100 {
		link.Bandwidth = math.Sqrt(low * high)
		if link.Shown(messages, g.Size()) > many {
			low = link.Bandwidth
		} else {
			high = link.Bandwidth
		}
	}
	return link, nil
}

// timeMessages is how long after the last message has left all are summed: the median of several times.
func timeMessages(g Group, messages []Message) (time.Duration, error) {
	const tries, first = 15, 3 // the first ones find the way, and how much it holds
	v := make([][]float32, len(messages))
	for i, m := range messages {
		v[i] = make([]float32, max(m.Bytes/4, 1))
	}
	pending := make([]Pending, len(messages))
	var all []time.Duration
	for i := range first + tries {
		if _, err := g.Gather(nil); err != nil { // so that none waits for another in what follows
			return 0, err
		}
		begun := time.Now()
		var left time.Time
		for j, m := range messages {
			time.Sleep(m.After - time.Since(begun))
			left = time.Now()
			var err error
			if pending[j], err = g.Begin(v[j]); err != nil {
				return 0, err
			}
		}
		for _, p := range pending {
			if err := p.Wait(); err != nil {
				return 0, err
			}
		}
		if i >= first {
			all = append(all, time.Since(left))
		}
	}
	slices.Sort(all)
	return all[tries/2], nil
}
