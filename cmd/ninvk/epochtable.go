package main

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"ninvk/train"
)

// column is one of the table of epochs.
type column struct {
	title  string
	narrow bool // it is there on narrow terminals too
	cell   func(r *trainReport, e train.EpochRecord) string
}

// columnsFor are the columns of the table of epochs that fit a width: all of them, all with short titles, or those that
// matter most. Top-5 accuracy is among them on request.
func columnsFor(width int, top5 bool) []column {
	number := func(of func(e train.EpochRecord) float64, format string) func(*trainReport, train.EpochRecord) string {
		return func(_ *trainReport, e train.EpochRecord) string { return fmt.Sprintf(format, of(e)) }
	}
	share := func(of func(e train.EpochRecord) float64) func(*trainReport, train.EpochRecord) string {
		return func(_ *trainReport, e train.EpochRecord) string { return percent(of(e)) }
	}
	rate := func(e train.EpochRecord) float64 { return e.LearningRate }
	loss := func(e train.EpochRecord) float64 { return e.TrainLoss }
	training := func(e train.EpochRecord) float64 { return e.TrainAccuracy }
	test := func(e train.EpochRecord) float64 { return e.TestAccuracy }
	best5 := func(e train.EpochRecord) float64 { return e.TestTop5 }
	speed := func(e train.EpochRecord) float64 { return e.ImagesPerSecond }
	left := func(r *trainReport, _ train.EpochRecord) string { return cmp.Or(r.left(r.last.Step), "-") }
	epoch := func(r *trainReport, e train.EpochRecord) string { return fmt.Sprintf("%d/%d", e.Epoch, r.epochs) }
	all := []column{
		{"  epoch", true, epoch}, {"learning rate", false, number(rate, "%.6g")}, {"   loss", true, number(loss, "%.4f")},
		{"train acc.", true, share(training)}, {"test acc.", true, share(test)}, {"   top 5", false, share(best5)},
		{"images/s", false, number(speed, "%.1f")},
		{"time left", true, left},
	}
	short := []string{"epoch", "   rate", "  loss", "  train", "   test", "  top 5", "img/s", "  left"}
	if !top5 {
		const at = 5
		all, short = slices.Delete(all, at, at+1), slices.Delete(short, at, at+1)
	}
	fit := func() bool { return len(row(all, func(c column) string { return c.title })) < width }
	if fit() {
		return all
	}
	for i, title := range short {
		all[i].title = title
	}
	all[0].cell = func(_ *trainReport, e train.EpochRecord) string { return strconv.Itoa(e.Epoch) }
	all[1].cell = number(rate, "%.2g")
	if fit() {
		return all
	}
	var few []column
	for _, c := range all {
		if c.narrow {
			few = append(few, c)
		}
	}
	return few
}

// row writes a line of the table, each cell at the right end of its column.
func row(table []column, cell func(c column) string) string {
	cells := make([]string, len(table))
	for i, c := range table {
		cells[i] = fmt.Sprintf("%*s", utf8.RuneCountInString(c.title), cell(c))
	}
	return strings.Join(cells, "  ")
}
