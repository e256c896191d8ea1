package train

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ninvk/ci/slow"
)

// resumeRecipe is a run that has everything a resumed one must take up again: shuffled, augmented, with dropout,
// momentum, batch normalisation, a schedule over the steps, a smaller last batch, and evaluations every other epoch.
func resumeRecipe(c *Config) {
	c.Batch, c.Epochs, c.EvalEvery, c.Dropout, c.Augment, c.Schedule, c.Seed = 8, 3, 2, floatPtr(0.5),
		"flip,random-resized-crop,color", "onecycle", 7
}

// stopAt interrupts a run when the result of a step comes in. The host may be some steps ahead by then.
func stopAt(step int) (context.Context, Reporter) {
	ctx, stop := context.WithCancel(context.Background())
	return ctx, silent{func(r StepRecord) {
		if r.Step >= step {
			stop()
		}
	}}
}

// resume goes on with the run in dir.
func resume(t *testing.T, ctx context.Context, dir string, report Reporter, change func(*Job)) (Summary, error) {
	t.Helper()
	s, err := OpenSaved(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	d, err := device()
	if err != nil {
		t.Fatal(err)
	}
	j := &Job{Config: s.Config, Data: subset(t, 20, 10), Device: d, Version: "test", Report: report, Resume: s}
	if change != nil {
		change(j)
	}
	return j.Run(ctx)
}

var waits = regexp.MustCompile(`,"waited_seconds":[^,}]+`)

var times = regexp.MustCompile(`"(seconds|images_per_second)":[^,}]+`)

// outcome is what two runs that are the same must agree on: the weights, the best ones, and the metrics without their
// times.
func outcome(t *testing.T, dir string) map[string]string {
	t.Helper()
	checkEvents(t, dir)
	out := map[string]string{}
	for _, name := range []string{ModelFile, BestFile, MetricsFile} {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if name == MetricsFile {
			b = waits.ReplaceAll(times.ReplaceAll(b, []byte(`"$1":0`)), nil)
		} else {
			b = []byte(sha(b))
		}
		out[name] = string(b)
	}
	return out
}

// TestResumeIsExact interrupts a run of 18 steps several times in a row; in the full suite also at each step alone.
// Losses are told up to three steps late, on some drivers always: the run is long enough that it is not over before the
// last stop.
func TestResumeIsExact(t *testing.T) {
	data := subset(t, 20, 10)
	recipe := func(c *Config) { resumeRecipe(c); c.Model, c.Epochs = "nin-bn", 6 } // which has dropout
	whole, err := runJob(t, context.Background(), data, silent{}, recipe)
	if err != nil {
		t.Fatal(err)
	}
	want := outcome(t, whole.Dir)
	cases := [][]int{{1, 2, 4, 6, 8}}
	if slow.Wanted() {
		for step := range 18 {
			cases = append(cases, []int{step + 1})
		}
	}
	for _, stops := range cases {
		ctx, report := stopAt(stops[0])
		s, err := runJob(t, ctx, data, report, recipe)
		for _, next := range stops[1:] {
			if err != nil {
				t.Fatal(err)
			}
			ctx, report = stopAt(next)
			s, err = resume(t, ctx, s.Dir, report, nil)
		}
		if err != nil || !s.Interrupted {
			t.Fatalf("stops at %v: interrupted %v, error %v", stops, s.Interrupted, err)
		}
		s, err = resume(t, context.Background(), s.Dir, silent{}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, outcome(t, s.Dir)); diff != "" {
			t.Errorf("stops at %v (-never interrupted +resumed):\n%s", stops, diff)
		}
		if s.Best != whole.Best || s.BestEpoch != whole.BestEpoch || s.Steps != whole.Steps {
			t.Errorf("stops at %v: summary %+v, want %+v", stops, s, whole)
		}
	}

	// A run that is over ends once more the same.
	if _, err := resume(t, context.Background(), whole.Dir, silent{}, nil); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, outcome(t, whole.Dir)); diff != "" {
		t.Errorf("resumed after its end (-before +after):\n%s", diff)
	}
}

