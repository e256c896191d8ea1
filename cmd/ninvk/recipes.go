package main

import (
	"fmt"
	"text/tabwriter"

	"ninvk/train"
)

type recipesListCommand struct{}

// Run prints a line for every recipe.
func (recipesListCommand) Run() error {
	w := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
	for _, name := range train.Recipes() {
		text, err := train.RecipeText("--recipe", name)
		if err != nil {
			return err
		}
		fmt.Fprintf(w, "%s\t%s\n", name, train.RecipeTitle(text))
	}
	return w.Flush()
}

type recipesShowCommand struct {
	Name string `arg:"" help:"Name of a recipe."`
}

// Run prints a recipe's file, which --config takes as it is.
func (c recipesShowCommand) Run() error {
	text, err := train.RecipeText("NAME", c.Name)
	if err != nil {
		return err
	}
	_, err = fmt.Fprint(stdout, text)
	return err
}
