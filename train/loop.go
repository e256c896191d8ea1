// Package train trains a network from a configuration. It has the loop over steps and epochs, its checkpoints and how a
// run goes on from them, what it does when it diverges, and the run folder, which holds metrics, weights and pictures.
package train

import (
	"image"
	"time"

	"ninvk/dataset"
	"ninvk/models"
	"ninvk/nn"
)

// pendingStep is a step whose result has not come yet. It takes the time from the result before it to its own; but
// results may come two at a time, and some software drivers do their work inside the submit, so it takes no less than
// the submit.
type pendingStep struct {
	StepRecord
	images     int
	submitting time.Duration
}

// loop is the state of a run.
type loop struct {
	*Job
	size          int   // of the images at the end of the run, pixels a side
	sizes         Sizes // before
	total         int   // steps of the run
	tuned         map[string]string
	net           *nn.Net
	run           *Run
	about         models.Metadata // what the weights are written with
	schedule      Schedule
	augment       dataset.Augment
	fit           dataset.Fit
	stepsPerEpoch int
	trainFeed     *Feed
	reading       reading
	waited        time.Duration // for training images, up to the end of the last epoch
	testFeed      *Feed
	rates         nn.Rates
	classWeights  []float64     // nil: all weigh the same
	greys         []float32     // mean grey levels of the training images, where their colours are varied
	samples       []image.Image // the first ObservedImages of the test split

	info       RunInfo
	step       int // steps submitted
	pending    []pendingStep
	steps      []StepRecord
	epochs     []EpochRecord
	last       time.Time     // when the last result came
	epochStart time.Time     // when this process began with the epoch
	before     time.Duration // spent on the epoch by earlier processes
	stuck      int           // steps in a row with the loss of a dead network
	rollbacks  int
	stopped    bool     // all processes of a group know that one is to stop
	keys       []uint32 // of a step
	summary    Summary
	drawing    chan error // gives one value when the plots being drawn are written; nil where none are

	checkpointing
}

func (l *loop) release() {
	for _, f := range []*Feed{l.trainFeed, l.testFeed} {
		if f != nil {
			f.Release()
		}
	}
	if l.net != nil {
		l.net.Release()
	}
}
