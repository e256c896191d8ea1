package train

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"ninvk/dataset"
	"ninvk/models"
	"ninvk/nn"
)

// Config is everything a training run needs to know. Keys in TOML files are the names of the command line's flags.
type Config struct {
	Data   string `toml:"data" json:"data" comment:"a folder, sample or auto"`
	Model  string `toml:"model" json:"model"`
	Recipe string `toml:"recipe" json:"recipe" comment:"where settings come from that nothing else gives"`
	Epochs int    `toml:"epochs" json:"epochs"`
	// nil: no limit
	MaxSteps    *int    `toml:"max-steps" json:"max_steps,omitempty" comment:"the run stops after so many steps"`
	Batch       int     `toml:"batch" json:"batch" comment:"images a step"`
	Micro       int     `toml:"micro-batch" json:"micro_batch" comment:"most images of a step computed at a time, whose gradients are added up; 0: all"`
	Shards      int     `toml:"shards" json:"shards" comment:"parts of a batch that are computed each as a batch of its own, and whose gradients are added up; a power of two; 0: as many as processes"`
	LR          float64 `toml:"lr" json:"lr" comment:"learning rate that the schedule scales"`
	Momentum    float64 `toml:"momentum" json:"momentum"`
	Nesterov    bool    `toml:"nesterov" json:"nesterov"`
	WeightDecay float64 `toml:"weight-decay" json:"weight_decay"`
	Schedule    string  `toml:"schedule" json:"schedule" comment:"step:EPOCHS:FACTOR, cosine, onecycle, plateau[:FACTOR:PATIENCE] or constant"`
	// nil: see Resolve
	Dropout        *float64 `toml:"dropout" json:"dropout" comment:"probability that an activation is dropped; -1: each dropout's own"`
	Aux            float64  `toml:"aux" json:"aux" comment:"weight of the losses of auxiliary heads; 0: the network is trained without them"`
	LabelSmoothing float64  `toml:"label-smoothing" json:"label_smoothing"`
	Augment        string   `toml:"augment" json:"augment" comment:"none, or some of flip, flip-crop, random-resized-crop, color"`
	// nil: the model's own, see Resolve
	Resize    *int    `toml:"resize" json:"resize,omitempty" comment:"pixels a side; 0: the data's own size"`
	Mean      string  `toml:"mean" json:"mean" comment:"of red, green and blue from 0 to 1, as 0.5,0.4,0.3 or one for all; empty: what the weights to start from tell, else ImageNet's"`
	Std       string  `toml:"std" json:"std" comment:"standard deviation, likewise"`
	Sizes     string  `toml:"sizes" json:"sizes" comment:"smaller images first, as 16:0.6,24:0.3 (pixels a side, share of the steps); empty: none"`
	EMA       float64 `toml:"ema" json:"ema" comment:"decay a step of the averaged weights, which are evaluated and kept; 0: no averaging"`
	Shuffle   bool    `toml:"shuffle" json:"shuffle"`
	Seed      uint64  `toml:"seed" json:"seed"`
	Adapter   string  `toml:"adapter" json:"adapter" comment:"index, name or type; empty: the default adapter"`
	Init      string  `toml:"init" json:"init" comment:"weights to start from; empty: random ones from the seed"`
	Initial   string  `toml:"initial" json:"initial" comment:"how first weights are drawn: own, as the network's definition has it, or lecun or he, for networks without normalisation"`
	Out       string  `toml:"out" json:"out" comment:"the run folder"`
	EvalEvery int     `toml:"eval-every" json:"eval_every" comment:"epochs between evaluations"`
	EvalTrain int     `toml:"eval-train" json:"eval_train" comment:"training images that are evaluated; 0: all"`

	Fit         string  `toml:"fit" json:"fit" comment:"how an image that is no square becomes one: crop, stretch or pad"`
	Channels    int     `toml:"channels" json:"channels" comment:"of the images: 1 or 3; 0: the data's own"`
	Labels      string  `toml:"labels" json:"labels" comment:"of data with two sets of labels: fine or coarse"`
	ValFraction float64 `toml:"val-fraction" json:"val_fraction" comment:"share of the images that become the test split of data without one"`
	SkipBroken  bool    `toml:"skip-broken" json:"skip_broken" comment:"leave out images that can't be read"`
	Stream      string  `toml:"stream" json:"stream" comment:"read images while training: auto, always or never"`

	NewHead      bool   `toml:"new-head" json:"new_head" comment:"make the layers anew whose shape depends on the number of classes"`
	Freeze       string `toml:"freeze" json:"freeze" comment:"parameters that stay as they are, as conv1*,layer1.*; empty: none"`
	LRScale      string `toml:"lr-scale" json:"lr_scale" comment:"factors of parameters' learning rates, as layer1.*=0.1; empty: none"`
	ClassWeights string `toml:"class-weights" json:"class_weights" comment:"none or balanced"`
	Patience     int    `toml:"patience" json:"patience" comment:"evaluations without a better test loss after which the run stops; 0: none"`

	ClipNorm        float64 `toml:"clip-norm" json:"clip_norm" comment:"largest norm of all gradients together; 0: no limit"`
	CheckpointEvery int     `toml:"checkpoint-every" json:"checkpoint_every" comment:"steps between checkpoints besides those of each epoch; 0: every five minutes"`
	OnDivergence    string  `toml:"on-divergence" json:"on_divergence" comment:"stop or rollback"`
}

