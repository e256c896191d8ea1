package bench

import (
	"context"
	"fmt"
	"time"

	"ninvk/gpu"
)

// Step says how far the times of the operators explain that of the whole step. All figures are medians over the same
// rounds.
type Step struct {
	Model string `json:"model"`
	Size  int    `json:"size"` // pixels a side of the images
	Batch int    `json:"batch"`
	Step  string `json:"step"`

	Milliseconds float64 `json:"milliseconds"` // of the whole step, submitted and waited for
	Spread       float64 `json:"spread"`
	Operators    float64 `json:"operators_milliseconds"` // sum over the operators, launches included, of each round
	Launch       float64 `json:"launch_milliseconds"`    // part of it: launching the dispatches
	Host         float64 `json:"host_milliseconds"`      // encoding the commands before the adapter begins
	Submit       float64 `json:"submit_milliseconds"`    // latency of the submits
	// what is left; below 0 where operators run faster in the step than alone
	Gaps       float64 `json:"gaps_milliseconds"`
	Submits    int     `json:"submits"`
	Dispatches int     `json:"dispatches"`
}

// Explained is the sum of the operators over the time of the step.
func (s Step) Explained() float64 { return s.Operators / s.Milliseconds }

// profile times the commands of a step one by one, and the step as a whole in between.
func (s *subject) profile(ctx context.Context, l Limits) ([]Operator, Step, error) {
	tape, err := s.net.Tape(s.images, s.entries, s.train)
	if err != nil {
		return nil, Step{}, err
	}
	stage := fmt.Sprintf("operators of the %s step, %s, batch %d", s.step(), s.Model, len(s.entries))
	s.Progress(stage, 0, 1)
	r, err := s.dev.Time(ctx, tape, gpu.TimingOptions{
		Whole: true, Submit: 10 * time.Millisecond, Rounds: 20, Least: 3, Budget: s.Budget,
		Progress: func(done, total int) { s.Progress(stage, done, total) },
	})
	if err != nil {
		return nil, Step{}, err
	}
	rows := operators(r.Commands, l)
	whole := sampled(r.Whole)
	step := Step{
		Model: s.Model, Size: s.Size, Batch: len(s.entries), Step: s.step(), Submits: r.Submits,
		Milliseconds: 1e3 * whole.Median, Spread: whole.Spread(), Host: 1e3 * sampled(r.Host).Median,
		Submit: 1e3 * l.SubmitSeconds * float64(r.Submits),
	}
	sums := make([]float64, len(r.Whole)) // round by round, so that a busy moment is in both
	for i, o := range rows {
		rows[i].Model, rows[i].Batch, rows[i].Step = step.Model, step.Batch, step.Step
		step.Dispatches += o.Dispatches
		for k, ms := range o.Samples {
			sums[k] += ms
		}
	}
	step.Operators = sampled(sums).Median
	step.Launch = 1e3 * l.DispatchSeconds * float64(step.Dispatches)
	step.Gaps = step.Milliseconds - step.Operators - step.Host - step.Submit
	return rows, step, nil
}
