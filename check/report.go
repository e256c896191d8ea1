package check

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"ninvk/gpu"
)

// Report is the outcome of a check.
type Report struct {
	Version string      `json:"version"`
	Adapter gpu.Adapter `json:"adapter"`
	Right   bool        `json:"right"`
	Verdict string      `json:"verdict"`
	Turns   []Turn      `json:"passes"` // with the shader cache off, then on
	Notes   []string    `json:"notes,omitempty"`
}

// WrongError says that an adapter computes wrongly.
type WrongError struct{ Verdict string }

func (e *WrongError) Error() string { return e.Verdict }

// Judge draws the conclusion from the turns with the driver's shader cache off and on. A result that is wrong with the
// cache on alone comes from a damaged cache, not from the driver's arithmetic.
func (r *Report) Judge(off, on Turn) {
	r.Turns = []Turn{off, on}
	driver := fmt.Sprintf("%s (%s)", r.Adapter.Name, r.Adapter.Driver)
	switch badOff, badOn := off.bad(), on.bad(); {
	case badOff == "" && badOn == "":
		r.Right = true
		r.Verdict = fmt.Sprintf("right: all %d comparisons on %s are within their bounds, with the driver's shader cache "+
			"off and on", len(on.Results), driver)
	case badOff == "":
		r.Verdict = fmt.Sprintf("WRONG with the driver's shader cache on, right with it off: the cache of %s is damaged: "+
			"%s; %s", driver, badOn, r.mend())
	case badOn == "":
		r.Verdict = fmt.Sprintf("WRONG with the driver's shader cache off, right with it on: %s does not compute the same "+
			"every time: %s", driver, badOff)
	default:
		r.Verdict = fmt.Sprintf("WRONG: %s computes wrongly, with its shader cache off and on: %s; please report it with "+
			"this output", driver, badOff)
	}
}

// mend says how a damaged cache is mended.
func (r *Report) mend() string {
	switch folder := r.Adapter.ShaderCache; {
	case gpu.OwnShaderCache(folder):
		return "ninvk check --clear-cache deletes it"
	case folder != "":
		return "delete " + folder
	}
	return "delete the driver's shader cache"
}

// bad says what is wrong in a turn, "" where all is right.
func (t Turn) bad() string {
	wrong := t.Wrong()
	var said []string
	if t.Failure != "" {
		said = append(said, fmt.Sprintf("the process ended during %s (%s)", t.During, t.Failure))
	}
	for i, w := range wrong {
		if i == most {
			said = append(said, fmt.Sprintf("and %d more", len(wrong)-most))
			break
		}
		said = append(said, w.String())
	}
	return strings.Join(said, "; ")
}

// most is how many wrong results the verdict names; the table has all.
const most = 5

func (r Result) String() string {
	variant := ""
	if r.Variant != "" {
		variant = " [" + r.Variant + "]"
	}
	return fmt.Sprintf("%s %s %s%s: %s", r.Operator, r.Pass, r.Shape, variant, r.Problem)
}

// WriteTable prints a line for every comparison, with the largest errors of both turns, and the verdict.
func (r *Report) WriteTable(w io.Writer) error {
	fmt.Fprintf(w, "ninvk %s, adapter %v\n\n", r.Version, r.Adapter)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "operator\tpass\tvariant\tshape\terror, cache off\terror, cache on\tbound\tverdict")
	off, on := r.Turns[0].Results, r.Turns[1].Results
	for _, x := range merged(off, on) {
		errors := [2]string{"-", "-"}
		var bound Number
		verdict := "right"
		for i, list := range [][]Result{off, on} {
			at := slices.IndexFunc(list, func(y Result) bool { return y.key() == x })
			if at < 0 {
				continue
			}
			y := list[at]
			errors[i], bound = fmt.Sprintf("%.1e", float64(y.Error)), y.Bound
			if y.Problem != "" {
				verdict = "WRONG: " + y.Problem
			}
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%.1e\t%s\n", x[0], x[1], x[2], x[3], errors[0], errors[1], float64(bound),
			verdict)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(w)
	for _, n := range r.Notes {
		fmt.Fprintln(w, n)
	}
	for _, turn := range r.Turns {
		fmt.Fprintf(w, "%.1f s with the driver's shader cache %s\n", turn.Seconds, turn.Cache)
	}
	_, err := fmt.Fprintln(w, r.Verdict)
	return err
}

func (r Result) key() [4]string { return [4]string{r.Operator, r.Pass, r.Variant, r.Shape} }

// merged are the keys of both lists, in order.
func merged(a, b []Result) [][4]string {
	var keys [][4]string
	for _, list := range [][]Result{a, b} {
		for _, r := range list {
			if !slices.Contains(keys, r.key()) {
				keys = append(keys, r.key())
			}
		}
	}
	return keys
}
