package tune

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"ninvk/gpu"
	"ninvk/ops"
	"ninvk/ops/cases"
)

// How much is measured.
const (
	probeBatch = 1 // images of the first trial, which compares results and predicts times
	// a candidate that is predicted to take longer must not be hopeless to be run at full size:
	bounded  = 250 * time.Millisecond
	hopeless = 3   // so many times the time predicted for the fastest
	trailing = 1.5 // a candidate slower than so many times the leader is dropped
	// one that takes so many times as long as the leader is not tried in the pass's other layers: its kernels may take
	// long to compile
	far         = 5
	leastRounds = 3
	mostRounds  = 10
	sampleTime  = 10 * time.Millisecond // a shorter pass is repeated within a sample
	mostRepeats = 64
)

// Measure times the candidates for every call, after comparing their results. Calls that the budget left no time for,
// and those for which no candidate can be trusted, are missing from the result; so are those after an error, which is
// that of the adapter or of ctx.
func Measure(ctx context.Context, d *gpu.Device, calls []Call, o Options) ([]Entry, error) {
	if o.Budget == 0 {
		o.Budget = Budget
	}
	m := meter{d, o, map[string]string{}}
	var entries []Entry
	calls = slices.Clone(calls) // the short ones first: what is far behind there is not tried on the long ones
	slices.SortStableFunc(calls, func(a, b Call) int { return cmp.Compare(a.Op.Flops(a.In), b.Op.Flops(b.In)) })
	start := time.Now()
	for i, c := range calls {
		o.Progress(i, len(calls))
		left := o.Budget - time.Since(start)
		if left <= 0 {
			o.Warn(fmt.Sprintf("no time left to measure %d of %d passes: they take the usual kernels", len(calls)-i, len(calls)))
			return entries, nil
		}
		small := c.In
		small.N = min(small.N, probeBatch)
		few, all := cases.Candidates(c.Pass, c.Op, small), cases.Candidates(c.Pass, c.Op, c.In)
		e, err := m.call(ctx, c, few, all, left/time.Duration(len(calls)-i))
		if err != nil {
			return entries, err
		}
		if e.Chosen != "" {
			entries = append(entries, e)
		}
	}
	o.Progress(len(calls), len(calls))
	return entries, nil
}

type meter struct {
	d *gpu.Device
	Options
	far map[string]string // by pass and variant: where the variant was far behind
}

// remember notes the variants that were far behind in a call. The naive one stays in all: it is the measure of results.
func (m *meter) remember(c Call, all []*trial) {
	least, predicted := math.Inf(1), math.Inf(1)
	for _, t := range all {
		if len(t.Milliseconds) > 0 {
			least = min(least, t.Median())
		}
		if t.Predicted > 0 {
			predicted = min(predicted, t.Predicted)
		}
	}
	for _, t := range all {
		behind := t.Predicted > far*predicted
		if len(t.Milliseconds) > 0 {
			behind = t.Median() > far*least
		}
		if behind && t.Variant != "naive" {
			m.far[string(c.Pass)+"="+t.Variant] = c.shape()
		}
	}
}

// trial is a candidate at one batch size.
type trial struct {
	*Candidate
	tape *gpu.Tape
	once time.Duration
	out  [][]float32 // outputs
}

// call measures one call: every candidate of small runs on a few images with the kernels of the full size, and those
// not hopeless at the full size.
func (m *meter) call(ctx context.Context, call Call, small, full []cases.Case, share time.Duration) (Entry, error) {
	key := call.Key()
	e := Entry{Key: key, Candidates: make([]Candidate, len(full))}
	trials, need := m.eligible(call, small, full, e.Candidates)
	if len(trials) == 1 {
		e.Chosen = trials[0].Variant
	}
	if len(trials) < 2 {
		return e, nil
	}
	lent, err := m.lend(need)
	defer lent.release()
	if err != nil {
		m.unmeasured(key, err)
		return Entry{}, nil
	}
	from := time.Now()
	images := full[0].In.N
	err = m.run(ctx, lent, key, small, images, trials, from.Add(share), func(trials []*trial) error {
		return m.predict(ctx, trials, float64(images)/float64(small[0].In.N))
	})
	if err != nil {
		return Entry{}, err
	}
	err = m.run(ctx, lent, key, full, images, trials, time.Time{}, func(trials []*trial) error {
		return m.roundRobin(ctx, trials, from.Add(share))
	})
	if err != nil {
		return Entry{}, err
	}
	m.remember(call, trials)
	e.choose()
	return e, nil
}

// eligible are the candidates that are tried, with the memory that they share; why the others are not is noted. What
// suits the adapter comes first, and what the others' results are compared with: time may be too short for the rest.
func (m *meter) eligible(call Call, small, full []cases.Case, candidates []Candidate) (trials []*trial, need ops.Need) {
	for i, c := range full {
		candidates[i].Variant = c.Variant
		err := c.Fits(m.d.Limits())
		if err == nil {
			err = small[i].Fits(m.d.Limits())
		}
		if err != nil {
			candidates[i].Dropped = err.Error()
			continue
		}
		if where := m.far[string(call.Pass)+"="+c.Variant]; where != "" {
			candidates[i].Dropped = fmt.Sprintf("took more than %d times as long as the fastest at %s", far, where)
			continue
		}
		need = need.Max(c.Need(m.d.Limits()))
		trials = append(trials, &trial{Candidate: &candidates[i]})
	}
	order := append(slices.Clone(ops.Preferred(m.d.Adapter)), "naive")
	rank := func(t *trial) int {
		if i := slices.Index(order, t.Variant); i >= 0 {
			return i
		}
		if strings.HasSuffix(t.Variant, "straight") { // not preferred: it is another adapter's, and is long to compile
			return len(order) + 1
		}
		return len(order)
	}
	slices.SortStableFunc(trials, func(a, b *trial) int { return cmp.Compare(rank(a), rank(b)) })
	return trials, need
}

