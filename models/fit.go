package models

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"ninvk/nn"
)

// fit is how the tensors of a set under names with a common prefix suit a model.
type fit struct {
	*wants
	set     *tensorSet
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
	for i := range f.sets {
		all = append(all, f.sets[i].fits(w)...)
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
	at := slices.Index(customary, f.set.key)
	if at < 0 {
		at = len(customary)
	}
	return 2*at + 1 - yes(f.prefix == f.front)
}

// fits tries the prefixes that names of the set have in front of a parameter's. The work for a name is that for its
// dots, so that it stays small for files and networks of thousands.
func (s *tensorSet) fits(w *wants) []*fit {
	names, renamed := s.names(w.rename)
	byName := make(map[string]*tensor, len(s.tensors))
	count := map[string]int{}
	var order []string
	for i, name := range names {
		byName[name] = &s.tensors[i]
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
		f := s.fit(w, prefix, order[:whole], names, byName)
		f.renamed = renamed
		out = append(out, f)
	}
	return out
}

// names are those of the set's tensors as they are today, and whether some were older. An old name whose new one is
// there too stays.
func (s *tensorSet) names(rename func(string) string) (names []string, renamed bool) {
	names = make([]string, len(s.tensors))
	for i, t := range s.tensors {
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
func (s *tensorSet) fit(w *wants, prefix string, others, names []string, byName map[string]*tensor) *fit {
	f := &fit{wants: w, set: s, prefix: prefix, found: make([]*tensor, len(w.params))}
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
	for i := range s.tensors {
		t := &s.tensors[i]
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

func (f *fit) classes() int { return f.numbers[classes] }

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
