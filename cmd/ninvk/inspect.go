package main

import (
	"context"
	"fmt"
	"image"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"ninvk/dataset"
	"ninvk/picture"
	"ninvk/train"
)

type inspectCommand struct {
	Data        string  `arg:"" name:"data" help:"${inspect_data}"`
	Size        int     `default:"224" help:"${inspect_size}"`
	Fit         string  `default:"crop" enum:"crop,stretch,pad" help:"How: crop, stretch or pad."`
	Channels    int     `help:"1 or 3; 0 for the data's own."`
	Labels      string  `default:"fine" enum:"fine,coarse" help:"Of data with two sets of labels: fine or coarse."`
	ValFraction float64 `default:"${fraction}" help:"Share of the images that become the test split of data without one."`
	SkipBroken  bool    `help:"Do not mind images that can't be read."`
	Out         string  `help:"Draw some images of each class." placeholder:"SHEET.png"`
	JSON        bool    `help:"${object}"`
}

// Run tells what is in a data set.
func (c inspectCommand) Run(ctx context.Context) error {
	switch {
	case c.Size < 1 || c.Size > 4096:
		return &train.UsageError{Flag: "--size", Value: fmt.Sprint(c.Size), Problem: "must be from 1 to 4096 pixels"}
	case c.Channels != 0 && c.Channels != 1 && c.Channels != 3:
		return &train.UsageError{Flag: "--channels", Value: fmt.Sprint(c.Channels),
			Problem: "must be 1 or 3, or 0 for the data's own"}
	case !(c.ValFraction > 0 && c.ValFraction < 1):
		return &train.UsageError{Flag: "--val-fraction", Value: fmt.Sprint(c.ValFraction),
			Problem: "must be above 0 and below 1"}
	}
	if c.Out != "" {
		if err := checkPicture("--out", c.Out); err != nil {
			return err
		}
		if err := keeps("--out", c.Out, c.Data, "the data"); err != nil {
			return err
		}
	}
	type inspected struct {
		*dataset.Inspection
		sheet *image.RGBA
	}
	got, err := untilStopped(ctx, func() (in inspected, err error) {
		show := &fetchReport{terminal: onTerminal()}
		defer show.end()
		set, err := namedData(c.Data, dataset.Options{Size: c.Size, Fit: dataset.Fit(c.Fit), Channels: c.Channels,
			Labels: c.Labels, Validation: c.ValFraction, SkipBroken: true})
		if err != nil {
			return in, err
		}
		if in.Inspection, err = dataset.Inspect(set, show.count); err == nil && c.Out != "" {
			in.sheet, err = sheet(set, in.Inspection)
		}
		return in, err
	})
	if err != nil {
		return err
	}
	if got.sheet != nil {
		if err := picture.WritePNG(c.Out, got.sheet); err != nil {
			return err
		}
	}
	if c.JSON {
		err = printJSON(got.Inspection)
	} else {
		err = printInspection(got.Inspection)
		if err == nil && got.sheet != nil {
			fmt.Fprintf(stdout, "%s: images of each class\n", shown(c.Out))
		}
	}
	if n := len(got.Broken); err == nil && n > 0 && !c.SkipBroken {
		err = &dataset.FileError{Path: c.Data, Offset: -1, Problem: fmt.Sprintf("images that can't be read: %d; training "+
			"would refuse them", n), Hint: "mend or remove them; --skip-broken leaves them out"}
	}
	return err
}

// mostLines is how many lines of a list are printed; --json has all.
const mostLines = 20