// An older state of the folder, as after a kill, must lead to the same end: the metrics are ahead of the checkpoint
// then, or the checkpoint is not there yet.
func TestResumeAfterKill(t *testing.T) {
	data := subset(t, 20, 10)
	type copied struct {
		step int
		dir  string
	}
	var copies []copied
	var dir string
	every := 4
	if slow.Wanted() {
		every = 1
	}
	whole, err := runJob(t, context.Background(), data, silent{func(r StepRecord) {
		if r.Step%every != 0 {
			return
		}
		c := copied{r.Step, t.TempDir()}
		if err := os.CopyFS(c.dir, os.DirFS(dir)); err != nil {
			t.Fatal(err)
		}
		copies = append(copies, c)
	}}, func(c *Config) {
		resumeRecipe(c)
		c.CheckpointEvery = 2
		dir = c.Out
	})
	if err != nil {
		t.Fatal(err)
	}
	want := outcome(t, whole.Dir)
	copies = append(copies, copied{0, t.TempDir()})
	if err := os.CopyFS(copies[len(copies)-1].dir, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(copies[len(copies)-1].dir, CheckpointDir)); err != nil {
		t.Fatal(err)
	}
	for _, c := range copies {
		torn := filepath.Join(c.dir, CheckpointDir, "step-000000000003.safetensors"+temporary)
		if err := os.MkdirAll(filepath.Dir(torn), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(torn, []byte("what a killed process had written"), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := resume(t, context.Background(), c.dir, silent{}, nil); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, outcome(t, c.dir)); diff != "" {
			t.Errorf("killed after step %d (-never killed +resumed):\n%s", c.step, diff)
		}
		if _, err := os.Stat(torn); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("killed after step %d: %s is still there (%v)", c.step, torn, err)
		}
	}
}

// A longer run that is resumed ends as if it had been as long from the start, its schedule permitting.
func TestResumeLonger(t *testing.T) {
	data := subset(t, 20, 10)
	settings := func(epochs int, maxSteps *int) func(*Config) {
		return func(c *Config) {
			resumeRecipe(c)
			c.Epochs, c.MaxSteps, c.Schedule = epochs, maxSteps, "step:1:0.5"
		}
	}
	whole, err := runJob(t, context.Background(), data, silent{}, settings(3, nil))
	if err != nil {
		t.Fatal(err)
	}
	want := outcome(t, whole.Dir)
	for _, short := range []struct {
		epochs   int
		maxSteps *int
	}{{1, nil}, {3, intPtr(4)}} {
		s, err := runJob(t, context.Background(), data, silent{}, settings(short.epochs, short.maxSteps))
		if err != nil {
			t.Fatal(err)
		}
		end := outcome(t, s.Dir)
		longer, err := resume(t, context.Background(), s.Dir, silent{}, func(j *Job) {
			j.Config.Epochs, j.Config.MaxSteps = 3,
				nil
		})
		if err != nil {
			t.Fatal(err)
		}
		got := outcome(t, s.Dir)
		switch { // the shorter run's last evaluation may be the best one
		case longer.Best < s.Best:
			t.Errorf("%+v made longer: the best accuracy is %v, it was %v", short, longer.Best, s.Best)
		case longer.Best == s.Best && got[BestFile] != end[BestFile]:
			t.Errorf("%+v made longer: the best weights are others, with the same accuracy", short)
		}
		delete(got, BestFile)
		if diff := cmp.Diff(map[string]string{ModelFile: want[ModelFile], MetricsFile: want[MetricsFile]}, got); diff != "" {
			t.Errorf("%+v made longer (-long from the start +resumed):\n%s", short, diff)
		}
		var c Config
		if err := MergeFile(filepath.Join(s.Dir, ConfigFile), &c); err != nil || c.Epochs != 3 {
			t.Errorf("%s has %d epochs (%v), want 3", ConfigFile, c.Epochs, err)
		}
	}
}

