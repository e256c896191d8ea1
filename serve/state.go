package serve

import (
	"encoding/json"
	"log/slog"
	"math"
	"strconv"
	"sync"
	"time"

	"ninvk/dataset"
	"ninvk/picture"
	"ninvk/train"
)

// States of a run. The last three are final.
const (
	preparing   = "preparing"
	reading     = "reading"
	training    = "training"
	evaluating  = "evaluating"
	finished    = "finished"
	interrupted = "interrupted"
	failed      = "failed"
)

// state is all that the page shows. Versions count the changes of what is sent as a whole.
type state struct {
	run      run
	status   status
	steps    steps
	epochs   epochs
	verdicts []verdict
	filters  *filters

	runVersion, verdictsVersion, filtersVersion int

	begun   time.Time // when this process began to train
	before  int       // steps done by earlier ones
	stepped time.Time // when the last step was reported
	ended   time.Time // zero while the run goes on
}

// run is what does not change in a run.
type run struct {
	train.RunInfo
	Dir           string       `json:"dir"`
	Settings      train.Config `json:"settings"`
	StepsPerEpoch int          `json:"steps_per_epoch"`
	TrainImages   int          `json:"train_images"`
	TestImages    int          `json:"test_images"`
	Classes       []string     `json:"classes"`
	Samples       []sample     `json:"samples"`
}

// status is how far the run is.
type status struct {
	State       string   `json:"state"`
	Message     string   `json:"message,omitempty"` // of a final state
	Step        int      `json:"step"`
	Steps       int      `json:"steps"`
	Epoch       int      `json:"epoch"`
	Epochs      int      `json:"epochs"`
	Seconds     float64  `json:"seconds"`                // since this process began to train
	SecondsLeft *float64 `json:"seconds_left,omitempty"` // nil: not known yet
	Waited      float64  `json:"waited,omitempty"`       // of the seconds, for images to be read
	Split       string   `json:"split,omitempty"`        // being evaluated
	Done        int      `json:"done,omitempty"`         // images of it
	Total       int      `json:"total,omitempty"`
}

// now is the status with its times.
func (s *state) now() status {
	x := s.status
	if s.begun.IsZero() {
		return x
	}
	if !s.ended.IsZero() {
		x.Seconds = s.ended.Sub(s.begun).Seconds()
		return x
	}
	x.Seconds = time.Since(s.begun).Seconds()
	if done := x.Step - s.before; done > 0 && !s.stepped.IsZero() {
		work := s.run.Settings.Work
		pace := s.stepped.Sub(s.begun).Seconds() / work(s.before, x.Step, x.Steps)
		left := max(0, pace*work(x.Step, x.Steps, x.Steps)-time.Since(s.stepped).Seconds())
		x.SecondsLeft = &left
	}
	return x
}

// steps is the curve of the steps, thinned: a point stands for width steps.
type steps struct {
	width  int
	points []point
}

// mostPoints is the number of points beyond which a curve is thinned.
const mostPoints = 2000

// point is the mean of the steps from first to last.
type point struct {
	first, last int
	n           float64
	loss        float64 // sum
	rate        float64 // learning rate of the last
	pace        float64 // sum of seconds an image
}

// MarshalJSON writes [last step, mean loss, learning rate, images a second], null for what is no number.
func (p point) MarshalJSON() ([]byte, error) {
	b := strconv.AppendInt([]byte{'['}, int64(p.last), 10)
	for _, v := range []float64{p.loss / p.n, p.rate, p.n / p.pace} {
		b = append(b, ',')
		if math.IsNaN(v) || math.IsInf(v, 0) {
			b = append(b, "null"...)
		} else {
			b = strconv.AppendFloat(b, v, 'g', 6, 64)
		}
	}
	return append(b, ']'), nil
}

func (p point) plus(q point) point {
	return point{p.first, q.last, p.n + q.n, p.loss + q.loss, q.rate, p.pace + q.pace}
}

// add adds a step, and returns the place of the first point that has changed. Steps that are done again, after a
// rollback, take the place of the former ones.
func (s *steps) add(r train.StepRecord) int {
	s.width = max(1, s.width)
	n := len(s.points)
	for n > 0 && s.points[n-1].last >= r.Step {
		n--
	}
	s.points = s.points[:n]
	p := point{r.Step, r.Step, 1, r.Loss, r.LearningRate, 1 / r.ImagesPerSecond}
	if n > 0 && s.together(s.points[n-1], p) {
		s.points[n-1] = s.points[n-1].plus(p)
		return n - 1
	}
	s.points = append(s.points, p)
	if len(s.points) <= mostPoints {
		return n
	}
	s.width *= 2
	kept := s.points[:1]
	for _, p := range s.points[1:] {
		if last := &kept[len(kept)-1]; s.together(*last, p) {
			*last = last.plus(p)
		} else {
			kept = append(kept, p)
		}
	}
	s.points = kept
	return 0
}

