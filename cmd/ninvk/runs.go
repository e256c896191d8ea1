package main

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/moby/sys/atomicwriter"

	"ninvk/train"
)

type runsCommand struct {
	Dir  string `arg:"" optional:"" default:"runs" help:"The folder to look in."`
	JSON bool   `help:"${list}"`
}

// pastRun is an entry of runs --json. What is not known is null.
type pastRun struct {
	Dir              string   `json:"dir"`
	Error            string   `json:"error,omitempty"` // the folder can't be read; there is nothing else then
	Model            string   `json:"model,omitempty"`
	Recipe           string   `json:"recipe,omitempty"`
	Data             string   `json:"data,omitempty"`
	State            string   `json:"state,omitempty"`
	Epochs           int      `json:"epochs"`       // recorded
	TotalEpochs      int      `json:"total_epochs"` // wanted
	Steps            int      `json:"steps"`
	TotalSteps       *int     `json:"total_steps"`
	StoppedEarly     string   `json:"stopped_early,omitempty"` // why it finished before its last epoch
	Classes          int      `json:"classes,omitempty"`
	BestTestAccuracy *float64 `json:"best_test_accuracy"`
	BestEpoch        *int     `json:"best_epoch"`
	BestTestTop5     *float64 `json:"best_test_top5_accuracy,omitempty"` // of the best epoch, beyond ten classes
	Seconds          float64  `json:"seconds"`                           // of training, evaluations left out
	Checkpoint       *string  `json:"checkpoint"`
	// the command that goes on with it, or starts it over where there is no checkpoint
	Resume *string `json:"resume"`
}

// Run lists past runs.
func (c runsCommand) Run() error {
	dirs, err := train.FindRuns(c.Dir)
	if errors.Is(err, fs.ErrNotExist) && c.Dir == "runs" {
		dirs, err = nil, nil // nobody trained here yet
	}
	if err != nil {
		return &train.UsageError{Flag: "DIR", Value: c.Dir, Problem: "the folder can't be read: " + reason(err).Error()}
	}
	list := make([]pastRun, len(dirs))
	broken := 0
	for i, dir := range dirs {
		r, err := train.ReadRun(dir)
		if err != nil {
			broken++
			list[i] = pastRun{Dir: dir, Error: err.Error()}
			fmt.Fprintf(os.Stderr, "ninvk: %v\n", err)
			continue
		}
		list[i] = describe(r)
	}
	if c.JSON {
		err = printJSON(list)
	} else {
		err = printRuns(c.Dir, list)
	}
	if err == nil && broken > 0 {
		err = fmt.Errorf("%d of %d run folders can't be read", broken, len(dirs))
	}
	return err
}

func describe(r *train.PastRun) pastRun {
	m := r.Metrics
	p := pastRun{
		Dir: r.Dir, Model: r.Config.Model, Recipe: r.Config.Recipe, Data: r.Config.Data, State: string(r.State),
		Epochs: len(m.Epochs), TotalEpochs: r.Config.Epochs, Steps: len(m.Steps), Seconds: r.Seconds(),
		Classes: m.Run.Classes,
	}
	if s := r.Stall(); s != nil {
		p.StoppedEarly = s.String()
	}
	if m.Run.DataSet != "" {
		p.Data = m.Run.DataSet
	}
	if n := r.TotalSteps(); n > 0 {
		p.TotalSteps = &n
	}
	if best, epoch := r.Best(); !math.IsNaN(best) {
		p.BestTestAccuracy, p.BestEpoch = &best, &epoch
		if i := slices.IndexFunc(m.Epochs, func(e train.EpochRecord) bool { return e.Epoch == epoch }); i >= 0 {
			if top5 := m.Epochs[i].TestTop5; !math.IsNaN(top5) {
				p.BestTestTop5 = &top5
			}
		}
	}
	if r.Checkpoint != "" {
		p.Checkpoint = &r.Checkpoint
	}
	if r.State == train.Stopped || r.State == train.Diverged && r.Checkpoint != "" {
		command := train.ResumeCommand(r.Dir)
		if r.State == train.Diverged {
			command += " --on-divergence " + train.RollbackOnDivergence
		}
		p.Resume = &command
	}
	return p
}

