package main

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"time"

	"ninvk/train"
)

// trainReport shows a run: a line for every epoch on stdout; on stderr, where that is a terminal, a line that says how
// far it is, else a plain line now and then.
type trainReport struct {
	terminal bool
	stdout   screen
	stderr   screen
	table    []column
	epochs   int
	total    int
	before   int // steps done by earlier processes
	first    int // the first step of this process whose result came
	begun    time.Time
	counting time.Time // when that result came; kernels are compiled before
	shown    time.Time
	last     train.StepRecord
	best     float64                    // test accuracy so far
	work     func(from, to int) float64 // of some steps, see train.Config.Work
}

// plainEvery is the pause between plain progress lines, drawEvery that between changes of the line on a terminal.
const (
	plainEvery = 15 * time.Second
	drawEvery  = 100 * time.Millisecond
)

func newTrainReport() *trainReport {
	r := &trainReport{stdout: openScreen(os.Stdout), stderr: openScreen(os.Stderr), best: math.NaN(), shown: time.Now(),
		work: func(from, to int) float64 { return float64(to - from) }}
	r.terminal = r.stderr.terminal
	return r
}

// Begin prints what is trained on what.
func (r *trainReport) Begin(run *train.Run, info train.RunInfo, epochs, stepsPerEpoch, totalSteps, doneSteps int) {
	r.epochs, r.total, r.before, r.first = epochs, totalSteps, doneSteps, 0
	r.begun, r.shown = time.Now(), time.Now()
	r.facts([][2]string{
		{"network", fmt.Sprintf("%s, %d parameters, recipe %s", info.Model, info.Parameters, info.Recipe)},
		{"data", info.DataSet},
		{"adapter", fmt.Sprintf("%s (%s)", info.Adapter, info.Driver)},
		{"steps", fmt.Sprintf("%d, %d an epoch", totalSteps, stepsPerEpoch)},
		{"run folder", run.Dir()},
	})
	if doneSteps > 0 {
		fmt.Fprintf(stdout, "going on after step %d\n", doneSteps)
	}
	r.table = columnsFor(r.stdout.width(), info.Classes > train.MostPlain)
	fmt.Fprintln(stdout, r.stdout.paint(bold, row(r.table, func(c column) string { return c.title })))
}

// facts prints names and values; values too long for a terminal's line go on in the next one, below their beginning.
func (r *trainReport) facts(facts [][2]string) {
	const names = 12
	for _, f := range facts {
		for i, line := range wrap(f[1], r.stdout.width()-names) {
			name := fmt.Sprintf("%-*s", names, f[0])
			if i > 0 {
				name = strings.Repeat(" ", names)
			}
			fmt.Fprintln(stdout, r.stdout.paint(faint, name)+line)
		}
	}
}

// Step moves the bar.
func (r *trainReport) Step(s train.StepRecord) {
	r.last = s
	now := time.Now()
	if r.first == 0 {
		r.first, r.counting = s.Step, now
	}
	if r.terminal {
		if now.Sub(r.shown) >= drawEvery || s.Step == r.first || s.Step == r.total {
			r.shown = now
			r.draw(progress{Epoch: s.Epoch, Epochs: r.epochs, Step: s.Step, Total: r.total, Loss: s.Loss,
				Speed: s.ImagesPerSecond, Left: r.left(s.Step)})
		}
		return
	}
	if now.Sub(r.shown) >= plainEvery || s.Step == r.before+1 {
		r.shown = now
		line := fmt.Sprintf("epoch %d  step %d/%d  loss %.4f  %.1f images/s", s.Epoch, s.Step, r.total, s.Loss,
			s.ImagesPerSecond)
		if left := r.left(s.Step); left != "" {
			line += "  about " + left + " left"
		}
		fmt.Fprintln(os.Stderr, line)
	}
}

// left is about how long the steps after a step will take, evaluations included; "" where nothing tells, or is left.
func (r *trainReport) left(step int) string {
	done := step - r.first
	if r.first == 0 || done == 0 || step >= r.total {
		return ""
	}
	return duration(time.Since(r.counting).Seconds() / r.work(r.first, step) * r.work(step, r.total))
}

