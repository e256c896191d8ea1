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

// Config is everything a training run needs to know. What a field means, and what files and flags call it, is said in
// the table of settings.
type Config struct {
	Data           string
	Model          string
	Recipe         string
	Epochs         int
	MaxSteps       *int // nil: no limit
	Batch          int
	Micro          int
	Shards         int
	LR             float64
	Momentum       float64
	Nesterov       bool
	WeightDecay    float64
	Schedule       string
	Dropout        *float64 // nil: see Resolve
	Aux            float64
	LabelSmoothing float64
	Augment        string
	Resize         *int // nil: the model's own, see Resolve
	Mean           string
	Std            string
	Sizes          string
	EMA            float64
	Shuffle        bool
	Seed           uint64
	Adapter        string
	Init           string
	Initial        string
	Out            string
	EvalEvery      int
	EvalTrain      int

	Fit         string
	Channels    int
	Labels      string
	ValFraction float64
	SkipBroken  bool
	Stream      string

	NewHead      bool
	Freeze       string
	LRScale      string
	ClassWeights string
	Patience     int

	ClipNorm        float64
	CheckpointEvery int
	OnDivergence    string
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
	recipe = cmp.Or(recipe, models.Recipe(cmp.Or(model, models.Default)), DefaultRecipe)
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

// Work is about what the steps of a run from one on, up to another, take of its total, in steps of its own size.
func (c Config) Work(from, to, total int) float64 {
	if c.Sizes == "" {
		return float64(to - from)
	}
	sizes, _ := ParseSizes(c.Sizes) // whose fault the run would have told
	return sizes.Work(from, to, total, c.size())
}

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

// MicroBatch is the most images of a step that are computed at a time.
func (c Config) MicroBatch() int {
	_, most := nn.Cut(c.Batch, max(1, c.Shards), 0)
	if c.Micro > 0 {
		most = min(c.Micro, most)
	}
	return most
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