func printInspection(n *dataset.Inspection) error {
	t := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
	line := func(what, format string, a ...any) { fmt.Fprintf(t, "%s\t%s\n", what, fmt.Sprintf(format, a...)) }
	line("data", "%s", shown(n.Name))
	line("format", "%s", n.Format)
	of := func(r dataset.Range) string {
		if r.Min == r.Max {
			return fmt.Sprint(r.Min)
		}
		return fmt.Sprintf("%d to %d, median %d", r.Min, r.Max, r.Median)
	}
	line("width", "%s pixels", of(n.Widths))
	line("height", "%s pixels", of(n.Heights))
	line("channels", "%s", map[int]string{1: "1, grey", 3: "3, red, green and blue"}[n.Channels])
	line("mean", "%s (of the training images at %d×%[2]d pixels)", fractions(n.Mean), n.Size)
	line("deviation", "%s", fractions(n.Std))
	balance := "none"
	if n.Imbalance > 1 {
		balance = fmt.Sprintf("the largest class has %.2g times the training images of the smallest", n.Imbalance)
	}
	line("imbalance", "%s", balance)
	if err := t.Flush(); err != nil {
		return err
	}
	list := func(what string, lines []string) {
		if len(lines) == 0 {
			return
		}
		fmt.Fprintf(stdout, "%s: %d\n", what, len(lines))
		for _, l := range lines[:min(len(lines), mostLines)] {
			fmt.Fprintf(stdout, "  %s\n", l)
		}
		if more := len(lines) - mostLines; more > 0 {
			fmt.Fprintf(stdout, "  and %d more (--json has all)\n", more)
		}
	}
	list("notes", n.Notes)
	list("images that can't be read", n.Broken)
	same := func(groups [][]string) (lines []string) {
		for _, g := range groups {
			names := make([]string, len(g))
			for i, name := range g {
				names[i] = shown(name)
			}
			lines = append(lines, strings.Join(names, " = "))
		}
		return lines
	}
	list("identical images in different classes", same(n.Duplicates.Labels))
	list("identical images in both splits", same(n.Duplicates.Splits))
	list("identical images within the training split", same(n.Duplicates.Train))
	list("identical images within the test split", same(n.Duplicates.Test))
	t = tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "class\ttraining images\ttest images")
	for _, k := range n.Classes {
		fmt.Fprintf(t, "%s\t%d\t%d\n", k.Class, k.Train, k.Test)
	}
	fmt.Fprintf(t, "%d in all\t%d\t%d\n", len(n.Classes), n.Train, n.Test)
	return t.Flush()
}

func fractions(list []float64) string {
	var text []string
	for _, v := range list {
		text = append(text, fmt.Sprintf("%.4f", v))
	}
	return strings.Join(text, ", ")
}

// sheet draws some training images of each class as a network sees them, fewer and smaller ones where there are many
// classes.
func sheet(set *dataset.Set, n *dataset.Inspection) (*image.RGBA, error) {
	const width, gap, mostClasses = 1500, 3, 600
	layout := struct{ images, columns, side int }{3, 3, 56}
	switch {
	case len(set.Classes) <= 4:
		layout.images, layout.columns, layout.side = 12, 6, 112
	case len(set.Classes) <= 24:
		layout.images, layout.columns, layout.side = 6, 6, 80
	}
	of := make([][]int, len(set.Classes))
	for i, label := range set.Train.Labels {
		of[label] = append(of[label], i)
	}
	title := fmt.Sprintf("%s: %d classes, %d training + %d test images", filepath.Base(set.Name), len(set.Classes),
		n.Train,
		n.Test)
	if len(of) > mostClasses {
		of = of[:mostClasses]
		title += fmt.Sprintf(", the first %d classes", mostClasses)
	}
	var tiles []picture.Tile
	for class, list := range of {
		var images []image.Image
		for k := range min(layout.images, len(list)) {
			img, err := set.Train.Image(list[k*len(list)/min(layout.images, len(list))]) // from all of the class
			if err != nil {
				return nil, err
			}
			images = append(images, thumbnail(img, layout.side))
		}
		for len(images) < layout.columns { // so that all begin at the left
			images = append(images, image.NewRGBA(image.Rect(0, 0, layout.side, layout.side)))
		}
		tiles = append(tiles, picture.Tile{Image: picture.Grid(layout.columns, gap, images), Caption: []picture.Line{
			{Text: shown(set.Classes[class])},
			{Text: fmt.Sprintf("%d + %d", n.Classes[class].Train, n.Classes[class].Test)}}})
	}
	columns := max(1, width/(layout.columns*(layout.side+gap)+16))
	return picture.Sheet(title, columns, tiles, nil), nil
}

// thumbnail is an image of about side pixels a side; small ones keep their pixels, each as a square.
func thumbnail(img *image.RGBA, side int) image.Image {
	if b := img.Bounds(); max(b.Dx(), b.Dy()) <= side {
		large := picture.Enlarge(img, side/max(b.Dx(), b.Dy()))
		out := image.NewRGBA(image.Rect(0, 0, side, side))
		at := image.Pt((side-large.Bounds().Dx())/2, (side-large.Bounds().Dy())/2)
		for y := range large.Bounds().Dy() {
			for x := range large.Bounds().Dx() {
				out.SetRGBA(at.X+x, at.Y+y, large.RGBAAt(x, y))
			}
		}
		return out
	}
	return picture.FitPad.RGBA(img, side)
}
