package train

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"ninvk/dist"
	"ninvk/gpu"
	"ninvk/nn"
	"ninvk/ops"
	"ninvk/rng"
)

// Processes that train one network together (Job.Group) do the same steps on the same data in the same order, each with
// its shards of a batch. What they decide by, all of them know: losses, norms and evaluations are sums over all. What
// one alone knows, that somebody wants to stop or that it is time for a checkpoint, it tells with a step. Only the
// first process, rank 0, has the run folder.

// group is that of the job.
func (j *Job) group() dist.Group {
	if j.Group == nil {
		return dist.Alone
	}
	return j.Group
}

// grouped says whether there are other processes.
func (j *Job) grouped() bool { return j.group().Size() > 1 }

// leads says whether this process writes the run folder.
func (j *Job) leads() bool { return j.group().Rank() == 0 }

// TakeShards puts the number of processes in the place of a number of shards that was not given, and checks that they
// can share them out. The error is a *UsageError.
func (c *Config) TakeShards(ranks int) error {
	if c.Shards == 0 {
		c.Shards = ranks
	}
	bad := func(problem string) error {
		return &UsageError{"--shards", strconv.Itoa(c.Shards), problem}
	}
	switch {
	case !dist.PowerOfTwo(ranks):
		return bad(fmt.Sprintf("%d processes were started; it must be a power of two", ranks))
	case ranks > c.Shards:
		return bad(fmt.Sprintf("%d processes can't share out %d shards; start at most %[2]d", ranks, c.Shards))
	case c.Shards > c.Batch:
		return bad(fmt.Sprintf("a batch of %d images can't be cut into so many; give a larger --batch or fewer shards",
			c.Batch))
	}
	return nil
}

// MismatchError says that a process of a group has been started with something else than rank 0. All processes return
// it.
type MismatchError struct {
	Rank       int
	What       string
	First, Own string // what rank 0 has, and what this rank has
}

func (e *MismatchError) Error() string {
	return fmt.Sprintf("rank %d has another %s than rank 0: %s, not %s; all ranks need the same program, data and "+
		"settings", e.Rank, e.What, e.Own, e.First)
}

// fact is something that must be the same at all ranks, or is warned of where it is not.
type fact struct {
	What, Value string
	Advice      string // what follows where it differs and may; "" where it must not
}

// agree compares facts, and warns of or refuses what differs.
func agree(g dist.Group, facts []fact) error {
	all, err := dist.Values(g, facts)
	if err != nil {
		return err
	}
	for rank, theirs := range all {
		for _, what := range names(all[0], theirs) {
			first, own := find(all[0], what), find(theirs, what)
			switch {
			case first == own:
			case first.Advice == "":
				return &MismatchError{Rank: rank, What: what, First: first.Value, Own: own.Value}
			case g.Rank() == 0:
				slog.Warn(fmt.Sprintf("rank %d has another %s than rank 0 (%s, not %s): %s", rank, what, own.Value, first.Value,
					first.Advice))
			}
		}
	}
	return nil
}

// names are those of facts, each once.
func names(of ...[]fact) []string {
	var names []string
	for _, facts := range of {
		for _, f := range facts {
			if !slices.Contains(names, f.What) {
				names = append(names, f.What)
			}
		}
	}
	return names
}

// find is the fact of a name.
func find(facts []fact, what string) fact {
	for _, f := range facts {
		if f.What == what {
			return f
		}
	}
	return fact{What: what, Value: "none"}
}

// agree checks that all processes train the same on the same data.
func (j *Job) agree() error {
	const rounds = "the last bits of results depend on which of them computes which shard"
	facts := []fact{
		{What: "version of ninvk", Value: j.Version}, {What: "data (SHA-256)", Value: j.Data.SHA256},
		{What: "adapter", Value: j.Device.Adapter.Name, Advice: rounds},
		{What: "driver", Value: j.Device.Adapter.Driver, Advice: rounds},
		{What: "NINVK_VARIANT", Value: strconv.Quote(os.Getenv("NINVK_VARIANT"))},
	}
	if err := agree(j.group(), append(facts, shared(j.Config)...)); err != nil {
		return err
	}
	var err error
	j.Config.Out, err = dist.First(j.group(), func() (string, error) { return j.Config.Out, nil })
	return err
}

