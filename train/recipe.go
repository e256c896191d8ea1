package train

import (
	"bytes"
	"cmp"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"ninvk/dataset"
	"ninvk/dist"
	"ninvk/models"
	"ninvk/nn"
)

// DefaultRecipe is used where neither the command line nor a configuration file names one, and the network does not learn
// by another.
const DefaultRecipe = "seed"

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

//go:embed recipes/*.toml
var recipeFiles embed.FS

// Config is everything a training run needs to know. Keys in TOML files are
// the names of the command line's flags.
type Config struct {
	Data           string   `toml:"data" json:"data" comment:"a folder, sample or auto"`
	Model          string   `toml:"model" json:"model"`
	Recipe         string   `toml:"recipe" json:"recipe" comment:"where settings come from that nothing else gives"`
	Epochs         int      `toml:"epochs" json:"epochs"`
	MaxSteps       *int     `toml:"max-steps" json:"max_steps,omitempty" comment:"the run stops after so many steps"` // nil: no limit
	Batch          int      `toml:"batch" json:"batch" comment:"images a step"`
	Micro          int      `toml:"micro-batch" json:"micro_batch" comment:"most images of a step computed at a time, whose gradients are added up; 0: all"`
	Shards         int      `toml:"shards" json:"shards" comment:"parts of a batch that are computed each as a batch of its own, and whose gradients are added up; a power of two; 0: as many as processes"`
	LR             float64  `toml:"lr" json:"lr" comment:"learning rate that the schedule scales"`
	Momentum       float64  `toml:"momentum" json:"momentum"`
	Nesterov       bool     `toml:"nesterov" json:"nesterov"`
	WeightDecay    float64  `toml:"weight-decay" json:"weight_decay"`
	Schedule       string   `toml:"schedule" json:"schedule" comment:"step:EPOCHS:FACTOR, cosine, onecycle, plateau[:FACTOR:PATIENCE] or constant"`
	Dropout        *float64 `toml:"dropout" json:"dropout" comment:"probability that an activation is dropped; -1: each dropout's own"` // nil: see Resolve
	Aux            float64  `toml:"aux" json:"aux" comment:"weight of the losses of auxiliary heads; 0: the network is trained without them"`
	LabelSmoothing float64  `toml:"label-smoothing" json:"label_smoothing"`
	Augment        string   `toml:"augment" json:"augment" comment:"none, or some of flip, flip-crop, random-resized-crop, color"`
	Resize         *int     `toml:"resize" json:"resize,omitempty" comment:"pixels a side; 0: the data's own size"` // nil: the model's own, see Resolve
	Mean           string   `toml:"mean" json:"mean" comment:"of red, green and blue from 0 to 1, as 0.5,0.4,0.3 or one for all; empty: what the weights to start from tell, else ImageNet's"`
	Std            string   `toml:"std" json:"std" comment:"standard deviation, likewise"`
	Sizes          string   `toml:"sizes" json:"sizes" comment:"smaller images first, as 16:0.6,24:0.3 (pixels a side, share of the steps); empty: none"`
	EMA            float64  `toml:"ema" json:"ema" comment:"decay a step of the averaged weights, which are evaluated and kept; 0: no averaging"`
	Shuffle        bool     `toml:"shuffle" json:"shuffle"`
	Seed           uint64   `toml:"seed" json:"seed"`
	Adapter        string   `toml:"adapter" json:"adapter" comment:"index, name or type; empty: the default adapter"`
	Init           string   `toml:"init" json:"init" comment:"weights to start from; empty: random ones from the seed"`
	Initial        string   `toml:"initial" json:"initial" comment:"how first weights are drawn: own, as the network's definition has it, or lecun or he, for networks without normalisation"`
	Out            string   `toml:"out" json:"out" comment:"the run folder"`
	EvalEvery      int      `toml:"eval-every" json:"eval_every" comment:"epochs between evaluations"`
	EvalTrain      int      `toml:"eval-train" json:"eval_train" comment:"training images that are evaluated; 0: all"`

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

// UsageError is a setting that can't be used. The command line reports it with
// exit code 2.
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

// Recipes lists the names of the known recipes, sorted.
func Recipes() []string {
	files, _ := fs.Glob(recipeFiles, "recipes/*.toml") // the pattern is valid
	names := make([]string, len(files))
	for i, f := range files {
		names[i] = strings.TrimSuffix(path.Base(f), ".toml")
	}
	slices.Sort(names)
	return names
}

// RecipeText is the TOML file of a recipe. An unknown name is a *UsageError that lists the known ones; argument is what it was given as, such as --recipe.
func RecipeText(argument, name string) (string, error) {
	if !slices.Contains(Recipes(), name) {
		return "", &UsageError{argument, strconv.Quote(name), "no such recipe; known are " + strings.Join(Recipes(), ", ")}
	}
	text, err := recipeFiles.ReadFile("recipes/" + name + ".toml")
	return string(text), err
}

// RecipeTitle is the first sentence of the comment that a recipe begins with, up to a colon if it has one, in one line.
func RecipeTitle(text string) string {
	var words []string
	for line := range strings.Lines(text) {
		comment, ok := strings.CutPrefix(line, "#")
		if !ok {
			break
		}
		for _, w := range strings.Fields(comment) {
			words = append(words, w)
			if strings.HasSuffix(w, ".") || strings.HasSuffix(w, ":") {
				return strings.TrimRight(strings.Join(words, " "), ".:")
			}
		}
	}
	return strings.Join(words, " ")
}

// OwnDropout as Config.Dropout leaves each dropout of a network its own probability.
const OwnDropout = -1

// LoadRecipe returns the settings of a recipe, with the defaults of what
// recipes don't say (data, model, seed and so on). An unknown name is a
// *UsageError that lists the known ones. Its dropout is for its own model, and
// left to Resolve, which knows the run's.
func LoadRecipe(name string) (Config, error) {
	c, err := wholeRecipe(name)
	c.Dropout = nil
	return c, err
}

// wholeRecipe is LoadRecipe with the dropout.
func wholeRecipe(name string) (Config, error) {
	c := defaults()
	text, err := RecipeText("--recipe", name)
	if err != nil {
		return Config{}, err
	}
	if err := merge([]byte(text), &c); err != nil {
		return Config{}, fmt.Errorf("recipe %s: %w", name, err)
	}
	c.Recipe = name
	return c, nil
}

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

// ConfigError says what is wrong with a configuration file.
type ConfigError struct {
	Path string
	Err  error
}

func (e *ConfigError) Error() string { return fmt.Sprintf("configuration %s: %v", e.Path, e.Err) }
func (e *ConfigError) Unwrap() error { return e.Err }

// MergeFile sets what a TOML file gives and leaves the rest of c alone. An
// unknown key, a value of the wrong type or broken TOML is an error that names
// the file, the line and the key; c is then unchanged.
func MergeFile(file string, c *Config) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return &ConfigError{file, err}
	}
	if err := merge(text, c); err != nil {
		return &ConfigError{file, err}
	}
	return nil
}