func (s *steps) together(p, q point) bool { return (p.first-1)/s.width == (q.first-1)/s.width }

// epochs is the list of epochs, thinned: the numbers of all but the newest are multiples of every.
type epochs struct {
	every int
	list  []epoch
}

// mostEpochs is the number of epochs beyond which half of them are dropped.
const mostEpochs = 1000

// epoch is an epoch's line.
type epoch struct {
	train.EpochRecord
	Step int // its last
}

// MarshalJSON implements json.Marshaler.
func (e epoch) MarshalJSON() ([]byte, error) {
	fields := e.Fields()
	fields["step"] = e.Step
	return json.Marshal(fields)
}

// from drops the epochs from a number on, and returns how many are left.
func (s *epochs) from(number int) int {
	n := len(s.list)
	for n > 0 && s.list[n-1].Epoch >= number {
		n--
	}
	s.list = s.list[:n]
	return n
}

// add adds an epoch, and returns the first place that has changed.
func (s *epochs) add(e epoch) int {
	s.every = max(1, s.every)
	n := s.from(e.Epoch)
	if n > 0 && s.list[n-1].Epoch%s.every != 0 {
		n--
	}
	s.list = append(s.list[:n], e)
	if len(s.list) <= mostEpochs {
		return n
	}
	s.every *= 2
	var kept []epoch
	for i, x := range s.list {
		if x.Epoch%s.every == 0 || i == len(s.list)-1 {
			kept = append(kept, x)
		}
	}
	s.list = kept
	return 0
}

// measured is nil for NaN.
func measured(v float64) *float64 {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return nil
	}
	return &v
}

// addStep adds a step; epochs that it begins anew, after a rollback, are dropped.
func (s *Server) addStep(r train.StepRecord) {
	changed, epochs := s.steps.add(r), s.epochs.from(r.Epoch)
	for c := range s.clients {
		c.steps, c.epochs = min(c.steps, changed), min(c.epochs, epochs)
	}
}

func (s *Server) addEpoch(e train.EpochRecord) {
	step := s.status.Step
	if n := len(s.steps.points); n > 0 {
		step = s.steps.points[n-1].last
	}
	if e.Epoch*s.run.StepsPerEpoch < step { // one of before
		step = e.Epoch * s.run.StepsPerEpoch
	}
	changed := s.epochs.add(epoch{e, step})
	for c := range s.clients {
		c.epochs = min(c.epochs, changed)
	}
}

// sample is a test image.
type sample struct {
	Image string `json:"image"` // a PNG as a data URL
	True  int    `json:"true"`
}

func newSamples(s dataset.Split) []sample {
	var out []sample
	for i := range min(train.ObservedImages, s.Len()) {
		img, err := s.Image(i)
		if err != nil {
			slog.Warn("the page lacks the test images", "error", err)
			return out
		}
		out = append(out, sample{picture.SampleURL(img), int(s.Labels[i])})
	}
	return out
}

// verdict is what the network says about a sample, after an epoch.
type verdict struct {
	Epoch       int      `json:"epoch"`
	Predicted   int      `json:"predicted"`
	Probability *float64 `json:"probability"` // nil where the logits are no numbers
}

func newVerdicts(o train.Observation) []verdict {
	var out []verdict
	for _, v := range o.Verdicts {
		out = append(out, verdict{o.Epoch, v.Predicted, measured(v.Probability)})
	}
	return out
}

// filters is a picture of the first layer's filters; it is drawn when the first browser asks for it.
type filters struct {
	epoch, m, c, k int
	layer          string
	weights        []float32
	drawn          sync.Once
	url            string
}

func newFilters(o train.Observation) *filters {
	one := o.Conv.C * o.Conv.K * o.Conv.K
	return &filters{epoch: o.Epoch, m: o.Conv.M, c: o.Conv.C, k: o.Conv.K, layer: o.Layer,
		weights: append([]float32(nil), o.Filters[:o.Conv.M*one]...)}
}

// MarshalJSON draws the picture, once.
func (f *filters) MarshalJSON() ([]byte, error) {
	f.drawn.Do(func() { f.url = picture.DataURL(picture.FilterRows(f.m, f.c, f.k, f.weights)) })
	return json.Marshal(map[string]any{"epoch": f.epoch, "layer": f.layer, "count": f.m, "size": f.k, "image": f.url})
}