// predict tells from its time on a few images how long candidates take at so many times their number, and drops those
// that are hopeless.
func (m *meter) predict(ctx context.Context, trials []*trial, times float64) error {
	least := math.Inf(1)
	for _, t := range trials {
		took, err := m.sample(ctx, t, 1)
		if err != nil {
			return err
		}
		t.Predicted = 1e3 * took.Seconds() * times
		least = min(least, t.Predicted)
	}
	for _, t := range trials {
		if t.Predicted > hopeless*least && t.Predicted > float64(bounded.Milliseconds()) {
			t.Dropped = fmt.Sprintf("would take more than %d times as long as the fastest", hopeless)
		}
	}
	return nil
}

// loan is the memory that candidates share.
type loan struct {
	scratch           *ops.Scratch
	partial, unfolded *gpu.Buffer
}

func (m *meter) lend(n ops.Need) (l loan, err error) {
	if n.Scratch.Width > 0 {
		if l.scratch, err = ops.NewScratch(m.d, n.Scratch); err != nil {
			return l, err
		}
	}
	if l.partial, err = m.d.NewBuffer("partial sums", n.Partial); err != nil {
		return l, err
	}
	l.unfolded, err = m.d.NewBuffer("unfolded activation", n.Unfolded)
	return l, err
}

func (l loan) release() {
	if l.scratch != nil {
		l.scratch.Release()
	}
	l.partial.Release()
	l.unfolded.Release()
}

// run records the candidates that are still in on one memory, runs each once, drops those whose results are wrong, and
// hands the others to measure. batch is the largest batch, for which the kernels are made. After end, unless it is
// zero, only two are tried: one alone could not be judged.
func (m *meter) run(ctx context.Context, lent loan, key string, entries []cases.Case, batch int, all []*trial,
	end time.Time, measure func([]*trial) error) error {
	trials := in(all)
	if len(trials) == 0 {
		return nil
	}
	mem, err := entries[0].Allocate(&ops.Recorder{Dev: m.d, Scratch: lent.scratch, Partial: lent.partial,
		Unfolded: lent.unfolded})
	if err != nil {
		m.unmeasured(key, err)
		drop(trials, "the adapter has no room for it")
		return nil
	}
	defer mem.Release()
	mem.Batch = batch
	if err := m.fill(mem, entries[0].Operands, false); err != nil {
		return err
	}
	for i, t := range trials {
		if i >= 2 && !end.IsZero() && time.Now().After(end) {
			t.Dropped = "no time left to try it"
			continue
		}
		c := entries[slices.IndexFunc(entries, func(c cases.Case) bool { return c.Variant == t.Variant })]
		own := *mem.Recorder
		t.tape = m.d.NewTape(key + " by " + t.Variant)
		defer t.tape.Release()
		own.Tape = t.tape
		memory := *mem
		memory.Recorder = &own
		if err = c.Record(&memory); err == nil {
			err = t.tape.Finish()
		}
		if err != nil {
			m.Warn(fmt.Sprintf("variant %s of %s can't run on %s and is left out: %v", t.Variant, key, m.d.Adapter.Name, err))
			t.Dropped = err.Error()
			continue
		}
		if err := m.fill(mem, c.Operands, true); err != nil {
			return err
		}
		if t.once, err = m.sample(ctx, t, 1); err != nil {
			return err
		}
		if t.out, err = m.outputs(mem, c.Operands); err != nil {
			return err
		}
	}
	trials = in(trials)
	m.judge(key, entries[0].Operands, trials)
	for _, t := range trials {
		t.out = nil
	}
	if trials = in(trials); len(trials) == 0 {
		return nil
	}
	return measure(trials)
}

func in(trials []*trial) []*trial {
	return slices.DeleteFunc(slices.Clone(trials), func(t *trial) bool { return t.Dropped != "" })
}

func drop(trials []*trial, why string) {
	for _, t := range trials {
		t.Dropped = why
	}
}

func (m *meter) unmeasured(key string, err error) {
	m.Warn(fmt.Sprintf("%s can't be measured and takes the usual kernel: %v", key, err))
}

// sample runs a candidate so many times in one submit.
func (m *meter) sample(ctx context.Context, t *trial, repeats int) (time.Duration, error) {
	if ctx.Err() != nil {
		return 0, ctx.Err()
	}
	start := time.Now()
	if err := m.d.Submit(slices.Repeat([]*gpu.Tape{t.tape}, repeats)...); err != nil {
		return 0, err
	}
	if err := m.d.Wait(t.tape.Label); err != nil {
		return 0, err
	}
	return time.Since(start) / time.Duration(repeats), nil
}

// roundRobin takes samples of all candidates in turn, so that each sees the machine in other moments, and drops those
// that trail.
func (m *meter) roundRobin(ctx context.Context, trials []*trial, end time.Time) error {
	for round := 0; round < leastRounds || round < mostRounds && time.Now().Before(end) && len(trials) > 1; round++ {
		least := math.Inf(1)
		for _, t := range trials {
			repeats := max(1, min(mostRepeats, int(sampleTime/max(t.once, time.Microsecond))))
			took, err := m.sample(ctx, t, repeats)
			if err != nil {
				return err
			}
			t.once = min(t.once, took)
			t.Milliseconds = append(t.Milliseconds, 1e3*took.Seconds())
			least = min(least, t.Median())
		}
		for _, t := range trials {
			if t.Median() > trailing*least {
				t.Dropped = fmt.Sprintf("slower than %g times the fastest", trailing)
			}
		}
		trials = in(trials)
	}
	return nil
}
