package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/schollz/progressbar/v3"

	"ninvk/bench"
	"ninvk/cifar10"
	"ninvk/gpu"
	"ninvk/nin"
	"ninvk/train"
)

type benchCommand struct {
	Adapter   string `help:"Index, part of the name or driver, or type."`
	Model     string `default:"nin" help:"nin, nin-bn or nin-imagenet." placeholder:"NAME"`
	Batch     int    `default:"64" help:"Images a step."`
	Operators bool   `help:"Measure the operators only, and print each kernel."`
	JSON      bool   `help:"Print an object that machines read."`
}

// Run measures.
func (c benchCommand) Run(ctx context.Context) error {
	if !slices.Contains(nin.Models, c.Model) {
		return &nin.UnknownModelError{Name: c.Model}
	}
	if c.Batch < 1 {
		return &train.UsageError{Flag: "--batch", Value: fmt.Sprint(c.Batch), Problem: "must be at least 1"}
	}
	data, err := cifar10.Sample()
	if err != nil {
		return err
	}
	dev, err := gpu.Open(c.Adapter)
	if err != nil {
		return err
	}
	defer dev.Close()
	report := &benchReport{terminal: onTerminal()}
	b := bench.New(dev, data, bench.Options{Model: c.Model, Batch: c.Batch, Progress: report.progress})
	rows, err := b.Operators(ctx)
	report.end()
	if err != nil {
		if ctx.Err() != nil {
			return &interrupted{"interrupted; no figures, as only part was measured"}
		}
		return err
	}
	if c.JSON {
		return printJSON(bench.Result{Adapter: dev.Adapter, Operators: rows})
	}
	return bench.WriteOperators(os.Stdout, rows, c.Operators)
}

// benchReport shows the stages of a measurement.
type benchReport struct {
	terminal bool
	stage    string
	bar      *progressbar.ProgressBar
}

func (r *benchReport) progress(stage string, done, total int) {
	if stage != r.stage {
		r.end()
		r.stage = stage
		if r.terminal {
			r.bar = progressbar.NewOptions(total, progressbar.OptionSetWriter(os.Stderr), progressbar.OptionSetDescription(stage), progressbar.OptionSetWidth(24),
				progressbar.OptionClearOnFinish(), progressbar.OptionUseANSICodes(true), progressbar.OptionThrottle(100*time.Millisecond))
		} else {
			fmt.Fprintln(os.Stderr, stage)
		}
	}
	if r.bar != nil {
		_ = r.bar.Set(done)
	}
}

func (r *benchReport) end() {
	if r.bar != nil {
		_ = r.bar.Finish()
		r.bar = nil
	}
}
