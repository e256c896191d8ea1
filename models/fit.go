package models

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	"ninvk/nn"
)

// wanted is a parameter of a network.
type wanted struct {
	nn.ParamSpec
	last string  // the name without what all of the network's have in front
	dims []count // what each dimension of the shape is the number of
}

// count is something that networks of one model have different numbers of. A file's tensors tell them.
type count int

const (
	fixed count = iota // nothing: the dimension is the model's
	classes
	channels
	counts
)

var countNames = [counts]string{classes: "classes", channels: "channels"}

// has says whether a dimension of the parameter is a number of c.
func (w wanted) has(c count) bool { return slices.Contains(w.dims, c) }

// wants are a model's parameters for whatever number of classes, and what is in front of all their names.
type wants struct {
	*model
	front   string // "" where there is nothing
	params  []wanted
	needed  int // of the parameters, those that every file must have
	byLast  map[string]int
	longest int // of the last parts, in bytes
}

// newWants builds the model for its own size.
func newWants(m *model) *wants {
	specs := func(c Config) []nn.ParamSpec {
		c.Model, c.Size = m.name, m.size
		g, _, err := m.graph(c)
		if err != nil {
			panic(err) // a list of this package
		}
		return g.Params()
	}
	w := &wants{model: m, byLast: map[string]int{}}
	usual := specs(Config{Classes: 1, Channels: 3})
	others := [counts][]nn.ParamSpec{
		classes: specs(Config{Classes: 2, Channels: 3}), channels: specs(Config{Classes: 1, Channels: 1}),
	}
	w.front = commonFront(usual)
	for i, p := range usual {
		x := wanted{ParamSpec: p, last: strings.TrimPrefix(p.Name, w.front), dims: make([]count, len(p.Shape))}
		for d, n := range p.Shape {
			for c, other := range others {
				if other != nil && other[i].Shape[d] != n {
					x.dims[d] = count(c)
				}
			}
		}
		w.byLast[x.last] = i
		w.longest = max(w.longest, len(x.last))
		w.params = append(w.params, x)
		w.needed += yes(p.Role != nn.BatchesTracked)
	}
	return w
}

// commonFront is the longest "a.b." that all names begin with.
func commonFront(specs []nn.ParamSpec) string {
	front := specs[0].Name
	for _, p := range specs {
		for !strings.HasPrefix(p.Name, front) || front != "" && front[len(front)-1] != '.' {
			front = front[:strings.LastIndexByte(strings.TrimSuffix(front, "."), '.')+1]
		}
	}
	return front
}

// cachedWants are those of models that were asked for.
var cachedWants sync.Map

func wantsOf(m *model) *wants {
	w, ok := cachedWants.Load(m)
	if !ok {
		w, _ = cachedWants.LoadOrStore(m, newWants(m))
	}
	return w.(*wants)
}

// fit is how the tensors of a group under names with a common prefix suit a model.
type fit struct {
	*wants
	group   *group
	prefix  string
	numbers [counts]int // by the first tensor that tells, 0 where none does
	found   []*tensor   // in the order of the parameters; nil for none
	wrong   []int       // parameters whose tensor has another shape
	missing []int       // parameters without one
	renamed bool        // some had old names
	excess  some        // tensors beside the parameters' that are none
	surplus some        // tensors beside them that the model knows to be of no use
	outside some        // tensors elsewhere
}

// some are tensors of which there may be very many: the first, and how many.
type some struct {
	first []*tensor
	n     int
}

func (s *some) add(t *tensor) {
	if s.n++; s.n <= 100 {
		s.first = append(s.first, t)
	}
}

// whole says whether all parameters are there, and nothing else.
func (f *fit) whole() bool { return len(f.wrong)+len(f.missing)+f.excess.n == 0 }

// hits is how many parameters are there.
func (f *fit) hits() int {
	n := -len(f.wrong)
	for _, t := range f.found {
		if t != nil {
			n++
		}
	}
	return n
}

// Of the prefixes with enough tensors for the whole network, and of those with fewer, which only serve to say what
// is wrong, so many are tried, those with the most tensors first.
const (
	mostWhole   = 16
	mostPartial = 2
)

// fits are all ways in which the file's tensors suit a model: the one to be taken first, then others that are whole,
// then those that are not.
func (f *File) fits(m *model) []*fit {
	w := wantsOf(m)
	var all []*fit
	for i := range f.groups {
		all = append(all, f.groups[i].fits(w)...)
	}
	slices.SortStableFunc(all, func(a, b *fit) int {
		if a.whole() != b.whole() {
			return yes(b.whole()) - yes(a.whole())
		}
		if !a.whole() {
			return cmp.Or(b.hits()-a.hits(), a.excess.n-b.excess.n)
		}
		return cmp.Or(a.rank()-b.rank(), len(a.prefix)-len(b.prefix))
	})
	return all
}

func yes(v bool) int {
	if v {
		return 1
	}
	return 0
}

// customary are the keys under which weights usually lie, those of a run's present weights before averages and the
// like.
var customary = []string{"", "state_dict", "model_state_dict", "model", "net", "network", "net_state_dict", "weights",
	"params"}

// rank orders fits that are whole: by the usual key, then whether the prefix is the network's own.
func (f *fit) rank() int {
	at := slices.Index(customary, f.group.key)
	if at < 0 {
		at = len(customary)
	}
	return 2*at + 1 - yes(f.prefix == f.front)
}

