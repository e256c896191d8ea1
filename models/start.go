package models

import (
	"fmt"
	"slices"

	"ninvk/nn"
)

// Start gives the parameters of a graph of the network's model the values that the network has for them, and those that
// it has none for, such as of auxiliary heads, values of the seed and the rule as Random does. With newHead, so also
// those whose shape depends on the number of classes, so that training goes on with other classes. What was made anew
// is listed by layer.
func (n *Network) Start(g *nn.Graph, seed uint64, rule Rule, newHead bool) (w *Weights, anew []string) {
	m, err := find(n.Model)
	if err != nil {
		panic(err) // networks are of the table
	}
	head := map[string]bool{}
	for _, p := range wantsOf(m).params {
		head[p.Name] = p.has(classes)
	}
	own := map[string]int{}
	for i, p := range n.Graph.Params() {
		own[p.Name] = i
	}
	w = Random(g, seed, rule)
	w.tracked, w.countLost = n.Weights.tracked, n.Weights.countLost
	at := 0
	for _, x := range g.Nodes() {
		for _, p := range x.Params() {
			i, there := own[p.Name]
			if there && !(newHead && head[p.Name]) && slices.Equal(p.Shape, n.Graph.Params()[i].Shape) {
				w.values[at] = n.Weights.values[i]
			} else if !slices.Contains(anew, x.Name) {
				anew = append(anew, x.Name)
			}
			at++
		}
	}
	return w, anew
}

// HeadLayers lists the layers whose parameters depend on the number of classes.
func (n *Network) HeadLayers() []string {
	m, err := find(n.Model)
	if err != nil {
		panic(err) // networks are of the table
	}
	var names []string
	for _, x := range n.Graph.Nodes() {
		for _, p := range x.Params() {
			i := slices.IndexFunc(wantsOf(m).params, func(w wanted) bool { return w.Name == p.Name })
			if i >= 0 && wantsOf(m).params[i].has(classes) && !slices.Contains(names, x.Name) {
				names = append(names, x.Name)
			}
		}
	}
	return names
}

// TakesChannels says why the images of a data set, of so many channels, are none for the network.
func (n *Network) TakesChannels(channels int, data string) error {
	if channels == n.Channels {
		return nil
	}
	return &WeightsError{Path: n.Path, Problem: fmt.Sprintf("its network takes images of %s; those of the data set %s "+
		"have %s: --channels %d makes them what it takes", kindOf(n.Channels), data, kindOf(channels), n.Channels)}
}