// UsageError is a setting that can't be used. The command line reports it with exit code 2.
type UsageError struct {
	Flag    string // as on the command line, such as "--batch"
	Value   string // as given
	Problem string // what would be right
}

func (e *UsageError) Error() string {
	if e.Value == "" {
		return fmt.Sprintf("%s: %s", e.Flag, e.Problem)
	}
	return fmt.Sprintf("%s %s: %s", e.Flag, e.Value, e.Problem)
}

// OwnDropout as Config.Dropout leaves each dropout of a network its own probability.
const OwnDropout = -1

// defaults are the settings that no recipe gives.
func defaults() Config {
	return Config{
		Data:         "auto",
		Model:        "nin",
		Shuffle:      true,
		Seed:         1,
		EvalEvery:    1,
		Fit:          string(dataset.Crop),
		Labels:       dataset.Fine,
		ValFraction:  dataset.DefaultValidation,
		Stream:       StreamAuto,
		Initial:      models.OwnRule,
		ClassWeights: EqualWeights,
		OnDivergence: StopOnDivergence,
	}
}

// LoadConfig puts a recipe and a configuration file together: the file wins over the recipe, and the caller's flags win
// over both when they are set afterwards. An empty file name means none. An empty recipe means the one that the file
// names, else the one that the network learns by, else DefaultRecipe. The network is the named one, or where that is
// empty the file's.
func LoadConfig(recipe, file, model string) (Config, error) {
	var text []byte
	if file != "" {
		var err error
		if text, err = os.ReadFile(file); err != nil { // once: it may be a pipe
			return Config{}, &ConfigError{file, err}
		}
		var inFile Config
		if err := merge(text, &inFile); err != nil {
			return Config{}, &ConfigError{file, err}
		}
		recipe, model = cmp.Or(recipe, inFile.Recipe), cmp.Or(model, inFile.Model)
	}
	recipe = cmp.Or(recipe, models.Recipe(cmp.Or(model, defaults().Model)), DefaultRecipe)
	c, err := LoadRecipe(recipe)
	if err != nil {
		return Config{}, err
	}
	if err := merge(text, &c); err != nil {
		return Config{}, &ConfigError{file, err}
	}
	c.Recipe = recipe
	return c, nil
}

func clone[T any](p *T) *T {
	if p == nil {
		return nil
	}
	v := *p
	return &v
}

// Resolve fills in what depends on other settings: a size that was not given is the model's own; a dropout that was not
// given is the recipe's if the model is, for which it was measured, else each dropout's own; and of the recipe's sizes
// those at the end that are not below the run's are left out, and all of them for a model that does not take them or is
// for images of another size. After it, Resize and Dropout are not nil.
func (c *Config) Resolve() {
	if c.Resize == nil {
		size := models.Size(c.Model)
		c.Resize = &size
	}
	// Runs of before these settings have none of them.
	c.Fit, c.Labels = cmp.Or(c.Fit, string(dataset.Crop)), cmp.Or(c.Labels, dataset.Fine)
	c.ValFraction = cmp.Or(c.ValFraction, dataset.DefaultValidation)
	c.Stream, c.ClassWeights = cmp.Or(c.Stream, StreamAuto), cmp.Or(c.ClassWeights, EqualWeights)
	c.Initial = cmp.Or(c.Initial, models.OwnRule)
	recipe, err := wholeRecipe(c.Recipe)
	if c.Dropout == nil {
		own := float64(OwnDropout)
		if c.Dropout = &own; err == nil && c.Model == recipe.Model && recipe.Dropout != nil {
			c.Dropout = recipe.Dropout
		}
	}
	if err == nil && c.Sizes == recipe.Sizes {
		c.Sizes = trimSizes(c.Sizes, c.size())
		sizes, err := ParseSizes(c.Sizes)
		least := models.LeastSize(c.Model)
		tooSmall := func(p sizePhase) bool { return p.pixels < least }
		if err == nil && (models.Size(c.Model) != models.Size(recipe.Model) || slices.ContainsFunc(sizes, tooSmall)) {
			c.Sizes = ""
		}
	}
}