func merge(text []byte, c *Config) error {
	// Decoded into a copy that shares no pointers, so that an error leaves c
	// as it was and the decoder does not write through another Config.
	merged := *c
	merged.MaxSteps, merged.Resize, merged.Dropout = clone(c.MaxSteps), clone(c.Resize), clone(c.Dropout)
	dec := toml.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	err := dec.Decode(&merged)
	var unknown *toml.StrictMissingError
	var broken *toml.DecodeError
	switch {
	case errors.As(err, &unknown) && len(unknown.Errors) > 0:
		first := unknown.Errors[0]
		line, _ := first.Position()
		return fmt.Errorf("line %d: unknown key %q; known are the names of the train command's flags, such as batch, lr or weight-decay", line, strings.Join(first.Key(), "."))
	case errors.As(err, &broken):
		line, column := broken.Position()
		problem := strings.TrimPrefix(broken.Error(), "toml: ")
		if m := wrongType.FindStringSubmatch(problem); m != nil {
			problem = fmt.Sprintf("is a TOML %s, expected %s", m[1], kindNames[m[2]])
		}
		if key := keyAt(text, line); key != "" {
			problem = key + ": " + problem
		}
		return fmt.Errorf("line %d, column %d: %s", line, column, problem)
	case err != nil:
		return err
	}
	*c = merged
	return nil
}

