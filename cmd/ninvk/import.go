package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"ninvk/models"
	"ninvk/safetensors"
)

type importCommand struct {
	Weights string `required:"" help:"A file of PyTorch's torch.save, or safetensors." placeholder:"FILE.pth"`
	Out     string `required:"" help:"The file to write." placeholder:"FILE.safetensors"`
	described
}

// Run imports: no code of the file is run, and nothing is written that does not fit the network.
func (c importCommand) Run(ctx context.Context) error {
	if err := keeps("--out", c.Out, c.Weights, "the checkpoint itself"); err != nil {
		return err
	}
	if err := checkOutput("--out", c.Out); err != nil {
		return err
	}
	given, err := c.described.given()
	if err != nil {
		return err
	}
	file, err := untilStopped(ctx, func() (*models.File, error) { return models.ReadFile(c.Weights) })
	if err != nil {
		return err
	}
	n, err := network(file, given)
	if err != nil {
		printRows(stdout, file.Rows(), "-") // what there is helps to see why it does not fit
		return err
	}
	printRows(stdout, n.Rows, "passed over")
	tellNotes(n)
	f := n.Content()
	if err := safetensors.Write(c.Out, f); err != nil {
		return err
	}
	fmt.Fprintf(stdout, "%s: the weights of %s, %d tensors\n", c.Out, n.Model, len(f.Tensors))
	return nil
}

// mostRows is how many entries of a file are listed: all of the largest network's, which are 1,591.
const mostRows = 2000

// printRows lists what a weights file holds; none stands where an entry was taken for nothing.
func printRows(w io.Writer, rows []models.Row, none string) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "in the file\ttype\tshape\ttaken as")
	for _, r := range rows[:min(len(rows), mostRows)] {
		shape := ""
		if r.Shape != nil {
			shape = strings.Trim(strings.ReplaceAll(fmt.Sprint(r.Shape), " ", "×"), "[]")
			if shape == "" {
				shape = "1"
			}
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", r.Name, r.Kind, shape, cmp.Or(r.As, none))
	}
	_ = t.Flush() // stdout keeps its first error
	if n := len(rows) - mostRows; n > 0 {
		fmt.Fprintf(w, "and %d more\n", n)
	}
}
