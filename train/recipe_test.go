package train

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/pelletier/go-toml/v2"

	"ninvk/models"
)

func seedConfig(t *testing.T) Config {
	t.Helper()
	c, err := LoadRecipe("seed")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func writeFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "run.toml")
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func intPtr(v int) *int { return &v }

func floatPtr(v float64) *float64 { return &v }

func TestRecipeSeedIsThePublishedOne(t *testing.T) {
	want := Config{
		Data: "auto", Model: "nin", Recipe: "seed",
		Epochs: 100, Batch: 64, LR: 0.01, Momentum: 0.9, WeightDecay: 0.0005,
		Schedule: "step:10:0.6", Augment: "flip",
		Shuffle: true, Seed: 1, EvalEvery: 1, OnDivergence: "stop",
		Fit: "crop", Labels: "fine", ValFraction: 0.1, Stream: "auto", Initial: "own", ClassWeights: "none",
	}
	if diff := cmp.Diff(want, seedConfig(t)); diff != "" {
		t.Errorf("recipe seed (-want +got):\n%s", diff)
	}
}

func TestRecipesAreValidAndSayTheSameThings(t *testing.T) {
	if diff := cmp.Diff([]string{"fast", "full", "gentle", "he", "large", "paper", "plain", "seed"},
		Recipes()); diff != "" {
		t.Fatal(diff)
	}
	for _, name := range Recipes() {
		c, err := LoadRecipe(name)
		if err != nil {
			t.Fatal(err)
		}
		if c.Recipe != name {
			t.Errorf("recipe %s calls itself %q", name, c.Recipe)
		}
		if err := c.Validate(); err != nil {
			t.Errorf("recipe %s: %v", name, err)
		}
		// A key that a recipe leaves out would fall back to zero unseen.
		text, err := recipeFiles.ReadFile("recipes/" + name + ".toml")
		if err != nil {
			t.Fatal(err)
		}
		var m map[string]any
		if err := toml.Unmarshal(text, &m); err != nil {
			t.Fatal(err)
		}
		keys := []string{"epochs", "batch", "lr", "momentum", "nesterov", "weight-decay", "schedule", "label-smoothing",
			"augment"}
		for k := range m {
			// the usual model, and off, where a recipe leaves them out
			if !slices.Contains(append(keys, "model", "dropout", "sizes", "ema", "eval-every", "eval-train", "clip-norm",
				"initial"), k) {
				t.Errorf("recipe %s sets %s, which is no matter of recipes", name, k)
			}
		}
		for _, k := range keys {
			if _, ok := m[k]; !ok {
				t.Errorf("recipe %s does not set %s", name, k)
			}
		}
	}
}

func TestRecipeTitle(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"# One line. And more.\nlr = 1\n", "One line"},
		{"# Over\n# two lines, 0.5 of\n# them. And more.\n", "Over two lines, 0.5 of them"},
		{"# Before: after.\n", "Before"},
		{"# No end\nlr = 1\n# else.\n", "No end"},
		{"lr = 1\n", ""},
	} {
		if got := RecipeTitle(c.text); got != c.want {
			t.Errorf("%q: %q, want %q", c.text, got, c.want)
		}
	}
	for _, name := range Recipes() {
		text, err := RecipeText("--recipe", name)
		if err != nil {
			t.Fatal(err)
		}
		if title := RecipeTitle(text); title == "" || len(title) > 120 {
			t.Errorf("recipe %s begins with %q, want a short sentence", name, title)
		}
	}
}

func TestUnknownRecipeListsTheKnown(t *testing.T) {
	_, err := LoadRecipe("slow")
	var usage *UsageError
	if !errors.As(err, &usage) || usage.Flag != "--recipe" {
		t.Fatalf("error %v, expected a *UsageError", err)
	}
	for _, want := range []string{`"slow"`, "fast, full, gentle, he, large, paper, plain, seed"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not mention %s", err, want)
		}
	}
}

