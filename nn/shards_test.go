package nn

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/go-gl/mathgl/mgl32"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"ninvk/dist"
	"ninvk/gpu"
	"ninvk/ops"
	"ninvk/rng"
)

func TestCut(t *testing.T) {
	for shards := 1; shards <= 16; shards *= 2 {
		var before []int // sizes of a larger batch
		for n := 40; n >= 1; n-- {
			next, sizes := 0, []int{}
			for s := range shards {
				from, to := Cut(n, shards, s)
				if from != next || to < from {
					t.Fatalf("shard %d of %d: %d to %d of %d, the one before ends at %d", s, shards, from, to, n, next)
				}
				if next, sizes = to, append(sizes, to-from); before != nil && to-from > before[s] {
					t.Errorf("shard %d of %d has %d images of %d, and fewer of one more", s, shards, to-from, n)
				}
			}
			if next != n || slices.Max(sizes)-slices.Min(sizes) > 1 || !slices.IsSortedFunc(sizes, func(a, b int) int {
				return b - a
			}) {
				t.Errorf("%d images in shards of %v", n, sizes)
			}
			before = sizes
		}
	}
}

// devices are those of the ranks of a group, each of which works from a goroutine of its own.
var devices = sync.OnceValues(func() (all []*gpu.Device, err error) {
	for range 4 {
		d, err := gpu.Open("")
		if err != nil {
			return nil, err
		}
		all = append(all, d)
	}
	return all, nil
})

// shardRun is what the tests train: steps of the batches, each in shards, by so many processes.
type shardRun struct {
	shards, ranks int
	change        func(*Options)
	batches       []int
	stop          int  // the step with which rank 1 raises Stop; 0: none
	plain         bool // without what depends on the shards: dropout and normalisation
}

// outcomes are what a run came to at a rank.
type outcomes struct {
	Results []StepResult
	State   *State
	Stopped int   // the step after which Stop was known
	Known   []int // the results known after each step
}

func (r shardRun) train(t *testing.T) []outcomes {
	t.Helper()
	groups := dist.Local(r.ranks)
	all := make([]outcomes, r.ranks)
	d, err := devices()
	if err != nil {
		t.Fatal(err)
	}
	var ranks sync.WaitGroup
	for i, g := range groups {
		ranks.Go(func() {
			defer g.Close()
			o, err := r.rank(d[i], g)
			if err != nil {
				t.Errorf("rank %d of %d: %v", i, r.ranks, err)
				return
			}
			all[i] = o
		})
	}
	ranks.Wait()
	if t.Failed() {
		t.FailNow()
	}
	return all
}

func (r shardRun) rank(d *gpu.Device, group dist.Group) (outcomes, error) {
	var out outcomes
	g := NewGraph()
	x := g.Conv("a", g.Input(3, 8, 8), Conv{Channels: 8, Kernel: 3, Pad: 1, ReLU: true})
	x = g.MaxPool("b", x, ops.MaxPool{K: 3, Stride: 2, Pad: 1})
	if !r.plain {
		x = g.Dropout("c", x, 0.5)
		x = g.BatchNorm("e", g.Conv("d", x, Conv{Channels: 8, Kernel: 1}), BatchNorm{ReLU: true})
	}
	x = g.GlobalAvgPool("h", g.Conv("g", x, Conv{Channels: 10, Kernel: 1}))
	o := Options{Batch: slices.Max(r.batches), Train: true, Optimiser: ops.SGD{Momentum: 0.9, WeightDecay: 1e-4},
		Augment: ops.Augment{Size: 8}, Shards: r.shards, Group: group}
	if r.change != nil {
		r.change(&o)
	}
	n, err := Build(d, g, x, o)
	if err != nil {
		return out, err
	}
	defer n.Release()
	for i, p := range n.Params() {
		if p.Role == BatchesTracked {
			continue
		}
		draw := rng.New(1, p.Name, 0, 0)
		v := make([]float32, p.Len())
		for j := range v {
			v[j] = float32(draw.Float64()) - 0.4
		}
		if err := n.SetParam(i, v); err != nil {
			return out, err
		}
	}
	pixels := make([]byte, 16*3*8*8)
	for i := range pixels {
		pixels[i] = byte(i * i * 37 >> 3)
	}
	images, err := ops.UploadImages(d, "images", ops.Shape{C: 3, H: 8, W: 8}, pixels)
	if err != nil {
		return out, err
	}
	defer images.Release()
	own := n.Options.ownShards()
	for step, size := range r.batches {
		entries := make([]Entry, size)
		for i := range entries {
			entries[i] = ops.BatchEntry(uint32((step+i)%16), uint32((step+i)%10), mgl32.Ident3())
		}
		keys := make([]uint32, own)
		for i := range keys {
			keys[i] = rng.New(1, "dropout", uint64(step), uint64(group.Rank()*own+i)).Uint32()
		}
		if r.stop == step+1 && group.Rank() == 1 {
			n.Raise(Stop)
		}
		done, err := n.TrainStep(images, entries, step+1, 0.05, keys...)
		if err != nil {
			return out, err
		}
		out.Results = append(out.Results, done...)
		out.Known = append(out.Known, len(out.Results))
		if n.Raised(Stop) {
			out.Stopped = step + 1
		}
		if n.Raised(Save) {
			return out, fmt.Errorf("step %d: nobody asked to save", step+1)
		}
	}
	done, err := n.Drain()
	if err != nil {
		return out, err
	}
	out.Results = append(out.Results, done...)
	s, err := n.Snapshot()
	if err != nil {
		return out, err
	}
	out.State, err = s.Wait()
	return out, err
}

