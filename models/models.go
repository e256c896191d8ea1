// Package models is the table of all networks. With each go its initialisation, weights in and out under PyTorch's
// names, those that are part of the program, and images classified with them.
//
// Load and Classify are all that it takes to use a trained network; see the example.
package models

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"ninvk/nn"
)

// model is a line of the table.
type model struct {
	name   string
	size   int                                              // pixels a side of the images that the network is for
	source string                                           // whose definition it is
	build  func(g *nn.Graph, x *nn.Node, c Config) *nn.Node // the logits [N, Classes, 1, 1] of images x
	recipe string                                           // the settings that it learns by; "" for the usual ones

	// What others' weights files may have; nil where there is nothing to know.
	surplus func(name string) bool   // of a tensor by the network's names: it is known to be of no use, and passed over
	rename  func(name string) string // an old name, whatever is in front of it, as it is today; others as they are
}

// Default is the name of the network that is taken where none is asked for.
const Default = "nin-bn"

// table has all networks; whatever lists or finds one does it from here. Each family is a file of this package.
var table = []*model{
	{name: "nin", size: 32, source: "the paper, arXiv 1312.4400", build: ninCIFAR(false), recipe: plain},
	{name: "nin-bn", size: 32, source: "the paper, with batch normalisation", build: ninCIFAR(true)},
	{name: "nin-imagenet", size: imageNet, source: "Caffe's model zoo", build: ninImageNet,
		recipe: seed},
	{name: "lenet5", size: 32, source: "LeCun et al., 1998, with ReLU and max pooling", build: lenet5, recipe: plain},
	{name: "alexnet", size: imageNet, source: "torchvision (arXiv 1404.5997)", build: alexnet, recipe: large},
	{name: "vgg16", size: imageNet, source: "torchvision (arXiv 1409.1556)", build: vgg16(false), recipe: he},
	{name: "vgg16-bn", size: imageNet, source: "torchvision", build: vgg16(true), recipe: seed},
	{name: "resnet18", size: imageNet, source: "torchvision (arXiv 1512.03385)", build: resnet18,
		recipe: seed},
	{name: "resnet18-small", size: 32, source: "torchvision, with a 3×3 stem and no pooling", build: resnet18Small},
	{name: "resnet20", size: 32, source: "the paper, arXiv 1512.03385", build: resnet20},
	{name: "densenet121", size: imageNet, source: "torchvision (arXiv 1608.06993)", build: densenet(6, 12, 24, 16),
		rename: undotted,
		recipe: gentle},
	{name: "densenet169", size: imageNet, source: "torchvision", build: densenet(6, 12, 32, 32), rename: undotted,
		recipe: gentle},
	{name: "densenet201", size: imageNet, source: "torchvision", build: densenet(6, 12, 48, 32), rename: undotted,
		recipe: gentle},
	{name: "densenet264", size: imageNet, source: "the paper, arXiv 1608.06993", build: densenet(6, 12, 64, 48),
		rename: undotted,
		recipe: gentle},
	{name: "googlenet", size: imageNet, source: "torchvision (arXiv 1409.4842)", build: googlenet, surplus: auxiliary,
		recipe: gentle},
}

// Recipes that networks learn by.
const (
	seed   = "seed"   // for those that were tried by the published script's settings alone
	plain  = "plain"  // for networks without normalisation
	large  = "large"  // for those of them whose linear layers are large
	he     = "he"     // for those that need larger first weights
	gentle = "gentle" // for those whose loss rises at the usual rate
)

// imageNet is the pixels a side of the images that networks for ImageNet are for.
const imageNet = 224

// Config is what a network is built for.
type Config struct {
	Model   string // one of Names
	Classes int
	Size    int // pixels a side of the images
	// Channels of the images: 3 for red, green and blue, 1 for grey; 0 stands for 3
	Channels int
	Dropout  float64 // probability that an activation is dropped while training; below 0: each dropout's own
	Aux      float64 // weight of the losses of auxiliary heads, where the network has them; 0: it is built without
}

