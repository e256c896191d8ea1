package train

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"ninvk/dataset"
	"ninvk/dist"
	"ninvk/models"
)

// settings are all that a run has, in the order of --help. A new one is a field of Config and a row here.
var settings = []setting{
	{
		name: "data", field: func(c *Config) any { return &c.Data }, start: "auto", own: true,
		placeholder: "DIR|FILE|sample|auto",
		help: "A folder of classes with images, a table in CSV, a set that ninvk data fetch brings or one in its format, a " +
			"packed set, or an archive of these; 'sample' (embedded real images), or 'auto' (the folder data if there, else " +
			"the sample).",
		more: "A folder of classes is `DIR/CLASS/*` or `DIR/{train,val}/CLASS/*` ([your-images.md](your-images.md)). " +
			"Arrays beside a `batches.meta.txt` have the classes that it names.",
		check: func(c *Config) error { return must(c.Data != "", "must be a folder, sample or auto") },
	},
	{
		name: "model", field: func(c *Config) any { return &c.Model }, start: models.Default, fixed: true,
		placeholder: "NAME",
		help:        "The network, one of " + strings.Join(models.Names(), ", ") + ".",
		more:        "[models.md](models.md) tells of each; images are brought to its own size.",
		check:       func(c *Config) error { return must(c.Model != "", "must name a model") },
	},
	{
		name: "recipe", field: func(c *Config) any { return &c.Recipe }, fixed: true,
		placeholder: "NAME",
		help: "Where settings come from that nothing else gives, one of " + strings.Join(Recipes(), ", ") +
			": ninvk recipes.",
		absent: "the one that the network learns by, else " + DefaultRecipe,
		more: ownRecipes() + " `--recipe seed --model nin` is the published script's setting. " +
			"[train/recipes](../train/recipes) has the files.",
	},
	{
		name: "epochs", field: func(c *Config) any { return &c.Epochs },
		help: "How often every training image is shown.",
		more: "A resumed run can be made longer, not shorter.",
		check: func(c *Config) error {
			return cmp.Or(must(c.Epochs <= maxEpochs, fmt.Sprintf("at most %d are supported", maxEpochs)),
				atLeastOne(c.Epochs))
		},
	},
	{
		name: "max-steps", field: func(c *Config) any { return &c.MaxSteps },
		help:   "Stop after so many steps. The images are still evaluated; --eval-train takes fewer of them.",
		absent: "no limit",
		check: func(c *Config) error {
			if c.MaxSteps == nil {
				return nil
			}
			return atLeastOne(*c.MaxSteps)
		},
	},
	{
		name: "batch", field: func(c *Config) any { return &c.Batch }, fixed: true,
		help:  "Images a step.",
		check: func(c *Config) error { return atLeastOne(c.Batch) },
	},
	{
		name: "shards", field: func(c *Config) any { return &c.Shards }, fixed: true,
		help: "Parts of a batch, each computed as a batch of its own, whose gradients are added up; a power of two, which " +
			"the number of processes must divide.",
		absent: "the number of processes",
		more: "Batch normalisation takes its statistics from one shard. Gradients are added up in an order of their own, " +
			"so that results don't depend on how many processes share the shards out " +
			"([distributed.md](distributed.md)).",
		check: func(c *Config) error {
			return cmp.Or(must(c.Shards == 0 || dist.PowerOfTwo(c.Shards),
				"must be a power of two, or 0 for as many as there are processes"),
				must(c.Shards <= c.Batch, fmt.Sprintf("a batch of %d images can't be cut into so many", c.Batch)))
		},
	},
	{
		name: "micro-batch", field: func(c *Config) any { return &c.Micro }, fixed: true,
		help: "Most images of a step computed at a time, for an adapter with little memory: their gradients are added up; " +
			"0 for all at once.",
		more: "Batch normalisation then takes its statistics from so many.",
		check: func(c *Config) error {
			return must(c.Micro >= 0, "must be at least 1 image, or 0 for the whole batch at once")
		},
	},
	{
		name: "lr", field: func(c *Config) any { return &c.LR }, fixed: true,
		help: "Learning rate, which the schedule scales.",
		check: func(c *Config) error {
			return must(c.LR > 0 && !math.IsInf(c.LR, 0), "must be a finite number above 0")
		},
	},
	{
		name: "momentum", field: func(c *Config) any { return &c.Momentum }, fixed: true,
		help: "Momentum.",
		check: func(c *Config) error {
			return cmp.Or(fraction(c.Momentum),
				must(c.Momentum != 0 || !c.Nesterov, "must be above 0 with Nesterov momentum"))
		},
	},
	{
		name: "weight-decay", field: func(c *Config) any { return &c.WeightDecay }, fixed: true,
		help:  "Weight decay, added to the gradient.",
		check: func(c *Config) error { return finite(c.WeightDecay, "must be a finite number from 0") },
	},
	{
		name: "nesterov", field: func(c *Config) any { return &c.Nesterov }, both: true, fixed: true,
		help: "Nesterov's form of momentum.",
	},
	{
		name: "label-smoothing", field: func(c *Config) any { return &c.LabelSmoothing }, fixed: true,
		help:  "Label smoothing.",
		check: func(c *Config) error { return fraction(c.LabelSmoothing) },
	},
	{
		name: "schedule", field: func(c *Config) any { return &c.Schedule }, fixed: true,
		help: "step:EPOCHS:FACTOR, cosine, onecycle, plateau (where the test loss does not improve), " +
			"plateau:FACTOR:PATIENCE or constant.",
		more: "By `plateau` the rate falls to a tenth when the test loss has not improved for ten evaluations.",
		check: func(c *Config) error {
			_, err := ParseSchedule(c.Schedule)
			return err
		},
	},
	{
		name: "dropout", field: func(c *Config) any { return &c.Dropout }, fixed: true,
		placeholder: "P",
		help:        fmt.Sprintf("Probability that an activation is dropped; %d for each dropout's own.", OwnDropout),
		absent:      "the recipe's where it is for the network, else each dropout's own",
		check: func(c *Config) error {
			return must(c.Dropout == nil || *c.Dropout == OwnDropout || fraction(*c.Dropout) == nil,
				fmt.Sprintf("must be at least 0 and below 1, or %d for each dropout's own", OwnDropout))
		},
	},
	{
		name: "aux", field: func(c *Config) any { return &c.Aux }, fixed: true,
		placeholder: "W",
		help: "Weight of the losses of auxiliary heads, as 0.3, which the network is then trained with; 0 for none: it is " +
			"trained without them.",
		more: "`googlenet` has such heads.",
		check: func(c *Config) error {
			return finite(c.Aux, "must be a finite number above 0, or 0 for no auxiliary heads")
		},
	},
	{
		name: "augment", field: func(c *Config) any { return &c.Augment }, fixed: true,
		help: "none, or some of flip, flip-crop, random-resized-crop and color with commas between them.",
		check: func(c *Config) error {
			_, err := dataset.ParseAugment(c.Augment)
			return err
		},
	},
	{
		name: "resize", field: func(c *Config) any { return &c.Resize }, fixed: true,
		help:   "Pixels a side to bring images to; 0 for their own size.",
		absent: "the network's own",
		check: func(c *Config) error {
			return must(c.Resize == nil || *c.Resize >= 0 && *c.Resize <= maxResize,
				fmt.Sprintf("must be 0 (the data's own size) or from 1 to %d pixels", maxResize))
		},
	},
	{
		name: "mean", field: func(c *Config) any { return &c.Mean }, fixed: true,
		placeholder: "R,G,B",
		help: "Mean of red, green and blue from 0 to 1 that images are normalised by, as 0.5,0.4,0.3 or one number for " +
			"all.",
		absent: "what the weights to start from tell, else ImageNet's",
		check: func(c *Config) error {
			_, err := c.given()
			return err
		},
	},
	{
		name: "std", field: func(c *Config) any { return &c.Std }, fixed: true,
		placeholder: "R,G,B",
		help:        "Standard deviation, likewise.",
		absent:      "as for --mean",
	},
	{
		name: "sizes", field: func(c *Config) any { return &c.Sizes }, fixed: true,
		placeholder: "SIZE:SHARE,…",
		help: "Smaller images in the first part of the run, as 16:0.6,24:0.3 (pixels a side, share of the steps), below " +
			"the size of the run; an empty string for none.",
		more: "They cost less, and are shrunk as Pillow's bicubic does it. The example trains six tenths of the steps at " +
			"16×16 pixels, three at 24×24 and the rest at the run's own size; epochs are evaluated at the size they end with.",
		check: func(c *Config) error {
			_, err := ParseSizes(c.Sizes)
			return err
		},
	},
	{
		name: "ema", field: func(c *Config) any { return &c.EMA }, fixed: true,
		help:  "Decay a step of averaged weights, such as 0.999, which are then evaluated and kept; 0 for no averaging.",
		check: func(c *Config) error { return fraction(c.EMA) },
	},
	{
		name: "shuffle", field: func(c *Config) any { return &c.Shuffle }, start: true, off: true, fixed: true,
		help: "Take images in file order.",
	},
	{
		name: "seed", field: func(c *Config) any { return &c.Seed }, start: uint64(1), fixed: true,
		help: "Seed of all random numbers.",
		check: func(c *Config) error { // TOML has no larger integers, and config.toml must hold the seed
			return must(c.Seed <= math.MaxInt64, fmt.Sprintf("must be at most %d", math.MaxInt64))
		},
	},
	{
		name: "adapter", field: func(c *Config) any { return &c.Adapter }, own: true,
		help: "Index, part of the name or driver, or type (cpu, discrete, integrated); a list with commas between them for " +
			"several processes on a machine.",
		absent: "NINVK_ADAPTER of the environment, else the one that ninvk adapters marks",
	},
	{
		name: "init", field: func(c *Config) any { return &c.Init }, fixed: true, own: true,
		placeholder: "FILE",
		help: "Weights to start from, or the name of some that are part of the program ('embedded' for the first): " +
			strings.Join(models.EmbeddedNames, ", ") + ".",
		absent: "random ones from the seed",
		more:   "Ours, or PyTorch's as safetensors or `.pth` ([weights.md](weights.md)).",
	},
	{
		name: "initial", field: func(c *Config) any { return &c.Initial }, start: models.OwnRule, fixed: true,
		placeholder: "own|lecun|he",
		help: "How first weights are drawn: own, as the network's definition has it, or lecun or he, which suit deep " +
			"networks without normalisation.",
		more: "Their variance is 1/fan-in by `lecun` and 2/fan-in by `he`.",
		check: func(c *Config) error {
			return must(models.RuleOf(c.Initial) != nil, "must be one of "+strings.Join(models.Rules(), ", "))
		},
	},
	{
		name: "out", field: func(c *Config) any { return &c.Out }, own: true,
		placeholder: "DIR",
		help:        "Run folder to make.",
		absent:      "runs/TIME-MODEL",
	},
	{
		name: "eval-every", field: func(c *Config) any { return &c.EvalEvery }, start: 1,
		help:  "Epochs between evaluations of both splits.",
		check: func(c *Config) error { return atLeastOne(c.EvalEvery) },
	},
	{
		name: "eval-train", field: func(c *Config) any { return &c.EvalTrain },
		help:  "How many of the training images are evaluated; 0 for all.",
		check: func(c *Config) error { return must(c.EvalTrain >= 0, "must be a number of images, or 0 for all") },
	},
	{
		name: "fit", field: func(c *Config) any { return &c.Fit }, start: string(dataset.Crop), fixed: true,
		choices: waysToFit(),
		help: "How an image that is no square becomes one: crop (the largest square in its middle), stretch, or pad (with " +
			"black).",
	},
	{
		name: "channels", field: func(c *Config) any { return &c.Channels }, fixed: true,
		help: "Channels of the images: 1 (grey) or 3; 0 for the data's own.",
		check: func(c *Config) error {
			return must(slices.Contains([]int{0, 1, 3}, c.Channels), "must be 1 or 3, or 0 for the data's own")
		},
	},
	{
		name: "labels", field: func(c *Config) any { return &c.Labels }, start: dataset.Fine, fixed: true,
		choices: []string{dataset.Fine, dataset.Coarse},
		help:    "Of data with two sets of labels: fine or coarse.",
	},
	{
		name: "val-fraction", field: func(c *Config) any { return &c.ValFraction }, start: dataset.DefaultValidation,
		fixed: true,
		help:  "Share of the images that become the test split, of data that have none.",
		check: func(c *Config) error {
			return must(c.ValFraction > 0 && c.ValFraction < 1, "must be above 0 and below 1")
		},
	},
	{
		name: "skip-broken", field: func(c *Config) any { return &c.SkipBroken }, fixed: true,
		help: "Leave out images that can't be read, and list them in the run folder.",
	},
	{
		name: "stream", field: func(c *Config) any { return &c.Stream }, start: StreamAuto,
		choices: []string{StreamAuto, StreamAlways, StreamNever},
		help: "Read images while training, rather than keep all in memory: auto (where they are many), always or never; " +
			"results are the same.",
	},
	{
		name: "new-head", field: func(c *Config) any { return &c.NewHead }, fixed: true,
		help: "With --init of weights for other classes: make the layers anew whose shape depends on the number of classes.",
		check: func(c *Config) error {
			return must(!c.NewHead || c.Init != "",
				"makes the last layers of weights to start from anew; name those by --init")
		},
	},
	{
		name: "freeze", field: func(c *Config) any { return &c.Freeze }, fixed: true,
		placeholder: "PATTERN,…",
		help:        "Parameters that stay as they are, by patterns of their names, as conv1*,layer1.*.",
		absent:      "none",
		more:        "[your-images.md](your-images.md) tells of fine-tuning.",
	},
	{
		name: "lr-scale", field: func(c *Config) any { return &c.LRScale }, fixed: true,
		placeholder: "PATTERN=FACTOR,…",
		help:        "Factors of the learning rate of parameters, by patterns of their names, as layer1.*=0.1.",
		absent:      "none",
	},
	{
		name: "class-weights", field: func(c *Config) any { return &c.ClassWeights }, start: EqualWeights, fixed: true,
		choices: []string{EqualWeights, BalancedWeights},
		help:    "balanced: an image of a rare class counts for more, so that all classes count the same.",
	},
	{
		name: "patience", field: func(c *Config) any { return &c.Patience },
		help: "Stop when the test loss has not improved for so many evaluations; 0 for no limit.",
		more: "Only evaluations at the run's own image size count.",
		check: func(c *Config) error {
			return must(c.Patience >= 0, "must be a number of evaluations, or 0 for no limit")
		},
	},
	{
		name: "clip-norm", field: func(c *Config) any { return &c.ClipNorm }, fixed: true,
		help:  "Largest norm of all gradients together; they are scaled down to it; 0 for no limit.",
		more:  "As PyTorch's `clip_grad_norm_`; every step's norm before clipping is in `metrics.jsonl`.",
		check: func(c *Config) error { return finite(c.ClipNorm, "must be a finite number above 0, or 0 for no limit") },
	},
	{
		name: "checkpoint-every", field: func(c *Config) any { return &c.CheckpointEvery },
		help: "Steps between checkpoints, besides those of each epoch; 0 for every five minutes.",
		check: func(c *Config) error {
			return must(c.CheckpointEvery >= 0, "must be a number of steps, or 0 for every five minutes")
		},
	},
	{
		name: "on-divergence", field: func(c *Config) any { return &c.OnDivergence }, start: StopOnDivergence,
		choices: []string{StopOnDivergence, RollbackOnDivergence},
		help: "What to do when loss, gradient or weights are no longer numbers: stop, or rollback (to the last good " +
			"checkpoint, with half the learning rate, three times at most).",
	},
}

