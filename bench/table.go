package bench

import (
	"fmt"
	"io"
	"text/tabwriter"
)

// WriteOperators prints the operators of each step in its order; with commands, also what each is made of.
func WriteOperators(w io.Writer, rows []Operator, commands bool) error {
	step := ""
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, o := range rows {
		if o.Step != step {
			if step != "" {
				fmt.Fprintln(t)
			}
			step = o.Step
			fmt.Fprintf(t, "%s, %s step, batch %d\n", o.Model, o.Step, o.Batch)
			fmt.Fprintln(t, "layer\toperator\tpass\tshape\tms\t±\tGFLOP/s\tGB/s\tshare\truns\tkernel")
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%.3f\t%.0f %%\t%.1f\t%.1f\t%.1f %%\t%d\t%s\n", o.Layer, o.Operator, o.Pass, o.Shape,
			o.Milliseconds, 100*o.Spread, o.GFlops, o.GBytesPerSecond, 100*o.ShareOfStep, o.Dispatches, o.Variant)
		if commands && len(o.Commands) > 1 {
			for _, c := range o.Commands {
				fmt.Fprintf(t, "\t\t\t\t%.3f\t\t\t\t\t%d\t  %s\n", c.Milliseconds, c.Runs, c.Kernel)
			}
		}
	}
	return t.Flush()
}
