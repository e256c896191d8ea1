package pth

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Bounds of what is looked through; far more than any checkpoint has.
const (
	maxDepth  = 32      // dictionaries within dictionaries
	maxSets   = 100_000 // an optimiser's state is one for each parameter
	maxName   = 1024    // bytes of a tensor's name in a model
	maxParts  = 100_000 // modules of a model
	maxBeside = 1000    // entries that are named
)

// way leads from the root to a value, backwards.
type way struct {
	from  *way
	in    any // what the value is an entry of
	name  string
	depth int
}

// key is the way in words, such as "model.ema"; "" for the root.
func (w *way) key() string {
	var names []string
	for ; w != nil; w = w.from {
		names = append([]string{shorten(w.name)}, names...)
	}
	return strings.Join(names, ".")
}

// shorten cuts a name that is too long to be shown.
func shorten(s string) string {
	if utf8.RuneCountInString(s) <= 100 {
		return s
	}
	return string([]rune(s[:min(len(s), 1000)])[:99]) + "…"
}

// entry is a value of a container, under its name there.
type entry struct {
	name  string
	value any
}

// entries are the values that a container holds, nil for what is none.
func entries(v any) []entry {
	var out []entry
	items := func(d *dict) {
		for i, k := range d.keys {
			name, ok := k.(string)
			if !ok {
				name = fmt.Sprint(k)
				if _, isInt := k.(int64); !isInt {
					name = "(" + kindOf(k) + ")"
				}
			}
			out = append(out, entry{name, d.values[i]})
		}
	}
	switch v := v.(type) {
	case *dict:
		items(v)
	case *sequence:
		for i, x := range v.items {
			out = append(out, entry{fmt.Sprint(i), x})
		}
	case *object:
		items(&v.items)
		if d, ok := v.state.(*dict); ok {
			items(d)
		}
		if s, ok := v.args.(*sequence); ok {
			for i, x := range s.items {
				out = append(out, entry{fmt.Sprintf("argument %d", i), x})
			}
		}
	}
	return out
}

// find looks through everything for sets of tensors, those nearest the root first.
func (c *Checkpoint) find() error {
	type place struct {
		value any
		at    *way
	}
	seen := map[any]bool{}
	for queue := []place{{c.root, nil}}; len(queue) > 0; {
		p := queue[0]
		queue = queue[1:]
		switch p.value.(type) {
		case *dict, *sequence, *object: // else it holds nothing
		default:
			continue
		}
		if seen[p.value] || p.at != nil && p.at.depth > maxDepth {
			continue
		}
		seen[p.value] = true
		if len(c.Sets) > maxSets {
			return damaged("", "it has more than %d dictionaries with tensors", maxSets)
		}
		s, err := c.set(p.value)
		if err != nil {
			return err
		}
		if s != nil {
			s.at = p.at
			c.Sets = append(c.Sets, s)
		}
		if o, ok := p.value.(*object); ok && o.parts() != nil {
			continue // a model: its parts belong to it
		}
		depth := 0
		if p.at != nil {
			depth = p.at.depth + 1
		}
		for _, e := range entries(p.value) {
			switch e.value.(type) {
			case *dict, *sequence, *object:
				queue = append(queue, place{e.value, &way{p.at, p.value, e.name, depth}})
			}
		}
	}
	return nil
}

// set is the tensors that a value holds under names, nil for none.
func (c *Checkpoint) set(v any) (*TensorSet, error) {
	s := &TensorSet{value: v}
	seen := map[string]bool{}
	add := func(name string, t *tensor) error {
		if seen[name] {
			return damaged("", "two tensors are named %.200q", name)
		}
		seen[name] = true
		s.Tensors = append(s.Tensors, Tensor{name, t.dtype(), t.shape(), t, c})
		return nil
	}
	if o, ok := v.(*object); ok && o.parts() != nil {
		left := maxParts
		if err := o.walk("", &left, add); err != nil {
			return nil, err
		}
	} else if _, isSequence := v.(*sequence); !isSequence {
		for _, e := range entries(v) {
			if t, ok := e.value.(*tensor); ok {
				if err := add(e.name, t); err != nil {
					return nil, err
				}
			}
		}
	}
	if len(s.Tensors) == 0 {
		return nil, nil
	}
	return s, nil
}

// parts are the attributes of a torch.nn.Module that was saved whole; nil of any other object.
func (o *object) parts() map[string]*dict {
	state, _ := o.state.(*dict)
	if state == nil {
		return nil
	}
	found := map[string]*dict{}
	for i, k := range state.keys {
		switch name, _ := k.(string); name {
		case "_parameters", "_buffers", "_modules":
			if d, ok := state.values[i].(*dict); ok {
				found[name] = d
			}
		}
	}
	if len(found) != 3 {
		return nil
	}
	return found
}

// walk gives a model's parameters and buffers by the names of its state_dict. left bounds the parts looked at, as some
// may come many times.
func (o *object) walk(prefix string, left *int, add func(name string, t *tensor) error) error {
	parts := o.parts()
	for _, kind := range []string{"_parameters", "_buffers", "_modules"} {
		d := parts[kind]
		if d == nil {
			continue
		}
		for i, k := range d.keys {
			if *left--; *left < 0 {
				return damaged("", "its model has more than %d parts", maxParts)
			}
			name, _ := k.(string)
			if len(prefix)+len(name) > maxName {
				return damaged("", "its model has a part whose name is longer than %d bytes", maxName)
			}
			switch v := d.values[i].(type) {
			case *tensor:
				if err := add(prefix+name, v); err != nil {
					return err
				}
			case *object:
				if err := v.walk(prefix+name+".", left, add); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// Key is where the set lies, such as "state_dict" or "checkpoint.model"; "" where it is all that the file holds.
func (s *TensorSet) Key() string { return s.at.key() }

// Model is the class of a model that was saved whole; "" for a dictionary.
func (s *TensorSet) Model() string {
	if o, ok := s.value.(*object); ok && o.parts() != nil {
		return o.class
	}
	return ""
}

// Beside lists what the file holds beside the set's tensors, at most the first thousand.
func (s *TensorSet) Beside() []Entry {
	var out []Entry
	add := func(at *way, list []entry, but any, tensors bool) {
		for _, e := range list {
			_, isTensor := e.value.(*tensor)
			if sameContainer(e.value, but) || isTensor && !tensors || len(out) == maxBeside {
				continue
			}
			out = append(out, Entry{(&way{from: at, name: e.name}).key(), kindOf(e.value)})
		}
	}
	var ways []*way
	for w := s.at; w != nil; w = w.from {
		ways = append([]*way{w}, ways...)
	}
	for i, w := range ways {
		next := s.value
		if i+1 < len(ways) {
			next = ways[i+1].in
		}
		add(w.from, entries(w.in), next, true)
	}
	if s.Model() == "" {
		add(s.at, entries(s.value), nil, false)
	}
	return out
}

// sameContainer says whether two values are the same container.
func sameContainer(a, b any) bool {
	switch a.(type) {
	case *dict, *sequence, *object:
		return a == b
	}
	return false
}