// What comes of shards does not depend on how many processes compute them, to the last bit. The last batches leave
// shards with fewer images, and some with none.
func TestShardsAreTheSameOnAnyNumberOfProcesses(t *testing.T) {
	defer func(before int) { leastBucket = before }(leastBucket)
	leastBucket = 16 // for several buckets
	batches := []int{11, 11, 6, 3}
	for name, change := range map[string]func(*Options){
		"usual": func(*Options) {},
		"all at once": func(o *Options) {
			o.Clip, o.Average, o.Loss = ops.GradNorm{Clip: 0.1}, ops.Average{Decay: 0.9}, ops.CrossEntropy{Smoothing: 0.1}
			o.ClassWeights = []float64{1, 2, 3, 4, 5, 1, 2, 3, 4, 5}
			o.Micro = 2
		},
		"fine-tuning": func(o *Options) { o.Rates = Rates{"a.weight": 0, "g.weight": 0.5, "e.bias": 0} },
	} {
		t.Run(name, func(t *testing.T) {
			want := shardRun{shards: 4, ranks: 1, change: change, batches: batches}.train(t)[0]
			for i, r := range want.Results {
				if r.Step != i+1 || r.NotFinite != 0 || !(r.Loss > 0) || !(r.GradientNorm > 0) {
					t.Errorf("result %d: %+v", i, r)
				}
			}
			for _, ranks := range []int{2, 4} {
				for i, got := range (shardRun{shards: 4, ranks: ranks, change: change, batches: batches}).train(t) {
					if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(outcomes{}, "Known")); diff != "" {
						t.Errorf("rank %d of %d (-one process +these):\n%.2000s", i, ranks, diff)
					}
				}
			}
		})
	}
}

// The sum over shards is that over the batch, where nothing else depends on the shard.
func TestShardsAddUpToTheBatch(t *testing.T) {
	change := func(o *Options) { o.ClassWeights = []float64{1, 2, 3, 4, 5, 1, 2, 3, 4, 5} }
	train := func(shards int) outcomes {
		return shardRun{shards: shards, ranks: 1, change: change, batches: []int{11, 11, 3}, plain: true}.train(t)[0]
	}
	want := train(1)
	for _, shards := range []int{2, 4} {
		if diff := cmp.Diff(want, train(shards), cmpopts.EquateApprox(1e-4, 1e-6),
			cmpopts.IgnoreFields(outcomes{}, "Known")); diff != "" {
			t.Errorf("(-1 shard +%d shards):\n%s", shards, diff)
		}
	}
}

// What one process asks for all know after the same step; and they know the results of the same steps.
func TestRaise(t *testing.T) {
	for i, o := range (shardRun{shards: 2, ranks: 2, batches: []int{4, 4, 4}, stop: 2}).train(t) {
		if o.Stopped != 2 {
			t.Errorf("rank %d knows after step %d", i, o.Stopped)
		}
		if diff := cmp.Diff([]int{0, 1, 2}, o.Known); diff != "" {
			t.Errorf("rank %d, results known (-want +got):\n%s", i, diff)
		}
	}
}

// Each gradient, and what is added up beside them, leaves once.
func TestBucketsHoldAll(t *testing.T) {
	defer func(before int) { leastBucket = before }(leastBucket)
	all, err := devices()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv(gpu.LimitsEnv, "maxStorageBufferBindingSize=2560") // so that there are several parts
	lower, err := gpu.Open("")
	if err != nil {
		t.Fatal(err)
	}
	defer lower.Close()
	for _, least := range []int{1, 64, 1 << 18} {
		for i, rates := range []Rates{nil, {"c.weight": 0.1, "a.weight": 0, "a.bias": 0}, nil} {
			leastBucket = least
			g, out := branched()
			d := []*gpu.Device{all[0], all[0], lower}[i]
			before := d.Allocated()
			n, err := Build(d, g, out, Options{Batch: 4, Train: true, Rates: rates, Shards: 2, Augment: ops.Augment{Size: 8}})
			if err != nil {
				t.Fatal(err)
			}
			if parts := len(n.parts); (parts > 1) != (d == lower) {
				t.Errorf("%d parts", parts)
			}
			if planned, took := n.PlannedBytes(), d.Allocated()-before; planned > took || took-planned > 16<<10 {
				t.Errorf("%d bytes planned, %d allocated", planned, took) // that of what is small is not planned
			}
			seen := make([][]bool, len(n.tree.vectors))
			for i, v := range n.tree.vectors {
				seen[i] = make([]bool, v.floats)
			}
			at := 0
			for i, b := range n.tree.buckets {
				if b.at != at || b.floats < min(least, 64) && i < len(n.tree.buckets)-1 {
					t.Errorf("bucket %d has %d floats at %d, want it at %d", i, b.floats, b.at, at)
				}
				at += b.floats
				for _, s := range b.chunks {
					for j := range s.floats {
						if seen[s.vector][s.from+j] {
							t.Fatalf("float %d of vector %d leaves twice", s.from+j, s.vector)
						}
						seen[s.vector][s.from+j] = true
					}
				}
			}
			for i := range seen {
				if slices.Contains(seen[i], false) {
					t.Errorf("a float of vector %d leaves with no bucket", i)
				}
			}
			if many := len(n.tree.buckets) > 1; many != (least < 1<<18) {
				t.Errorf("%d buckets of at least %d floats", len(n.tree.buckets), least)
			}
			n.Release()
		}
	}
}

