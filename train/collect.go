package train

import (
	"fmt"
	"log/slog"
	"math"
	"time"

	"ninvk/nn"
)

// collect takes the results of steps, in order, to the metrics and the reporter; then err, which came with them, is
// returned.
func (l *loop) collect(results []nn.StepResult, err error) error {
	for _, r := range results {
		p := l.pending[0]
		s := p.StepRecord
		l.pending = l.pending[1:]
		now := time.Now()
		took := max(now.Sub(l.last), p.submitting, time.Microsecond)
		s.Loss, s.GradientNorm, s.ImagesPerSecond = r.Loss, r.GradientNorm, float64(p.images)/took.Seconds()
		l.last = now
		l.steps = append(l.steps, s)
		if err := l.run.WriteStep(s); err != nil {
			return err
		}
		l.Report.Step(s)
		if reason := divergence(r); reason != "" {
			return &DivergedError{Step: s.Step, Loss: s.Loss, Reason: reason, weights: s.Step - 1}
		}
		l.watchDead(s)
		l.markCheckpoint(s.Step)
	}
	return err
}

func broken(v float64) bool { return math.IsNaN(v) || math.IsInf(v, 0) }

// divergence says what in a step's result is no longer a number, "" where all is well.
func divergence(r nn.StepResult) string {
	switch {
	case broken(r.Loss):
		return fmt.Sprintf("the loss is %v", r.Loss)
	case r.NotFinite > 0:
		return fmt.Sprintf("%d gradients or weights are NaN or infinite", r.NotFinite)
	case broken(r.GradientNorm):
		return fmt.Sprintf("the norm of the gradients is %v", r.GradientNorm)
	}
	return ""
}

// watchDead warns once where the loss sits at that of a network which knows nothing.
func (l *loop) watchDead(s StepRecord) {
	classes := len(l.Data.Classes)
	if math.Abs(s.Loss-math.Log(float64(classes))) > 1e-4 {
		l.stuck = 0
		return
	}
	if l.stuck++; l.stuck == 200 {
		slog.Warn(fmt.Sprintf("the loss has been ln %d for 200 steps: the network is dead (every last ReLU gives 0); "+
			"try another --seed, a smaller --lr, or --model nin-bn", classes), "step", s.Step)
	}
}
