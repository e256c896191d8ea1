package check

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"ninvk/gpu"
	"ninvk/ops"
	"ninvk/ops/cases"
	"ninvk/safetensors"
)

// Options say what is checked.
type Options struct {
	Only     string            // the entries whose name contains it; "" for all, with the training steps
	Section  string            // the name of one of Sections; "" for all
	Networks []Network         // checked in place of the operators, where there are any
	Expected *safetensors.File // other results to expect than the program's own; nil for these
	Progress func(doing string, done, total int)
}

// The names of sections: what suits the adapter and what it takes long to compile.
const (
	sectionOwn = "own"
	sectionGPU = "gpu"
	forGPUs    = "tiled" // how the names of these variants begin
)

// Result is one comparison.
type Result struct {
	Operator string `json:"operator"`
	Pass     string `json:"pass"`
	Variant  string `json:"variant,omitempty"`
	Shape    string `json:"shape"`
	Error    Number `json:"error"` // the largest; of the output that comes closest to its bound
	Bound    Number `json:"bound"`
	Problem  string `json:"problem,omitempty"` // what is wrong
}

// Number is a float64 that JSON has as null where it is NaN or infinite.
type Number float64

// MarshalJSON writes the number, or null.
func (n Number) MarshalJSON() ([]byte, error) {
	if v := float64(n); math.IsNaN(v) || math.IsInf(v, 0) {
		return []byte("null"), nil
	}
	return fmt.Appendf(nil, "%.3g", float64(n)), nil
}

// UnmarshalJSON reads what MarshalJSON writes.
func (n *Number) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		*n = Number(math.NaN())
		return nil
	}
	_, err := fmt.Sscan(string(b), (*float64)(n))
	return err
}

// Run checks the adapter. What it computes wrongly is in the results; an error is one that ends the run, of the adapter
// or of ctx.
func Run(ctx context.Context, d *gpu.Device, o Options) ([]Result, error) {
	if len(o.Networks) > 0 {
		return runNetworks(ctx, d, o)
	}
	if o.Expected == nil {
		var err error
		if o.Expected, err = expected(); err != nil {
			return nil, err
		}
	}
	entries := slices.DeleteFunc(Cases(o.Only), func(c cases.Case) bool {
		gpu := strings.HasPrefix(c.Variant, forGPUs)
		return c.Fits != nil && c.Fits(d.Limits()) != nil || gpu && o.Section == sectionOwn || !gpu && o.Section == sectionGPU
	})
	total := len(entries)
	training := o.Only == "" && o.Section != sectionGPU
	if training {
		total += steps
	}
	r := runner{d: d, Options: o}
	defer r.release()
	if err := r.lend(entries); err != nil {
		return nil, err
	}
	var results []Result
	for i, c := range entries {
		o.Progress(c.String(), i, total)
		one, err := r.run(c)
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return results, err
		}
		results = append(results, one)
	}
	if training {
		trained, err :=
			r.train(ctx, func(step int) { o.Progress(fmt.Sprintf("training step %d", step+1), len(entries)+step, total) })
		if err != nil {
			return results, err
		}
		results = append(results, trained...)
	}
	o.Progress("done", total, total)
	return results, nil
}

type runner struct {
	d *gpu.Device
	Options
	scratch           *ops.Scratch
	partial, unfolded *gpu.Buffer
}

// lend makes the memory that the entries share.
func (r *runner) lend(entries []cases.Case) (err error) {
	need := ops.Need{Partial: min(ops.PartialBytes, r.d.Limits().MaxStorageBufferBindingSize)}
	for _, c := range entries {
		if c.Need != nil {
			need = need.Max(c.Need(r.d.Limits()))
		}
	}
	if need.Scratch.Width > 0 {
		if r.scratch, err = ops.NewScratch(r.d, need.Scratch); err != nil {
			return err
		}
	}
	if r.partial, err = r.d.NewBuffer("partial sums", need.Partial); err != nil {
		return err
	}
	r.unfolded, err = r.d.NewBuffer("unfolded activation", need.Unfolded)
	return err
}

func (r *runner) release() {
	if r.scratch != nil {
		r.scratch.Release()
	}
	r.partial.Release()
	r.unfolded.Release()
}

