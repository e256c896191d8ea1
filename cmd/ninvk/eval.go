package main

import (
	"context"
	"fmt"
	"math"
	"os"
	"path/filepath"

	"ninvk/dataset"
	"ninvk/gpu"
	"ninvk/models"
	"ninvk/nn"
	"ninvk/picture"
	"ninvk/train"
)

type evalCommand struct {
	Weights string `help:"${weights}" placeholder:"FILE"`
	Data    string `default:"auto" help:"${eval_data}" placeholder:"DIR|FILE|sample|auto"`
	described
	Split   string `default:"test" enum:"test,train" help:"test or train."`
	Batch   int    `default:"64" help:"Images a step."`
	Resize  *int   `help:"${eval_resize}"`
	Flip    bool   `help:"${eval_flip}"`
	Adapter string `help:"${adapter}"`
	NoTune  bool   `help:"${usual}"`
	Out     string `help:"${eval_out}" placeholder:"DIR"`
	JSON    bool   `help:"${object}"`

	Labels      string  `default:"fine" enum:"fine,coarse" help:"Of data with two sets of labels: fine or coarse."`
	ValFraction float64 `default:"${fraction}" help:"Share of the images that are the test split of data which have none."`
	SkipBroken  bool    `help:"Leave out images that can't be read."`

	Mistakes int  `default:"25" help:"${eval_mistakes}" placeholder:"N"`
	All      bool `help:"List all classes, also where they are many."`
}

// Run evaluates.
func (c evalCommand) Run(ctx context.Context) error {
	if err := c.check(); err != nil {
		return err
	}
	n, err := c.described.open(c.Weights, c.Resize)
	if err != nil {
		return err
	}
	data, dev, err := openDataAndDevice(ctx, c.Data, c.Adapter, dataset.Options{Size: n.Size, Fit: dataset.Fit(n.Fit),
		Channels: n.Channels, Labels: c.Labels, Validation: c.ValFraction, SkipBroken: c.SkipBroken})
	if err != nil {
		return err
	}
	defer dev.Close()
	if err := sameClasses(n, data); err != nil {
		return err
	}
	tellNotes(n)
	if c.Out != "" { // before the work that it is for
		if err := os.MkdirAll(c.Out, 0o755); err != nil {
			return &usageError{fmt.Sprintf("--out %s: %v", c.Out, err)}
		}
	}
	split := data.Test
	if c.Split == "train" {
		split = data.Train
	}
	e, verdicts, err := c.judge(ctx, dev, n, data, split)
	if err != nil {
		return err
	}
	confusion := train.NewConfusion(verdicts, len(n.Classes))
	if c.Out != "" {
		if err := c.draw(n, e, confusion, verdicts, split); err != nil {
			return err
		}
	}
	if c.JSON {
		return c.printJSON(n, e, confusion, verdicts, split)
	}
	return c.print(n, e, confusion)
}

// check checks what does not depend on weights and data.
func (c evalCommand) check() error {
	if c.Batch < 1 {
		return &train.UsageError{Flag: "--batch", Value: fmt.Sprint(c.Batch), Problem: "must be at least 1"}
	}
	if !(c.ValFraction > 0 && c.ValFraction < 1) {
		return &train.UsageError{Flag: "--val-fraction", Value: fmt.Sprint(c.ValFraction),
			Problem: "must be above 0 and below 1"}
	}
	if c.Mistakes < 0 {
		return &train.UsageError{Flag: "--mistakes", Value: fmt.Sprint(c.Mistakes), Problem: "must be a number of images"}
	}
	return nil
}

// judge has the network say what is in each image of a split.
func (c evalCommand) judge(ctx context.Context, dev *gpu.Device, n *models.Network, data *dataset.Set,
	split dataset.Split) (e train.Evaluation, verdicts []train.Verdict, err error) {
	batch := min(c.Batch, split.Len())
	if c.Flip { // a batch has half as many images, each twice
		batch = 2 * min(max(1, c.Batch/2), split.Len())
	}
	folded := n.Graph.Fold(n.Logits)
	tuned, err := chooseKernels(ctx, dev, folded.Graph, batch, false, c.NoTune)
	if err != nil {
		return e, nil, err
	}
	net, err := n.Put(dev, folded, nn.Options{Batch: batch, Tuned: tuned, Pairs: c.Flip})
	if err != nil {
		return e, nil, err
	}
	defer net.Release()
	report := newTrainReport()
	images, err := train.OpenFeed(dev, c.Split+" images", data, split, dataset.Fit(n.Fit), batch, train.StreamAuto,
		func(done, total int) { report.Reading(c.Split, done, total) })
	if err != nil {
		return e, nil, err
	}
	defer images.Release()
	e, verdicts, err = train.Judge(ctx, net, images, func(done, total int) { report.Evaluating(c.Split, done, total) })
	report.end()
	switch {
	case err != nil:
		return e, nil, err
	case ctx.Err() != nil:
		return e, nil, &interrupted{"interrupted; no figures, as only part of the split was seen"}
	case math.IsNaN(e.Loss) || math.IsInf(e.Loss, 0):
		return e, nil, &models.WeightsError{Path: n.Path,
			Problem: fmt.Sprintf("with these weights the loss is %v: their outputs are not numbers to compare", e.Loss)}
	}
	return e, verdicts, nil
}

