package main

import (
	"context"
	"fmt"
	"image"
	"os"

	"ninvk/models"
	"ninvk/ops"
	"ninvk/picture"
)

type filtersCommand struct {
	Out     string `default:"filters.png" help:"The picture to write."`
	Weights string `help:"${weights}" placeholder:"FILE"`
	described
}

// Run draws the filters of the first layer.
func (c filtersCommand) Run(ctx context.Context) error {
	if err := checkPicture("--out", c.Out); err != nil {
		return err
	}
	if err := keeps("--out", c.Out, c.Weights, "the weights file"); err != nil {
		return err
	}
	drawn, err := untilStopped(ctx, c.draw)
	if err != nil {
		return err
	}
	return drawn.write(c.Out)
}

// drawing is a picture to be written, and what to say of it.
type drawing struct {
	sheet image.Image
	what  string
}

func (d drawing) write(path string) error {
	if err := picture.WritePNG(path, d.sheet); err != nil {
		return err
	}
	fmt.Fprintf(stdout, "%s: %s\n", shown(path), d.what)
	return nil
}

func (c filtersCommand) draw() (d drawing, err error) {
	n, err := c.described.open(c.Weights, nil)
	if err != nil {
		return d, err
	}
	if s := n.Found(); s != "" { // neither classes nor normalisation matter here
		fmt.Fprintln(os.Stderr, s)
	}
	first, weights := models.FirstConv(n.Graph)
	if first == nil {
		return d, fmt.Errorf("%s has no convolution, and so no filters", n.Model)
	}
	conv := first.Op().(ops.Conv)
	title := fmt.Sprintf("The %d filters of %s, %d×%d pixels", conv.M, first.Name, conv.K, conv.K)
	tile := picture.Tile{Image: picture.Filters(conv.M, conv.C, conv.K, n.Weights.Values()[weights]),
		Caption: []picture.Line{
			{Text: n.Model + ", " + n.Path},
			{Text: "grey: weight 0; a channel's light or dark: its weight, relative to the filter's largest"},
		}}
	return drawing{picture.Sheet(title, 1, []picture.Tile{tile}, nil),
		fmt.Sprintf("%d filters of %s", conv.M, first.Name)}, nil
}

type activationsCommand struct {
	Image   string `arg:"" help:"${look_image}"`
	Layer   string `help:"${look_layer}" placeholder:"NAME"`
	Out     string `default:"activations.png" help:"The picture to write."`
	Weights string `help:"${weights}" placeholder:"FILE"`
	described
	Resize  *int   `help:"${input}"`
	Adapter string `help:"${adapter}"`
}

// mostMaps is the number of feature maps that are drawn.
const mostMaps = 256

// Run draws the feature maps of a layer.
func (c activationsCommand) Run(ctx context.Context) error {
	if err := checkPicture("--out", c.Out); err != nil {
		return err
	}
	c.Image = fromURL(c.Image)
	if err := keeps("--out", c.Out, c.Image, "the image"); err != nil {
		return err
	}
	drawn, err := untilStopped(ctx, func() (drawing, error) { return c.draw(ctx) })
	if err != nil {
		return err
	}
	return drawn.write(c.Out)
}

func (c activationsCommand) draw(ctx context.Context) (d drawing, err error) {
	n, err := c.described.open(c.Weights, c.Resize)
	if err != nil {
		return d, err
	}
	if _, err := n.Layer(c.Layer); err != nil {
		return d, err
	}
	tellNotes(n)
	img, err := readImage(c.Image)
	if err != nil {
		return d, fmt.Errorf("%s: %w", shown(c.Image), err)
	}
	dev, err := openDevice(c.Adapter)
	if err != nil {
		return d, err
	}
	defer dev.Close()
	tuned, err := keptKernels(ctx, dev, n.Graph, 1)
	if err != nil {
		return d, err
	}
	classifier, err := models.NewClassifier(dev, n, models.Options{Batch: 1, Keep: c.Layer, Tuned: tuned})
	if err != nil {
		return d, err
	}
	defer classifier.Close()
	all, err := classifier.Activations([]image.Image{img})
	if err != nil {
		return d, err
	}
	m := all[0]
	drawn := min(m.C, mostMaps)
	low, high := picture.Range(m.Values)
	factor := max(1, 64/max(m.H, m.W))
	var maps []image.Image
	for i := range drawn {
		maps = append(maps, picture.Feature(m.H, m.W, m.Map(i), low, high, picture.Viridis, factor))
	}
	title := fmt.Sprintf("%s of %s: %d maps of %d×%d", c.Layer, n.Model, m.C, m.H, m.W)
	if drawn < m.C {
		title += fmt.Sprintf(", the first %d", drawn)
	}
	tile := picture.Tile{Image: picture.Grid(picture.Columns(drawn), 4, maps),
		Caption: []picture.Line{{Text: shown(c.Image)}}}
	scale := picture.Scale(picture.Viridis, fmt.Sprintf("%.3g", low), "", fmt.Sprintf("%.3g", high))
	what := fmt.Sprintf("%d feature maps of %s, %d×%d", drawn, c.Layer, m.H, m.W)
	return drawing{picture.Sheet(title, 1, []picture.Tile{tile}, scale), what}, nil
}
