package main

import (
	"cmp"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/term"

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
	best     float64 // test accuracy so far
}

// plainEvery is the pause between plain progress lines, drawEvery that between changes of the line on a terminal.
const (
	plainEvery = 15 * time.Second
	drawEvery  = 100 * time.Millisecond
)

// onTerminal says whether progress is read by a person as it happens.
func onTerminal() bool { return openScreen(os.Stderr).terminal }

func newTrainReport() *trainReport {
	r := &trainReport{stdout: openScreen(os.Stdout), stderr: openScreen(os.Stderr), best: math.NaN(), shown: time.Now()}
	r.terminal = r.stderr.terminal
	return r
}

// screen is where text goes.
type screen struct {
	file     *os.File
	terminal bool // one that knows how to clear a line
	color    bool
}

func openScreen(f *os.File) screen {
	t := term.IsTerminal(int(f.Fd())) && os.Getenv("TERM") != "dumb"
	return screen{f, t, t && os.Getenv("NO_COLOR") == ""} // https://no-color.org
}

// width is the number of columns, as many as wanted where it is no terminal.
func (s screen) width() int {
	if w, _, err := term.GetSize(int(s.file.Fd())); s.terminal && err == nil && w > 0 {
		return w
	}
	return math.MaxInt
}

// Colours, as codes of ECMA-48's SGR.
const (
	bold  = "1"
	faint = "2"
	green = "32"
	cyan  = "36"
)

// paint colours a text where the screen has colours.
func (s screen) paint(code, text string) string {
	if !s.color || text == "" {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
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

// wrap breaks a text at its spaces into lines of at most width characters where it can be done.
func wrap(text string, width int) []string {
	var lines []string
	line := ""
	for _, word := range strings.Fields(text) {
		switch {
		case line == "":
			line = word
		case utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) <= width:
			line += " " + word
		default:
			lines = append(lines, line)
			line = word
		}
	}
	return append(lines, line)
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
	return duration(time.Since(r.counting).Seconds() / float64(done) * float64(r.total-step))
}

// draw puts a line in the place of the one before.
func (r *trainReport) draw(p progress) {
	// a character in the last column would begin a new line
	fmt.Fprint(os.Stderr, "\r"+p.line(min(r.stderr.width()-1, 100), r.stderr.paint)+"\x1b[K")
}

func (r *trainReport) clear() { _, _ = clearing{r.stderr}.Write(nil) }

// clearing writes to a screen after it has cleared the line that shows progress.
type clearing struct{ screen }

func (c clearing) Write(b []byte) (int, error) {
	if c.terminal {
		fmt.Fprint(c.file, "\r\x1b[K")
	}
	return c.file.Write(b)
}

// progress is what the line on a terminal says.
type progress struct {
	What          string // "" for training, else what else is done
	Epoch, Epochs int
	Step, Total   int
	Loss, Speed   float64
	Left          string
}

// line writes as much as fits into width columns: what matters least is left out first, and a bar takes what is left
// over.
func (p progress) line(width int, paint func(code, text string) string) string {
	share := 0.0
	if p.Total > 0 {
		share = float64(p.Step) / float64(p.Total)
	}
	head := fmt.Sprintf("epoch %d/%d ", p.Epoch, p.Epochs)
	// Of one width from step to step, so that the bar keeps its own.
	total := strconv.Itoa(p.Total)
	more := []string{fmt.Sprintf("loss %.4f", p.Loss), "", fmt.Sprintf("step %*d/%s", len(total), p.Step, total),
		fmt.Sprintf("%6.1f images/s", p.Speed)}
	if p.Left != "" {
		more[1] = fmt.Sprintf("%6s left", p.Left)
	}
	if p.What != "" {
		head, more = p.What+" ", []string{fmt.Sprintf("%*d/%s images", len(total), p.Step, total)}
	}
	const least, most = 8, 30 // of the bar
	tail := fmt.Sprintf(" %3.0f %%", math.Floor(100*share))
	used := len(head) + least + len(tail)
	for _, m := range more {
		if m != "" && used+2+len(m) <= width {
			tail += "  " + m
			used += 2 + len(m)
		}
	}
	if used > width { // no room for a bar
		short := head + strings.TrimSpace(tail)
		if len(short) > width {
			short = strings.TrimSpace(tail)
		}
		return short[:max(0, min(width, len(short)))]
	}
	bar := min(most, least+width-used)
	full := int(share*float64(bar) + 1e-9)
	return head + paint(cyan, strings.Repeat("█", full)) + paint(faint, strings.Repeat("░", bar-full)) + tail
}

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

// column is one of the table of epochs.
type column struct {
	title  string
	narrow bool // it is there on narrow terminals too
	cell   func(r *trainReport, e train.EpochRecord) string
}

// columnsFor are the columns of the table of epochs that fit a width: all of them, all with short titles, or those that
// matter most. Top-5 accuracy is among them on request.
func columnsFor(width int, top5 bool) []column {
	number := func(of func(e train.EpochRecord) float64, format string) func(*trainReport, train.EpochRecord) string {
		return func(_ *trainReport, e train.EpochRecord) string { return fmt.Sprintf(format, of(e)) }
	}
	share := func(of func(e train.EpochRecord) float64) func(*trainReport, train.EpochRecord) string {
		return func(_ *trainReport, e train.EpochRecord) string { return percent(of(e)) }
	}
	rate := func(e train.EpochRecord) float64 { return e.LearningRate }
	loss := func(e train.EpochRecord) float64 { return e.TrainLoss }
	training := func(e train.EpochRecord) float64 { return e.TrainAccuracy }
	test := func(e train.EpochRecord) float64 { return e.TestAccuracy }
	best5 := func(e train.EpochRecord) float64 { return e.TestTop5 }
	speed := func(e train.EpochRecord) float64 { return e.ImagesPerSecond }
	left := func(r *trainReport, _ train.EpochRecord) string { return cmp.Or(r.left(r.last.Step), "-") }
	epoch := func(r *trainReport, e train.EpochRecord) string { return fmt.Sprintf("%d/%d", e.Epoch, r.epochs) }
	all := []column{
		{"  epoch", true, epoch}, {"learning rate", false, number(rate, "%.6g")}, {"   loss", true, number(loss, "%.4f")},
		{"train acc.", true, share(training)}, {"test acc.", true, share(test)}, {"   top 5", false, share(best5)},
		{"images/s", false, number(speed, "%.1f")},
		{"time left", true, left},
	}
	short := []string{"epoch", "   rate", "  loss", "  train", "   test", "  top 5", "img/s", "  left"}
	if !top5 {
		const at = 5
		all, short = slices.Delete(all, at, at+1), slices.Delete(short, at, at+1)
	}
	fit := func() bool { return len(row(all, func(c column) string { return c.title })) < width }
	if fit() {
		return all
	}
	for i, title := range short {
		all[i].title = title
	}
	all[0].cell = func(_ *trainReport, e train.EpochRecord) string { return strconv.Itoa(e.Epoch) }
	all[1].cell = number(rate, "%.2g")
	if fit() {
		return all
	}
	var few []column
	for _, c := range all {
		if c.narrow {
			few = append(few, c)
		}
	}
	return few
}

// row writes a line of the table, each cell at the right end of its column.
func row(table []column, cell func(c column) string) string {
	cells := make([]string, len(table))
	for i, c := range table {
		cells[i] = fmt.Sprintf("%*s", utf8.RuneCountInString(c.title), cell(c))
	}
	return strings.Join(cells, "  ")
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
