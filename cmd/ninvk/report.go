package main

import (
	"fmt"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"ninvk/train"
)

// trainReport shows a run: a line for every epoch on stdout; on stderr a progress bar where that is a terminal, else a plain line now and then.
type trainReport struct {
	terminal bool
	bar      *progressbar.ProgressBar
	epochs   int
	perEpoch int
	total    int
	before   int // steps done by earlier processes
	begun    time.Time
	shown    time.Time
}

// plainEvery is the pause between plain progress lines.
const plainEvery = 15 * time.Second

// onTerminal says whether progress is read by a person as it happens.
func onTerminal() bool { return term.IsTerminal(int(os.Stderr.Fd())) }

func newTrainReport() *trainReport {
	return &trainReport{terminal: onTerminal()}
}

func (r *trainReport) newBar(total int, what string) *progressbar.ProgressBar {
	return progressbar.NewOptions(total, progressbar.OptionSetWriter(os.Stderr), progressbar.OptionSetDescription(what),
		progressbar.OptionSetPredictTime(true), progressbar.OptionShowCount(), progressbar.OptionSetWidth(24),
		progressbar.OptionClearOnFinish(), progressbar.OptionUseANSICodes(true), progressbar.OptionFullWidth(), progressbar.OptionThrottle(100*time.Millisecond))
}

// Begin prints what is trained on what.
func (r *trainReport) Begin(run *train.Run, info train.RunInfo, epochs, stepsPerEpoch, totalSteps, doneSteps int) {
	r.epochs, r.perEpoch, r.total, r.before = epochs, stepsPerEpoch, totalSteps, doneSteps
	r.begun, r.shown = time.Now(), time.Now()
	fmt.Printf("%s, %d parameters, recipe %s, data %s\non %s (%s)\n%d steps, %d an epoch, into %s\n",
		info.Model, info.Parameters, info.Recipe, info.DataSet, info.Adapter, info.Driver, totalSteps, stepsPerEpoch, run.Dir())
	if doneSteps > 0 {
		fmt.Printf("going on after step %d\n", doneSteps)
	}
	fmt.Fprintln(os.Stderr, "the first step waits for the driver to compile the kernels; on a software driver that may take half a minute")
	fmt.Printf("%5s  %-13s  %-9s  %-8s  %-14s  %-13s\n", "epoch", "learning rate", "mean loss", "images/s", "train accuracy", "test accuracy")
}

// Step moves the bar.
func (r *trainReport) Step(s train.StepRecord) {
	if r.terminal {
		if r.bar == nil {
			r.bar = r.newBar(r.total, "")
		}
		r.bar.Describe(fmt.Sprintf("epoch %d/%d  loss %.4f  %.1f images/s", s.Epoch, r.epochs, s.Loss, s.ImagesPerSecond))
		_ = r.bar.Set(s.Step)
		return
	}
	if time.Since(r.shown) >= plainEvery || s.Step == r.before+1 {
		r.shown = time.Now()
		left := time.Duration(float64(time.Since(r.begun)) / float64(max(1, s.Step-r.before)) * float64(r.total-s.Step)).Round(time.Second)
		fmt.Fprintf(os.Stderr, "epoch %d  step %d/%d  loss %.4f  %.1f images/s  about %v left\n", s.Epoch, s.Step, r.total, s.Loss, s.ImagesPerSecond, left)
	}
}

// Evaluating shows how far an evaluation is.
func (r *trainReport) Evaluating(split string, done, total int) {
	if r.terminal && r.bar != nil {
		r.bar.Describe(fmt.Sprintf("evaluating the %s split: %d/%d images", split, done, total))
		_ = r.bar.RenderBlank()
		return
	}
	if time.Since(r.shown) >= plainEvery {
		r.shown = time.Now()
		fmt.Fprintf(os.Stderr, "evaluating the %s split: %d/%d images\n", split, done, total)
	}
}

// Epoch prints the epoch's line.
func (r *trainReport) Epoch(e train.EpochRecord) {
	if r.bar != nil {
		_ = r.bar.Clear()
	}
	fmt.Printf("%5d  %-13.6g  %-9.4f  %-8.1f  %-14s  %-13s\n", e.Epoch, e.LearningRate, e.TrainLoss, e.ImagesPerSecond, percent(e.TrainAccuracy), percent(e.TestAccuracy))
}

func (r *trainReport) end() {
	if r.bar != nil {
		_ = r.bar.Clear()
	}
}

// reporters tells several the same.
type reporters []train.Reporter

func (r reporters) Begin(run *train.Run, info train.RunInfo, epochs, stepsPerEpoch, totalSteps, doneSteps int) {
	for _, x := range r {
		x.Begin(run, info, epochs, stepsPerEpoch, totalSteps, doneSteps)
	}
}

func (r reporters) Step(s train.StepRecord) {
	for _, x := range r {
		x.Step(s)
	}
}

func (r reporters) Evaluating(split string, done, total int) {
	for _, x := range r {
		x.Evaluating(split, done, total)
	}
}

func (r reporters) Epoch(e train.EpochRecord) {
	for _, x := range r {
		x.Epoch(e)
	}
}