func TestMergeFileOverridesOnlyWhatItGives(t *testing.T) {
	c := seedConfig(t)
	c.Resize = intPtr(224)
	before := c
	path := writeFile(t, "# mine\nbatch = 32\nlr = 1 # whole numbers too\nmax-steps = 10\nresize = 0\nshuffle = "+
		"false\nseed = 7\nschedule = 'cosine'\n")
	if err := MergeFile(path, &c); err != nil {
		t.Fatal(err)
	}
	want := before
	want.Batch, want.LR, want.MaxSteps, want.Resize = 32, 1, intPtr(10), intPtr(0)
	want.Shuffle, want.Seed, want.Schedule = false, 7, "cosine"
	if diff := cmp.Diff(want, c); diff != "" {
		t.Errorf("merged (-want +got):\n%s", diff)
	}
	if *before.Resize != 224 {
		t.Error("merging wrote through another Config's pointer")
	}
}

func TestMergeFileErrors(t *testing.T) {
	for _, c := range []struct {
		name, text string
		want       []string
	}{
		{"unknown key", "batch = 3\n\nbacth = 4\n", []string{"line 3", `"bacth"`, "unknown key"}},
		{"unknown table", "[optimizer]\nlr = 1\n", []string{"line 1", "optimizer"}},
		{"text for a number", "lr = 0.1\nbatch = \"many\"\n",
			[]string{"line 2", "batch: is a TOML string, expected a whole number"}},
		{"fraction for a whole number", "epochs = 1.5\n", []string{"line 1", "epochs"}},
		{"number for text", "lr = 0.1\n\nmodel = 3\n", []string{"line 3", "model: is a TOML integer, expected a string"}},
		{"number for yes or no", "nesterov = 1\n", []string{"line 1", "nesterov: is a TOML integer, expected true or false"}},
		{"negative seed", "seed = -1\n", []string{"seed"}},
		{"list for a number", "lr = [1, 2]\n", []string{"line 1", "lr"}},
		{"too large", "batch = 99999999999999999999\n", []string{"line 1", "batch"}},
		{"fraction of a step", "max-steps = 1.5\n",
			[]string{"line 1", "max-steps: is a TOML float, expected a whole number"}},
		{"broken", "batch = 3\nlr 0.1\n", []string{"line 2"}},
		{"table for a number", "[lr]\nx = 1\n", []string{"line 1", "table"}},
		{"twice", "batch = 3\nbatch = 4\n", []string{"batch"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := seedConfig(t)
			path := writeFile(t, c.text)
			err := MergeFile(path, &cfg)
			if err == nil {
				t.Fatal("no error")
			}
			for _, want := range append(c.want, path) {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q does not mention %s", err, want)
				}
			}
			if strings.Contains(err.Error(), "struct") {
				t.Errorf("%q speaks of Go", err)
			}
			if diff := cmp.Diff(seedConfig(t), cfg); diff != "" {
				t.Errorf("the configuration changed in spite of the error:\n%s", diff)
			}
		})
	}
	if err := MergeFile(filepath.Join(t.TempDir(), "none.toml"), &Config{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing file: %v", err)
	}
}

