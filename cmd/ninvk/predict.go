package main

import (
	"context"
	"errors"
	"fmt"
	"image"
	"os"
	"slices"
	"strings"
	"unicode/utf8"

	"ninvk/gpu"
	"ninvk/models"
	"ninvk/picture"
	"ninvk/train"
)

type predictCommand struct {
	Images  []string `arg:"" name:"image" help:"${predict_images}"`
	Weights string   `help:"${weights}" placeholder:"FILE"`
	described
	Resize  *int   `help:"${input}"`
	Top     *int   `help:"How many classes to tell, the most probable first (default: three, where there are so many)."`
	Cam     string `help:"${predict_cam}" placeholder:"OUT"`
	Class   string `help:"The class whose maps --cam draws (default: each image's most probable one)." placeholder:"NAME"`
	Batch   int    `default:"64" help:"Images that the adapter works on at a time."`
	Adapter string `help:"${adapter}"`
	JSON    bool   `help:"${list}"`
}

// prediction is what --json prints of one file.
type prediction struct {
	File        string              `json:"file"`
	URL         string              `json:"file_url,omitempty"` // where File can't be the name, as it is not UTF-8
	Predictions []models.Prediction `json:"predictions,omitempty"`
	Map         *models.ClassMap    `json:"map,omitempty"` // what was drawn
	Error       string              `json:"error,omitempty"`
}

// stdin is the argument that stands for it.
const stdin = "-"

// Run predicts. What can't be read is named, and the others go on.
func (c predictCommand) Run(ctx context.Context) error {
	n, err := untilStopped(ctx, func() (*models.Network, error) { return c.described.open(c.Weights, c.Resize) })
	if err != nil {
		return err
	}
	if err := c.check(n); err != nil {
		return err
	}
	tellNotes(n)
	inputs, err := untilStopped(ctx, func() ([]input, error) {
		return findImages(c.Images, func(line string) { fmt.Fprintf(os.Stderr, "ninvk: %s\n", line) }), nil
	})
	if err != nil {
		return err
	}
	cam, err := c.openCam(n, inputs)
	if err != nil {
		return err
	}
	p := &predictor{command: c, network: n, cam: cam, results: make([]prediction, len(inputs)),
		batch: min(c.Batch, len(inputs))}
	defer p.close()
	for _, in := range inputs {
		p.width = max(p.width, min(utf8.RuneCountInString(shown(in.path)), 50))
	}
	bad, err := p.all(ctx, inputs)
	if err != nil {
		return err
	}
	if err := cam.finish(); err != nil {
		return err
	}
	if bad > 0 {
		return fmt.Errorf("%d of %d images could not be read", bad, len(inputs))
	}
	return nil
}

// all tells what is in the images, and how many could not be read.
func (p *predictor) all(ctx context.Context, inputs []input) (bad int, err error) {
	report := newTrainReport()
	defer report.end()
	for i, in := range inputs {
		if ctx.Err() != nil {
			return bad, &interrupted{"interrupted; the images told so far are all that were seen"}
		}
		err := in.err
		var img image.Image
		if err == nil {
			img, err = untilStopped(ctx, func() (image.Image, error) { return readImage(in.path) })
		}
		if stopped := (*interrupted)(nil); errors.As(err, &stopped) {
			stopped.message += "; the images told so far are all that were seen"
			return bad, stopped
		}
		if err != nil {
			bad++
			p.results[i] = prediction{File: in.path, URL: fileURL(in.path), Error: err.Error()}
			fmt.Fprintf(clearing{report.stderr}, "ninvk: %s: %v\n", shown(in.path), err)
			continue
		}
		if err := p.add(ctx, i, in.path, img); err != nil {
			return bad, err
		}
		if p.command.JSON { // else the results show how far it is
			report.working("classifying", i+1, len(inputs))
		}
	}
	if err := p.flush(ctx); err != nil {
		return bad, err
	}
	if p.command.JSON {
		report.end()
		return bad, printJSON(p.results)
	}
	return bad, nil
}

// top is how many of so many classes are told.
func (c predictCommand) top(classes int) int {
	if c.Top != nil {
		return *c.Top
	}
	return min(3, classes)
}