// run runs a case and compares its outputs. A kernel that the adapter refuses is a problem of the case.
func (r *runner) run(c cases.Case) (Result, error) {
	result := Result{Operator: c.Operator, Pass: c.Pass, Variant: c.Variant, Shape: shape(c)}
	tape := r.d.NewTape(c.String())
	defer tape.Release()
	m, err := c.Allocate(&ops.Recorder{Dev: r.d, Tape: tape, Scratch: r.scratch, Partial: r.partial, Unfolded: r.unfolded})
	if err != nil {
		return result, err
	}
	defer m.Release()
	if err := r.fill(m, c); err != nil {
		return result, err
	}
	if c.Prepare != nil {
		err = c.Prepare(m)
	}
	if err == nil {
		err = c.Record(m)
	}
	if err == nil {
		err = tape.Finish()
	}
	if err != nil {
		result.Problem, result.Error, result.Bound = strings.Join(strings.Fields(err.Error()), " "), Number(math.NaN()),
			Number(math.NaN())
		return result, nil
	}
	if err := r.d.Submit(tape); err != nil {
		return result, err
	}
	if err := r.d.Wait(c.String()); err != nil {
		return result, err
	}
	for _, o := range c.Operands {
		if o.Use != cases.Writes && o.Use != cases.Updates {
			continue
		}
		got, err := r.read(m, o)
		if err != nil {
			return result, err
		}
		want, err := r.want(name(c)+"/"+o.Name, len(got))
		if err != nil {
			return result, err
		}
		result.compare(o.Name, got, want, func(float32) float64 { return o.Bound() })
	}
	return result, nil
}

// fill writes the inputs, and NaN where the pass must write, so that a value left out shows.
func (r *runner) fill(m *cases.Memory, c cases.Case) error {
	for i, o := range c.Operands {
		in := input(c, i)
		v := make([]float32, o.Elements())
		for i := range v {
			switch {
			case in == nil:
				v[i] = float32(math.NaN())
			case o.Place == cases.Words:
				v[i] = math.Float32frombits(uint32(in[i]))
			default:
				v[i] = float32(in[i])
			}
		}
		if o.Place == cases.Activation {
			v = ops.Pack(o.Shape, v)
		}
		b, at := m.Where(o)
		if err := r.d.Write(b, at, gpu.Bytes(v)); err != nil {
			return err
		}
	}
	return nil
}

// read gives the values of an operand, an activation as NCHW.
func (r *runner) read(m *cases.Memory, o cases.Operand) ([]float32, error) {
	b, at := m.Where(o)
	v, err := r.d.ReadFloats(b, int(b.Size/4))
	switch {
	case err != nil:
		return nil, err
	case o.Place == cases.Activation:
		return ops.Unpack(o.Shape, v), nil
	}
	return v[at/4:][:o.Len], nil
}

// want is what the twin computed.
func (r *runner) want(name string, n int) ([]float32, error) {
	t, ok := r.Expected.Tensor(name)
	if !ok {
		return nil, fmt.Errorf("no result is expected for %q", name)
	}
	v, err := t.Float32s()
	if err == nil && len(v) != n {
		err = fmt.Errorf("%d values are expected for %q, it has %d", len(v), name, n)
	}
	return v, err
}

// compare adds an output to the result; bound is the error allowed where a value is expected.
func (r *Result) compare(output string, got, want []float32, bound func(want float32) float64) {
	for i, w := range want {
		e, b := math.Abs(float64(got[i])-float64(w)), bound(w)
		if !(e <= b) && r.Problem == "" { // NaN is wrong too
			r.Problem = fmt.Sprintf("%s[%d] is %.7g, not %.7g", output, i, got[i], w)
			r.Error, r.Bound = Number(e), Number(b)
			continue
		}
		if worse := e*float64(r.Bound) > float64(r.Error)*b; worse || r.Bound == 0 {
			r.Error, r.Bound = Number(e), Number(b)
		}
	}
}

// Turn is the check with the driver's shader cache off, or on.
type Turn struct {
	// off: the driver compiled every kernel anew; on: it may have taken them from its cache
	Cache   string   `json:"cache"`
	Seconds float64  `json:"seconds"`
	Results []Result `json:"results"`
	Failure string   `json:"failure,omitempty"` // why the process ended before its time
	During  string   `json:"during,omitempty"`  // what it was doing
}

// Join is what two sections of a turn have found; where the first one failed, that stays the failure.
func (t Turn) Join(next Turn) Turn {
	t.Seconds += next.Seconds
	t.Results = append(slices.Clone(t.Results), next.Results...)
	if t.Failure == "" {
		t.Failure, t.During = next.Failure, next.During
	}
	return t
}

// Wrong are the results that are wrong.
func (t Turn) Wrong() []Result {
	return slices.DeleteFunc(slices.Clone(t.Results), func(r Result) bool { return r.Problem == "" })
}

// Child runs the check in this process, and hands every step of it to emit.
func Child(ctx context.Context, d *gpu.Device, o Options, emit func(Message) error) error {
	start := time.Now()
	var lost error
	o.Progress = func(doing string, done, total int) {
		lost = errors.Join(lost, emit(Message{Doing: doing, Done: done, Total: total}))
	}
	results, err := Run(ctx, d, o)
	if err = errors.Join(err, lost); err != nil {
		return err
	}
	return emit(Message{Turn: &Turn{Seconds: time.Since(start).Seconds(), Results: results}})
}
