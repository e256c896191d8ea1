package main

import (
	"context"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"text/tabwriter"

	"ninvk/dataset"
	"ninvk/models"
	"ninvk/nn"
	"ninvk/ops"
	"ninvk/picture"
	"ninvk/train"
)

type evalCommand struct {
	Weights string `help:"Weights: ours, or PyTorch's state_dict as safetensors or .pth (default: those that are part of the program)." placeholder:"FILE"`
	Data    string `default:"auto" help:"Folder with CIFAR-10 binary files, 'sample' or 'auto'." placeholder:"DIR|sample|auto"`
	described
	Split   string `default:"test" enum:"test,train" help:"test or train."`
	Batch   int    `default:"64" help:"Images a step."`
	Resize  *int   `help:"Pixels a side to enlarge images to; 0 for their own size (default: what the weights tell, else the network's own)."`
	Flip    bool   `help:"Show the network each image and its mirror image, and take the mean of its answers; twice the work."`
	Adapter string `help:"Index, part of the name or driver, or type."`
	NoTune  bool   `help:"Take the usual kernels rather than the measured choice, and measure none."`
	Out     string `help:"Draw the confusion matrix (confusion.png) and the worst mistakes (mistakes.png) into this folder." placeholder:"DIR"`
	JSON    bool   `help:"Print an object that machines read."`
}

// Run evaluates.
func (c evalCommand) Run(ctx context.Context) error {
	if c.Batch < 1 {
		return &train.UsageError{Flag: "--batch", Value: fmt.Sprint(c.Batch), Problem: "must be at least 1"}
	}
	n, err := c.described.open(c.Weights, c.Resize)
	if err != nil {
		return err
	}
	data, dev, err := openDataAndDevice(c.Data, c.Adapter, dataset.Options{Size: n.Size})
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
	batch := min(c.Batch, split.Len())
	if c.Flip { // a batch has half as many images, each twice
		batch = 2 * min(max(1, c.Batch/2), split.Len())
	}
	tuned, err := chooseKernels(ctx, dev, n.Graph, batch, false, c.NoTune)
	if err != nil {
		return err
	}
	net, err := nn.Build(dev, n.Graph, n.Logits, nn.Options{Batch: batch, Augment: ops.Augment{Size: n.Size, Mean: n.Mean[:], Std: n.Std[:]}, Tuned: tuned, Pairs: c.Flip})
	if err != nil {
		return err
	}
	defer net.Release()
	if err := n.Weights.Load(net); err != nil {
		return err
	}
	images, err := train.Upload(dev, c.Split+" images", split, dataset.Crop, nil)
	if err != nil {
		return err
	}
	defer images.Release()
	report := newTrainReport()
	e, verdicts, err := train.Judge(ctx, net, images, func(done, total int) { report.Evaluating(c.Split, done, total) })
	report.end()
	if err != nil {
		return err
	}
	if ctx.Err() != nil {
		return &interrupted{"interrupted; no figures, as only part of the split was seen"}
	}
	if math.IsNaN(e.Loss) || math.IsInf(e.Loss, 0) {
		return &models.WeightsError{Path: n.Path, Problem: fmt.Sprintf("with these weights the loss is %v: their outputs are not numbers to compare", e.Loss)}
	}
	confusion := train.NewConfusion(verdicts, len(n.Classes)).Matrix()
	classes := perClass(n.Classes, confusion)
	if c.Out != "" {
		if err := c.draw(n, e, confusion, verdicts, split); err != nil {
			return err
		}
	}
	if c.JSON {
		sum, err := n.SHA256()
		if err != nil {
			return err
		}
		return printJSON(map[string]any{
			"model": n.Model, "split": c.Split, "images": e.Images, "loss": e.Loss, "accuracy": e.Accuracy,
			"classes": classes, "confusion": confusion, "weights_sha256": sum, "flip": c.Flip,
		})
	}
	fmt.Fprintf(stdout, "%s: loss %.4f, accuracy %s\n", c.what(n, e), e.Loss, percent(e.Accuracy))
	t := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "class\timages\tcorrect\taccuracy")
	for _, k := range classes {
		accuracy := "-"
		if k.Accuracy != nil {
			accuracy = percent(*k.Accuracy)
		}
		fmt.Fprintf(t, "%s\t%d\t%d\t%s\n", k.Class, k.Images, k.Correct, accuracy)
	}
	return t.Flush()
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

// classFigures is how well a network does on one class.
type classFigures struct {
	Class    string   `json:"class"`
	Index    int      `json:"index"`
	Images   int      `json:"images"`
	Correct  int      `json:"correct"`
	Accuracy *float64 `json:"accuracy"` // nil: no images
}

func perClass(names []string, confusion [][]int) []classFigures {
	out := make([]classFigures, len(names))
	for i, row := range confusion {
		f := classFigures{Class: names[i], Index: i, Correct: row[i]}
		for _, n := range row {
			f.Images += n
		}
		if f.Images > 0 {
			a := float64(f.Correct) / float64(f.Images)
			f.Accuracy = &a
		}
		out[i] = f
	}
	return out
}

// What --out is drawn as.
const (
	confusionFile = "confusion.png"
	mistakesFile  = "mistakes.png"
	mostMistakes  = 25
	mistakeSize   = 160 // pixels a side of an image
)

// draw writes the pictures of an evaluation.
func (c evalCommand) draw(n *models.Network, e train.Evaluation, confusion [][]int, verdicts []train.Verdict, split dataset.Split) error {
	of := c.what(n, e)
	matrix := picture.Matrix(fmt.Sprintf("%s: accuracy %s", of, percent(e.Accuracy)), n.Classes, confusion)
	if err := picture.WritePNG(filepath.Join(c.Out, confusionFile), matrix); err != nil {
		return err
	}
	var tiles []picture.Tile
	for _, v := range train.Worst(verdicts, mostMistakes) {
		img, err := split.Image(v.Image)
		if err != nil {
			return err
		}
		tiles = append(tiles, picture.Tile{Image: picture.Square(img, mistakeSize), Caption: []picture.Line{
			{Text: fmt.Sprintf("said %s %s", n.Classes[v.Predicted], wholePercent(v.Probability)), Color: picture.Wrong},
			{Text: fmt.Sprintf("is %s, no. %d", n.Classes[v.True], v.Image)},
		}})
	}
	title := fmt.Sprintf("The %d worst mistakes: %s", len(tiles), of)
	if len(tiles) == 0 {
		title = "No mistakes: " + of
	}
	if err := picture.WritePNG(filepath.Join(c.Out, mistakesFile), picture.Sheet(title, 5, tiles, nil)); err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "drawn: %s, %s\n", filepath.Join(c.Out, confusionFile), filepath.Join(c.Out, mistakesFile))
	return nil
}