// FuzzConfig feeds texts to the reader of settings: an error leaves them as they were, and what is accepted is either
// refused by Validate or written and read again the same.
func FuzzConfig(f *testing.F) {
	for _, name := range Recipes() {
		text, err := recipeFiles.ReadFile("recipes/" + name + ".toml")
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Add([]byte("# mine\nbatch = 32\nlr = 1e-3\nmax-steps = 10\nresize = 0\nshuffle = false\nseed = " +
		"9223372036854775807\nschedule = 'step:10:0.6'\ndata = \"a\\u00e9\"\n"))
	f.Add([]byte("lr = nan\nmomentum = inf\n[table]\nx = {a = [1, 2]}\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		before, err := LoadRecipe(DefaultRecipe)
		if err != nil {
			t.Fatal(err)
		}
		c := before
		if err := merge(text, &c); err != nil {
			if err.Error() == "" {
				t.Fatal("an error that says nothing")
			}
			if diff := cmp.Diff(before, c); diff != "" {
				t.Fatalf("refused (%v), but changed:\n%s", err, diff)
			}
			return
		}
		if c.Validate() != nil {
			return
		}
		written, err := toml.Marshal(c.file())
		if err != nil {
			t.Fatal(err)
		}
		var again Config
		if err := merge(written, &again); err != nil {
			t.Fatalf("%v in what was written:\n%s", err, written)
		}
		if diff := cmp.Diff(c, again); diff != "" {
			t.Fatalf("-read +written and read:\n%s", diff)
		}
	})
}

func TestLoadConfigPrecedence(t *testing.T) {
	slow := writeFile(t, "recipe = \"seed\"\nepochs = 3\n")
	lenet := writeFile(t, "model = 'lenet5'\nepochs = 3\n")
	for _, c := range []struct {
		recipe, file, model string
		wantRecipe          string
		wantEpochs          int
	}{
		{"", "", "", "fast", 6},
		{"paper", "", "", "paper", 200},
		{"", slow, "", "seed", 3},
		{"paper", slow, "", "paper", 3},
		{"", writeFile(t, "batch = 2\n"), "", "fast", 6},
		{"", "", "nin", "plain", 100},
		{"", "", "lenet5", "plain", 100},
		{"", "", "vgg16-bn", "seed", 100},
		{"", "", "resnet20", "fast", 6},
		{"seed", "", "lenet5", "seed", 100},
		{"", slow, "lenet5", "seed", 3},
		{"", lenet, "", "plain", 3},
		{"", lenet, "resnet20", "fast", 3},
	} {
		got, err := LoadConfig(c.recipe, c.file, c.model)
		if err != nil {
			t.Fatal(err)
		}
		if got.Recipe != c.wantRecipe || got.Epochs != c.wantEpochs {
			t.Errorf("LoadConfig(%q, %q, %q): recipe %s, %d epochs; want %s, %d", c.recipe, c.file, c.model, got.Recipe,
				got.Epochs, c.wantRecipe, c.wantEpochs)
		}
	}
	if _, err := LoadConfig("", writeFile(t, "recipe = \"none\"\n"), ""); err == nil {
		t.Error("an unknown recipe in the file was accepted")
	}
	if _, err := LoadConfig("", writeFile(t, "x = 1\n"), ""); err == nil {
		t.Error("an unknown key in the file was accepted")
	}
}

func TestResolveAndTotalSteps(t *testing.T) {
	for model, want := range map[string]int{"nin": 32, "nin-bn": 32, "nin-imagenet": 224} {
		c := Config{Model: model}
		c.Resolve()
		if *c.Resize != want {
			t.Errorf("%s: resize %d, want %d", model, *c.Resize, want)
		}
	}
	c := Config{Model: "nin-imagenet", Resize: intPtr(0), Epochs: 3}
	c.Resolve()
	if *c.Resize != 0 {
		t.Errorf("a given size was changed to %d", *c.Resize)
	}
	if n := c.TotalSteps(10); n != 30 {
		t.Errorf("%d steps, want 30", n)
	}
	c.MaxSteps = intPtr(7)
	if n := c.TotalSteps(10); n != 7 {
		t.Errorf("%d steps, want 7", n)
	}
	c.MaxSteps = intPtr(70)
	if n := c.TotalSteps(10); n != 30 {
		t.Errorf("%d steps, want 30", n)
	}
}

// A dropout that is given is that of the run; a recipe's is for the recipe's own model; else each dropout has its own.
func TestResolveDropout(t *testing.T) {
	for _, c := range []struct {
		recipe, model string
		given         *float64
		want          float64
	}{
		{"seed", "nin", nil, OwnDropout},
		{"seed", "googlenet", nil, OwnDropout},
		{"seed", "googlenet", floatPtr(0.5), 0.5},
		{"full", "nin-bn", nil, 0.1},
		{"full", "googlenet", nil, OwnDropout},
		{"full", "googlenet", floatPtr(0.1), 0.1},
		{"full", "nin-bn", floatPtr(OwnDropout), OwnDropout},
		{"fast", "nin-bn", nil, 0},
		{"fast", "alexnet", nil, OwnDropout},
	} {
		cfg, err := LoadConfig(c.recipe, "", "")
		if err != nil {
			t.Fatal(err)
		}
		cfg.Model, cfg.Dropout = c.model, c.given
		if cfg.Resolve(); *cfg.Dropout != c.want {
			t.Errorf("recipe %s, %s, given %v: dropout %v, want %v", c.recipe, c.model, c.given, *cfg.Dropout, c.want)
		}
		written, err := toml.Marshal(cfg.file())
		if err != nil {
			t.Fatal(err)
		}
		again := Config{}
		if err := merge(written, &again); err != nil {
			t.Fatal(err)
		}
		again.Resolve()
		if diff := cmp.Diff(cfg, again); diff != "" {
			t.Errorf("-resolved +written and read:\n%s", diff)
		}
	}
}

// Every network can be trained by its name alone, with every recipe.
func TestCheckModel(t *testing.T) {
	load := func(recipe, model string) Config {
		t.Helper()
		c, err := LoadConfig(recipe, "", "")
		if err != nil {
			t.Fatal(err)
		}
		c.Model = model
		return c
	}
	for _, recipe := range Recipes() {
		for _, name := range models.Names() {
			c := load(recipe, name)
			c.Resolve()
			if err := c.CheckModel(); err != nil {
				t.Errorf("recipe %s: %v", recipe, err)
			}
			if c.size() != models.Size(name) {
				t.Errorf("%s is trained at %d pixels", name, c.size())
			}
			c.Aux = 0.3
			var usage *UsageError
			if err := c.CheckModel(); name == "googlenet" && err != nil {
				t.Error(err)
			} else if name != "googlenet" && (!errors.As(err, &usage) || usage.Flag != "--aux" ||
				!strings.Contains(err.Error(), "googlenet")) {
				t.Errorf("%s with --aux: %v", name, err)
			}
			if least := models.LeastSize(name); least > 1 {
				c = load(recipe, name)
				c.Resize = intPtr(least - 1)
				c.Resolve()
				err, said := c.CheckModel(), fmt.Sprintf("%d×%[1]d", least)
				if !errors.As(err, &usage) || usage.Flag != "--resize" || !strings.Contains(err.Error(), said) {
					t.Errorf("%s below its least size: %v", name, err)
				}
				c.Resize, c.Sizes = intPtr(224), fmt.Sprintf("%d:0.5", least-1)
				err = c.CheckModel()
				if !errors.As(err, &usage) || usage.Flag != "--sizes" || !strings.Contains(err.Error(), said) {
					t.Errorf("%s at first below its least size: %v", name, err)
				}
			}
		}
	}
	c := load("seed", "nix")
	c.Resolve()
	if err := c.CheckModel(); !errors.As(err, new(*models.UnknownModelError)) {
		t.Errorf("an unknown model: %v", err)
	}
}

func TestValidate(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	for _, c := range []struct {
		flag   string
		change func(*Config)
	}{
		{"--epochs", func(c *Config) { c.Epochs = 0 }},
		{"--epochs", func(c *Config) { c.Epochs = -5 }},
		{"--max-steps", func(c *Config) { c.MaxSteps = intPtr(0) }},
		{"--max-steps", func(c *Config) { c.MaxSteps = intPtr(-1) }},
		{"--batch", func(c *Config) { c.Batch = 0 }},
		{"--lr", func(c *Config) { c.LR = 0 }},
		{"--lr", func(c *Config) { c.LR = -0.1 }},
		{"--lr", func(c *Config) { c.LR = nan }},
		{"--lr", func(c *Config) { c.LR = inf }},
		{"--momentum", func(c *Config) { c.Momentum = 1 }},
		{"--momentum", func(c *Config) { c.Momentum = -0.1 }},
		{"--momentum", func(c *Config) { c.Momentum = nan }},
		{"--momentum", func(c *Config) { c.Momentum, c.Nesterov = 0, true }},
		{"--weight-decay", func(c *Config) { c.WeightDecay = -1 }},
		{"--weight-decay", func(c *Config) { c.WeightDecay = nan }},
		{"--weight-decay", func(c *Config) { c.WeightDecay = inf }},
		{"--dropout", func(c *Config) { c.Dropout = floatPtr(1) }},
		{"--dropout", func(c *Config) { c.Dropout = &nan }},
		{"--dropout", func(c *Config) { c.Dropout = floatPtr(-0.5) }},
		{"--micro-batch", func(c *Config) { c.Micro = -1 }},
		{"--shards", func(c *Config) { c.Shards = 3 }},
		{"--shards", func(c *Config) { c.Shards = -2 }},
		{"--shards", func(c *Config) { c.Shards = 2 * c.Batch }},
		{"--aux", func(c *Config) { c.Aux = -0.3 }},
		{"--aux", func(c *Config) { c.Aux = nan }},
		{"--aux", func(c *Config) { c.Aux = inf }},
		{"--label-smoothing", func(c *Config) { c.LabelSmoothing = 1 }},
		{"--label-smoothing", func(c *Config) { c.LabelSmoothing = -0.1 }},
		{"--augment", func(c *Config) { c.Augment = "rotate" }},
		{"--augment", func(c *Config) { c.Augment = "" }},
		{"--resize", func(c *Config) { c.Resize = intPtr(-1) }},
		{"--resize", func(c *Config) { c.Resize = intPtr(1 << 20) }},
		{"--eval-every", func(c *Config) { c.EvalEvery = 0 }},
		{"--schedule", func(c *Config) { c.Schedule = "step:0:1" }},
		{"--clip-norm", func(c *Config) { c.ClipNorm = -1 }},
		{"--clip-norm", func(c *Config) { c.ClipNorm = nan }},
		{"--checkpoint-every", func(c *Config) { c.CheckpointEvery = -1 }},
		{"--on-divergence", func(c *Config) { c.OnDivergence = "pray" }},
		{"--seed", func(c *Config) { c.Seed = math.MaxUint64 }},
		{"--data", func(c *Config) { c.Data = "" }},
		{"--model", func(c *Config) { c.Model = "" }},
		{"--augment", func(c *Config) { c.Augment = "flip,none" }},
		{"--fit", func(c *Config) { c.Fit = "tile" }},
		{"--channels", func(c *Config) { c.Channels = 2 }},
		{"--labels", func(c *Config) { c.Labels = "rough" }},
		{"--val-fraction", func(c *Config) { c.ValFraction = 1 }},
		{"--val-fraction", func(c *Config) { c.ValFraction = math.NaN() }},
		{"--stream", func(c *Config) { c.Stream = "yes" }},
		{"--new-head", func(c *Config) { c.NewHead = true }},
		{"--initial", func(c *Config) { c.Initial = "orthogonal" }},
		{"--class-weights", func(c *Config) { c.ClassWeights = "equal" }},
		{"--patience", func(c *Config) { c.Patience = -1 }},
	} {
		cfg := seedConfig(t)
		c.change(&cfg)
		err := cfg.Validate()
		var usage *UsageError
		if !errors.As(err, &usage) || usage.Flag != c.flag {
			t.Errorf("error %v, expected one about %s", err, c.flag)
		}
	}
	for name, change := range map[string]func(*Config){
		"zeros":  func(c *Config) { c.Momentum, c.WeightDecay, c.Dropout, c.LabelSmoothing = 0, 0, floatPtr(0), 0 },
		"own":    func(c *Config) { c.Dropout = floatPtr(OwnDropout) },
		"parts":  func(c *Config) { c.Micro, c.Aux = 1, 0.3 },
		"pixel":  func(c *Config) { c.Resize = intPtr(1) },
		"steps":  func(c *Config) { c.MaxSteps = intPtr(1) },
		"resize": func(c *Config) { c.Resize = intPtr(224) },
		"seed":   func(c *Config) { c.Seed = math.MaxInt64 },
	} {
		cfg := seedConfig(t)
		change(&cfg)
		if err := cfg.Validate(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	cfg := seedConfig(t)
	cfg.Batch = 0
	if got, want := cfg.Validate().Error(), "--batch 0: must be at least 1"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
