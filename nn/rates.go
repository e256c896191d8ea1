package nn

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
)

// Rates are factors of the learning rate, by the name of the parameter; those not named have 1. A parameter whose
// factor is 0 is frozen: no gradient is computed for it, and it has neither momentum nor weight decay. A layer with
// parameters all of which are frozen is still: it costs no backward pass but for the layers before it, and a batch
// normalisation keeps its statistics and normalises by them.
type Rates map[string]float64

// of is the factor of a parameter that could be trained.
func (r Rates) of(p ParamSpec) float64 {
	if rate, ok := r[p.Name]; ok {
		return rate
	}
	return 1
}

func (r Rates) frozen(p ParamSpec) bool { return p.Trained() && r.of(p) == 0 }

// still says whether the layer has parameters, and all of them are frozen.
func (r Rates) still(x *Node) bool {
	found := false
	for _, p := range x.params {
		if p.Trained() && !r.frozen(p) {
			return false
		}
		found = found || p.Trained()
	}
	return found
}

// check says what can't be right about the rates of a graph.
func (r Rates) check(g *Graph) error {
	names, left := map[string]bool{}, len(r) == 0
	for _, p := range g.Params() {
		if p.Trained() {
			names[p.Name] = true
			left = left || !r.frozen(p)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(r)) {
		if rate := r[name]; !(rate >= 0) || math.IsInf(rate, 0) {
			return fmt.Errorf("parameter %s: a factor of the learning rate of %v", name, rate)
		}
		if !names[name] {
			return fmt.Errorf("a factor of the learning rate for %s, which is no parameter", name)
		}
	}
	if !left {
		return errors.New("every parameter is frozen: there is nothing to train")
	}
	return nil
}

// learning is what of a graph training changes.
type learning struct {
	rates   Rates
	reached []bool // by node: the backward pass goes through it, as its parameters or some before it are trained
	still   []bool // by node
}

func (g *Graph) learning(r Rates) *learning {
	l := &learning{r, make([]bool, len(g.nodes)), make([]bool, len(g.nodes))}
	for i, x := range g.nodes {
		l.still[i] = r.still(x)
		for _, p := range x.params {
			l.reached[i] = l.reached[i] || p.Trained() && !r.frozen(p)
		}
		for _, in := range x.inputs {
			l.reached[i] = l.reached[i] || l.reached[in.id]
		}
	}
	return l
}

// readsInputs says whether the layer's backward pass reads its inputs.
func (l *learning) readsInputs(x *Node) bool {
	return l.reached[x.id] && x.traits.needsInput && !(l.still[x.id] && x.traits.forParams)
}

// masks says whether the layer's gradient goes through a ReLU of its own, which reads its output.
func (l *learning) masks(x *Node) bool { return l.reached[x.id] && x.traits.relu }