// DataOptions are how the settings, which must be resolved, have their data opened.
func (c Config) DataOptions() dataset.Options {
	o := dataset.Options{Size: c.size(), Fit: dataset.Fit(c.Fit), Channels: c.Channels, Labels: c.Labels,
		Validation: c.ValFraction, SkipBroken: c.SkipBroken}
	if a, err := dataset.ParseAugment(c.Augment); err == nil && a&dataset.AugmentCrop != 0 {
		o.TrainSize = dataset.RoomToCrop(o.Size)
	}
	return o
}

// CheckModel says whether there is the network, and whether it takes the run's images and has what is set for it: what
// can be told before the data is read and the adapter opened. The settings must be resolved and valid. An unknown
// network is a *models.UnknownModelError, all else a *UsageError.
func (c Config) CheckModel() error {
	of := models.Config{Model: c.Model, Classes: 2, Size: c.size(), Dropout: *c.Dropout, Aux: c.Aux}
	g, _, err := models.Build(of)
	switch {
	case errors.As(err, new(*models.UnknownModelError)):
		return err
	case errors.As(err, new(*models.SizeError)):
		return &UsageError{"--resize", strconv.Itoa(*c.Resize), err.Error()}
	case err != nil:
		return &UsageError{"--resize", strconv.Itoa(*c.Resize),
			fmt.Sprintf("%s can't take images of %d×%[2]d pixels: %v", c.Model, of.Size, err)}
	}
	if _, err := c.rates(g); err != nil {
		return err
	}
	if c.Aux > 0 && len(g.Heads()) == 0 {
		return &UsageError{"--aux", fmt.Sprint(c.Aux), fmt.Sprintf("%s has no auxiliary heads; of the networks %s has",
			c.Model, strings.Join(models.WithHeads(), ", "))}
	}
	sizes, err := ParseSizes(c.Sizes)
	if err != nil {
		return err
	}
	for _, size := range sizes.Below(c.size()) {
		of.Size = size
		if _, _, err := models.Build(of); err != nil {
			return &UsageError{"--sizes", strconv.Quote(c.Sizes),
				fmt.Sprintf("%v; leave this stretch out with --sizes ''", err)}
		}
	}
	return nil
}

// size is that of the run's images, in pixels a side. Before the data is read, Resize may still be 0: then it is the
// network's own.
func (c Config) size() int { return cmp.Or(*c.Resize, models.Size(c.Model)) }

// TakeSize puts the data's own size in the place of a Resize of 0. Images that are no squares have none.
func (c *Config) TakeSize(s dataset.Shape) error {
	if *c.Resize != 0 {
		return nil
	}
	if s.H != s.W {
		return &UsageError{"--resize", "0", fmt.Sprintf("the images have %d×%d pixels, which is no square; give the "+
			"pixels a side that they are to be brought to", s.W, s.H)}
	}
	c.Resize = &s.H
	return c.CheckModel()
}

// rates are those that --freeze and --lr-scale give the parameters of a network.
func (c Config) rates(g *nn.Graph) (nn.Rates, error) {
	scaled, err := g.Scale(c.LRScale)
	if err != nil {
		return nil, &UsageError{"--lr-scale", strconv.Quote(c.LRScale), err.Error()}
	}
	frozen, err := g.Freeze(c.Freeze)
	if err != nil {
		return nil, &UsageError{"--freeze", strconv.Quote(c.Freeze), err.Error()}
	}
	return scaled.And(frozen), nil
}

// balanced are weights of classes by which the images of each weigh the same together, and all images their number.
// Classes without an image have none.
func balanced(labels []uint16, classes int) []float64 {
	counts, occurring := make([]int, classes), 0
	for _, l := range labels {
		if counts[l]++; counts[l] == 1 {
			occurring++
		}
	}
	weights := make([]float64, classes)
	for i, n := range counts {
		if n > 0 {
			weights[i] = float64(len(labels)) / float64(occurring*n)
		}
	}
	return weights
}

// Part is the most images of a step that are computed at a time.
func (c Config) Part() int {
	_, part := nn.Cut(c.Batch, max(1, c.Shards), 0)
	if c.Micro > 0 {
		part = min(c.Micro, part)
	}
	return part
}

// given is what the settings say of the weights to start from.
func (c Config) given() (models.Given, error) {
	g := models.Given{Model: c.Model}
	for _, x := range []struct {
		flag, text string
		parse      func(string) ([]float64, error)
		to         *[]float64
	}{{"--mean", c.Mean, models.ParseMean, &g.Mean}, {"--std", c.Std, models.ParseStd, &g.Std}} {
		if x.text == "" {
			continue
		}
		v, err := x.parse(x.text)
		if err != nil {
			return g, &UsageError{x.flag, x.text, err.Error()}
		}
		*x.to = v
	}
	return g, nil
}

// TotalSteps is the number of steps the run takes when an epoch has stepsPerEpoch of them.
func (c Config) TotalSteps(stepsPerEpoch int) int {
	total := c.Epochs * stepsPerEpoch
	if c.MaxSteps != nil {
		total = min(total, *c.MaxSteps)
	}
	return total
}