// wrongType matches the library's message about a value's type, which speaks
// of Go's fields; kindNames says the same in a user's words.
var wrongType = regexp.MustCompile(`^cannot decode TOML (\S+) into struct field \S+ of type \*?(\w+)$`)

var kindNames = map[string]string{
	"int": "a whole number", "uint64": "a whole number", "float64": "a number", "string": "a string", "bool": "true or false",
}

// keyAt is the key set on a line counted from 1: the library's errors about
// values don't carry it. Empty where the line sets none.
func keyAt(text []byte, line int) string {
	lines := strings.Split(string(text), "\n")
	if line < 1 || line > len(lines) {
		return ""
	}
	key, _, ok := strings.Cut(lines[line-1], "=")
	if !ok {
		return ""
	}
	return strings.TrimSpace(key)
}

func clone[T any](p *T) *T {
	if p == nil {
		return nil
	}
	v := *p
	return &v
}

// Resolve fills in what depends on other settings: a size that was not given
// is the model's own; a dropout that was not given
// is the recipe's if the model is, for which it was measured, else each
// dropout's own; and of the recipe's sizes those at the end that are not below
// the run's are left out, and all of them for a model that does not take them or
// is for images of another size.
// After it, Resize and Dropout are not nil.
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

// CheckModel says whether there is the network, and whether it takes the run's
// images and has what is set for it: what can be told before the data is read
// and the adapter opened. The settings must be resolved and valid. An unknown
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

// TotalSteps is the number of steps the run takes when an epoch has
// stepsPerEpoch of them.
func (c Config) TotalSteps(stepsPerEpoch int) int {
	total := c.Epochs * stepsPerEpoch
	if c.MaxSteps != nil {
		total = min(total, *c.MaxSteps)
	}
	return total
}

// maxEpochs keeps the number of steps countable.
const maxEpochs = 1_000_000

// maxResize is the largest that --resize takes, in pixels a side: larger is
// surely a slip. The smallest is the network's matter.
const maxResize = 4096

