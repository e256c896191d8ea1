package bench

import (
	"context"
	"fmt"
	"io"
	"math"
	"slices"
	"time"

	"ninvk/dist"
)

// Exchanged is where the time of a training step goes that several processes share out; its JSON field names are a
// promise. Times are medians over steps, in milliseconds.
type Exchanged struct {
	Model  string `json:"model"`
	Size   int    `json:"size"`  // pixels a side of the images
	Batch  int    `json:"batch"` // images a step, of all ranks
	Ranks  int    `json:"ranks"` // 1: none but this process, beside which another is pretended
	Shards int    `json:"shards"`

	Step      float64 `json:"step_ms"`
	Computing float64 `json:"computing_ms"` // until a rank's own sums were there, the mean over the ranks
	Waiting   float64 `json:"waiting_ms"`   // from then on until the slowest rank's were
	Exchange  float64 `json:"exchange_ms"`  // from then on until the sums of all were: what computing does not hide
	Images    float64 `json:"images_per_second"`

	Sums     int     `json:"bytes_summed"` // a step
	Sent     float64 `json:"bytes_sent"`   // by each rank, a step
	Messages int     `json:"messages"`     // that these go in

	Latency   float64    `json:"latency_ms"`                 // of a message between two ranks
	Bandwidth float64    `json:"bytes_per_second,omitempty"` // 0: too fast to tell
	Measured  bool       `json:"link_measured"`
	Forecasts []Forecast `json:"forecasts"`
}

// Forecast is a step of so many ranks, each of which computes as many images as those measured.
type Forecast struct {
	Ranks      int     `json:"ranks"`
	Step       float64 `json:"step_ms"`
	Exchange   float64 `json:"exchange_ms"` // of it, not hidden by computing
	Images     float64 `json:"images_per_second"`
	Efficiency float64 `json:"efficiency"` // of that of as many ranks which exchange nothing
}

// mostForecast is the largest number of ranks that is forecast.
const mostForecast = 64

// Step times of a rank, of one step.
type stepTimes struct {
	Whole, Own, Summed time.Duration   // the step; until the rank's own sums were there; until those of all were
	Left               []time.Duration // when each message left
}

// pretended is a group of two of which this process is the one, and of which nothing is known but how long a sum takes.
type pretended struct{ dist.Group }

func (pretended) Size() int                             { return 2 }
func (pretended) Begin([]float32) (dist.Pending, error) { return pretendedSum{}, nil }
func (pretended) Gather(b []byte) ([][]byte, error)     { return [][]byte{b, b}, nil }

type pretendedSum struct{}

func (pretendedSum) Wait() error { return nil }

// Distributed measures training steps that the ranks of a group share out, b.Batch images each step. A link that is not
// nil takes the place of the one measured in the forecast; a process alone needs one. All ranks get the same.
func (b *Bench) Distributed(ctx context.Context, g dist.Group, link *dist.Link) (Exchanged, error) {
	group := g
	if g.Size() == 1 {
		group = pretended{g}
	}
	e := Exchanged{Model: b.Model, Size: b.Size, Batch: b.Batch, Ranks: g.Size(), Shards: group.Size(),
		Measured: link == nil}
	s, err := b.buildIn(ctx, b.Batch, true, group)
	if err != nil {
		return e, err
	}
	defer s.release()
	own, err := s.exchanging(ctx, g)
	if err != nil {
		return e, err
	}
	all, err := dist.Values(g, own)
	if err != nil {
		return e, err
	}
	messages, _ := s.net.Messages()
	for _, m := range messages {
		e.Sums += m.Bytes
	}
	e.Messages, e.Sent = len(messages), dist.Traffic(e.Sums, group.Size())
	slowest := e.divide(all)
	messages = slowest.leaving(messages)
	if link == nil {
		l, err := dist.Measure(g, messages)
		if err != nil {
			return e, err
		}
		link = &l
	}
	if e.Latency = 1e3 * link.Latency.Seconds(); !math.IsInf(link.Bandwidth, 1) {
		e.Bandwidth = link.Bandwidth
	}
	for ranks := 2; ranks <= mostForecast; ranks *= 2 {
		e.Forecasts = append(e.Forecasts, forecast(*link, slowest, messages, ranks, b.Batch/group.Size()))
	}
	return e, nil
}

// exchanging runs steps, one after the other, and says how long each took.
func (s *subject) exchanging(ctx context.Context, g dist.Group) ([]stepTimes, error) {
	const before, most = 3, 40 // in the first steps drivers compile
	var times []stepTimes
	begun := time.Now()
	for i := 0; ; i++ {
		// All go on while none wants to stop and there is time for all.
		over := []float32{0}
		if ctx.Err() != nil || i >= before+most || i >= before+leastSamples && time.Since(begun) > 2*sampleBudget {
			over[0] = 1
		}
		if err := dist.Sum(g, over); err != nil {
			return nil, err
		}
		if over[0] > 0 {
			return times, ctx.Err()
		}
		s.Progress("training together", i, before+most)
		start := time.Now()
		if err := s.submit(); err != nil {
			return nil, err
		}
		messages, summed := s.net.Messages()
		if err := s.net.Wait(); err != nil { // the update is part of the step
			return nil, err
		}
		if i < before {
			begun = time.Now()
			continue
		}
		t := stepTimes{Whole: time.Since(start), Summed: summed}
		for _, m := range messages {
			t.Left = append(t.Left, m.After)
		}
		t.Own = slices.Max(t.Left)
		times = append(times, t)
	}
}

