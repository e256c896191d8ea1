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
	Part     any    // what the command belongs to, as Tape.Part said
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
	r := Timings{Submits: 1}
	if err := t.Finish(); err != nil {
		return r, err
	}
	var commands []int // indices in the tape
	for i := range t.commands {
		if c := &t.commands[i]; !c.split {
			commands = append(commands, i)
			r.Commands = append(r.Commands, Timing{Part: c.part, Label: c.label, Dispatch: c.kernel != nil})
		} else if i+1 < len(t.commands) {
			r.Submits++
		}
	}
	latency, err := d.SubmitLatency(20)
	if err != nil {
		return r, err
	}
	idle := time.Duration(median(latency) * float64(time.Second))
	least := make([]time.Duration, len(commands)) // of a single run, so far
	run := func(i, repeats int, wait time.Duration) (time.Duration, error) {
		if ctx.Err() != nil {
			return 0, ctx.Err()
		}
		took, err := d.timeSubmit(r.Commands[i].Label, wait, func() {
			for range repeats {
				d.player.encode(t.reel, commands[i], commands[i]+1)
			}
		})
		return max(took-idle, time.Microsecond) / time.Duration(repeats), err
	}
	// The first round lets the driver compile, the second says how often to repeat.
	for range 2 {
		for i := range commands {
			if least[i], err = run(i, 1, 0); err != nil {
				return r, err
			}
		}
	}
	start := time.Now()
	for round := range o.Rounds {
		if round >= o.Least && time.Since(start) > o.Budget {
			break
		}
		for i := range commands {
			repeats := max(1, min(mostRepeats, int(o.Submit/least[i])))
			took, err := run(i, repeats, least[i]*time.Duration(repeats)*3/4)
			if err != nil {
				return r, err
			}
			least[i] = min(least[i], took)
			r.Commands[i].Seconds = append(r.Commands[i].Seconds, took.Seconds())
		}
		if o.Whole {
			host, whole, err := d.timeWhole(t)
			if err != nil {
				return r, err
			}
			r.Host, r.Whole = append(r.Host, host.Seconds()), append(r.Whole, whole.Seconds())
		}
		if o.Progress != nil {
			o.Progress(round+1, o.Rounds)
		}
	}
	return r, nil
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