// shared are the settings that all processes must share.
func shared(c Config) []fact {
	var facts []fact
	for _, s := range settings {
		if !s.own {
			facts = append(facts, fact{What: "setting " + s.name, Value: fmt.Sprint(s.value(&c))})
		}
	}
	slices.SortFunc(facts, func(a, b fact) int { return strings.Compare(a.What, b.What) })
	return facts
}

// agreeOnWeights checks that all processes begin with the same weights, after the same step.
func (l *loop) agreeOnWeights() error {
	if !l.grouped() {
		return nil
	}
	values, err := l.net.ReadParams()
	if err != nil {
		return err
	}
	h := sha256.New()
	for _, v := range values {
		h.Write(gpu.Bytes(v))
	}
	return agree(l.group(), []fact{
		{What: "step to begin after", Value: strconv.Itoa(l.step)},
		{What: "value of the weights to begin with (SHA-256)", Value: hex.EncodeToString(h.Sum(nil))},
		{What: "normalisation of the images", Value: fmt.Sprint(l.about.Mean, l.about.Std)},
	})
}

// agreeOnKernels has all processes take the variants that rank 0 has chosen.
func (l *loop) agreeOnKernels() error {
	tuned, err := dist.First(l.group(), func() (map[string]string, error) {
		err := l.chooseKernels()
		return l.tuned, err
	})
	if tuned != nil {
		l.tuned = tuned
	}
	return err
}

// savedMessage is a Saved on its way.
type savedMessage struct {
	Dir, Path           string
	Config, Run         []byte // as JSON
	Checkpoint, Metrics []byte // the files, as far as they are of the run; empty where there is no checkpoint
}

// ShareSaved brings the run that rank 0 has opened to all ranks of a group, which need not see its folder. At rank 0 it
// returns s; the others give nil.
func ShareSaved(g dist.Group, s *Saved) (*Saved, error) {
	if g.Size() == 1 {
		return s, nil
	}
	m, err := dist.First(g, s.message)
	if err != nil || g.Rank() == 0 {
		return s, err
	}
	s = &Saved{Dir: m.Dir}
	if err := json.Unmarshal(m.Config, &s.Config); err != nil {
		return nil, err
	}
	if err := json.Unmarshal(m.Run, &s.Run); err != nil {
		return nil, err
	}
	if len(m.Checkpoint) > 0 {
		if s.Checkpoint, err = decodeCheckpoint(m.Checkpoint); err != nil {
			return nil, &CheckpointError{m.Path, err.Error()}
		}
		s.Checkpoint.Path = m.Path
		if s.metrics, err = decodeMetrics(m.Metrics); err != nil {
			return nil, &MetricsError{filepath.Join(m.Dir, MetricsFile), err}
		}
	}
	return s, nil
}

func (s *Saved) message() (m savedMessage, err error) {
	m.Dir = s.Dir
	if m.Config, err = json.Marshal(s.Config); err != nil {
		return m, err
	}
	if m.Run, err = json.Marshal(s.Run); err != nil {
		return m, err
	}
	if c := s.Checkpoint; c != nil {
		m.Path = c.Path
		if m.Checkpoint, err = os.ReadFile(c.Path); err != nil {
			return m, fmt.Errorf("reading a checkpoint: %w", err)
		}
		if m.Metrics, err = os.ReadFile(filepath.Join(s.Dir, MetricsFile)); err != nil {
			return m, fmt.Errorf("reading metrics: %w", err)
		}
		m.Metrics = m.Metrics[:min(int64(len(m.Metrics)), c.MetricsBytes)]
	}
	return m, nil
}

// own are the images of a batch that this process computes: from, below to.
func (l *loop) own(batch int) (from, to int) { return shareOf(batch, l.Config.Shards, l.group()) }

