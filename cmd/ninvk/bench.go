package main

import (
	"context"
	"fmt"
	"io"
	"math"
	"os"
	"strconv"
	"time"

	"github.com/schollz/progressbar/v3"

	"ninvk/bench"
	"ninvk/cifar10"
	"ninvk/dist"
	"ninvk/gpu"
	"ninvk/models"
	"ninvk/train"
)

type benchCommand struct {
	Adapter   string `help:"${adapter}"`
	Model     string `default:"${model}" help:"One of ${models}." placeholder:"NAME"`
	Size      *int   `help:"Pixels a side of the images (default: the network's own size)." placeholder:"N"`
	Batch     int    `default:"64" help:"Images a step; halved until it fits the adapter."`
	Batches   []int  `default:"1,16,64,128,256" help:"${bench_batches}" placeholder:"N,N"`
	Operators bool   `help:"Measure the adapter and the operators only, and print every kernel."`
	JSON      bool   `help:"${object}"`
	Go        bool   `help:"Print lines as Go's benchmarks do, which benchstat compares."`
	Plot      string `help:"Draw the operators' times and the roofline." placeholder:"OUT.png"`
	Compare   string `help:"Print what got faster or slower than a measurement saved with --json." placeholder:"FILE.json"`

	Distributed bool          `help:"${sharing}"`
	Latency     time.Duration `help:"${latency}" placeholder:"TIME"`
	Bandwidth   float64       `help:"Likewise, with so many MB a second between them." placeholder:"MB/S"`

	Child string `hidden:"" help:"${measuring}"`
}

// Run measures.
func (c benchCommand) Run(ctx context.Context) error {
	size := models.Size(c.Model)
	if c.Size != nil {
		size = *c.Size
	}
	if err := c.check(size); err != nil {
		return err
	}
	if c.Distributed {
		return c.distributed(ctx, size)
	}
	if c.Latency != 0 || c.Bandwidth != 0 {
		return &usageError{"--latency and --bandwidth go with --distributed"}
	}
	if c.JSON && c.Go {
		return &usageError{"--json and --go exclude each other"}
	}
	options := bench.Options{Model: c.Model, Size: size, Batch: c.Batch, Others: c.Batches, Budget: 20 * time.Second,
		Progress: func(string, int, int) {}}
	var end func()
	options.Tune, end = tuneOptions()
	defer end()
	options.Tune.AnyBatch = !c.Operators
	if c.Child != "" {
		r, err := bench.Child(ctx, c.Adapter, cifar10.Sample, options, c.Child == "network")
		if err != nil {
			return err
		}
		return printJSON(r)
	}
	var before bench.Result
	if c.Compare != "" { // before minutes are spent
		var err error
		if before, err = bench.ReadResult(c.Compare); err != nil {
			return err
		}
	}
	if c.Plot != "" {
		if err := checkPicture("--plot", c.Plot); err != nil {
			return err
		}
	}
	adapter, err := gpu.Choose(c.Adapter) // before the measuring processes ask for it
	if err != nil {
		return err
	}
	report := &benchReport{terminal: onTerminal()}
	options.Progress = report.progress
	r, err := c.measure(ctx, options, adapter)
	report.end()
	if err != nil {
		return c.stopped(ctx, r, err)
	}
	return c.tell(r, before)
}

// check checks what does not depend on the adapter.
func (c benchCommand) check(size int) error {
	if size < 1 && c.Size != nil {
		return &train.UsageError{Flag: "--size", Value: fmt.Sprint(size), Problem: "must be a number of pixels"}
	}
	if _, _, err := models.Build(models.Config{Model: c.Model, Classes: cifar10.Classes, Size: size}); err != nil {
		return err
	}
	if c.Batch < 1 {
		return &train.UsageError{Flag: "--batch", Value: fmt.Sprint(c.Batch), Problem: "must be at least 1"}
	}
	for _, n := range c.Batches {
		if n < 1 {
			return &train.UsageError{Flag: "--batches", Value: fmt.Sprint(n), Problem: "must be at least 1"}
		}
	}
	return nil
}

// stopped prints what was measured where the user has interrupted the rest.
func (c benchCommand) stopped(ctx context.Context, r bench.Result, err error) error {
	if ctx.Err() == nil {
		return err
	}
	if !c.JSON || len(r.Networks)+len(r.Operators) == 0 {
		return &interrupted{"interrupted; no figures, as only part was measured"}
	}
	r.Notes = append(r.Notes, "interrupted: what is missing was not measured")
	if err := printJSON(r); err != nil {
		return err
	}
	return &interrupted{"interrupted; the figures are those measured until then"}
}