func printRuns(dir string, list []pastRun) error {
	t := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
	shown := 0
	for _, p := range list {
		if p.Error != "" {
			continue
		}
		if shown == 0 {
			fmt.Fprintln(t, "run\tmodel\trecipe\tdata\tepochs\tsteps\tbest test accuracy\ttime\tstate")
		}
		shown++
		steps, best, state := fmt.Sprint(p.Steps), "-", p.State
		if p.TotalSteps != nil {
			steps = fmt.Sprintf("%d/%d", p.Steps, *p.TotalSteps)
		}
		if p.BestTestAccuracy != nil {
			best = fmt.Sprintf("%s (epoch %d)", percent(*p.BestTestAccuracy), *p.BestEpoch)
		}
		if p.BestTestTop5 != nil {
			best = fmt.Sprintf("%s (epoch %d, top 5: %s)", percent(*p.BestTestAccuracy), *p.BestEpoch, percent(*p.BestTestTop5))
		}
		switch {
		case p.StoppedEarly != "" && p.State == string(train.Finished):
			state += " early"
		case p.Resume == nil:
		case p.Checkpoint == nil:
			state += " before its first checkpoint, starts over when resumed"
		default:
			state += ", can be resumed"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%d/%d\t%s\t%s\t%s\t%s\n", p.Dir, p.Model, p.Recipe, p.Data, p.Epochs, p.TotalEpochs,
			steps, best, duration(p.Seconds), state)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if len(list) == 0 {
		fmt.Fprintf(os.Stderr, "no runs in %s; ninvk train makes one\n", dir)
	}
	return nil
}

// duration is a time to be read at a glance: 45s, 12m40s, 3h07m, 2d05h.
func duration(seconds float64) string {
	s := int64(math.Round(seconds))
	switch {
	case s < 60:
		return fmt.Sprintf("%ds", s)
	case s < 3600:
		return fmt.Sprintf("%dm%02ds", s/60, s%60)
	case s < 48*3600:
		return fmt.Sprintf("%dh%02dm", s/3600, s%3600/60)
	}
	return fmt.Sprintf("%dd%02dh", s/86400, s%86400/3600)
}

type plotCommand struct {
	Runs []string `arg:"" name:"run" help:"Run folders."`
	Out  string   `required:"" help:"The picture to write." placeholder:"FILE.png"`
}

// Run compares runs in one picture.
func (c plotCommand) Run() error {
	if err := checkPicture("--out", c.Out); err != nil {
		return err
	}
	if len(c.Runs) > train.MostCurves {
		return &train.UsageError{Flag: "RUN", Value: fmt.Sprintf("(%d folders)", len(c.Runs)),
			Problem: fmt.Sprintf("at most %d runs can be told apart in one picture", train.MostCurves)}
	}
	var curves []train.Curves
	for i, dir := range c.Runs {
		r, err := train.ReadRun(dir)
		if err != nil {
			return err
		}
		best := ""
		if v, epoch := r.Best(); !math.IsNaN(v) {
			best = fmt.Sprintf(", best %s at epoch %d", percent(v), epoch)
		}
		curves = append(curves, train.Curves{
			Name: fmt.Sprintf("%s: %s, recipe %s, %s%s", runName(c.Runs, i), r.Config.Model, r.Config.Recipe,
				duration(r.Seconds()), best),
			Metrics: r.Metrics, StepsPerEpoch: r.StepsPerEpoch(),
		})
	}
	title := "One run"
	if len(curves) > 1 {
		title = fmt.Sprintf("%d runs compared", len(curves))
	}
	png, err := train.PlotRuns(curves, title)
	if err != nil {
		return err
	}
	if err := atomicwriter.WriteFile(c.Out, png, 0o644); err != nil {
		return fmt.Errorf("writing %s: %w", c.Out, err)
	}
	fmt.Fprintf(stdout, "%s: %s\n", c.Out, strings.ToLower(title))
	return nil
}

// runName is the last part of a run folder's path, or as much more of it as tells it from the other runs.
func runName(runs []string, i int) string {
	parts := strings.Split(filepath.ToSlash(filepath.Clean(runs[i])), "/")
	for n := 1; n < len(parts); n++ {
		name := strings.Join(parts[len(parts)-n:], "/")
		alone := true
		for j, other := range runs {
			other = filepath.ToSlash(filepath.Clean(other))
			alone = alone && (j == i || other != name && !strings.HasSuffix(other, "/"+name))
		}
		if alone {
			return name
		}
	}
	return strings.Join(parts, "/")
}
