package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"text/tabwriter"
	"time"

	"ninvk/cifar10"
	"ninvk/gpu"
	"ninvk/models"
	"ninvk/nn"
	"ninvk/ops"
	"ninvk/train"
	"ninvk/tune"
)

type tuneCommand struct {
	Adapter string        `help:"${adapter}"`
	Model   string        `default:"${model}" help:"One of ${models}." placeholder:"NAME"`
	Batch   int           `default:"64" help:"Images a step; each batch size has its own choice."`
	Resize  *int          `help:"${tune_resize}"`
	Budget  time.Duration `default:"45s" help:"${tune_budget}" placeholder:"TIME"`
	JSON    bool          `help:"${object}"`
}

// unlimited is a budget beyond every need.
const unlimited = 1000 * time.Hour

// Run measures all candidates for a network's training step, whatever was measured before.
func (c tuneCommand) Run(ctx context.Context) error {
	if c.Batch < 1 {
		return &train.UsageError{Flag: "--batch", Value: fmt.Sprint(c.Batch), Problem: "must be at least 1"}
	}
	if c.Budget < 0 {
		return &train.UsageError{Flag: "--budget", Value: fmt.Sprint(c.Budget), Problem: "must not be negative"}
	}
	if c.Budget == 0 {
		c.Budget = unlimited
	}
	if err := models.Check(c.Model); err != nil {
		return err
	}
	cfg := train.Config{Model: c.Model, Resize: c.Resize}
	cfg.Resolve()
	size := *cfg.Resize
	if size == 0 {
		size = cifar10.Width
	}
	if size < 0 {
		return &train.UsageError{Flag: "--resize", Value: fmt.Sprint(size),
			Problem: "must be 0 (the data's own size) or a number of pixels"}
	}
	graph, _, err := models.Build(models.Config{Model: c.Model, Classes: cifar10.Classes, Size: size})
	if err != nil {
		return err
	}
	dev, err := openDevice(c.Adapter)
	if err != nil {
		return err
	}
	defer dev.Close()
	path, err := tune.File(dev.Adapter)
	if err != nil {
		return err
	}
	options, end := tuneOptions()
	options.Budget = c.Budget
	entries, err := tune.Measure(ctx, dev, tune.Calls(graph, c.Batch, true), options)
	end()
	if len(entries) > 0 {
		if e := tune.Save(path, dev.Adapter, entries); err == nil {
			err = e
		}
	}
	if err != nil {
		return interruptedTuning(ctx, err)
	}
	if c.JSON {
		return printJSON(map[string]any{"adapter": dev.Adapter, "model": c.Model, "batch": c.Batch, "file": path,
			"calls": calls(entries)})
	}
	if err := writeTuned(stdout, entries); err != nil {
		return err
	}
	fmt.Fprintln(os.Stderr, "kept in", path)
	return nil
}

// tunedCall is an entry as --json prints it.
type tunedCall struct {
	Pass       string           `json:"pass"`
	Shape      string           `json:"shape"`
	Chosen     string           `json:"chosen"`
	Candidates []tune.Candidate `json:"candidates"`
}

func calls(entries []tune.Entry) []tunedCall {
	list := []tunedCall{}
	for _, e := range entries {
		pass, shape := tune.Split(e.Key)
		list = append(list, tunedCall{pass, shape, e.Chosen, e.Candidates})
	}
	return list
}

// writeTuned prints a line for every candidate.
func writeTuned(w io.Writer, entries []tune.Entry) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "pass\tshape\tcandidate\tms\tchosen")
	for _, c := range calls(entries) {
		for _, x := range c.Candidates {
			ms, mark := "-", x.Dropped
			switch {
			case len(x.Milliseconds) > 0:
				ms = fmt.Sprintf("%.3g", x.Median())
			case x.Predicted > 0:
				ms = fmt.Sprintf("≈ %.3g", x.Predicted)
			}
			if x.Variant == c.Chosen {
				mark = "yes"
			}
			fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", c.Pass, c.Shape, x.Variant, ms, mark)
		}
	}
	return t.Flush()
}

// chooseKernels returns the variants for a network, see tune.Choose; none with noTune.
func chooseKernels(ctx context.Context, dev *gpu.Device, g *nn.Graph, batch int, train, noTune bool) (map[string]string,
	error) {
	if noTune {
		return nil, nil
	}
	if _, err := ops.ForcedVariants(); err != nil { // before anything is measured
		return nil, err
	}
	options, end := tuneOptions()
	defer end()
	tuned, err := tune.Choose(ctx, dev, tune.Calls(g, batch, train), options)
	return tuned, interruptedTuning(ctx, err)
}

// keptKernels are the variants for evaluating a network that were measured before, for commands that are over sooner
// than a measurement.
func keptKernels(ctx context.Context, dev *gpu.Device, g *nn.Graph, batch int) (map[string]string, error) {
	options, end := tuneOptions()
	defer end()
	options.KeptOnly = true
	return tune.Choose(ctx, dev, tune.Calls(g, batch, false), options)
}

// tuneOptions show progress and print warnings; end clears the bar.
func tuneOptions() (o tune.Options, end func()) {
	report := &benchReport{terminal: onTerminal()}
	return tune.Options{
		Progress: func(done, total int) { report.progress("choosing the fastest kernels", done, total) },
		Warn: func(message string) {
			report.end()
			report.stage = ""
			fmt.Fprintln(os.Stderr, message)
		},
	}, report.end
}

func interruptedTuning(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return &interrupted{"interrupted while kernels were measured; those measured so far are kept"}
	}
	return err
}
