package train

import (
	"context"
	"os"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"testing"

	"ninvk/gpu"
)

// resident is the memory of this process in bytes; on a software driver that of the adapter is part of it.
func resident(t *testing.T) uint64 {
	t.Helper()
	debug.FreeOSMemory() // garbage is no leak
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Fatal(err)
	}
	pages, err := strconv.ParseUint(strings.Fields(string(b))[1], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return pages * uint64(os.Getpagesize())
}

// soaking is a Reporter that looks after every epoch what the run holds.
type soaking struct {
	silent
	look func()
}

func (s soaking) Epoch(EpochRecord) { s.look() }

// TestSoak trains 2,000 steps of 8 images, with checkpoints, weights and plots every 50 steps and evaluations every
// 200: after the first quarter neither memory nor the numbers of live resources may grow, nor steps take longer.
func TestSoak(t *testing.T) {
	const batch, perEpoch, epochs = 8, 50, 40
	d, err := device()
	if err != nil {
		t.Fatal(err)
	}
	type state struct {
		bytes, allocated uint64
		live             gpu.Counts
	}
	var states []state
	var seconds []float64
	report := soaking{silent{func(r StepRecord) { seconds = append(seconds, batch/r.ImagesPerSecond) }}, func() {
		states = append(states, state{resident(t), d.Allocated(), d.Live()})
	}}
	s, err := runJob(t, context.Background(), subset(t, perEpoch*batch, 40), report, func(c *Config) {
		c.Batch, c.Epochs, c.EvalEvery, c.CheckpointEvery, c.Augment = batch, epochs, 4, 25, "flip-crop"
	})
	if err != nil {
		t.Fatal(err)
	}
	if s.Steps != perEpoch*epochs || len(states) != epochs || len(seconds) != s.Steps {
		t.Fatalf("%d steps, %d epochs seen, %d steps seen", s.Steps, len(states), len(seconds))
	}
	first := states[epochs/4-1]
	most := first.bytes
	for i, x := range states[epochs/4:] {
		most = max(most, x.bytes)
		if x.allocated != first.allocated || x.live != first.live {
			t.Errorf("after epoch %d the adapter holds %d bytes in %+v, after epoch %d it held %d in %+v", epochs/4+i+1,
				x.allocated, x.live, epochs/4, first.allocated, first.live)
		}
	}
	if growth := float64(most) / float64(first.bytes); growth > 1.05 {
		t.Errorf("resident memory grows from %d to %d MB, by more than a twentieth", first.bytes>>20, most>>20)
	}
	quarter := func(n int) float64 {
		part := slices.Sorted(slices.Values(seconds[n*len(seconds)/4 : (n+1)*len(seconds)/4]))
		return part[len(part)/2]
	}
	second, last := quarter(1), quarter(3)
	if last > 2*second {
		t.Errorf("a step takes %.1f ms in the last quarter, %.1f ms in the second", 1e3*last, 1e3*second)
	}
	t.Logf("%d steps: %d to %d MB resident, %d bytes and %+v on the adapter, steps of %.1f and %.1f ms in the second and "+
		"the last quarter",
		s.Steps, first.bytes>>20, most>>20, first.allocated, first.live, 1e3*second, 1e3*last)
}