// shareOf are those of n things cut into shards that a process of a group has: from, below to.
func shareOf(n, shards int, g dist.Group) (from, to int) {
	each := shards / g.Size()
	from, _ = nn.Cut(n, shards, g.Rank()*each)
	_, to = nn.Cut(n, shards, (g.Rank()+1)*each-1)
	return from, to
}

// stopping says whether the run is to stop: where there are other processes, once all know.
func (l *loop) stopping(ctx context.Context) bool {
	if l.grouped() {
		return l.stopped
	}
	return ctx.Err() != nil
}

// ask has the next step tell the other processes what this one wants.
func (l *loop) ask(ctx context.Context) {
	if !l.grouped() {
		return
	}
	if ctx.Err() != nil {
		l.net.Raise(nn.Stop)
	}
	if l.leads() && l.checkpointDue() {
		l.net.Raise(nn.Save)
	}
}

// dropoutKeys are those of this process's shards of the step to come.
func (l *loop) dropoutKeys() []uint32 {
	each := l.Config.Shards / l.group().Size()
	l.keys = l.keys[:0]
	for i := range each {
		shard := l.group().Rank()*each + i
		l.keys = append(l.keys, rng.New(l.Config.Seed, "dropout", uint64(l.step), uint64(shard)).Uint32())
	}
	return l.keys
}

// nowhere is the disk of a process that has no run folder: what is written there is gone.
type nowhere struct{}

func (nowhere) Create(string) (diskFile, error)        { return gone{}, nil }
func (nowhere) Append(string, int64) (diskFile, error) { return gone{}, nil }
func (nowhere) Rename(string, string) error            { return nil }
func (nowhere) Remove(string) error                    { return nil }
func (nowhere) SyncDir(string) error                   { return nil }

type gone struct{}

func (gone) Write(b []byte) (int, error) { return len(b), nil }
func (gone) Truncate(int64) error        { return nil }
func (gone) Sync() error                 { return nil }
func (gone) Close() error                { return nil }

// followRun is the run of a process that has no folder.
func followRun(dir string) *Run {
	r := openRun(nowhere{}, dir)
	r.metrics.file = gone{}
	return r
}

// division is how the work of an evaluation is divided: batches in as many shards as a training batch, whose sums are
// added up in their order, whoever computes them.
type division struct {
	group  dist.Group
	shards int
}

var undivided = division{dist.Alone, 1}

// pauseEvery is how many batches of an evaluation go by until the processes ask each other whether to stop. Tests have
// them ask more often.
var pauseEvery = 16

// pauses has the processes of a division ask each other, as they evaluate, whether to stop.
type pauses struct {
	division
	ctx     context.Context
	done    int // batches
	stopped bool
	flag    [1]float32
}

// next comes after every batch.
func (p *pauses) next() error {
	p.done++
	if p.group.Size() == 1 {
		p.stopped = p.ctx.Err() != nil
		return nil
	}
	if p.done%pauseEvery != 0 {
		return nil
	}
	p.flag[0] = 0
	if p.ctx.Err() != nil {
		p.flag[0] = 1
	}
	err := dist.Sum(p.group, p.flag[:])
	p.stopped = p.flag[0] > 0
	return err
}

// portion is what a process has evaluated.
type portion struct {
	Totals  []ops.Totals // by shard
	Stopped bool
}

// join adds up what all processes have evaluated.
func (d division) join(own portion, stopped bool) (e Evaluation, any bool, err error) {
	own.Stopped = stopped
	all, err := dist.Values(d.group, own)
	if err != nil {
		return e, false, err
	}
	loss, correct, top5 := 0.0, 0, 0
	for _, p := range all {
		for _, t := range p.Totals {
			loss += t.Loss
			e.Images, correct, top5 = e.Images+t.Images, correct+t.Correct, top5+t.Top5
		}
		any = any || p.Stopped
	}
	if n := float64(e.Images); n > 0 {
		e.Loss, e.Accuracy, e.Top5 = loss/n, float64(correct)/n, float64(top5)/n
	}
	return e, any, nil
}