func (c predictCommand) check(n *models.Network) error {
	switch {
	case c.Batch < 1:
		return &train.UsageError{Flag: "--batch", Value: fmt.Sprint(c.Batch), Problem: "must be at least 1"}
	case c.Top != nil && (*c.Top < 1 || *c.Top > len(n.Classes)):
		return &train.UsageError{Flag: "--top", Value: fmt.Sprint(*c.Top),
			Problem: fmt.Sprintf("must be from 1 to %d, the number of classes", len(n.Classes))}
	case c.Class != "" && c.Cam == "":
		return &usageError{"--class goes with --cam, whose maps it chooses"}
	case c.Class != "" && !slices.Contains(n.Classes, c.Class):
		return &train.UsageError{Flag: "--class", Value: c.Class, Problem: unknownClass(c.Class, n.Classes)}
	}
	seen := 0
	for _, name := range c.Images {
		if name == stdin {
			seen++
		}
	}
	if seen > 1 {
		return &usageError{"- stands for one image on stdin and can be given once"}
	}
	return nil
}

// unknownClass says which classes there are, of hundreds only those with names like the one that was given.
func unknownClass(name string, classes []string) string {
	const most = 20
	known := strings.Join(models.Nearest(name, classes, most), ", ")
	if others := len(classes) - most; others > 0 {
		return fmt.Sprintf("no such class; the nearest names are %s, and there are %d others", known, others)
	}
	return "no such class; known are " + known
}

func readImage(path string) (image.Image, error) {
	if path == stdin {
		return picture.Decode(os.Stdin)
	}
	return picture.ReadFile(path)
}

// predictor gathers images into batches. The adapter is opened for the first one: where no image can be read, none is
// needed.
type predictor struct {
	command predictCommand
	network *models.Network
	cam     *cam
	results []prediction
	batch   int
	width   int // of the column of names, in characters

	dev        *gpu.Device
	classifier *models.Classifier
	waiting    []waiting
}

// waiting is an image of the batch, shrunk to what is needed of it.
type waiting struct {
	at    int // in the results
	path  string
	small models.Input
	large *image.RGBA // what a map lies on; nil without --cam
}

func (p *predictor) add(ctx context.Context, at int, path string, img image.Image) error {
	w := waiting{at: at, path: path, small: p.network.Input(img)}
	if p.cam != nil {
		w.large = p.network.View(img, camSize)
	}
	p.waiting = append(p.waiting, w)
	if len(p.waiting) < p.batch {
		return nil
	}
	return p.flush(ctx)
}

func (p *predictor) open(ctx context.Context) (err error) {
	if p.dev, err = openDevice(p.command.Adapter); err != nil {
		return err
	}
	tuned, err := keptKernels(ctx, p.dev, p.network.Graph, p.batch)
	if err != nil {
		return err
	}
	p.dev.ForShort(float64(len(p.results)) * p.network.Graph.MultiplyAdds())
	p.classifier, err = models.NewClassifier(p.dev, p.network, models.Options{Batch: p.batch, Tuned: tuned})
	return err
}

func (p *predictor) close() {
	if p.classifier != nil {
		p.classifier.Close()
	}
	if p.dev != nil {
		p.dev.Close()
	}
}

// flush classifies the batch and tells the results.
func (p *predictor) flush(ctx context.Context) error {
	if len(p.waiting) == 0 {
		return nil
	}
	if p.classifier == nil {
		if err := p.open(ctx); err != nil {
			return err
		}
	}
	images := make([]image.Image, len(p.waiting))
	for i, w := range p.waiting {
		images[i] = w.small
	}
	explained, err := p.explain(images)
	if err != nil {
		return err
	}
	for i, w := range p.waiting {
		e := explained[i]
		top := e.Predictions[:p.command.top(len(e.Predictions))]
		p.results[w.at] = prediction{File: w.path, URL: fileURL(w.path), Predictions: top}
		if p.cam != nil {
			p.results[w.at].Map = &e.Map
		}
		if !p.command.JSON {
			var texts []string
			for _, x := range top {
				texts = append(texts, x.Class+" "+percent(x.Probability))
			}
			fmt.Fprintf(stdout, "%-*s  %s\n", p.width, shown(w.path), strings.Join(texts, ", "))
		}
		if p.cam != nil {
			if err := p.cam.add(w.path, w.large, e); err != nil {
				return err
			}
		}
	}
	p.waiting = p.waiting[:0]
	return nil
}

// explain classifies images, with maps where those are drawn.
func (p *predictor) explain(images []image.Image) ([]models.Explanation, error) {
	if p.cam != nil {
		return p.classifier.Explain(images, p.cam.class)
	}
	all, err := p.classifier.Classify(images)
	out := make([]models.Explanation, len(all))
	for i, predictions := range all {
		out[i].Predictions = predictions
	}
	return out, err
}
