package train

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"sync"
	"time"

	"ninvk/dataset"
)

// Controls steer a run while it goes on. Their methods may be called from any goroutine and return at once; the run
// looks between two steps.
type Controls struct {
	// Told is told that the run has paused, or goes on, after which step; nil: nobody wants to know.
	Told func(paused bool, step int)

	mu     sync.Mutex
	wishes wishes
	wake   chan struct{} // closed when there is something new
}

// wishes are what was asked for and is not done yet.
type wishes struct {
	paused  bool
	changes []change
	saves   []func(Snapshot, error)
}

// change is of the settings that may change in a run.
type change struct {
	rate    float64
	augment string
}

// Pause has the run wait after the step under way.
func (c *Controls) Pause() { c.wish(func(w *wishes) { w.paused = true }) }

// Continue ends the pause.
func (c *Controls) Continue() { c.wish(func(w *wishes) { w.paused = false }) }

// Change sets the learning rate that the schedule scales, and how images are varied, for the steps to come. The error
// is a *UsageError.
func (c *Controls) Change(rate float64, augment string) error {
	if !(rate > 0) || math.IsInf(rate, 0) {
		return &UsageError{"--lr", strconv.FormatFloat(rate, 'g', -1, 64), "a number above 0 is expected"}
	}
	if _, err := dataset.ParseAugment(augment); err != nil {
		return &UsageError{"--augment", augment, err.Error()}
	}
	c.wish(func(w *wishes) { w.changes = append(w.changes, change{rate, augment}) })
	return nil
}

// Snapshot is a run as one file that Unpack takes.
type Snapshot struct {
	File []byte
	Step int           // after which it is so
	Took time.Duration // for which the run stood still
}

// Save hands the run as it is after the step under way to f, or an error. f is called by the run and should return at
// once; it is not called where the run ends before.
func (c *Controls) Save(f func(Snapshot, error)) {
	c.wish(func(w *wishes) { w.saves = append(w.saves, f) })
}

func (c *Controls) wish(f func(*wishes)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f(&c.wishes)
	if c.wake != nil {
		close(c.wake)
		c.wake = nil
	}
}

// take is what is wished, which is then no longer so, but for the pause; news is closed when there is more.
func (c *Controls) take() (w wishes, news <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	w = c.wishes
	c.wishes = wishes{paused: w.paused}
	if c.wake == nil {
		c.wake = make(chan struct{})
	}
	return w, c.wake
}

// steer does what the controls ask for between two steps, and waits while they pause the run.
func (l *loop) steer(ctx context.Context) error {
	if l.Controls == nil {
		return nil
	}
	var since time.Time // of the pause
	for ctx.Err() == nil {
		w, news := l.Controls.take()
		if !w.paused && !since.IsZero() {
			l.epochStart = l.epochStart.Add(time.Since(since)) // which is no training
			since = time.Time{}
			l.last = time.Now()
			l.tellPaused(false)
		}
		if len(w.changes)+len(w.saves) > 0 || w.paused {
			// What was done under the settings of before is recorded under them.
			if err := l.collect(l.net.Drain()); err != nil {
				return err
			}
		}
		for _, c := range w.changes {
			l.Config.LR, l.Config.Augment = c.rate, c.augment
			l.augment, _ = dataset.ParseAugment(c.augment) // as Change did
			l.kept = nil                                   // a checkpoint of this step has the old ones
		}
		for _, f := range w.saves {
			f(l.packed())
		}
		if !w.paused {
			return nil
		}
		if since.IsZero() {
			since = time.Now()
			l.tellPaused(true)
		}
		select {
		case <-news:
		case <-ctx.Done():
		}
	}
	return nil
}

func (l *loop) tellPaused(paused bool) {
	if l.Controls.Told != nil {
		l.Controls.Told(paused, l.step)
	}
}

// packed is the run after its last step.
func (l *loop) packed() (Snapshot, error) {
	begun := time.Now()
	if _, err := l.checkpoint(); err != nil {
		return Snapshot{}, err
	}
	if err := l.waitWriting(); err != nil {
		return Snapshot{}, err
	}
	b, err := Pack(l.run.Dir())
	if err != nil {
		return Snapshot{}, fmt.Errorf("packing the run: %w", err)
	}
	return Snapshot{b, l.step, time.Since(begun)}, nil
}
