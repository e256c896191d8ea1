package train

import (
	"embed"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
)

// DefaultRecipe is used where neither the command line nor a configuration file names one, and the network does not
// learn by another.
const DefaultRecipe = "fast"

//go:embed recipes/*.toml
var recipeFiles embed.FS

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

// RecipeText is the TOML file of a recipe. An unknown name is a *UsageError that lists the known ones; argument is what
// it was given as, such as --recipe.
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