// dropout is the probability for a dropout whose own is the one given.
func (c Config) dropout(own float64) float64 {
	if c.Dropout < 0 {
		return own
	}
	return c.Dropout
}

func (c Config) channels() int { return cmp.Or(c.Channels, 3) }

// UnknownModelError says that there is no such network, and which there are.
type UnknownModelError struct{ Name string }

func (e *UnknownModelError) Error() string {
	return fmt.Sprintf("unknown model %q; known are %s", e.Name, strings.Join(Names(), ", "))
}

// SizeError says that images are too small for a network.
type SizeError struct {
	Model       string
	Size, Least int // pixels a side
}

func (e *SizeError) Error() string {
	return fmt.Sprintf("images of %d×%[1]d pixels are too small for %s; the smallest that it takes are %d×%[3]d", e.Size,
		e.Model, e.Least)
}

// Names are those of all networks, in the order of the table.
func Names() []string { return namesOf(table) }

func namesOf(list []*model) []string {
	var names []string
	for _, m := range list {
		names = append(names, m.name)
	}
	return names
}

// find is the line of a name; the error is an *UnknownModelError.
func find(name string) (*model, error) {
	i := slices.IndexFunc(table, func(m *model) bool { return m.name == name })
	if i < 0 {
		return nil, &UnknownModelError{name}
	}
	return table[i], nil
}

// Check says whether there is a network of that name; the error is an *UnknownModelError.
func Check(name string) error {
	_, err := find(name)
	return err
}

// Build is the graph of a network for images [N, Channels, Size, Size], and its last node, the logits [N, Classes, 1,
// 1]. An unknown name is an *UnknownModelError, images too small for the network are a *SizeError.
func Build(c Config) (*nn.Graph, *nn.Node, error) {
	m, err := find(c.Model)
	if err != nil {
		return nil, nil, err
	}
	g, x, err := m.graph(c)
	if err != nil {
		if least := m.leastSize(); c.Size < least {
			err = &SizeError{c.Model, c.Size, least}
		}
		return nil, nil, err
	}
	return g, x, nil
}

func (m *model) graph(c Config) (*nn.Graph, *nn.Node, error) {
	g := nn.NewGraph()
	x := m.build(g, g.Input(c.channels(), c.Size, c.Size), c)
	return g, x, g.Err()
}

// Size is the pixels a side of the images that a network is for, 0 for an unknown one.
func Size(name string) int {
	m, err := find(name)
	if err != nil {
		return 0
	}
	return m.size
}

// Recipe is the name of the settings of training that a network learns by, "" where that is any's.
func Recipe(name string) string {
	m, err := find(name)
	if err != nil {
		return ""
	}
	return m.recipe
}

// WithHeads lists the networks that have auxiliary heads when Config.Aux asks for them.
func WithHeads() []string {
	var names []string
	for _, m := range table {
		if g, _, err := m.graph(Config{Model: m.name, Classes: 1, Size: m.size, Aux: 1}); err == nil && len(g.Heads()) > 0 {
			names = append(names, m.name)
		}
	}
	return names
}

// Source says whose definition a network is, "" for an unknown one.
func Source(name string) string {
	m, err := find(name)
	if err != nil {
		return ""
	}
	return m.source
}

// LeastSize is the pixels a side of the smallest images that a network takes, 0 for an unknown one. It is found by
// trying: a network takes all sizes from its least on.
func LeastSize(name string) int {
	m, err := find(name)
	if err != nil {
		return 0
	}
	return m.leastSize()
}

func (m *model) leastSize() int {
	takes := func(size int) bool {
		_, _, err := m.graph(Config{Model: m.name, Classes: 1, Size: size})
		return err == nil
	}
	below, least := 0, 1
	for !takes(least) {
		if least >= maxSize {
			return 0
		}
		below, least = least, 2*least
	}
	for below+1 < least {
		if middle := (below + least) / 2; takes(middle) {
			least = middle
		} else {
			below = middle
		}
	}
	return least
}