const (
	maxEpochs = 1_000_000 // keeps the number of steps countable
	maxResize = 4096      // pixels a side: larger is surely a slip; the smallest is the network's matter
)

// What --on-divergence takes.
const (
	StopOnDivergence     = "stop"
	RollbackOnDivergence = "rollback" // to the last good checkpoint, with half the learning rate
)

// What --class-weights takes.
const (
	EqualWeights    = "none"
	BalancedWeights = "balanced" // an image of a rare class counts for more, so that all classes count the same
)

// What --stream takes.
const (
	StreamAuto   = "auto" // where the images would take much memory
	StreamAlways = "always"
	StreamNever  = "never"
)

// OwnDropout as Config.Dropout leaves each dropout of a network its own probability.
const OwnDropout = -1

func waysToFit() []string {
	var names []string
	for _, f := range dataset.Fits {
		names = append(names, string(f))
	}
	return names
}

// ownRecipes says which networks learn by which recipes.
func ownRecipes() string {
	var parts []string
	for _, recipe := range Recipes() {
		var of []string
		for _, name := range models.Names() {
			if models.Recipe(name) == recipe {
				of = append(of, "`"+name+"`")
			}
		}
		if of != nil {
			parts = append(parts, fmt.Sprintf("%s by `%s`", strings.Join(of, ", "), recipe))
		}
	}
	return "Networks that learn by a recipe of their own: " + strings.Join(parts, "; ") + "."
}
