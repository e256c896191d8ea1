package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
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

// trainCommand has a pointer wherever a setting not given must be told from one given: flags win over the file, the
// file over the recipe.
type trainCommand struct {
	Data        *string  `help:"A folder of classes with images, or a data set in the format of CIFAR-10, CIFAR-100, MNIST or CSV, or an archive of one; 'sample' (embedded real images), or 'auto' (the folder data if there, else the sample)." placeholder:"DIR|FILE|sample|auto"`
	Model       *string  `help:"One of ${models} (default: nin-bn with the recipe fast, else nin)." placeholder:"NAME"`
	Recipe      string   `help:"One of ${recipes} (default: seed, the published script, but plain, large, he or gentle for networks that learn by them: ninvk recipes)." placeholder:"NAME"`
	Config      string   `help:"TOML file with settings; flags win over it." placeholder:"FILE.toml"`
	Epochs      *int     `help:"Passes over the training images."`
	MaxSteps    *int     `help:"Stop after so many steps."`
	Batch       *int     `help:"Images a step."`
	Shards      *int     `help:"Parts of a batch, each computed as a batch of its own, whose gradients are added up; a power of two, which the number of processes must divide (default: that number, 1 for one alone)."`
	MicroBatch  *int     `help:"Most images of a step computed at a time, for an adapter with little memory: their gradients are added up; 0 for all at once."`
	LR          *float64 `name:"lr" help:"Learning rate, which the schedule scales."`
	Momentum    *float64 `help:"Momentum."`
	WeightDecay *float64 `help:"Weight decay, added to the gradient."`
	Nesterov    *bool    `help:"Nesterov's form of momentum." negatable:""`
	Smoothing   *float64 `name:"label-smoothing" help:"Label smoothing."`
	Schedule    *string  `help:"step:EPOCHS:FACTOR, cosine, onecycle, plateau (where the test loss does not improve), plateau:FACTOR:PATIENCE or constant."`
	Dropout     *float64 `help:"Probability that an activation is dropped; -1 for each dropout's own, as without the flag where the recipe has none for the network." placeholder:"P"`
	Aux         *float64 `help:"Weight of the losses of auxiliary heads, as 0.3, which the network is then trained with; 0 for none." placeholder:"W"`
	Augment     *string  `help:"none, or some of flip, flip-crop, random-resized-crop and color with commas between them."`
	Resize      *int     `help:"Pixels a side to enlarge images to; 0 for their own size."`
	Mean        *string  `help:"Mean of red, green and blue from 0 to 1 that images are normalised by, one number for all or three (default: what the weights to start from tell, else ImageNet's)." placeholder:"R,G,B"`
	Std         *string  `help:"Standard deviation, likewise." placeholder:"R,G,B"`
	Sizes       *string  `help:"Smaller images in the first part of the run, as 16:0.6,24:0.3 (pixels a side, share of the steps), below the size of the run; an empty string for none." placeholder:"SIZE:SHARE,…"`
	EMA         *float64 `name:"ema" help:"Decay a step of averaged weights, which are then evaluated and kept; 0 for no averaging."`
	NoShuffle   bool     `help:"Take images in file order."`
	Seed        *uint64  `help:"Seed of all random numbers."`
	Adapter     *string  `help:"Index, part of the name or driver, or type (cpu, discrete, integrated); a list with commas between them for several processes on a machine."`
	Init        *string  `help:"Weights to start from; 'embedded' for those that are part of the program." placeholder:"FILE"`
	Initial     *string  `help:"How first weights are drawn: own, as the network's definition has it, or lecun or he, which suit deep networks without normalisation." placeholder:"own|lecun|he"`
	Out         *string  `help:"Run folder to make (default runs/TIME-MODEL)." placeholder:"DIR"`
	EvalEvery   *int     `help:"Epochs between evaluations of both splits."`
	EvalTrain   *int     `help:"How many of the training images are evaluated; 0 for all."`
	Resume      string   `help:"Run folder to go on with, exactly as if it had not been interrupted; or the file of a run that was saved in the browser, for which a run folder is made (--out)." placeholder:"DIR|FILE"`

	Fit         *string  `help:"How an image that is no square becomes one: crop (the largest square in its middle), stretch, or pad (with black)." placeholder:"crop|stretch|pad"`
	Channels    *int     `help:"Channels of the images: 1 (grey) or 3; 0 for the data's own."`
	Labels      *string  `help:"Of data with two sets of labels, as CIFAR-100: fine or coarse." placeholder:"fine|coarse"`
	ValFraction *float64 `help:"Share of the images that become the test split, of data that have none (default 0.1)."`
	SkipBroken  *bool    `help:"Leave out images that can't be read, and list them in the run folder."`
	Stream      *string  `help:"Read images while training, rather than keep all in memory: auto (where they are many), always or never; results are the same." placeholder:"auto|always|never"`

	NewHead      *bool   `help:"With --init of weights for other classes: make the layers anew whose shape depends on the number of classes."`
	Freeze       *string `help:"Parameters that stay as they are, by patterns of their names." placeholder:"PATTERN,…"`
	LRScale      *string `name:"lr-scale" help:"Factors of the learning rate of parameters, by patterns of their names, as layer1.*=0.1." placeholder:"PATTERN=FACTOR,…"`
	ClassWeights *string `help:"balanced: an image of a rare class counts for more, so that all classes count the same." placeholder:"none|balanced"`
	Patience     *int    `help:"Stop when the test loss has not improved for so many evaluations; 0 for no limit."`

	ClipNorm        *float64 `help:"Largest norm of all gradients together; they are scaled down to it (default: no limit)."`
	CheckpointEvery *int     `help:"Steps between checkpoints, besides those of each epoch (default: every five minutes)."`
	Serve           string   `help:"Show the run on a web page while it goes on, as :8080; on this machine alone unless a host is given (0.0.0.0:8080: all that can reach it)." placeholder:"[HOST]:PORT"`
	NoTune          bool     `help:"Take the usual kernels rather than the measured choice, and measure none."`
	groupFlags
	OnDivergence *string `help:"What to do when loss, gradient or weights are no longer numbers: stop, or rollback (to the last good checkpoint, with half the learning rate, three times at most)." placeholder:"stop|rollback"`
}

