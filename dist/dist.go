// Package dist lets processes add up numbers, so that they can train one network together. The order of the sums is
// fixed. It knows neither adapters nor networks.
package dist

import (
	"fmt"
	"math"
)

// Group is the processes that train one network together, or goroutines that stand for them. All calls are made by all
// ranks in the same order, and by one goroutine of a rank at a time.
type Group interface {
	// Rank is this process, from 0.
	Rank() int
	// Size is how many processes there are, a power of two.
	Size() int
	// Local is this process among those of the same machine, from 0.
	Local() int
	// Begin starts the sum of v over all ranks, which takes v's place. v has the same length at all ranks, and belongs to
	// the group until the sum has been waited for. Several sums may be under way; they are waited for in the order in
	// which they began.
	//
	// The order of the float32 additions is that of a binary tree over the ranks, ((r0+r1)+(r2+r3))+((r4+r5)+(r6+r7)), and
	// each is as Tree makes it, so that the sum has the same bits at all ranks and each time.
	Begin(v []float32) (Pending, error)
	// Gather is every rank's bytes, of any length, in the order of ranks, at every rank. No sum is under way.
	Gather(b []byte) ([][]byte, error)
	// Abort ends every rank's process with an exit code. Where processes can't be ended, calls fail at every rank.
	Abort(code int)
	// Close leaves the group, after the last call.
	Close() error
}

// Pending is a sum under way.
type Pending interface {
	// Wait returns when the vector that the sum began with holds it. Its error is a *Failure if another rank is to blame.
	Wait() error
}

// Failure is the end of a group before its work was done: a rank died, hung or ended all.
type Failure struct {
	// Code is the exit code for this process: that of the rank that ended the group where it is known.
	Code   int
	Reason string
}

func (f *Failure) Error() string { return f.Reason }

// LostCode is the exit code of a group that lost a rank which told none.
const LostCode = 4

// Sum replaces v by the sum over all ranks.
func Sum(g Group, v []float32) error {
	p, err := g.Begin(v)
	if err != nil {
		return err
	}
	return p.Wait()
}

// Tree adds the parts of all ranks in the order of Group.Begin: parts[0] then holds the sum, the others hold sums of
// their own parts of the tree. They are as many as a power of two and of one length.
//
// Terms and sums too small for a normal number (below 2⁻¹²⁶) count as 0: adapters differ in whether they add such, and
// what is added here and what there must not differ.
func Tree(parts [][]float32) {
	for step := 1; step < len(parts); step *= 2 {
		for i := 0; i < len(parts); i += 2 * step {
			to, from := parts[i], parts[i+step][:len(parts[i])]
			for j, v := range from {
				to[j] = normal(normal(to[j]) + normal(v))
			}
		}
	}
}

// normal is v, or 0 where v is 0, -0 or subnormal.
func normal(v float32) float32 {
	if math.Float32bits(v)&0x7f800000 == 0 {
		return 0
	}
	return v
}

// PowerOfTwo says whether so many ranks or shards make a whole binary tree.
func PowerOfTwo(n int) bool { return n > 0 && n&(n-1) == 0 }

// Alone is the group of one process.
var Alone Group = alone{}

type alone struct{}

func (alone) Rank() int                          { return 0 }
func (alone) Size() int                          { return 1 }
func (alone) Local() int                         { return 0 }
func (alone) Begin(v []float32) (Pending, error) { return done{}, nil }
func (alone) Gather(b []byte) ([][]byte, error)  { return [][]byte{b}, nil }
func (alone) Abort(code int)                     { panic(fmt.Sprint("dist: a process alone is aborted with ", code)) }
func (alone) Close() error                       { return nil }

// done is a sum of one.
type done struct{}

func (done) Wait() error { return nil }
