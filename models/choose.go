package models

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// choose finds in the file the parameters of the model with that name in the list; without a name, those of whichever
// they are. If there are none the error is a *WeightsError that says what is there and what is wanted.
func (f *File) choose(name string, list []*model) (best *fit, others []*fit, err error) {
	told, known := f.Metadata[ModelKey], namesOf(list)
	if told != "" && !slices.Contains(known, told) {
		return nil, nil, f.bad("its metadata names the unknown model %q; known are %s", told, strings.Join(known, ", "))
	}
	if name != "" && !slices.Contains(known, name) {
		return nil, nil, &UnknownModelError{name}
	}
	candidates := list
	if name := cmp.Or(name, told); name != "" {
		at := slices.Index(known, name)
		candidates = list[at : at+1]
	}
	for _, m := range candidates {
		all := f.fits(m)
		if len(all) > 0 && all[0].classes() > mostClasses {
			return nil, nil, f.bad("its last layer has %d classes; at most %d are read", all[0].classes(), mostClasses)
		}
		if len(all) > 0 && all[0].whole() && all[0].channels() != 1 && all[0].channels() != 3 {
			return nil, nil, f.bad("its first layer takes images of %d channels; networks are for 3, red, green and blue, "+
				"or for 1, grey", all[0].channels())
		}
		if len(all) > 0 && all[0].whole() {
			for _, x := range all[1:] {
				if x.whole() {
					others = append(others, x)
				}
			}
			return all[0], others, nil
		}
		if len(all) > 0 && (best == nil || all[0].hits() > best.hits()) {
			best = all[0]
		}
	}
	return nil, nil, f.bad("%s", f.unsuitable(best, candidates, list, told))
}

// bad is a *WeightsError about the file.
func (f *File) bad(format string, a ...any) error {
	return &WeightsError{Path: f.Path, Problem: fmt.Sprintf(format, a...)}
}

// unsuitable says why the file's tensors are not those of the candidates out of a list, of which best, if not nil,
// comes nearest.
func (f *File) unsuitable(best *fit, candidates, list []*model, told string) string {
	var s strings.Builder
	one := len(candidates) == 1
	near := best != nil && 2*best.hits() > len(best.params)
	switch {
	case one && near:
		s.WriteString(best.problem())
	case one:
		fmt.Fprintf(&s, "its tensors are not those of %s", candidates[0].name)
	default:
		fmt.Fprintf(&s, "its tensors fit none of %s", strings.Join(namesOf(candidates), ", "))
		if near {
			fmt.Fprintf(&s, "; %s comes nearest, but %s", best.name, best.problem())
		}
	}
	s.WriteString(f.beside(best, candidates[0]))
	if !one {
		return s.String()
	}
	for _, m := range list { // others than the one asked for
		if all := f.fits(m); len(all) > 0 && all[0].whole() {
			if m.name == told {
				fmt.Fprintf(&s, "; the file says that it has weights of %s: choose that by --model", told)
			} else {
				fmt.Fprintf(&s, "; they fit %s: choose that by --model", m.name)
			}
			return s.String()
		}
	}
	fmt.Fprintf(&s, "; they fit none of %s", strings.Join(namesOf(list), ", "))
	return s.String()
}

// problem says what is wrong with a fit that is not whole.
func (f *fit) problem() string {
	switch {
	case len(f.wrong) > 0:
		p := f.params[f.wrong[0]]
		t := f.found[f.wrong[0]]
		return fmt.Sprintf("tensor %s has shape %v, the network needs %v", shown(t.name), t.shape, f.shape(p))
	case len(f.missing) > 0:
		name := f.prefix + f.params[f.missing[0]].last
		return fmt.Sprintf("tensor %s is missing (%d of the network's %d are)", shown(name), len(f.missing),
			len(f.params))
	}
	return fmt.Sprintf("tensor %s does not belong to the network", shown(f.excess.first[0].name))
}

// mostNamed is how many tensors are named where there may be many.
const mostNamed = 3

// beside lists some of the file's tensors and some of those wanted, first of all those which differ.
func (f *File) beside(best *fit, m *model) string {
	set, w := f.largest(), wantsOf(m)
	var here, want []string
	if best != nil {
		set, w = best.set, best.wants
		for _, t := range append(slices.Clone(best.excess.first), best.outside.first...) {
			here = append(here, t.String())
		}
		for _, i := range append(slices.Clone(best.wrong), best.missing...) {
			want = append(want, best.describe(best.params[i]))
		}
	}
	for _, t := range set.tensors[:min(len(set.tensors), mostNamed)] {
		here = append(here, t.String())
	}
	for _, p := range w.params[:min(len(w.params), mostNamed)] {
		want = append(want, (&fit{wants: w}).describe(p))
	}
	first := func(list []string, of int) string {
		var out []string
		for _, x := range list {
			if len(out) < mostNamed && !slices.Contains(out, x) {
				out = append(out, x)
			}
		}
		s := strings.Join(out, ", ")
		if of > len(out) {
			s += fmt.Sprintf(" and %d more", of-len(out))
		}
		return s
	}
	return fmt.Sprintf("; in the file are %s; wanted are %s", cmp.Or(first(here, len(set.tensors)), "no tensors"),
		first(want, len(w.params)))
}