// print prints the figures for a person.
func (c evalCommand) print(n *models.Network, e train.Evaluation, confusion train.Confusion) error {
	figures, macro, weighted := confusion.Figures()
	classes := perClass(n.Classes, figures)
	line := fmt.Sprintf("%s: loss %.4f, accuracy %s", c.what(n, e), e.Loss, percent(e.Accuracy))
	if len(classes) > train.MostPlain {
		line += ", top-5 accuracy " + percent(e.Top5)
	}
	fmt.Fprintln(stdout, line)
	if err := writeClasses(stdout, classes, newAverages(macro), newAverages(weighted), c.All); err != nil {
		return err
	}
	return writeConfused(stdout, newConfused(confusion, n.Classes))
}

// printJSON prints the figures for machines.
func (c evalCommand) printJSON(n *models.Network, e train.Evaluation, confusion train.Confusion,
	verdicts []train.Verdict, split dataset.Split) error {
	sum, err := n.SHA256()
	if err != nil {
		return err
	}
	figures, macro, weighted := confusion.Figures()
	mistakes := []mistake{}
	for _, v := range train.Worst(verdicts, c.Mistakes) {
		mistakes = append(mistakes, newMistake(v, split.Name(v.Image), n.Classes))
	}
	out := map[string]any{
		"model": n.Model, "split": c.Split, "images": e.Images, "loss": e.Loss, "accuracy": e.Accuracy,
		"classes": perClass(n.Classes, figures), "macro": newAverages(macro), "weighted": newAverages(weighted),
		"confused": newConfused(confusion, n.Classes), "mistakes": mistakes, "weights_sha256": sum, "flip": c.Flip,
	}
	if len(n.Classes) > train.MostPlain {
		out["top5_accuracy"] = e.Top5
	}
	if len(n.Classes) <= mostInMatrix {
		out["confusion"] = confusion.Matrix()
	}
	return printJSON(out)
}

// sameClasses gives a network the names of the data set's classes where it has none of its own. Another number of
// classes is an error; other names are said.
func sameClasses(n *models.Network, data *dataset.Set) error {
	if len(n.Classes) != len(data.Classes) {
		return &models.WeightsError{Path: n.Path, Problem: fmt.Sprintf("its network has %d classes, the data set %s has "+
			"%d", len(n.Classes), data.Name, len(data.Classes))}
	}
	if data.Named {
		if err := n.NameClasses(data.Classes); err != nil {
			return err
		}
	}
	if s := n.OtherNames(data.Classes, data.Name); data.Named && s != "" {
		fmt.Fprintln(os.Stderr, s)
	}
	return nil
}

// what names what was evaluated.
func (c evalCommand) what(n *models.Network, e train.Evaluation) string {
	of := fmt.Sprintf("%s, %s split, %d images", n.Model, c.Split, e.Images)
	if c.Flip {
		of += " with their mirror images"
	}
	return of
}

// What --out is drawn as.
const (
	confusionFile = "confusion.png"
	mistakesFile  = "mistakes.png"
	mostDrawn     = 100
	mistakeSize   = 160 // pixels a side of an image
)

// draw writes the pictures of an evaluation.
func (c evalCommand) draw(n *models.Network, e train.Evaluation, confusion train.Confusion, verdicts []train.Verdict,
	split dataset.Split) error {
	of := c.what(n, e)
	var counts []picture.Count
	for p, images := range confusion.Images {
		counts = append(counts, picture.Count{Row: p.True, Column: p.Predicted, N: images})
	}
	names := make([]string, len(n.Classes))
	for i, name := range n.Classes {
		names[i] = shown(name)
	}
	matrix := picture.Matrix(fmt.Sprintf("%s: accuracy %s", of, percent(e.Accuracy)), names, counts)
	if err := picture.WritePNG(filepath.Join(c.Out, confusionFile), matrix); err != nil {
		return err
	}
	var tiles []picture.Tile
	for _, v := range train.Worst(verdicts, min(c.Mistakes, mostDrawn)) {
		img, err := split.Image(v.Image)
		if err != nil {
			return err
		}
		tiles = append(tiles, picture.Tile{Image: picture.Square(img, mistakeSize), Caption: []picture.Line{
			{Text: fmt.Sprintf("said %s %s", names[v.Predicted], wholePercent(v.Probability)), Color: picture.Wrong},
			{Text: "is " + names[v.True]},
			{Text: shown(split.Name(v.Image))},
		}})
	}
	title := fmt.Sprintf("The %d worst mistakes: %s", len(tiles), of)
	if len(tiles) == 0 {
		title = "No mistakes: " + of
		if e.Accuracy < 1 {
			title = "Mistakes are not shown: " + of
		}
	}
	if err := picture.WritePNG(filepath.Join(c.Out, mistakesFile), picture.Sheet(title, 5, tiles, nil)); err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "drawn: %s, %s\n", filepath.Join(c.Out, confusionFile), filepath.Join(c.Out, mistakesFile))
	return nil
}
