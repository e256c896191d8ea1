package models

import (
	"slices"
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
