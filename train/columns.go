package train

import (
	"cmp"
	"reflect"
	"slices"
	"strings"
)

// Column is how a table of epochs shows a field of theirs. Titles are as wide as the column is.
type Column struct {
	Title, Short        string // the short one where the terminal is narrow
	Format, ShortFormat string // of package fmt without its sign, or % for a share
	Always              bool   // it is there on the narrowest terminals too
	Unmeasured          bool   // it may be without a value throughout a run, and then is left out
	place               string
	field               int
}

// Value is what an epoch has in the column.
func (c Column) Value(e EpochRecord) float64 { return reflect.ValueOf(e).Field(c.field).Float() }

// Columns are those of the fields of EpochRecord that have the tag column, from left to right: its place, title, short
// title, format, the short one where it is another, and the word always. A field that lines leave out where it was not
// measured is not in all tables.
func Columns() []Column {
	var all []Column
	for _, f := range reflect.VisibleFields(reflect.TypeFor[EpochRecord]()) {
		tag, ok := f.Tag.Lookup("column")
		if !ok {
			continue
		}
		words := append(strings.Split(tag, ","), "", "")
		all = append(all, Column{
			Title: words[1], Short: words[2], Format: words[3], ShortFormat: cmp.Or(words[4], words[3]),
			Always: words[5] == "always", Unmeasured: strings.HasSuffix(f.Tag.Get("json"), ",omitzero"),
			place: words[0], field: f.Index[0],
		})
	}
	slices.SortFunc(all, func(a, b Column) int { return strings.Compare(a.place, b.place) })
	return all
}
