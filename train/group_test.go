package train

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ninvk/ci/slow"
	"ninvk/dataset"
	"ninvk/dist"
	"ninvk/models"
)

// turns are those of ranks that share a device: a rank works until it waits for others.
type turns struct {
	dist.Group
	turn *sync.Mutex
}

func (g turns) Begin(v []float32) (dist.Pending, error) {
	p, err := g.Group.Begin(v)
	return pausing{p, g.turn}, err
}

func (g turns) Gather(b []byte) ([][]byte, error) {
	g.turn.Unlock()
	defer g.turn.Lock()
	return g.Group.Gather(b)
}

type pausing struct {
	dist.Pending
	turn *sync.Mutex
}

func (p pausing) Wait() error {
	p.turn.Unlock()
	defer p.turn.Lock()
	return p.Pending.Wait()
}

// trainer trains runs in groups of goroutines.
type trainer struct {
	data   *dataset.Set
	change func(*Config)
	job    func(rank int, j *Job) // nil: nothing
}

// small has a network of few layers trained.
func small(c *Config) { c.Model, c.Resize, c.Sizes = "lenet5", new(models.LeastSize("lenet5")), "" }

// What trainer.run takes for a step.
const (
	before     = -1
	evaluating = -2
)

// stopsEvaluation interrupts a run as it evaluates.
type stopsEvaluation struct {
	silent
	cancel func()
}

func (s stopsEvaluation) Evaluating(string, int, int) { s.cancel() }

// ended is what came of a rank.
type ended struct {
	Summary
	err error
}

// run begins a run in a folder, or goes on with the one that is there, in a group of one or two. The last rank is
// interrupted before the run, while it is evaluated, or at the result of a step; 0 for never.
func (tr trainer) run(t *testing.T, dir string, ranks, stop int) []ended {
	t.Helper()
	out := make([]ended, ranks)
	var all sync.WaitGroup
	var turn sync.Mutex
	for i, g := range dist.Local(ranks) {
		g = turns{g, &turn}
		all.Go(func() {
			turn.Lock()
			defer turn.Unlock()
			defer g.Close()
			out[i].Summary, out[i].err = tr.rank(dir, g, stop)
		})
	}
	all.Wait()
	return out
}