// divide divides the steps of all ranks into computing, waiting and exchange, and returns what the slowest rank of each
// step took. All begin a step together, for none goes on before it has the sums of the step before.
func (e *Exchanged) divide(all [][]stepTimes) stepTimes {
	var whole, own, wait, exchange, slow, after []float64
	left := make([][]float64, len(all[0][0].Left))
	for i := range all[0] {
		latest, mean, summed, longest := all[0][i], 0.0, time.Duration(0), time.Duration(0)
		for _, rank := range all {
			t := rank[i]
			mean += t.Own.Seconds() / float64(len(all))
			if t.Own > latest.Own {
				latest = t
			}
			summed, longest = max(summed, t.Summed), max(longest, t.Whole)
		}
		whole = append(whole, longest.Seconds())
		own = append(own, mean)
		wait = append(wait, latest.Own.Seconds()-mean)
		exchange = append(exchange, max(0, summed-latest.Own).Seconds())
		slow = append(slow, latest.Own.Seconds())
		after = append(after, max(0, longest-summed).Seconds())
		for j, l := range latest.Left {
			left[j] = append(left[j], l.Seconds())
		}
	}
	e.Step, e.Computing, e.Waiting = 1e3*sampled(whole).Median, 1e3*sampled(own).Median, 1e3*sampled(wait).Median
	e.Exchange = 1e3 * sampled(exchange).Median
	e.Images = float64(e.Batch) / sampled(whole).Median
	seconds := func(v []float64) time.Duration { return time.Duration(sampled(v).Median * float64(time.Second)) }
	t := stepTimes{Own: seconds(slow), Whole: seconds(slow) + seconds(after)}
	for _, l := range left {
		t.Left = append(t.Left, seconds(l))
	}
	return t
}

// leaving are the messages as they left in this step.
func (t stepTimes) leaving(messages []dist.Message) []dist.Message {
	for i, left := range t.Left {
		messages[i].After = left
	}
	return messages
}

// forecast is a step of ranks joined by a link, of which each computes as the one given, whose Whole is without any
// exchange.
func forecast(link dist.Link, one stepTimes, messages []dist.Message, ranks, images int) Forecast {
	shown := link.Shown(messages, ranks)
	step := one.Whole + shown
	return Forecast{Ranks: ranks, Step: 1e3 * step.Seconds(), Exchange: 1e3 * shown.Seconds(),
		Images: float64(ranks*images) / step.Seconds(), Efficiency: one.Whole.Seconds() / step.Seconds()}
}

// WriteTable prints what was measured as tables that a person reads.
func (e Exchanged) WriteTable(w io.Writer) error {
	p := &printer{w: w}
	p.line("%s at %d×%[2]d pixels, %d images a step in %d shards, ", e.Model, e.Size, e.Batch, e.Shards)
	if e.Ranks == 1 {
		p.line("one of two ranks, of which the other is pretended\n\n")
	} else {
		p.line("%d ranks\n\n", e.Ranks)
	}
	p.table(func(t io.Writer) {
		fmt.Fprintf(t, "where a step goes\tms\n")
		fmt.Fprintf(t, "computing\t%.2f\tmean over the ranks\n", e.Computing)
		fmt.Fprintf(t, "waiting\t%.2f\tfor the slowest rank\n", e.Waiting)
		fmt.Fprintf(t, "exchange\t%.2f\tbeyond what computing hides\n", e.Exchange)
		fmt.Fprintf(t, "step\t%.2f\twith the update; %.1f images/s\n", e.Step, e.Images)
	})
	p.line("%.3f MB are summed a step, in %d messages; each rank sends %.3f MB\n", float64(e.Sums)/1e6, e.Messages,
		e.Sent/1e6)
	from := "as given"
	if e.Measured {
		from = "measured"
	}
	rate := "and bytes go too fast to tell"
	if e.Bandwidth > 0 {
		rate = fmt.Sprintf("%.1f MB/s", e.Bandwidth/1e6)
	}
	p.line("between ranks (%s): %.3f ms for a message, %s\n\n", from, e.Latency, rate)
	p.table(func(t io.Writer) {
		fmt.Fprintf(t, "ranks\tstep ms\texchange ms\timages/s\tefficiency\n")
		for _, f := range e.Forecasts {
			fmt.Fprintf(t, "%d\t%.2f\t%.2f\t%.1f\t%.0f %%", f.Ranks, f.Step, f.Exchange, f.Images, 100*f.Efficiency)
			if f.Ranks == e.Ranks {
				fmt.Fprintf(t, "\tmeasured: %.2f ms, %+.0f %%", e.Step, 100*(f.Step/e.Step-1))
			}
			fmt.Fprintln(t)
		}
	})
	p.line("a forecast, for ranks that each compute %d images a step on an adapter of their own; efficiency is against\n"+
		"ranks that exchange nothing\n", e.Batch/max(e.Ranks, min(e.Shards, 2)))
	return p.err
}