// draw puts a line in the place of the one before.
func (r *trainReport) draw(p progress) {
	// a character in the last column would begin a new line
	fmt.Fprint(os.Stderr, "\r"+p.line(min(r.stderr.width()-1, 100), r.stderr.paint)+"\x1b[K")
}

func (r *trainReport) clear() { _, _ = clearing{r.stderr}.Write(nil) }

// Evaluating shows how far an evaluation is.
func (r *trainReport) Evaluating(split string, done, total int) {
	r.working("evaluating the "+split+" split", done, total)
}

// Reading shows how many images of a split have been read.
func (r *trainReport) Reading(split string, done, total int) {
	r.working("reading the "+split+" images", done, total)
}

// working shows how many images something is done with.
func (r *trainReport) working(what string, done, total int) {
	now := time.Now()
	if r.terminal {
		if now.Sub(r.shown) >= drawEvery {
			r.shown = now
			r.draw(progress{What: what, Step: done, Total: total})
		}
		return
	}
	if now.Sub(r.shown) >= plainEvery {
		r.shown = now
		fmt.Fprintf(os.Stderr, "%s: %d/%d images\n", what, done, total)
	}
}

// Epoch prints the epoch's line, green where the test accuracy is the best so far.
func (r *trainReport) Epoch(e train.EpochRecord) {
	r.clear()
	line := row(r.table, func(c column) string { return c.cell(r, e) })
	if e.TestAccuracy > r.best || math.IsNaN(r.best) && !math.IsNaN(e.TestAccuracy) {
		if !math.IsNaN(r.best) {
			line = r.stdout.paint(green, line)
		}
		r.best = e.TestAccuracy
	}
	fmt.Fprintln(stdout, line)
}

// end leaves the screen to what comes next.
func (r *trainReport) end() {
	r.clear()
}

// summary prints what a run came to.
func (r *trainReport) summary(s train.Summary) {
	state := "finished"
	if s.Interrupted {
		state = "interrupted"
	}
	did := fmt.Sprintf("step %d of %d", s.Steps, r.total)
	switch n := s.Steps - r.before; {
	case r.before == 0:
		did += " in " + duration(time.Since(r.begun).Seconds())
	case n > 0:
		did += fmt.Sprintf(", %d of them now in %s", n, duration(time.Since(r.begun).Seconds()))
	}
	facts := [][2]string{{state, did}}
	if s.Stall != nil {
		facts = append(facts, [2]string{"stopped", fmt.Sprintf("%v: --patience is at an end", *s.Stall)})
	}
	if s.Waited > 0 {
		facts = append(facts, [2]string{"waited", duration(s.Waited.Seconds()) + " for images to be read"})
	}
	if !math.IsNaN(s.Best) {
		facts = append(facts, [2]string{"best", fmt.Sprintf("test accuracy %s (epoch %d)", percent(s.Best), s.BestEpoch)})
	}
	if e := s.Last; !math.IsNaN(e.TestTop5) && e.Epoch > 0 {
		facts = append(facts, [2]string{"top 5", fmt.Sprintf("test accuracy %s (epoch %d)", percent(e.TestTop5), e.Epoch)})
	}
	if e := s.Last; !math.IsNaN(e.TestAccuracy) && e.Epoch > 0 && e.Epoch != s.BestEpoch {
		facts = append(facts, [2]string{"last", fmt.Sprintf("test accuracy %s (epoch %d)", percent(e.TestAccuracy), e.Epoch)})
	}
	var files []string
	for _, name := range []string{train.ModelFile, train.BestFile, train.AccuracyPlot, train.LossPlot, train.MetricsFile} {
		// there are no best weights before the first evaluation
		if _, err := os.Stat(filepath.Join(s.Dir, name)); err == nil {
			files = append(files, name)
		}
	}
	r.facts(append(facts, [2]string{"run folder", s.Dir}, [2]string{"in it", strings.Join(files, ", ")}))
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

func (r reporters) Reading(split string, done, total int) {
	for _, x := range r {
		x.Reading(split, done, total)
	}
}

func (r reporters) Epoch(e train.EpochRecord) {
	for _, x := range r {
		x.Epoch(e)
	}
}
