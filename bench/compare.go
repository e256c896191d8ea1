package bench

import (
	"encoding/json"
	"fmt"
	"io"
	"os"

	"ninvk/models"
)

// FileError says that a saved run can't be read.
type FileError struct {
	Path, Problem string
}

func (e *FileError) Error() string { return e.Path + ": " + e.Problem }

// ReadResult reads a run saved with ninvk bench --json.
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
		return r, &FileError{path, fmt.Sprintf("not a run saved with ninvk bench --json: %v", err)}
	}
	if len(r.Operators) == 0 && len(r.Networks) == 0 {
		return r, &FileError{path, "no operators and no networks in it; a run saved with ninvk bench --json is expected"}
	}
	return r, nil
}

// WriteComparison prints how the figures of r differ from those of an earlier run. Only what both have is compared. A
// change counts where it exceeds the spreads of both.
func (r Result) WriteComparison(w io.Writer, before Result) error {
	p := &printer{w: w}
	if r.Adapter.Name != before.Adapter.Name || r.Adapter.Driver != before.Adapter.Driver {
		p.line("the saved run is of another adapter: %s, %s\n", before.Adapter.Name, before.Adapter.Driver)
	}
	compared := 0
	row := func(t io.Writer, name, unit string, was, is, wasSpread, isSpread float64, moreIsFaster bool) {
		if was <= 0 || is <= 0 {
			return
		}
		compared++
		factor := was / is
		if moreIsFaster {
			factor = is / was
		}
		fmt.Fprintf(t, "%s\t%.4g → %.4g %s\t%s\n", name, was, is, unit, verdict(factor, wasSpread+isSpread))
	}
	p.table(func(t io.Writer) {
		fmt.Fprintf(t, "compared with the run of %s\n", before.Time.Format("2006-01-02 15:04 MST"))
		row(t, "multiply-add", "GFLOP/s", before.Limits.GFlops, r.Limits.GFlops, before.Limits.Spread["gflops"],
			r.Limits.Spread["gflops"], true)
		row(t, "memory", "GB/s", before.Limits.GBytesPerSecond, r.Limits.GBytesPerSecond,
			before.Limits.Spread["gbytes_per_second"], r.Limits.Spread["gbytes_per_second"], true)
		old := map[string]Operator{}
		for _, o := range before.Operators {
			old[o.key(" ")] = o
		}
		for _, o := range r.Operators {
			was := old[o.key(" ")]
			if was.Shape != o.Shape { // images of another size
				continue
			}
			name := fmt.Sprintf("%s, batch %d, %s: %s %s %s", o.Model, o.Batch, o.Step, o.Layer, o.Operator, o.Pass)
			row(t, name, "ms", was.Milliseconds, o.Milliseconds, was.Spread, o.Spread, false)
		}
		for _, s := range r.Steps {
			for _, was := range before.Steps {
				if named(was.Model, was.Size) == named(s.Model, s.Size) && was.Batch == s.Batch && was.Step == s.Step {
					name := fmt.Sprintf("%s, batch %d: %s step", named(s.Model, s.Size), s.Batch, s.Step)
					row(t, name, "ms", was.Milliseconds, s.Milliseconds, was.Spread, s.Spread, false)
				}
			}
		}
		for _, n := range r.Networks {
			for _, was := range before.Networks {
				if named(was.Model, was.Size) == named(n.Model, n.Size) && was.Batch == n.Batch {
					name := fmt.Sprintf("%s, batch %d: ", named(n.Model, n.Size), n.Batch)
					row(t, name+"training", "images/s", was.Train, n.Train, was.TrainSpread, n.TrainSpread, true)
					row(t, name+"inference", "images/s", was.Infer, n.Infer, was.InferSpread, n.InferSpread, true)
				}
			}
		}
		for _, s := range r.StartUps {
			for _, was := range before.StartUps {
				if named(was.Model, was.Size) == named(s.Model, s.Size) && was.Batch == s.Batch && was.Caches == s.Caches {
					name := fmt.Sprintf("%s, batch %d: start-up, %s caches", named(s.Model, s.Size), s.Batch, s.Caches)
					row(t, name, "s", was.Seconds, s.Seconds, 0.05, 0.05, false)
				}
			}
		}
	})
	if compared == 0 {
		p.line("the two runs have nothing in common: no model, batch size and layer is in both\n")
	}
	return p.err
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