// Validate checks every setting that can be judged without the data, the
// model or the adapter. The error is a *UsageError.
func (c Config) Validate() error {
	usage := func(flag string, value any, problem string) error {
		return &UsageError{"--" + flag, fmt.Sprint(value), problem}
	}
	atLeastOne := func(flag string, v int) error {
		if v < 1 {
			return usage(flag, v, "must be at least 1")
		}
		return nil
	}
	epochs := func(v int) error {
		if v > maxEpochs {
			return usage("epochs", v, fmt.Sprintf("at most %d are supported", maxEpochs))
		}
		return atLeastOne("epochs", v)
	}
	// Written so that NaN, for which every comparison is false, is refused.
	fraction := func(flag string, v float64) error {
		if !(v >= 0 && v < 1) {
			return usage(flag, v, "must be at least 0 and below 1")
		}
		return nil
	}
	dropout := func(v *float64) error {
		if v == nil || *v == OwnDropout || *v >= 0 && *v < 1 {
			return nil
		}
		return usage("dropout", *v, fmt.Sprintf("must be at least 0 and below 1, or %d for each dropout's own", OwnDropout))
	}
	maxSteps := 1
	if c.MaxSteps != nil {
		maxSteps = *c.MaxSteps
	}
	if err := errors.Join(
		epochs(c.Epochs),
		atLeastOne("max-steps", maxSteps),
		atLeastOne("batch", c.Batch),
		fraction("momentum", c.Momentum),
		dropout(c.Dropout),
		fraction("ema", c.EMA),
		fraction("label-smoothing", c.LabelSmoothing),
		atLeastOne("eval-every", c.EvalEvery),
	); err != nil {
		return firstOf(err)
	}
	switch {
	case c.Data == "":
		return usage("data", "", "must be a folder, sample or auto")
	case c.Model == "":
		return usage("model", "", "must name a model")
	case !(c.LR > 0) || math.IsInf(c.LR, 0):
		return usage("lr", c.LR, "must be a finite number above 0")
	case !(c.WeightDecay >= 0) || math.IsInf(c.WeightDecay, 0):
		return usage("weight-decay", c.WeightDecay, "must be a finite number from 0")
	case c.Nesterov && c.Momentum == 0:
		return usage("momentum", c.Momentum, "must be above 0 with Nesterov momentum")
	case !slices.Contains(dataset.Fits, dataset.Fit(c.Fit)):
		return usage("fit", strconv.Quote(c.Fit), "must be crop, stretch or pad")
	case c.Channels != 0 && c.Channels != 1 && c.Channels != 3:
		return usage("channels", c.Channels, "must be 1 or 3, or 0 for the data's own")
	case c.Labels != dataset.Fine && c.Labels != dataset.Coarse:
		return usage("labels", strconv.Quote(c.Labels), "must be fine or coarse")
	case !(c.ValFraction > 0 && c.ValFraction < 1):
		return usage("val-fraction", c.ValFraction, "must be above 0 and below 1")
	case c.Stream != StreamAuto && c.Stream != StreamAlways && c.Stream != StreamNever:
		return usage("stream", strconv.Quote(c.Stream), "must be auto, always or never")
	case c.NewHead && c.Init == "":
		return usage("new-head", "", "makes the last layers of weights to start from anew; name those by --init")
	case models.RuleOf(c.Initial) == nil:
		return usage("initial", strconv.Quote(c.Initial), "must be one of "+strings.Join(models.Rules(), ", "))
	case c.ClassWeights != EqualWeights && c.ClassWeights != BalancedWeights:
		return usage("class-weights", strconv.Quote(c.ClassWeights), "must be none or balanced")
	case c.Patience < 0:
		return usage("patience", c.Patience, "must be a number of evaluations, or 0 for no limit")
	case !(c.ClipNorm >= 0) || math.IsInf(c.ClipNorm, 0):
		return usage("clip-norm", c.ClipNorm, "must be a finite number above 0, or 0 for no limit")
	case c.EvalTrain < 0:
		return usage("eval-train", c.EvalTrain, "must be a number of images, or 0 for all")
	case c.Micro < 0:
		return usage("micro-batch", c.Micro, "must be at least 1 image, or 0 for the whole batch at once")
	case c.Shards != 0 && !dist.PowerOfTwo(c.Shards):
		return usage("shards", c.Shards, "must be a power of two, or 0 for as many as there are processes")
	case c.Shards > c.Batch:
		return usage("shards", c.Shards, fmt.Sprintf("a batch of %d images can't be cut into so many", c.Batch))
	case !(c.Aux >= 0) || math.IsInf(c.Aux, 0):
		return usage("aux", c.Aux, "must be a finite number above 0, or 0 for no auxiliary heads")
	case c.CheckpointEvery < 0:
		return usage("checkpoint-every", c.CheckpointEvery, "must be a number of steps, or 0 for every five minutes")
	case c.OnDivergence != StopOnDivergence && c.OnDivergence != RollbackOnDivergence:
		return usage("on-divergence", strconv.Quote(c.OnDivergence), "must be stop or rollback")
	case c.Resize != nil && (*c.Resize < 0 || *c.Resize > maxResize):
		return usage("resize", *c.Resize, fmt.Sprintf("must be 0 (the data's own size) or from 1 to %d pixels", maxResize))
	case c.Seed > math.MaxInt64:
		// TOML has no larger integers, and config.toml must hold the seed.
		return usage("seed", c.Seed, fmt.Sprintf("must be at most %d", math.MaxInt64))
	}
	if _, err := dataset.ParseAugment(c.Augment); err != nil {
		return usage("augment", strconv.Quote(c.Augment), err.Error())
	}
	if _, err := ParseSizes(c.Sizes); err != nil {
		return err
	}
	if _, err := c.given(); err != nil {
		return err
	}
	_, err := ParseSchedule(c.Schedule)
	return err
}

// firstOf is the first of the errors that errors.Join put together.
func firstOf(err error) error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return joined.Unwrap()[0]
	}
	return err
}