// tell draws and prints what was measured, and what changed since before where that is asked for.
func (c benchCommand) tell(r, before bench.Result) (err error) {
	if c.Plot != "" {
		if err := r.Plot(c.Plot); err != nil {
			return err
		}
		fmt.Fprintln(os.Stderr, "picture in", c.Plot)
	}
	switch {
	case c.JSON:
		err = printJSON(r)
	case c.Go:
		err = r.WriteGo(stdout)
	default:
		err = r.WriteTable(stdout, c.Operators)
	}
	if err == nil && c.Compare != "" {
		out := io.Writer(stdout)
		if c.JSON || c.Go { // stdout is for machines
			out = os.Stderr
		}
		err = r.WriteComparison(out, before)
	}
	return err
}

// measure runs the parts that are asked for, the networks first: while they run, this process holds nothing of the
// adapter.
func (c benchCommand) measure(ctx context.Context, o bench.Options, a gpu.Adapter) (bench.Result, error) {
	r := bench.Result{Adapter: a, Version: version(), Time: time.Now().UTC().Truncate(time.Second)}
	data, err := cifar10.Sample()
	if err != nil {
		return r, err
	}
	if !c.Operators {
		exe, err := os.Executable()
		if err != nil {
			return r, err
		}
		if err := bench.New(nil, data, o).Networks(ctx, &r, exe, func(batch int, network bool) []string {
			what := map[bool]string{false: "start", true: "network"}[network]
			return []string{"bench", "--child", what, "--adapter", c.Adapter, "--model", c.Model,
				"--size", strconv.Itoa(o.Size), "--batch", strconv.Itoa(batch)}
		}); err != nil {
			return r, err
		}
		o.Batch = r.StartUps[0].Batch // the largest that fits
	}
	dev, err := openDevice(c.Adapter)
	if err != nil {
		return r, err
	}
	defer dev.Close()
	b := bench.New(dev, data, o)
	if r.Limits, err = b.Limits(ctx); err != nil {
		return r, err
	}
	r.Operators, r.Steps, err = b.Operators(ctx, r.Limits)
	r.Notes = append(r.Notes, b.Notes()...)
	return r, err
}

// distributed measures what several processes share out.
func (c benchCommand) distributed(ctx context.Context, size int) error {
	if c.Go || c.Plot != "" || c.Compare != "" || c.Operators {
		return &usageError{"--distributed goes with --model, --size, --batch, --latency, --bandwidth, --adapter and --json " +
			"alone"}
	}
	var link *dist.Link
	if c.Latency != 0 || c.Bandwidth != 0 {
		if !(c.Bandwidth > 0) || math.IsInf(c.Bandwidth, 0) || c.Latency < 0 {
			return &usageError{"--latency and --bandwidth must be given together, as --latency 50us --bandwidth 1000"}
		}
		link = &dist.Link{Latency: c.Latency, Bandwidth: 1e6 * c.Bandwidth}
	}
	return groupFlags{"auto", groupWait}.run(func(g dist.Group) error {
		ranks := max(2, g.Size())
		if g.Size() == 1 && link == nil {
			return &usageError{"--distributed measures what processes exchange, and this one is alone: start two by " +
				"mpirun -n 2, or give --latency and --bandwidth to forecast by"}
		}
		if c.Batch < ranks {
			return &train.UsageError{Flag: "--batch", Value: fmt.Sprint(c.Batch),
				Problem: fmt.Sprintf("must be at least %d, an image for each process", ranks)}
		}
		e, err := c.exchanged(ctx, g, size, link)
		if err == nil && g.Rank() == 0 {
			if c.JSON {
				return printJSON(e)
			}
			err = e.WriteTable(stdout)
		}
		return err
	})
}

func (c benchCommand) exchanged(ctx context.Context, g dist.Group, size int, link *dist.Link) (e bench.Exchanged,
	err error) {
	adapter, err := adapterOf(c.Adapter, g)
	if err != nil {
		return e, err
	}
	data, err := cifar10.Sample()
	if err != nil {
		return e, err
	}
	dev, err := openDevice(adapter)
	if err != nil {
		return e, err
	}
	defer dev.Close()
	report := &benchReport{terminal: onTerminal()}
	defer report.end()
	options := bench.Options{Model: c.Model, Size: size, Batch: c.Batch, Progress: report.progress}
	var end func()
	options.Tune, end = tuneOptions()
	defer end()
	e, err = bench.New(dev, data, options).Distributed(ctx, g, link)
	if ctx.Err() != nil {
		return e, &interrupted{"interrupted; no figures, as only part was measured"}
	}
	return e, err
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
			r.bar = progressbar.NewOptions(total, progressbar.OptionSetWriter(os.Stderr),
				progressbar.OptionSetDescription(stage), progressbar.OptionSetWidth(24),
				progressbar.OptionClearOnFinish(), progressbar.OptionUseANSICodes(true),
				progressbar.OptionThrottle(100*time.Millisecond),
				progressbar.OptionSetRenderBlankState(true))
		} else {
			fmt.Fprintln(os.Stderr, stage)
		}
	}
	if r.bar != nil {
		r.bar.ChangeMax(total)
		_ = r.bar.Set(done)
	}
}

func (r *benchReport) end() {
	if r.bar != nil {
		_ = r.bar.Finish()
		r.bar = nil
	}
}
