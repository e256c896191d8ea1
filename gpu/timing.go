package gpu

import (
	"context"
	"slices"
	"time"
)

// Timings are what Time measures.
type Timings struct {
	Commands []Timing
	Whole    []float64 // seconds of the tape as Submit runs it, waited for; one after each round
	Submits  int       // that the whole tape takes
	Host     []float64 // seconds of encoding its commands, part of Whole
}

// Timing is how long one command of a tape takes on the adapter.
type Timing struct {
	Phase    any    // what the command belongs to, as Tape.Phase said
	Label    string // kernel, or what is copied
	Dispatch bool   // a kernel, not a copy
	Seconds  []float64
}

// TimingOptions say how thoroughly Time measures.
type TimingOptions struct {
	Whole    bool          // run the tape as a whole, too
	Submit   time.Duration // a short command is repeated until its submit takes about so long
	Rounds   int           // at most so many samples of every command,
	Least    int           // but at least so many,
	Budget   time.Duration // and none begun after so long
	Progress func(done, total int)
}

// mostRepeats bounds the repetitions of one command in a submit.
const mostRepeats = 256

// Time runs the tape's commands one at a time, each in a submit of its own, round after round in the tape's order, so
// that every sample of a command sees the machine in another moment. Marks made by Split are passed over. A command's
// time is that of its submit less the latency of an empty one, over its repetitions; it contains the launch of the
// command. What the tape computes is of no use afterwards, as commands that add to their output ran more than once.
func (d *Device) Time(ctx context.Context, t *Tape, o TimingOptions) (Timings, error) {
	s := stopwatch{d: d, t: t, r: Timings{Submits: 1}}
	if err := s.list(); err != nil {
		return s.r, err
	}
	// The first round lets the driver compile, the second says how often to repeat.
	for range 2 {
		for i := range s.commands {
			var err error
			if s.least[i], err = s.run(ctx, i, 1, 0); err != nil {
				return s.r, err
			}
		}
	}
	start := time.Now()
	for round := range o.Rounds {
		if round >= o.Least && time.Since(start) > o.Budget {
			break
		}
		if err := s.round(ctx, o); err != nil {
			return s.r, err
		}
		if o.Progress != nil {
			o.Progress(round+1, o.Rounds)
		}
	}
	return s.r, nil
}

// stopwatch times a tape's commands.
type stopwatch struct {
	d        *Device
	t        *Tape
	r        Timings
	commands []int           // of the tape, by their place in it
	least    []time.Duration // that each took when it was submitted alone so far
	idle     time.Duration   // that an empty submit takes
}

// list finds the commands of the tape, which is finished.
func (s *stopwatch) list() error {
	if err := s.t.Finish(); err != nil {
		return err
	}
	for i := range s.t.commands {
		if c := &s.t.commands[i]; !c.split {
			s.commands = append(s.commands, i)
			s.r.Commands = append(s.r.Commands, Timing{Phase: c.phase, Label: c.label, Dispatch: c.kernel != nil})
		} else if i+1 < len(s.t.commands) {
			s.r.Submits++
		}
	}
	latency, err := s.d.SubmitLatency(20)
	if err != nil {
		return err
	}
	s.idle = time.Duration(median(latency) * float64(time.Second))
	s.least = make([]time.Duration, len(s.commands))
	return nil
}

// run submits a command so many times, and says how long one of them took.
func (s *stopwatch) run(ctx context.Context, i, repeats int, wait time.Duration) (time.Duration, error) {
	if ctx.Err() != nil {
		return 0, ctx.Err()
	}
	took, err := s.d.timeSubmit(s.r.Commands[i].Label, wait, func() {
		for range repeats {
			s.d.player.encode(s.t.reel, s.commands[i], s.commands[i]+1)
		}
	})
	return max(took-s.idle, time.Microsecond) / time.Duration(repeats), err
}

// round takes a sample of every command, and of the whole where it is wanted.
func (s *stopwatch) round(ctx context.Context, o TimingOptions) error {
	for i := range s.commands {
		repeats := max(1, min(mostRepeats, int(o.Submit/s.least[i])))
		took, err := s.run(ctx, i, repeats, s.least[i]*time.Duration(repeats)*3/4)
		if err != nil {
			return err
		}
		s.least[i] = min(s.least[i], took)
		s.r.Commands[i].Seconds = append(s.r.Commands[i].Seconds, took.Seconds())
	}
	if !o.Whole {
		return nil
	}
	host, whole, err := s.d.timeWhole(s.t)
	if err != nil {
		return err
	}
	s.r.Host, s.r.Whole = append(s.r.Host, host.Seconds()), append(s.r.Whole, whole.Seconds())
	return nil
}

// SubmitLatency is how long a submit of nothing and the wait for it take, in seconds, n times.
func (d *Device) SubmitLatency(n int) ([]float64, error) {
	out := make([]float64, n)
	for i := range out {
		took, err := d.timeSubmit("an empty submit", 0, func() {})
		if err != nil {
			return nil, err
		}
		out[i] = took.Seconds()
	}
	return out, nil
}

// Send hands queued writes to the adapter.
func (d *Device) Send(what string) error {
	d.last = what
	d.player.begin()
	d.player.submit()
	return d.player.err("submitting", what)
}

// Flush hands queued writes to the adapter and waits until they are done, so that what was written is no longer held
// for it.
func (d *Device) Flush(what string) error {
	_, err := d.timeSubmit(what, 0, func() {})
	return err
}

// timeSubmit encodes commands, submits them and waits. It waits before it begins to look: Wait looks the less often the
// longer it waits.
func (d *Device) timeSubmit(what string, wait time.Duration, encode func()) (time.Duration, error) {
	d.last = what
	d.player.begin()
	encode()
	start := time.Now()
	d.player.submit()
	if err := d.player.err("submitting", what); err != nil {
		return 0, err
	}
	sleep(wait)
	if err := d.Wait(what); err != nil {
		return 0, err
	}
	return time.Since(start), nil
}

// timeWhole submits the tape and waits: how long encoding it took the host, and how long all took. A software driver
// may run the kernels within Submit.
func (d *Device) timeWhole(t *Tape) (host, whole time.Duration, err error) {
	start := time.Now()
	d.player.submitting = 0
	if err := d.Submit(t); err != nil {
		return 0, 0, err
	}
	host = time.Since(start) - d.player.submitting
	err = d.Wait(t.Label)
	return host, time.Since(start), err
}

func median(v []float64) float64 {
	s := slices.Clone(v)
	slices.Sort(s)
	return (s[(len(s)-1)/2] + s[len(s)/2]) / 2
}