func TestImpossibleShards(t *testing.T) {
	for _, c := range []struct {
		shards, ranks, batch int
		problem              string
	}{
		{3, 1, 8, "no power of two"}, {-1, 1, 8, ""}, {2, 4, 8, "can't be divided among 4 processes"},
		{8, 1, 4, "4 images can't be cut into 8 shards"}, {0, 2, 8, "1 shards can't be divided"},
	} {
		g, out := branched()
		d, err := devices()
		if err != nil {
			t.Fatal(err)
		}
		err = Check(d[0], g, out, Options{Batch: c.batch, Train: true, Shards: c.shards, Group: dist.Local(c.ranks)[0],
			Augment: ops.Augment{Size: 8}})
		if c.problem == "" && err != nil || c.problem != "" && (err == nil || !strings.Contains(err.Error(), c.problem)) {
			t.Errorf("%+v: error %v", c, err)
		}
	}
}

// A batch too large is said by what fits: a shard each, and all of them together.
func TestLargestBatchOfShards(t *testing.T) {
	t.Setenv(gpu.LimitsEnv, fmt.Sprintf("maxBufferSize=%d", 20*8*8*4*8+1024)) // 20 images of 8 channels
	d, err := gpu.Open("")
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	g, out := branched()
	check := func(batch int) error {
		return Check(d, g, out, Options{Batch: batch, Train: true, Shards: 2, Augment: ops.Augment{Size: 8}})
	}
	var memory *MemoryError
	err = check(100)
	if !errors.As(err, &memory) || memory.Batch != 50 || memory.Shards != 2 || memory.Largest < 4 ||
		memory.Largest > 98 || memory.Largest%2 != 0 || !strings.Contains(err.Error(), "one of the 2 of a batch") {
		t.Fatalf("error %v", err)
	}
	if err := check(memory.Largest); err != nil {
		t.Errorf("the suggested batch: %v", err)
	}
	if err := check(memory.Largest + 2); err == nil {
		t.Error("a larger batch fits as well")
	}
}

// echo is a group whose other process has the same numbers, and which leaves no garbage.
type echo struct{ dist.Group }

func (echo) Size() int { return 2 }
func (echo) Begin(v []float32) (dist.Pending, error) {
	for i := range v {
		v[i] *= 2
	}
	return there{}, nil
}

// there is a sum that needs no waiting.
type there struct{}

func (there) Wait() error { return nil }

// A step in shards leaves no garbage behind on the host either.
func TestShardStepDoesNotAllocate(t *testing.T) {
	for name, c := range map[string]struct {
		group  dist.Group
		shards int
	}{"alone": {dist.Alone, 2}, "in a group": {echo{dist.Alone}, 2}} {
		d, err := devices()
		if err != nil {
			t.Fatal(err)
		}
		g, out := branched()
		n, err := Build(d[0], g, out, Options{Batch: 4, Train: true, Shards: c.shards, Group: c.group,
			Augment: ops.Augment{Size: 8}})
		if err != nil {
			t.Fatal(err)
		}
		images, err := ops.UploadImages(d[0], "images", ops.Shape{C: 3, H: 8, W: 8}, make([]byte, 4*3*8*8))
		if err != nil {
			t.Fatal(err)
		}
		entries := make([]Entry, 4)
		for i := range entries {
			entries[i] = ops.BatchEntry(uint32(i), uint32(i), mgl32.Ident3())
		}
		keys := make([]uint32, n.Options.ownShards())
		step := func() {
			if _, err := n.TrainStep(images, entries, 1, 0.01, keys...); err != nil {
				t.Fatal(err)
			}
		}
		for range 5 {
			step()
		}
		if allocations := testing.AllocsPerRun(20, step); allocations != 0 {
			t.Errorf("%s: a training step makes %v allocations, want none", name, allocations)
		}
		images.Release()
		n.Release()
	}
}
