package models

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"ninvk/nn"
	"ninvk/safetensors"
)

// take reads the tensors of a fit that is whole, under the network's names.
func (f *File) take(best *fit) (*safetensors.File, error) {
	out := &safetensors.File{Metadata: f.Metadata}
	for i, t := range best.found {
		if t == nil {
			continue
		}
		s, err := t.read()
		if err != nil {
			return nil, err
		}
		s.Name = best.params[i].Name
		out.Tensors = append(out.Tensors, s)
	}
	return out, nil
}

// types are the float types other than float32, with what is done to read them.
var types = map[string]string{
	"F16": "float16 read as float32", "BF16": "bfloat16 read as float32", "F64": "float64 rounded to float32",
	"F8_E4M3": "float8 read as float32", "F8_E5M2": "float8 read as float32", "F8_E8M0": "float8 read as float32",
	"F8_E4M3FNUZ": "float8 read as float32", "F8_E5M2FNUZ": "float8 read as float32",
}

// mostPassedOver is how many things that are passed over are named.
const mostPassedOver = 5

// done says what was done to come from the file to the weights, each in a few words.
func (f *File) done(best *fit, others []*fit) []string {
	list := slices.Clone(f.notes)
	if best.set.note != "" {
		list = append(list, best.set.note)
	}
	if best.set.key != "" {
		list = append(list, "weights taken from "+shown(best.set.key))
	}
	switch before, cut := strings.CutSuffix(best.prefix, best.front); {
	case best.prefix == best.front:
	case cut:
		list = append(list, fmt.Sprintf("prefix %s dropped", shown(before)))
	case best.prefix == "":
		list = append(list, fmt.Sprintf("names without %s taken as those of an nn.Sequential", best.front))
	default:
		list = append(list, fmt.Sprintf("prefix %s taken for %s", shown(best.prefix), best.front))
	}
	var converted []string
	for i, t := range best.found {
		if t == nil || best.params[i].Role == nn.BatchesTracked {
			continue
		}
		if what := types[t.dtype]; what != "" && !slices.Contains(converted, what) {
			converted = append(converted, what)
		}
	}
	list = append(list, converted...)
	for _, o := range others[:min(len(others), mostPassedOver)] {
		where := cmp.Or(strings.Trim(o.set.key+"."+o.prefix, "."), "what lies at the top")
		list = append(list, fmt.Sprintf("%s would fit as well", shown(where)))
	}
	if best.renamed {
		list = append(list, "old names of layers renamed")
	}
	var passed []string
	for _, t := range slices.Concat(best.surplus.first, best.outside.first) {
		passed = append(passed, t.String())
	}
	more := best.surplus.n + best.outside.n - len(passed)
	for _, e := range best.set.beside() {
		passed = append(passed, fmt.Sprintf("%s (%s)", shown(e.Name), e.Kind))
	}
	if n := len(passed) - mostPassedOver; n > 0 {
		passed, more = passed[:mostPassedOver], more+n
	}
	if len(passed) > 0 {
		s := "passed over: " + strings.Join(passed, ", ")
		if more > 0 {
			s += fmt.Sprintf(" and %d more", more)
		}
		list = append(list, s)
	}
	return list
}

// rows tell of each tensor of the set what it was taken for, and of what lies beside.
func (f *fit) rows() []Row {
	as := map[*tensor]string{}
	for i, t := range f.found {
		if t != nil {
			as[t] = f.params[i].Name
		}
	}
	return f.set.rows(func(t *tensor) string { return as[t] })
}

func (s *tensorSet) rows(as func(t *tensor) string) []Row {
	var rows []Row
	for i := range s.tensors {
		t := &s.tensors[i]
		rows = append(rows, Row{Name: shown(t.name), Kind: t.dtype, Shape: t.shape, As: as(t)})
	}
	for _, e := range s.beside() {
		rows = append(rows, Row{Name: shown(e.Name), Kind: e.Kind})
	}
	return rows
}

// Rows tell what the file holds, of several sets of tensors the largest, before it is known whether a network fits.
func (f *File) Rows() []Row {
	return f.largest().rows(func(*tensor) string { return "" })
}

// largest is the set with the most tensors, the first of equals.
func (f *File) largest() *tensorSet {
	s := &f.sets[0]
	for i := range f.sets {
		if len(f.sets[i].tensors) > len(s.tensors) {
			s = &f.sets[i]
		}
	}
	return s
}