// fits tries the prefixes that names of the group have in front of a parameter's. The work for a name is that for its dots, so
// that it stays small for files and networks of thousands.
func (g *group) fits(w *wants) []*fit {
	names, renamed := g.names(w.rename)
	byName := make(map[string]*tensor, len(g.tensors))
	count := map[string]int{}
	var order []string
	for i, name := range names {
		byName[name] = &g.tensors[i]
		for at := len(name); len(name)-at <= w.longest; at = strings.LastIndexByte(name[:at-1], '.') + 1 {
			if n, ok := w.byLast[name[at:]]; ok && w.params[n].Role != nn.BatchesTracked {
				prefix := name[:at]
				if count[prefix]++; count[prefix] == 1 {
					order = append(order, prefix)
				}
			}
			if at == 0 {
				break
			}
		}
	}
	slices.SortStableFunc(order, func(a, b string) int { return count[b] - count[a] })
	whole := 0
	for whole < min(len(order), mostWhole) && count[order[whole]] >= w.needed {
		whole++
	}
	var out []*fit
	for _, prefix := range order[:min(len(order), max(whole, mostPartial))] {
		f := g.fit(w, prefix, order[:whole], names, byName)
		f.renamed = renamed
		out = append(out, f)
	}
	return out
}

// names are those of the group's tensors as they are today, and whether some were older. An old name whose new one is
// there too stays.
func (g *group) names(rename func(string) string) (names []string, renamed bool) {
	names = make([]string, len(g.tensors))
	for i, t := range g.tensors {
		names[i] = t.name
	}
	if rename == nil {
		return names, false
	}
	taken := make(map[string]bool, len(names))
	for _, name := range names {
		taken[name] = true
	}
	for i, old := range names {
		if name := rename(old); !taken[name] {
			names[i], taken[name], renamed = name, true, true
		}
	}
	return names, renamed
}

// fit compares the tensors whose names begin with a prefix. Others are where the network could be too.
func (g *group) fit(w *wants, prefix string, others, names []string, byName map[string]*tensor) *fit {
	f := &fit{wants: w, group: g, prefix: prefix, found: make([]*tensor, len(w.params))}
	for i, p := range w.params {
		t := byName[prefix+p.last]
		f.found[i] = t
		if t == nil || len(t.shape) != len(p.Shape) {
			continue
		}
		for d, c := range p.dims {
			if c != fixed && f.numbers[c] == 0 {
				f.numbers[c] = t.shape[d]
			}
		}
	}
	for i, p := range w.params {
		t := f.found[i]
		switch {
		case t == nil:
			if p.Role != nn.BatchesTracked { // only a count, which files of old PyTorch versions lack
				f.missing = append(f.missing, i)
			}
		case !f.suits(p, t.shape):
			f.wrong = append(f.wrong, i)
		}
	}
	elsewhere := slices.DeleteFunc(slices.Clone(others), func(o string) bool {
		return len(o) <= len(prefix) || !strings.HasPrefix(o, prefix)
	})
	for i := range g.tensors {
		t := &g.tensors[i]
		last, inside := strings.CutPrefix(names[i], prefix)
		_, known := w.byLast[last]
		switch {
		case inside && known:
		case !inside, !strings.Contains(last, "."), // no layer's
			slices.ContainsFunc(elsewhere, func(o string) bool { return strings.HasPrefix(names[i], o) }):
			f.outside.add(t)
		case w.model.surplus != nil && w.model.surplus(w.front+last):
			f.surplus.add(t)
		default:
			f.excess.add(t)
		}
	}
	return f
}

func (f *fit) classes() int  { return f.numbers[classes] }
func (f *fit) channels() int { return f.numbers[channels] }

// shape is that of a parameter.
func (f *fit) shape(p wanted) []int {
	shape := slices.Clone(p.Shape)
	for d, c := range p.dims {
		if c != fixed && f.numbers[c] != 0 {
			shape[d] = f.numbers[c]
		}
	}
	return shape
}

// describe is a parameter's name and shape.
func (f *fit) describe(p wanted) string {
	var shape []string
	for d, n := range f.shape(p) {
		if c := p.dims[d]; c == classes && f.numbers[c] == 0 {
			shape = append(shape, countNames[c])
		} else {
			shape = append(shape, strconv.Itoa(n))
		}
	}
	return p.Name + " [" + strings.Join(shape, " ") + "]"
}

func (f *fit) suits(p wanted, shape []int) bool {
	if p.Role == nn.BatchesTracked { // one number, however it is wrapped
		n := 1
		for _, d := range shape {
			n *= d
		}
		return n == 1
	}
	return slices.Equal(f.shape(p), shape)
}

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
	g, w := f.largest(), wantsOf(m)
	var here, want []string
	if best != nil {
		g, w = best.group, best.wants
		for _, t := range append(slices.Clone(best.excess.first), best.outside.first...) {
			here = append(here, t.String())
		}
		for _, i := range append(slices.Clone(best.wrong), best.missing...) {
			want = append(want, best.describe(best.params[i]))
		}
	}
	for _, t := range g.tensors[:min(len(g.tensors), mostNamed)] {
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
	return fmt.Sprintf("; in the file are %s; wanted are %s", cmp.Or(first(here, len(g.tensors)), "no tensors"),
		first(want, len(w.params)))
}