// set copies a flag that was given.
func set[T any](target *T, flag *T) {
	if flag != nil {
		*target = *flag
	}
}

// config is recipe, file and flags in that order.
func (c trainCommand) config() (train.Config, error) {
	model := ""
	set(&model, c.Model)
	cfg, err := train.LoadConfig(c.Recipe, c.Config, model)
	if err != nil {
		return cfg, err
	}
	return c.flags(cfg)
}

// resumed is the saved run's settings with what file and flags say about them.
func (c trainCommand) resumed(s *train.Saved) (train.Config, error) {
	cfg := s.Config
	if c.Config != "" {
		if err := train.MergeFile(c.Config, &cfg); err != nil {
			return cfg, err
		}
	}
	if c.Recipe != "" {
		cfg.Recipe = c.Recipe
	}
	cfg, err := c.flags(cfg)
	if err != nil {
		return cfg, err
	}
	if c.Out != nil && filepath.Clean(*c.Out) != s.Dir {
		return cfg, &train.UsageError{Flag: "--out", Value: *c.Out, Problem: "a resumed run stays in its folder, " + s.Dir}
	}
	cfg.Out = s.Dir
	return cfg, s.Check(cfg)
}

// flags sets what flags say.
func (c trainCommand) flags(cfg train.Config) (train.Config, error) {
	set(&cfg.Data, c.Data)
	set(&cfg.Model, c.Model)
	set(&cfg.Epochs, c.Epochs)
	set(&cfg.Batch, c.Batch)
	set(&cfg.LR, c.LR)
	set(&cfg.Momentum, c.Momentum)
	set(&cfg.WeightDecay, c.WeightDecay)
	set(&cfg.Nesterov, c.Nesterov)
	set(&cfg.Initial, c.Initial)
	set(&cfg.LabelSmoothing, c.Smoothing)
	set(&cfg.Schedule, c.Schedule)
	set(&cfg.Micro, c.MicroBatch)
	set(&cfg.Shards, c.Shards)
	set(&cfg.Aux, c.Aux)
	set(&cfg.Augment, c.Augment)
	set(&cfg.Seed, c.Seed)
	set(&cfg.Adapter, c.Adapter)
	set(&cfg.Init, c.Init)
	set(&cfg.Out, c.Out)
	set(&cfg.EvalEvery, c.EvalEvery)
	set(&cfg.EvalTrain, c.EvalTrain)
	set(&cfg.Mean, c.Mean)
	set(&cfg.Std, c.Std)
	set(&cfg.Sizes, c.Sizes)
	set(&cfg.EMA, c.EMA)
	set(&cfg.Fit, c.Fit)
	set(&cfg.Channels, c.Channels)
	set(&cfg.Labels, c.Labels)
	set(&cfg.ValFraction, c.ValFraction)
	set(&cfg.SkipBroken, c.SkipBroken)
	set(&cfg.Stream, c.Stream)
	set(&cfg.NewHead, c.NewHead)
	set(&cfg.Freeze, c.Freeze)
	set(&cfg.LRScale, c.LRScale)
	set(&cfg.ClassWeights, c.ClassWeights)
	set(&cfg.Patience, c.Patience)
	set(&cfg.ClipNorm, c.ClipNorm)
	set(&cfg.CheckpointEvery, c.CheckpointEvery)
	set(&cfg.OnDivergence, c.OnDivergence)
	if c.MaxSteps != nil {
		cfg.MaxSteps = c.MaxSteps
	}
	if c.Resize != nil {
		cfg.Resize = c.Resize
	}
	if c.Dropout != nil {
		cfg.Dropout = c.Dropout
	}
	if c.NoShuffle {
		cfg.Shuffle = false
	}
	cfg.Resolve()
	return cfg, cfg.Validate()
}

// unpack makes a run folder of what is to be resumed where that is one file, as the page in a browser saves it.
func (c *trainCommand) unpack() error {
	if !train.Packed(c.Resume) {
		return nil
	}
	dir := train.DefaultRunDir(time.Now(), "resumed")
	set(&dir, c.Out)
	if err := train.Unpack(c.Resume, dir); err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "%s is unpacked into the run folder %s\n", shown(c.Resume), shown(dir))
	c.Resume, c.Out = dir, nil
	return nil
}

// Run trains.
func (c trainCommand) Run(ctx context.Context) error {
	return c.groupFlags.run(func(g dist.Group) error { return c.train(ctx, g) })
}

// train trains as one process of a group.
func (c trainCommand) train(ctx context.Context, g dist.Group) error {
	var saved *train.Saved
	var err error
	if c.Resume != "" {
		if g.Rank() > 0 {
			c.Out = nil // only the first process has a folder
		} else if err = c.unpack(); err == nil {
			saved, err = train.OpenSaved(c.Resume)
		}
		if err = together(g, err); err != nil {
			return err
		}
		defer func() {
			if saved != nil {
				saved.Close()
			}
		}()
		if saved, err = train.ShareSaved(g, saved); err != nil {
			return err
		}
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
		return chooseKernels(ctx, dev, g, cfg.Part(), true, c.NoTune)
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
		p.cfg, err = c.resumed(saved)
	} else {
		p.cfg, err = c.config()
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
