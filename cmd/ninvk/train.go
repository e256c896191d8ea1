package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"runtime/debug"
	"strconv"
	"time"

	"ninvk/dataset"
	"ninvk/dist"
	"ninvk/gpu"
	"ninvk/nn"
	"ninvk/serve"
	"ninvk/train"
)

// trainCommand has the settings, and what is to be done with the run.
type trainCommand struct {
	train.Flags
	Config string `help:"${config}" placeholder:"FILE.toml"`
	Resume string `help:"${resume}" placeholder:"DIR|FILE"`
	Serve  string `help:"${serve}" placeholder:"[HOST]:PORT"`
	NoTune bool   `help:"${usual}"`
	groupFlags
}

// unpack makes a run folder of what is to be resumed where that is one file, as the page in a browser saves it.
func (c *trainCommand) unpack() error {
	if !train.Packed(c.Resume) {
		return nil
	}
	given := train.Config{Out: train.DefaultRunDir(time.Now(), "resumed")}
	c.Set(&given)
	dir := given.Out
	if err := train.Unpack(c.Resume, dir); err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "%s is unpacked into the run folder %s\n", shown(c.Resume), shown(dir))
	c.Resume = dir
	c.Forget("out")
	return nil
}

// Run trains.
func (c trainCommand) Run(ctx context.Context) error {
	return c.groupFlags.run(func(g dist.Group) error { return c.train(ctx, g) })
}

// saved opens the run that is to go on, nil where a new one is to begin. Only the first process of a group has its
// folder; the others get what it holds.
func (c *trainCommand) saved(g dist.Group) (saved *train.Saved, err error) {
	if c.Resume == "" {
		return nil, nil
	}
	if g.Rank() > 0 {
		c.Forget("out")
	} else if err = c.unpack(); err == nil {
		saved, err = train.OpenSaved(c.Resume)
	}
	if err = together(g, err); err != nil {
		return saved, err
	}
	return train.ShareSaved(g, saved)
}

// train trains as one process of a group.
func (c trainCommand) train(ctx context.Context, g dist.Group) error {
	saved, err := c.saved(g)
	if saved != nil {
		defer saved.Close()
	}
	if err != nil {
		return err
	}
	p, err := c.prepare(ctx, g, saved)
	if err == nil {
		defer p.close()
	}
	if err = together(g, err); err != nil {
		return err
	}
	cfg, data, dev := p.cfg, p.data, p.dev
	if cfg.Out == "" {
		cfg.Out = train.DefaultRunDir(time.Now(), cfg.Model)
	}
	debug.SetGCPercent(50) // steps allocate nothing: a smaller heap costs no time
	outliveReaders()
	job := train.Job{Config: cfg, Data: data, Device: dev, Version: version(), Report: quiet{}, Resume: saved, Group: g}
	if g.Rank() > 0 {
		s, err := job.Run(ctx)
		return ended(s, err)
	}
	tellGroup(g, cfg.Shards, cfg.Out)
	report := newTrainReport()
	report.work = func(from, to int) float64 { return job.Config.Work(from, to, report.total) }
	job.Report = report
	job.Note = func(s string) { fmt.Fprintln(os.Stderr, s) }
	if p.page != nil {
		p.page.Describe(cfg, data)
		job.Report, job.Observe = reporters{report, p.page}, p.page.Observe
	}
	job.Kernels = func(g *nn.Graph) (map[string]string, error) {
		if saved != nil && len(saved.Run.Variants) > 0 && saved.Run.Adapter == dev.Adapter.Name {
			return saved.Run.Variants, nil // others round differently
		}
		return chooseKernels(ctx, dev, g, cfg.MicroBatch(), true, c.NoTune)
	}
	s, err := job.Run(ctx)
	report.end()
	if p.page != nil {
		p.page.End(s, err)
	}
	if err == nil {
		report.summary(s)
	}
	return ended(s, err)
}

// ended is what a run comes to as the end of a command.
func ended(s train.Summary, err error) error {
	if err == nil && s.Interrupted {
		return shared{&interrupted{fmt.Sprintf("interrupted after step %d; to go on: %s", s.Steps,
			train.ResumeCommand(s.Dir))}}
	}
	return err
}

// prepared is what a run needs.
type prepared struct {
	cfg  train.Config
	data *dataset.Set
	dev  *gpu.Device
	page *serve.Server // nil: none, as at all ranks but the first
}

func (p prepared) close() {
	if p.dev != nil {
		p.dev.Close()
	}
	if p.page != nil {
		p.page.Close()
	}
}

// prepare reads settings and data, and opens the adapter. On an error nothing is left open.
func (c trainCommand) prepare(ctx context.Context, g dist.Group, saved *train.Saved) (p prepared, err error) {
	defer func() {
		if err != nil {
			p.close()
		}
	}()
	if saved != nil {
		p.cfg, err = c.Resumed(saved, c.Config)
	} else {
		p.cfg, err = c.Flags.Config(c.Config)
	}
	if err != nil {
		return p, err
	}
	if err := p.cfg.CheckModel(); err != nil { // before the data is read and the adapter opened
		return p, err
	}
	if err := p.cfg.TakeShards(g.Size()); err != nil {
		return p, err
	}
	if c.Serve != "" && g.Rank() == 0 {
		if p.page, err = serve.Listen(c.Serve); err != nil {
			return p, err
		}
		if !p.page.Local() {
			fmt.Fprintf(os.Stderr, "warning: --serve %s shows this run, without a password, to everyone who can reach this "+
				"machine; --serve :PORT shows it to this machine alone\n", c.Serve)
		}
		fmt.Fprintf(os.Stderr, "the run is shown at %s\n", p.page.URL())
	}
	adapter, err := adapterOf(p.cfg.Adapter, g)
	if err != nil {
		return p, err
	}
	p.data, p.dev, err = openDataAndDevice(ctx, p.cfg.Data, adapter, p.cfg.DataOptions())
	if stopped := (*interrupted)(nil); saved != nil && errors.As(err, &stopped) {
		stopped.message += "; to go on: " + train.ResumeCommand(saved.Dir)
	}
	return p, err
}

func percent(v float64) string {
	if math.IsNaN(v) {
		return "-"
	}
	return strconv.FormatFloat(100*v, 'f', 2, 64) + " %"
}