func (tr trainer) rank(dir string, g dist.Group, stop int) (Summary, error) {
	d, err := device()
	if err != nil {
		return Summary{}, err
	}
	c, err := LoadRecipe("fast")
	if err != nil {
		return Summary{}, err
	}
	c.Model, c.Resize = "resnet20", new(8)
	tr.change(&c)
	c.Resolve()
	j := &Job{Config: c, Data: tr.data, Device: d, Version: "test", Report: silent{}, Group: g}
	if _, err := os.Stat(dir); err == nil {
		if g.Rank() == 0 {
			if j.Resume, err = OpenSaved(dir); err != nil {
				return Summary{}, err
			}
			defer j.Resume.Close()
		}
		if j.Resume, err = ShareSaved(g, j.Resume); err != nil {
			return Summary{}, err
		}
		j.Config = j.Resume.Config
	}
	if j.Config.Out = dir; g.Rank() > 0 {
		j.Config.Out = "of rank 0"
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	switch {
	case g.Rank() != g.Size()-1:
	case stop == before:
		cancel()
	case stop == evaluating:
		j.Report = stopsEvaluation{cancel: cancel}
	case stop > 0:
		j.Report = silent{func(r StepRecord) {
			if r.Step >= stop {
				cancel()
			}
		}}
	}
	if tr.job != nil {
		tr.job(g.Rank(), j)
	}
	return j.Run(ctx)
}

// TestGroupIsExact: a run in shards ends the same, bit for bit, whoever computes them, also where it is stopped and
// goes on with another number of processes: here each has a step of four, and the last one the others. One process that
// saves after each step is a step ahead of the results that it is stopped by.
func TestGroupIsExact(t *testing.T) {
	type part struct{ ranks, stop int }
	parts := []part{{2, before}, {1, 2}, {2, 0}}
	defer func(usual int) { pauseEvery = usual }(pauseEvery)
	pauseEvery = 1
	type run struct {
		change func(*Config)
		parts  []part
	}
	runs := map[string]run{
		"nin":    {func(c *Config) { c.Model, c.MaxSteps, c.Dropout = "nin", new(2), new(0.5) }, parts[2:]},
		"nin-bn": {func(c *Config) { c.Model = "nin-bn" }, parts},
		// stopped in the midst of an evaluation, of which one rank has two batches and the other one
		"lenet5": {func(c *Config) { small(c); c.EvalTrain = 5 }, []part{{2, evaluating}, {2, 0}}},
	}
	if slow.Wanted() {
		runs["everything"] = run{func(c *Config) {
			c.Micro, c.EMA, c.ClipNorm, c.LabelSmoothing, c.Sizes = 1, 0.9, 0.5, 0.1, "6:0.5"
			c.ClassWeights, c.Freeze, c.LRScale, c.Schedule = BalancedWeights, "conv1*", "linear*=0.5", "plateau:0.5:1"
		}, parts}
	}
	for name, c := range runs {
		t.Run(name, func(t *testing.T) {
			// The last batch has 3 images.
			tr := trainer{data: subset(t, 15, 3), change: func(r *Config) {
				resumeRecipe(r)
				r.Batch, r.Epochs, r.EvalEvery, r.EvalTrain, r.CheckpointEvery, r.Shards = 4, 1, 1, 3, 1, 2
				c.change(r)
			}}
			dirs := [2]string{filepath.Join(t.TempDir(), "alone"), filepath.Join(t.TempDir(), "together")}
			whole := tr.run(t, dirs[0], 1, 0)[0]
			if whole.err != nil {
				t.Fatal(whole.err)
			}
			for i, part := range c.parts {
				for rank, s := range tr.run(t, dirs[1], part.ranks, part.stop) {
					if s.err != nil || s.Interrupted != (part.stop != 0) || part.stop == before && s.Steps != 1 {
						t.Fatalf("part %d, rank %d: interrupted %v after step %d, error %v", i, rank, s.Interrupted, s.Steps, s.err)
					}
				}
			}
			if diff := cmp.Diff(outcome(t, dirs[0]), outcome(t, dirs[1])); diff != "" {
				t.Errorf("(-one process +as above):\n%s", diff)
			}
			if diff := cmp.Diff(lastState(t, dirs[0]), lastState(t, dirs[1])); diff != "" {
				t.Errorf("last checkpoint (-one process +as above):\n%.2000s", diff)
			}
		})
	}
}

// lastState is what the newest checkpoint of a run holds.
func lastState(t *testing.T, dir string) map[string]string {
	t.Helper()
	s, err := OpenSaved(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	all := map[string]string{"step": fmt.Sprint(s.Checkpoint.Step)}
	for _, x := range s.Checkpoint.tensors.Tensors {
		all[x.Name] = sha(x.Data)
	}
	return all
}

// One shard, also in a group of one, is a run as without.
func TestOneShardIsNone(t *testing.T) {
	data := subset(t, 20, 10)
	change := func(c *Config) { small(c); c.Batch, c.Epochs, c.EvalEvery, c.Seed = 8, 1, 1, 7 }
	s, err := runJob(t, context.Background(), data, silent{}, change)
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "run")
	tr := trainer{data: data, change: func(c *Config) { change(c); c.Shards = 1 }}
	if got := tr.run(t, dir, 1, 0)[0]; got.err != nil {
		t.Fatal(got.err)
	}
	if diff := cmp.Diff(outcome(t, s.Dir), outcome(t, dir)); diff != "" {
		t.Errorf("(-without a group +with one):\n%s", diff)
	}
}

// Ranks that were not started alike say so, all the same, and nothing is left behind.
func TestGroupMismatch(t *testing.T) {
	data := subset(t, 20, 10)
	one := 1
	trained, err := runJob(t, context.Background(), data, silent{}, func(c *Config) {
		small(c)
		c.Batch, c.MaxSteps = 8, &one
	})
	if err != nil {
		t.Fatal(err)
	}
	other := *data
	other.SHA256 = strings.Repeat("ab", 32)
	for what, change := range map[string]func(*Job){
		"setting lr":        func(j *Job) { j.Config.LR = 0.3 },
		"setting max-steps": func(j *Job) { j.Config.MaxSteps = &one },
		"version of ninvk":  func(j *Job) { j.Version = "other" },
		"data (SHA-256)":    func(j *Job) { j.Data = &other },
		"value of the weights to begin with (SHA-256)": func(j *Job) {
			j.Config.Init = filepath.Join(trained.Dir, ModelFile)
		},
	} {
		t.Run(what, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "run")
			tr := trainer{data: data, change: func(c *Config) { small(c); c.Batch, c.Epochs = 8, 1 }}
			tr.job = func(rank int, j *Job) {
				if rank == 1 {
					change(j)
				}
			}
			for rank, s := range tr.run(t, dir, 2, 0) {
				var m *MismatchError
				if !errors.As(s.err, &m) || m.Rank != 1 || m.What != what || !strings.Contains(s.err.Error(), "rank 1") {
					t.Errorf("rank %d: error %v", rank, s.err)
				}
			}
			if _, err := os.Stat(dir); err == nil {
				t.Error("the run folder is there")
			}
		})
	}
}

