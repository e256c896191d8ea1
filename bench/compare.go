package bench

import (
	"encoding/json"
	"fmt"
	"io"
	"os"

	"ninvk/models"
)

// FileError says that a saved measurement can't be read.
type FileError struct {
	Path, Problem string
}

func (e *FileError) Error() string { return e.Path + ": " + e.Problem }

// ReadResult reads a measurement saved with ninvk bench --json.
func ReadResult(path string) (Result, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return Result{}, &FileError{path, err.Error()}
	}
	return parseResult(path, raw)
}

// named is a network with the size of its images, where that is not its own.
func named(model string, size int) string {
	if size == 0 || size == models.Size(model) {
		return model
	}
	return fmt.Sprintf("%s@%d", model, size)
}

func parseResult(path string, raw []byte) (Result, error) {
	var r Result
	if err := json.Unmarshal(raw, &r); err != nil {
		return r, &FileError{path, fmt.Sprintf("not a measurement saved with ninvk bench --json: %v", err)}
	}
	if len(r.Operators) == 0 && len(r.Networks) == 0 {
		return r, &FileError{path, "no operators and no networks in it; a measurement saved with ninvk bench --json is " +
			"expected"}
	}
	return r, nil
}

// WriteComparison prints how the figures of r differ from those of an earlier measurement. Only what both have is
// compared. A change counts where it exceeds the spreads of both.
func (r Result) WriteComparison(w io.Writer, before Result) error {
	p := &printer{w: w}
	if r.Adapter.Name != before.Adapter.Name || r.Adapter.Driver != before.Adapter.Driver {
		p.line("the saved measurement is of another adapter: %s, %s\n", before.Adapter.Name, before.Adapter.Driver)
	}
	c := &comparison{}
	p.table(func(t io.Writer) {
		fmt.Fprintf(t, "compared with the measurement of %s\n", before.Time.Format("2006-01-02 15:04 MST"))
		c.to = t
		c.limits(before.Limits, r.Limits)
		c.operators(before.Operators, r.Operators)
		c.steps(before.Steps, r.Steps)
		c.networks(before.Networks, r.Networks)
		c.startUps(before.StartUps, r.StartUps)
	})
	if c.compared == 0 {
		p.line("the two measurements have nothing in common: no model, batch size and layer is in both\n")
	}
	return p.err
}

// comparison prints what two measurements have in common.
type comparison struct {
	to       io.Writer
	compared int // figures
}

// figure is one that was measured.
type figure struct{ value, spread float64 }

func (c *comparison) row(name, unit string, was, is figure, moreIsFaster bool) {
	if was.value <= 0 || is.value <= 0 {
		return
	}
	c.compared++
	factor := was.value / is.value
	if moreIsFaster {
		factor = is.value / was.value
	}
	fmt.Fprintf(c.to, "%s\t%.4g → %.4g %s\t%s\n", name, was.value, is.value, unit,
		verdict(factor, was.spread+is.spread))
}

func (c *comparison) limits(was, is Limits) {
	c.row("multiply-add", "GFLOP/s", figure{was.GFlops, was.Spread["gflops"]}, figure{is.GFlops, is.Spread["gflops"]},
		true)
	c.row("memory", "GB/s", figure{was.GBytesPerSecond, was.Spread["gbytes_per_second"]},
		figure{is.GBytesPerSecond, is.Spread["gbytes_per_second"]}, true)
}

func (c *comparison) operators(before, now []Operator) {
	old := map[string]Operator{}
	for _, o := range before {
		old[o.key(" ")] = o
	}
	for _, o := range now {
		was := old[o.key(" ")]
		if was.Shape != o.Shape { // images of another size
			continue
		}
		name := fmt.Sprintf("%s, batch %d, %s: %s %s %s", o.Model, o.Batch, o.Step, o.Layer, o.Operator, o.Pass)
		c.row(name, "ms", figure{was.Milliseconds, was.Spread}, figure{o.Milliseconds, o.Spread}, false)
	}
}

func (c *comparison) steps(before, now []Step) {
	for _, s := range now {
		for _, was := range before {
			if named(was.Model, was.Size) == named(s.Model, s.Size) && was.Batch == s.Batch && was.Step == s.Step {
				name := fmt.Sprintf("%s, batch %d: %s step", named(s.Model, s.Size), s.Batch, s.Step)
				c.row(name, "ms", figure{was.Milliseconds, was.Spread}, figure{s.Milliseconds, s.Spread}, false)
			}
		}
	}
}

func (c *comparison) networks(before, now []Network) {
	for _, n := range now {
		for _, was := range before {
			if named(was.Model, was.Size) == named(n.Model, n.Size) && was.Batch == n.Batch {
				name := fmt.Sprintf("%s, batch %d: ", named(n.Model, n.Size), n.Batch)
				c.row(name+"training", "images/s", figure{was.Train, was.TrainSpread}, figure{n.Train, n.TrainSpread}, true)
				c.row(name+"inference", "images/s", figure{was.Infer, was.InferSpread}, figure{n.Infer, n.InferSpread}, true)
			}
		}
	}
}

func (c *comparison) startUps(before, now []StartUp) {
	for _, s := range now {
		for _, was := range before {
			if named(was.Model, was.Size) == named(s.Model, s.Size) && was.Batch == s.Batch && was.Caches == s.Caches {
				name := fmt.Sprintf("%s, batch %d: start-up, %s caches", named(s.Model, s.Size), s.Batch, s.Caches)
				c.row(name, "s", figure{was.Seconds, 0.05}, figure{s.Seconds, 0.05}, false)
			}
		}
	}
}

// verdict says what a factor of speed means, given the spread of the measurements.
func verdict(factor, spread float64) string {
	switch {
	case factor > 1+spread && factor > 1.01:
		return fmt.Sprintf("%.2f times as fast", factor)
	case factor < 1/(1+spread) && factor < 0.99:
		return fmt.Sprintf("%.2f times as fast: slower", factor)
	}
	return "the same"
}
