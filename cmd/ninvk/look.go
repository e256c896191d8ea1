package main

import (
	"context"
	"fmt"
	"image"
	"os"

	"ninvk/cifar10"
	"ninvk/gpu"
	"ninvk/nin"
	"ninvk/ops"
	"ninvk/picture"
)

type filtersCommand struct {
	Out     string `default:"filters.png" help:"The picture to write."`
	Weights string `help:"Weights: ours, or PyTorch's state_dict as safetensors or .pth (default: those that are part of the program)." placeholder:"FILE"`
	described
}

// Run draws the filters of the first layer.
func (c filtersCommand) Run() error {
	if err := checkPicture("--out", c.Out); err != nil {
		return err
	}
	n, err := c.described.open(c.Weights, nil)
	if err != nil {
		return err
	}
	if s := n.Found(); s != "" { // neither classes nor normalisation matter here
		fmt.Fprintln(os.Stderr, s)
	}
	first := n.Graph.Nodes()[1]
	conv, ok := first.Op().(ops.Conv)
	if !ok {
		return fmt.Errorf("the first layer of %s, %s, is no convolution", n.Model, first.Name)
	}
	title := fmt.Sprintf("The %d filters of %s, %d×%d pixels", conv.M, first.Name, conv.K, conv.K)
	tile := picture.Tile{Image: picture.Filters(conv.M, conv.C, conv.K, n.Weights.Values()[0]), Caption: []picture.Line{
		{Text: n.Model + ", " + n.Path}, {Text: "grey: weight 0; a channel's light or dark: its weight, relative to the filter's largest"},
	}}
	if err := picture.WritePNG(c.Out, picture.Sheet(title, 1, []picture.Tile{tile}, nil)); err != nil {
		return err
	}
	fmt.Fprintf(stdout, "%s: %d filters of %s\n", c.Out, conv.M, first.Name)
	return nil
}

type activationsCommand struct {
	Image   string `arg:"" help:"A PNG, JPEG, GIF, WebP or BMP file of any size, or - for an image on stdin."`
	Layer   string `help:"The layer, by its name in the weights file; without it the layers are listed." placeholder:"NAME"`
	Out     string `default:"activations.png" help:"The picture to write."`
	Weights string `help:"Weights: ours, or PyTorch's state_dict as safetensors or .pth (default: those that are part of the program)." placeholder:"FILE"`
	described
	Resize  *int   `help:"Pixels a side of the network's input (default: what the weights tell, else the model's own)."`
	Adapter string `help:"Index, part of the name or driver, or type."`
}

// mostMaps is the number of feature maps that are drawn.
const mostMaps = 256

// Run draws the feature maps of a layer.
func (c activationsCommand) Run(ctx context.Context) error {
	if err := checkPicture("--out", c.Out); err != nil {
		return err
	}
	if err := keeps("--out", c.Out, c.Image, "the image"); err != nil {
		return err
	}
	n, err := c.described.open(c.Weights, c.Resize)
	if err != nil {
		return err
	}
	if _, err := n.Layer(c.Layer); err != nil {
		return err
	}
	tellNotes(n)
	img, err := readImage(c.Image)
	if err != nil {
		return fmt.Errorf("%s: %w", c.Image, err)
	}
	dev, err := gpu.Open(c.Adapter)
	if err != nil {
		return err
	}
	defer dev.Close()
	tuned, err := keptKernels(ctx, dev, n.Graph, 1)
	if err != nil {
		return err
	}
	classifier, err := nin.NewClassifier(dev, n, nin.Options{Batch: 1, Keep: c.Layer, Tuned: tuned})
	if err != nil {
		return err
	}
	defer classifier.Close()
	all, err := classifier.Activations([]image.Image{picture.Square(img, cifar10.Width)})
	if err != nil {
		return err
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
	tile := picture.Tile{Image: picture.Grid(picture.Columns(drawn), 4, maps), Caption: []picture.Line{{Text: c.Image}}}
	scale := picture.Scale(picture.Viridis, fmt.Sprintf("%.3g", low), "", fmt.Sprintf("%.3g", high))
	if err := picture.WritePNG(c.Out, picture.Sheet(title, 1, []picture.Tile{tile}, scale)); err != nil {
		return err
	}
	fmt.Fprintf(stdout, "%s: %d feature maps of %s, %d×%d\n", c.Out, drawn, c.Layer, m.H, m.W)
	return nil
}