func TestResumeRefusals(t *testing.T) {
	ctx, report := stopAt(4)
	s, err := runJob(t, ctx, subset(t, 20, 10), report, resumeRecipe)
	if err != nil {
		t.Fatal(err)
	}
	before := outcomeOfFiles(t, s.Dir)
	saved, err := OpenSaved(s.Dir)
	if err != nil {
		t.Fatal(err)
	}
	for flag, c := range map[string]struct {
		change func(*Config)
		values []string
	}{
		"--model":       {func(c *Config) { c.Model = "nin" }, []string{"resnet20", "nin"}},
		"--batch":       {func(c *Config) { c.Batch = 16 }, []string{"16", "8"}},
		"--seed":        {func(c *Config) { c.Seed = 99 }, []string{"99", "7"}},
		"--lr":          {func(c *Config) { c.LR = 0.123 }, []string{"0.123"}},
		"--dropout":     {func(c *Config) { c.Dropout = floatPtr(0.25) }, []string{"0.25", "0.5"}},
		"--micro-batch": {func(c *Config) { c.Micro = 4 }, []string{"4", "0"}},
		"--shards":      {func(c *Config) { c.Shards = 2 }, []string{"2", "1"}},
		"--aux":         {func(c *Config) { c.Aux = 0.3 }, []string{"0.3", "0"}},
		"--epochs":      {func(c *Config) { c.Epochs = 2 }, []string{"2", "3"}},
	} {
		cfg := saved.Config
		c.change(&cfg)
		err := saved.Check(cfg)
		var usage *UsageError
		if !errors.As(err, &usage) || usage.Flag != flag {
			t.Errorf("error %v, expected one about %s", err, flag)
			continue
		}
		for _, v := range append(c.values, s.Dir) {
			if !strings.Contains(err.Error(), v) {
				t.Errorf("%q does not name %s", err, v)
			}
		}
	}
	if err := saved.Check(saved.Config); err != nil {
		t.Error(err)
	}

	// A second process is refused while the first one holds the folder, whichever way it comes.
	var locked *LockedError
	if _, err := OpenSaved(s.Dir); !errors.As(err, &locked) || locked.PID != os.Getpid() {
		t.Errorf("a folder in use: error %v, expected a *LockedError with the pid", err)
	}
	saved.Close()

	other := subset(t, 20, 10)
	other.SHA256 = strings.Repeat("ab", 32)
	_, err = resume(t, context.Background(), s.Dir, silent{}, func(j *Job) { j.Data = other })
	var usage *UsageError
	if !errors.As(err, &usage) || usage.Flag != "--data" || !strings.Contains(err.Error(), other.SHA256) ||
		!strings.Contains(err.Error(), subset(t, 20, 10).SHA256) {
		t.Errorf("other data: error %v, expected one that names both checksums", err)
	}
	if diff := cmp.Diff(before, outcomeOfFiles(t, s.Dir)); diff != "" {
		t.Errorf("a refused resume changed the folder (-before +after):\n%s", diff)
	}
	if err := os.Truncate(filepath.Join(s.Dir, MetricsFile), 100); err != nil {
		t.Fatal(err)
	}
	_, err = resume(t, context.Background(), s.Dir, silent{}, nil)
	if bad := (*CheckpointError)(nil); !errors.As(err, &bad) || !strings.Contains(err.Error(), MetricsFile) {
		t.Errorf("metrics cut short: error %v, expected one that names the file", err)
	}
}

