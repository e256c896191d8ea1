package main

import (
	"cmp"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"

	"github.com/rivo/uniseg"

	"ninvk/train"
)

// classFigures is how well a network does on one class, or on several together. What can't be told is nil.
type classFigures struct {
	Class    string   `json:"class"`
	Index    int      `json:"index"`
	Images   int      `json:"images"`
	Correct  int      `json:"correct"`
	Accuracy *float64 `json:"accuracy"` // of the class's images, which is its recall
	averages
}

// averages are the figures that have a mean over classes.
type averages struct {
	Precision *float64 `json:"precision"`
	Recall    *float64 `json:"recall"`
	F1        *float64 `json:"f1"`
}

func told(v float64) *float64 {
	if math.IsNaN(v) {
		return nil
	}
	return &v
}

func newAverages(f train.Figures) averages {
	return averages{told(f.Precision), told(f.Recall), told(f.F1)}
}

func perClass(names []string, figures []train.Figures) []classFigures {
	out := make([]classFigures, len(names))
	for i, f := range figures {
		out[i] = classFigures{names[i], i, f.Images, f.Correct, told(f.Recall), newAverages(f)}
	}
	return out
}

// mistake is an image that was taken for what it is not.
type mistake struct {
	File        string  `json:"file"`
	URL         string  `json:"file_url,omitempty"` // where File can't be the name, as it is not UTF-8
	Image       int     `json:"image"`              // its place in the split
	True        string  `json:"true"`
	Predicted   string  `json:"predicted"`
	Probability float64 `json:"probability"` // of Predicted
	Loss        float64 `json:"loss"`
}

func newMistake(v train.Verdict, file string, names []string) mistake {
	return mistake{file, fileURL(file), v.Image, names[v.True], names[v.Predicted], v.Probability, v.Loss}
}

// confused is a pair of classes that were taken for each other.
type confused struct {
	True      string `json:"true"`
	Predicted string `json:"predicted"`
	Images    int    `json:"images"`
}

func newConfused(c train.Confusion, names []string) []confused {
	out := []confused{}
	for _, p := range c.Mistaken() {
		out = append(out, confused{names[p.True], names[p.Predicted], c.Images[p]})
	}
	return out
}

// mostInMatrix is the number of classes up to which --json has every cell of the confusion matrix.
const mostInMatrix = 1000

// The table of classes lists all of them up to allListed, and else those with the lowest and the highest F1.
const (
	allListed   = 30
	worstListed = 15
	bestListed  = 5
	nameColumns = 32 // of a terminal, for the longest name
)

// writeClasses writes the table of classes, and the means below it.
func writeClasses(w io.Writer, classes []classFigures, macro, weighted averages, all bool) error {
	listed, rest := classes, 0
	if len(classes) > allListed && !all {
		listed, rest = extremes(classes)
	}
	rows := [][]string{{"class", "images", "correct", "precision", "recall", "F1"}}
	add := func(name, images, correct string, a averages) {
		rows = append(rows, []string{cut(name, nameColumns), images, correct, share(a.Precision), share(a.Recall),
			share(a.F1)})
	}
	total, right := 0, 0
	for _, f := range classes {
		total, right = total+f.Images, right+f.Correct
	}
	for i, f := range listed {
		if rest > 0 && i == worstListed {
			rows = append(rows, nil)
		}
		add(shown(f.Class), fmt.Sprint(f.Images), fmt.Sprint(f.Correct), f.averages)
	}
	add("mean of classes", "", "", macro)
	add("mean by images", fmt.Sprint(total), fmt.Sprint(right), weighted)
	text := aligned(rows, fmt.Sprintf("… %d more …", rest))
	if len(listed) < len(classes) {
		text += fmt.Sprintf("Of %d classes these have the lowest F1%s; --all lists all.\n", len(classes),
			map[bool]string{true: " and the highest"}[rest > 0])
	}
	_, err := io.WriteString(w, text)
	return err
}

// extremes are the classes with the lowest and the highest F1, and how many are between them.
func extremes(classes []classFigures) (listed []classFigures, rest int) {
	known := slices.DeleteFunc(slices.Clone(classes), func(f classFigures) bool { return f.F1 == nil })
	slices.SortStableFunc(known, func(a, b classFigures) int { return cmp.Compare(*a.F1, *b.F1) })
	if rest = len(known) - worstListed - bestListed; rest > 0 {
		return slices.Concat(known[:worstListed], known[len(known)-bestListed:]), rest
	}
	return known, 0
}

func share(v *float64) string {
	if v == nil {
		return "-"
	}
	return percent(*v)
}

// aligned is a table whose first column is set to the left, and the others to the right. A row without cells says that
// some are left out.
func aligned(rows [][]string, leftOut string) string {
	widths := make([]int, len(rows[0]))
	for _, r := range rows {
		for i, cell := range r {
			widths[i] = max(widths[i], uniseg.StringWidth(cell))
		}
	}
	var b strings.Builder
	for _, r := range rows {
		if r == nil {
			b.WriteString(leftOut)
		}
		for i, cell := range r {
			space := strings.Repeat(" ", widths[i]-uniseg.StringWidth(cell))
			if i == 0 {
				b.WriteString(cell + space)
			} else {
				b.WriteString("  " + space + cell)
			}
		}
		b.WriteString("\n")
	}
	return b.String()
}

// mostConfused is how many pairs of classes are listed on a terminal.
const mostConfused = 5

// writeConfused lists the pairs most often confused.
func writeConfused(w io.Writer, pairs []confused) error {
	if len(pairs) == 0 {
		return nil
	}
	var list []string
	for _, p := range pairs[:min(len(pairs), mostConfused)] {
		list = append(list, fmt.Sprintf("%s for %s (%d)", cut(shown(p.True), nameColumns),
			cut(shown(p.Predicted), nameColumns), p.Images))
	}
	_, err := fmt.Fprintf(w, "most often taken: %s\n", strings.Join(list, ", "))
	return err
}

// cut shortens a text to a number of columns, in its middle: its end tells as much as its beginning.
func cut(text string, columns int) string {
	if uniseg.StringWidth(text) <= columns {
		return text
	}
	var parts []string // what is read as one character
	for g := uniseg.NewGraphemes(text); g.Next(); {
		parts = append(parts, g.Str())
	}
	head, tail, room := "", "", columns-1
	for len(parts) > 1 && uniseg.StringWidth(head+parts[0]) <= (room+1)/2 {
		head, parts = head+parts[0], parts[1:]
	}
	for len(parts) > 0 && uniseg.StringWidth(head)+uniseg.StringWidth(parts[len(parts)-1]+tail) <= room {
		tail, parts = parts[len(parts)-1]+tail, parts[:len(parts)-1]
	}
	return head + "…" + tail
}
