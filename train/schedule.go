package train

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Schedule is how the learning rate changes over a run.
type Schedule interface {
	// LR is the learning rate of one step, from the configured rate base.
	// step and epoch count from 0: the first step of a run is step 0 of
	// epoch 0. Beyond the totals the last value holds.
	LR(base float64, step, totalSteps, epoch, totalEpochs int) float64
	// String is the text that ParseSchedule takes.
	String() string
}

// ParseSchedule reads step:EPOCHS:FACTOR (× FACTOR every EPOCHS epochs),
// cosine (down to 0 along half a cosine), onecycle (30 % linear warm-up from
// 1/25 of the rate, then along half a cosine to 1/10000) or constant. Anything
// else is a *UsageError.
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
	case given:
	case name == "cosine":
		return cosineSchedule{}, nil
	case name == "onecycle":
		return oneCycleSchedule{}, nil
	case name == "constant":
		return constantSchedule{}, nil
	}
	return bad("no such schedule; known are step:EPOCHS:FACTOR, cosine, onecycle, constant")
}

type stepSchedule struct {
	epochs int
	factor float64
}

func (s stepSchedule) LR(base float64, _, _, epoch, _ int) float64 {
	return base * math.Pow(s.factor, float64(max(epoch, 0)/s.epochs))
}

func (s stepSchedule) String() string { return fmt.Sprintf("step:%d:%v", s.epochs, s.factor) }

type cosineSchedule struct{}

func (cosineSchedule) LR(base float64, step, totalSteps, _, _ int) float64 {
	return halfCosine(base, 0, share(float64(step), float64(totalSteps)))
}

func (cosineSchedule) String() string { return "cosine" }

type oneCycleSchedule struct{}

func (oneCycleSchedule) LR(base float64, step, totalSteps, _, _ int) float64 {
	last := float64(totalSteps - 1)
	peak := 0.3 * last
	s := float64(step)
	if s < peak {
		start := base / 25
		return start + (base-start)*share(s, peak)
	}
	return halfCosine(base, base/1e4, share(s-peak, last-peak))
}

func (oneCycleSchedule) String() string { return "onecycle" }

type constantSchedule struct{}

func (constantSchedule) LR(base float64, _, _, _, _ int) float64 { return base }

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