func TestResumeCommandCanBePasted(t *testing.T) {
	for dir, want := range map[string]string{
		"runs/20240309-070501-nin-bn": "ninvk train --resume runs/20240309-070501-nin-bn",
		"my runs/it's":                `ninvk train --resume 'my runs/it'\''s'`,
		"läufe":                       "ninvk train --resume 'läufe'",
	} {
		if got := ResumeCommand(dir); got != want {
			t.Errorf("%q gives %s, want %s", dir, got, want)
		}
	}
}

// outcomeOfFiles is the content of every file of a folder.
func outcomeOfFiles(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	for name, b := range folder(t, dir) {
		out[name] = sha(b)
	}
	return out
}

func TestDivergenceRollsBack(t *testing.T) {
	var dir string
	wild := func(policy string) func(*Config) {
		return func(c *Config) {
			c.Batch, c.Epochs, c.LR, c.Schedule, c.OnDivergence, c.Seed = 8, 2, 1e30, "constant", policy, 7
			dir = c.Out
		}
	}
	_, err := runJob(t, context.Background(), subset(t, 20, 10), silent{}, wild("rollback"))
	var d *DivergedError
	if !errors.As(err, &d) || d.Rollbacks != maxRollbacks || d.Good == "" || d.GoodStep != 0 {
		t.Fatalf("got %+v (%v), want a DivergedError after %d rollbacks to step 0", d, err, maxRollbacks)
	}
	m, err := ReadMetrics(filepath.Join(dir, MetricsFile))
	if err != nil {
		t.Fatal(err)
	}
	if len(m.Rollbacks) != maxRollbacks {
		t.Fatalf("%d rollbacks recorded, want %d", len(m.Rollbacks), maxRollbacks)
	}
	for i, r := range m.Rollbacks {
		if r.ToStep != 0 || r.Step < 1 || r.LearningRateFactor != math.Ldexp(1, -i-1) || r.Reason == "" {
			t.Errorf("rollback %d: %+v", i+1, r)
		}
	}
	checkEvents(t, dir)
	for i, s := range m.Steps { // those of the last try alone
		if s.Step != i+1 || s.LearningRate != 1e30/8 {
			t.Errorf("step %d: %+v", i+1, s)
		}
	}
}

// A network whose weights are finite but so large that its outputs are not has diverged as well.
func TestDivergedEvaluation(t *testing.T) {
	_, err := runJob(t, context.Background(), subset(t, 20, 10), silent{}, func(c *Config) {
		one := 1
		c.Batch, c.LR, c.Schedule, c.Seed, c.MaxSteps = 8, 1e30, "constant", 7, &one
	})
	var d *DivergedError
	if !errors.As(err, &d) || d.Step != 1 || !strings.Contains(d.Reason, "test split") {
		t.Errorf("got %v, want a DivergedError about the test split after step 1", err)
	}
}

