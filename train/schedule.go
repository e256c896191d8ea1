package train

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Schedule is how the learning rate changes over a run.
type Schedule interface {
	// LR is the learning rate of one step, from the configured rate base. Beyond the totals the last value holds.
	LR(base float64, at Moment) float64
	// String is the text that ParseSchedule takes.
	String() string
}

// Moment is where in a run a step stands. Steps and epochs count from 0: the first step of a run is step 0 of epoch 0.
type Moment struct {
	Step, Steps   int // this one, and how many the run has
	Epoch, Epochs int
	TestLosses    []float64 // of the evaluations so far, at the run's own image size
}

// Schedules are the known schedules, as ParseSchedule takes them.
const Schedules = "step:EPOCHS:FACTOR, cosine, onecycle, plateau[:FACTOR:PATIENCE], constant"

// ParseSchedule reads step:EPOCHS:FACTOR (× FACTOR every EPOCHS epochs), cosine (down to 0 along half a cosine),
// onecycle (30 % linear warm-up from 1/25 of the rate, then along half a cosine to 1/10000), plateau:FACTOR:PATIENCE (×
// FACTOR when the test loss has not improved for more than PATIENCE evaluations; 0.1 and 10 where they are left out) or
// constant. Anything else is a *UsageError.
func ParseSchedule(spec string) (Schedule, error) {
	bad := func(problem string) (Schedule, error) {
		return nil, &UsageError{"--schedule", strconv.Quote(spec), problem}
	}
	name, arguments, given := strings.Cut(spec, ":")
	switch {
	case name == "step":
		every, factor, ok := strings.Cut(arguments, ":")
		if !ok {
			return bad("expected step:EPOCHS:FACTOR, such as step:10:0.6")
		}
		n, err := strconv.Atoi(every)
		if err != nil || n < 1 {
			return bad(fmt.Sprintf("the number of epochs is %q, expected a whole number from 1", every))
		}
		f, err := strconv.ParseFloat(factor, 64)
		if err != nil || !(f > 0 && f <= 1) {
			return bad(fmt.Sprintf("the factor is %q, expected a number above 0 and at most 1", factor))
		}
		return stepSchedule{n, f}, nil
	case name == "plateau":
		if !given {
			return plateauSchedule{0.1, 10}, nil
		}
		factor, patience, ok := strings.Cut(arguments, ":")
		if !ok {
			return bad("expected plateau or plateau:FACTOR:PATIENCE, such as plateau:0.1:10")
		}
		f, err := strconv.ParseFloat(factor, 64)
		if err != nil || !(f > 0 && f < 1) {
			return bad(fmt.Sprintf("the factor is %q, expected a number above 0 and below 1", factor))
		}
		n, err := strconv.Atoi(patience)
		if err != nil || n < 0 {
			return bad(fmt.Sprintf("the patience is %q, expected a whole number of evaluations from 0", patience))
		}
		return plateauSchedule{f, n}, nil
	case given:
	case name == "cosine":
		return cosineSchedule{}, nil
	case name == "onecycle":
		return oneCycleSchedule{}, nil
	case name == "constant":
		return constantSchedule{}, nil
	}
	return bad("no such schedule; known are " + Schedules)
}

type stepSchedule struct {
	epochs int
	factor float64
}

func (s stepSchedule) LR(base float64, at Moment) float64 {
	return base * math.Pow(s.factor, float64(max(at.Epoch, 0)/s.epochs))
}

func (s stepSchedule) String() string { return fmt.Sprintf("step:%d:%v", s.epochs, s.factor) }

type cosineSchedule struct{}

func (cosineSchedule) LR(base float64, at Moment) float64 {
	return halfCosine(base, 0, share(float64(at.Step), float64(at.Steps)))
}

func (cosineSchedule) String() string { return "cosine" }

type oneCycleSchedule struct{}

func (oneCycleSchedule) LR(base float64, at Moment) float64 {
	last := float64(at.Steps - 1)
	peak := 0.3 * last
	s := float64(at.Step)
	if s < peak {
		start := base / 25
		return start + (base-start)*share(s, peak)
	}
	return halfCosine(base, base/1e4, share(s-peak, last-peak))
}

func (oneCycleSchedule) String() string { return "onecycle" }

// plateauSchedule is PyTorch's ReduceLROnPlateau on the test loss, with its defaults for all but factor and patience.
type plateauSchedule struct {
	factor   float64
	patience int
}

func (s plateauSchedule) LR(base float64, at Moment) float64 {
	const (
		threshold = 1e-4 // share of the least loss by which another must be less to count
		leastStep = 1e-8 // smaller reductions are left out
	)
	rate, least, bad := base, math.Inf(1), 0
	for _, loss := range at.TestLosses {
		if loss < least*(1-threshold) {
			least, bad = loss, 0
			continue
		}
		if bad++; bad > s.patience {
			bad = 0
			if lower := rate * s.factor; rate-lower > leastStep {
				rate = lower
			}
		}
	}
	return rate
}

func (s plateauSchedule) String() string { return fmt.Sprintf("plateau:%v:%d", s.factor, s.patience) }

type constantSchedule struct{}

func (constantSchedule) LR(base float64, _ Moment) float64 { return base }

func (constantSchedule) String() string { return "constant" }

// share is a/b kept within 0 and 1; 0 where b is not positive.
func share(a, b float64) float64 {
	if b <= 0 {
		return 0
	}
	return min(max(a/b, 0), 1)
}

// halfCosine goes from a at t = 0 to b at t = 1 with level ends.
func halfCosine(a, b, t float64) float64 {
	return b + (a-b)*(1+math.Cos(math.Pi*t))/2
}