// A group diverges and goes back together, to the same as one process.
func TestGroupRollsBack(t *testing.T) {
	tr := trainer{data: subset(t, 20, 10), change: func(c *Config) {
		small(c)
		c.Batch, c.Epochs, c.LR, c.Schedule, c.OnDivergence, c.Seed, c.Shards = 8, 2, 1e30, "constant", "rollback", 7, 2
	}}
	var want *DivergedError
	var metrics string
	for _, ranks := range []int{1, 2} {
		dir := filepath.Join(t.TempDir(), "run")
		for rank, s := range tr.run(t, dir, ranks, 0) {
			var d *DivergedError
			if !errors.As(s.err, &d) || d.Rollbacks != maxRollbacks || d.GoodStep != 0 {
				t.Fatalf("rank %d of %d: error %v", rank, ranks, s.err)
			}
			if want == nil {
				want = d
			} else if d.Step != want.Step || d.Reason != want.Reason {
				t.Errorf("rank %d of %d: %v, one process: %v", rank, ranks, d, want)
			}
		}
		b, err := os.ReadFile(filepath.Join(dir, MetricsFile))
		if err != nil {
			t.Fatal(err)
		}
		if b = times.ReplaceAll(b, []byte(`"$1":0`)); metrics == "" {
			metrics = string(b)
		} else if diff := cmp.Diff(metrics, string(b)); diff != "" {
			t.Errorf("metrics (-one process +two):\n%s", diff)
		}
	}
}

// A rank that leaves in the midst ends the others' run, with the command to go on by.
func TestGroupLosesARank(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	tr := trainer{data: subset(t, 20, 10), change: func(c *Config) {
		resumeRecipe(c)
		small(c)
		c.CheckpointEvery = 1
	}}
	full := errors.New("no space left")
	tr.job = func(rank int, j *Job) {
		if rank == 0 {
			j.disk = failing{err: full}
		}
	}
	all := tr.run(t, dir, 2, 0)
	if !errors.Is(all[0].err, full) {
		t.Errorf("rank 0: error %v", all[0].err)
	}
	var f *dist.Failure
	if s := (*StoppedError)(nil); !errors.As(all[1].err, &f) || f.Code != dist.LostCode || !errors.As(all[1].err, &s) ||
		!strings.Contains(s.Error(), ResumeCommand(dir)) {
		t.Errorf("rank 1: error %v", all[1].err)
	}
}

// failing is a disk that takes no checkpoint after some steps.
type failing struct {
	osDisk
	err error
}

func (d failing) Create(path string) (diskFile, error) {
	if strings.HasPrefix(filepath.Base(path), "step-000000000003") {
		return nil, d.err
	}
	return d.osDisk.Create(path)
}

func TestTakeShards(t *testing.T) {
	for _, c := range []struct {
		given, batch, ranks, want int
		problem                   string
	}{
		{0, 64, 1, 1, ""}, {0, 64, 4, 4, ""}, {4, 64, 2, 4, ""}, {8, 64, 1, 8, ""},
		{0, 64, 3, 0, "3 processes were started; it must be a power of two"},
		{2, 64, 4, 0, "4 processes can't share out 2 shards"}, {0, 2, 4, 0, "a batch of 2 images"},
	} {
		cfg := Config{Shards: c.given, Batch: c.batch}
		err := cfg.TakeShards(c.ranks)
		if c.problem == "" && (err != nil || cfg.Shards != c.want) ||
			c.problem != "" && (err == nil || !strings.Contains(err.Error(), c.problem)) {
			t.Errorf("%+v: %d shards, error %v", c, cfg.Shards, err)
		}
	}
}