// The checkpoint from before an evaluation that diverged has the very weights: going back to it would end there again.
func TestDivergedEvaluationGoesBackFarther(t *testing.T) {
	var dir string
	_, err := runJob(t, context.Background(), subset(t, 20, 10), silent{}, func(c *Config) {
		one := 1
		c.Batch, c.LR, c.Schedule, c.Seed, c.MaxSteps, c.OnDivergence = 8, 1e30, "constant", 7, &one, RollbackOnDivergence
		dir = c.Out
	})
	var d *DivergedError
	if !errors.As(err, &d) || d.Rollbacks != maxRollbacks || d.GoodStep != 0 ||
		filepath.Base(d.Good) != "step-000000000000.safetensors" {
		t.Fatalf("got %+v (%v), want a DivergedError after %d rollbacks to step 0", d, err, maxRollbacks)
	}
	m, err := ReadMetrics(filepath.Join(dir, MetricsFile))
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range m.Rollbacks {
		if r.Step != 1 || r.ToStep != 0 || !strings.Contains(r.Reason, "test split") {
			t.Errorf("rollback %+v, want one from the evaluation after step 1 to step 0", r)
		}
	}
	if len(m.Rollbacks) != maxRollbacks {
		t.Errorf("%d rollbacks recorded, want %d", len(m.Rollbacks), maxRollbacks)
	}
	s, err := OpenSaved(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if s.Checkpoint == nil || s.Checkpoint.Rollbacks != maxRollbacks {
		t.Errorf("the run would go on from %+v", s.Checkpoint)
	}
}

func TestCheckpointBefore(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, CheckpointDir), 0o755); err != nil {
		t.Fatal(err)
	}
	var paths []string
	for _, step := range []int{0, 7, 123456} {
		path, err := saveCheckpoint(osDisk{}, dir, step, []byte("x"))
		if err != nil {
			t.Fatal(err)
		}
		paths = append(paths, path)
	} // the newest two are left
	for _, c := range []struct {
		step  int
		want  written
		later []string
	}{
		{123457, written{path: paths[2], step: 123456}, nil},
		{123456, written{path: paths[1], step: 7}, paths[2:]},
		{8, written{path: paths[1], step: 7}, paths[2:]},
		{7, written{}, []string{paths[2], paths[1]}},
	} {
		got, later, err := checkpointBefore(dir, c.step)
		if err != nil || got != c.want || !slices.Equal(later, c.later) {
			t.Errorf("before step %d: %+v, later %v, error %v; want %+v, %v", c.step, got, later, err, c.want, c.later)
		}
	}
}

func TestCheckpointsAreFewAndDue(t *testing.T) {
	defer func(p time.Duration) { checkpointPause = p }(checkpointPause)
	checkpointPause = 0 // all the time: each is begun when the one before is written
	s, err := runJob(t, context.Background(), subset(t, 40, 10), silent{}, func(c *Config) { c.Batch, c.Epochs = 8, 2 })
	if err != nil {
		t.Fatal(err)
	}
	all, err := checkpoints(s.Dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(all) != 2 {
		t.Fatalf("checkpoints %v, want the newest and the one before", all)
	}
	c, err := readCheckpoint(all[1])
	if err != nil {
		t.Fatal(err)
	}
	if c.Step != 10 || !bytes.HasSuffix([]byte(all[1]), []byte("step-000000000010.safetensors")) {
		t.Errorf("the newest checkpoint is %s of step %d, want that of step 10", all[1], c.Step)
	}
	for _, name := range []string{LockFile, ModelFile + temporary} {
		if _, err := os.Stat(filepath.Join(s.Dir, name)); err == nil {
			t.Errorf("%s was left behind", name)
		}
	}
}

// A disk that fills up in the midst of a run ends it with an error that says how to go on, and going on ends as if it
// had had room.
func TestFullDiskInARun(t *testing.T) {
	data := subset(t, 20, 10)
	settings := func(c *Config) {
		resumeRecipe(c)
		c.Epochs, c.EvalEvery, c.CheckpointEvery = 2, 1, 2
	}
	d := &faulty{fault: fault{forever: true, half: true}}
	whole, err := runJobOn(t, context.Background(), d, data, silent{}, settings)
	if err != nil {
		t.Fatal(err)
	}
	want, all := outcome(t, whole.Dir), d.done
	for at := 20; at <= all; at += 3 { // from 20 on the run has begun
		var dir string
		d := &faulty{fault: fault{forever: true, half: true}, at: at}
		_, err := runJobOn(t, context.Background(), d, data, silent{}, func(c *Config) { settings(c); dir = c.Out })
		var stopped *StoppedError
		if !errors.As(err, &stopped) || !errors.Is(err, errFault) || !strings.Contains(err.Error(), ResumeCommand(dir)) {
			t.Errorf("operation %d of %d failed: error %v, expected one that says how to go on", at, all, err)
			continue
		}
		if _, err := resume(t, context.Background(), dir, silent{}, nil); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, outcome(t, dir)); diff != "" {
			t.Errorf("after operation %d of %d failed (-never +resumed):\n%s", at, all, diff)
		}
	}
}
