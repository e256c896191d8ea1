package main

import (
	"errors"
	"fmt"
	"os"

	"ninvk/cifar10"
	"ninvk/dataset"
	"ninvk/models"
	"ninvk/train"
)

// described are the flags that say of weights what the file may not tell; they win over what it does.
type described struct {
	Model   string `help:"The weights' network, where the file does not tell." placeholder:"NAME"`
	Mean    string `help:"${weights_mean}" placeholder:"R,G,B"`
	Std     string `help:"Standard deviation, likewise." placeholder:"R,G,B"`
	Classes string `help:"${weights_classes}" placeholder:"FILE|a,b,c"`
}

// given reads the flags.
func (d described) given() (models.Given, error) {
	g := models.Given{Model: d.Model}
	bad := func(flag, value string, err error) error {
		if errors.As(err, new(*dataset.FileError)) {
			return err
		}
		return &train.UsageError{Flag: flag, Value: value, Problem: err.Error()}
	}
	for _, x := range []struct {
		flag, text string
		parse      func(string) ([]float64, error)
		to         *[]float64
	}{{"--mean", d.Mean, models.ParseMean, &g.Mean}, {"--std", d.Std, models.ParseStd, &g.Std}} {
		if x.text == "" {
			continue
		}
		v, err := x.parse(x.text)
		if err != nil {
			return g, bad(x.flag, x.text, err)
		}
		*x.to = v
	}
	if d.Classes != "" {
		var err error
		if g.Classes, err = models.ParseClasses(d.Classes); err != nil {
			return g, bad("--classes", d.Classes, err)
		}
	}
	return g, nil
}

// open reads a weights file, or takes embedded weights where path is their name or empty, and builds its network for
// images enlarged to resize pixels a side (nil: the size that the file tells, else the model's own; 0: the data's).
func (d described) open(path string, resize *int) (*models.Network, error) {
	given, err := d.given()
	if err != nil {
		return nil, err
	}
	if resize != nil {
		if given.Size = *resize; given.Size < 0 {
			return nil, &train.UsageError{Flag: "--resize", Value: fmt.Sprint(given.Size),
				Problem: "must be 0 (the data's own size) or a number of pixels"}
		}
		if given.Size == 0 {
			given.Size = cifar10.Width
		}
	}
	if path == "" {
		path = models.Embedded
	}
	f, err := models.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return network(f, given)
}

// network builds the network of a file.
func network(f *models.File, given models.Given) (*models.Network, error) {
	n, err := f.Network(given)
	if err == nil || errors.As(err, new(*models.WeightsError)) || errors.As(err, new(*models.ClassesError)) ||
		given.Size == 0 {
		return n, err
	}
	size := given.Size
	given.Size = 0
	if _, e := f.Network(given); e == nil { // it is the size alone
		return nil, &train.UsageError{Flag: "--resize", Value: fmt.Sprint(size), Problem: err.Error()}
	}
	return n, err
}

// tellNotes says on stderr what was done to read weights, and what was assumed of them.
func tellNotes(n *models.Network) {
	for _, s := range n.Notes() {
		fmt.Fprintln(os.Stderr, s)
	}
}
