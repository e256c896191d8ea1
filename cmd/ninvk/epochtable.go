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
	title, short string
	always       bool // it is there on narrow terminals too
	narrow       bool // it is shown short
	of           func(r *trainReport, e train.EpochRecord, short bool) string
}

func (c column) cell(r *trainReport, e train.EpochRecord) string { return c.of(r, e, c.narrow) }

// columnsFor are the columns of the table of epochs that fit a width: all of them, all of them short, or those that
// matter most. Top-5 accuracy is among them on request.
func columnsFor(width int, top5 bool) []column {
	all := []column{{title: "  epoch", short: "epoch", always: true, of: epochCell}}
	for _, c := range train.Columns() {
		if c.Unmeasured && !top5 {
			continue
		}
		all = append(all, column{title: c.Title, short: c.Short, always: c.Always,
			of: func(_ *trainReport, e train.EpochRecord, short bool) string { return fieldCell(c, e, short) }})
	}
	all = append(all, column{title: "time left", short: "  left", always: true,
		of: func(r *trainReport, _ train.EpochRecord, _ bool) string { return cmp.Or(r.left(r.last.Step), "-") }})
	fit := func() bool { return len(row(all, func(c column) string { return c.title })) < width }
	if fit() {
		return all
	}
	for i := range all {
		all[i].title, all[i].narrow = all[i].short, true
	}
	if fit() {
		return all
	}
	return slices.DeleteFunc(all, func(c column) bool { return !c.always })
}

// epochCell is the epoch, of how many where there is room.
func epochCell(r *trainReport, e train.EpochRecord, short bool) string {
	if short {
		return strconv.Itoa(e.Epoch)
	}
	return fmt.Sprintf("%d/%d", e.Epoch, r.epochs)
}

// fieldCell is what an epoch's record has.
func fieldCell(c train.Column, e train.EpochRecord, short bool) string {
	format := c.Format
	if short {
		format = c.ShortFormat
	}
	if format == "%" {
		return percent(c.Value(e))
	}
	return fmt.Sprintf("%"+format, c.Value(e))
}

// row writes a line of the table, each cell at the right end of its column.
func row(table []column, cell func(c column) string) string {
	cells := make([]string, len(table))
	for i, c := range table {
		cells[i] = fmt.Sprintf("%*s", utf8.RuneCountInString(c.title), cell(c))
	}
	return strings.Join(cells, "  ")
}
