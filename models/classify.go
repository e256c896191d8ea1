package models

import (
	"fmt"
	"image"
	"math"
	"slices"
	"strings"

	"ninvk/gpu"
	"ninvk/nn"
	"ninvk/ops"
	"ninvk/picture"
)

// Prediction is what a network thinks of one class.
type Prediction struct {
	Class       string  `json:"class"`
	Index       int     `json:"index"`
	Probability float64 `json:"probability"` // 0 to 1; those of all classes sum to 1
}

// Maps are the feature maps of a layer for one image.
type Maps struct {
	C, H, W int
	Values  []float32 // [C][H][W]
}

// Map is the map of channel c, H·W values row by row.
func (m Maps) Map(c int) []float32 { return m.Values[c*m.H*m.W : (c+1)*m.H*m.W] }

// Explanation is a classification with what it came from. ClassMaps has a map for every class, by index: where in the image the network sees how much of it. The class's
// score is the mean of its map (global average pooling, section 3.2 of the paper).
type Explanation struct {
	Predictions []Prediction // the most probable first
	ClassMaps   Maps
}

// Options say how a Classifier is built.
type Options struct {
	Batch int               // images that the adapter works on at a time; 0 for 64
	Keep  string            // a layer whose feature maps Activations gives; "" for none
	Tuned map[string]string // see nn.Options
}

const defaultBatch = 64

// Classifier is a network with its weights on an adapter. It is for one goroutine at a time.
type Classifier struct {
	Network *Network

	dev    *gpu.Device
	own    bool // dev is closed with the classifier
	net    *nn.Net
	images *ops.Images
	maps   *nn.Node // the class maps
	kept   *nn.Node
}

// Load reads a weights file, safetensors or PyTorch's .pth, and puts its network on the default adapter; "" stands for
// the embedded weights. The file's metadata, or the names and shapes of its tensors, tell which network it is of; of a
// file that does not tell its classes and normalisation, Network.Assumed says what was assumed. Close the classifier
// after use.
func Load(weights string) (*Classifier, error) {
	n, err := Pretrained()
	if weights != "" {
		n, err = OpenNetwork(weights, Given{})
	}
	if err != nil {
		return nil, err
	}
	dev, err := gpu.Open("")
	if err != nil {
		return nil, err
	}
	c, err := NewClassifier(dev, n, Options{})
	if err != nil {
		dev.Close()
		return nil, err
	}
	c.own = true
	return c, nil
}

// NewClassifier puts a network on an adapter. An unknown layer in o.Keep is an *UnknownLayerError.
func NewClassifier(dev *gpu.Device, n *Network, o Options) (*Classifier, error) {
	if o.Batch == 0 {
		o.Batch = defaultBatch
	}
	c := &Classifier{Network: n, dev: dev, maps: n.classMaps()}
	keep := []*nn.Node{c.maps}
	if o.Keep != "" {
		var err error
		if c.kept, err = n.Layer(o.Keep); err != nil {
			return nil, err
		}
		keep = append(keep, c.kept)
	}
	var err error
	c.net, err = nn.Build(dev, n.Graph, n.Logits, nn.Options{Batch: o.Batch, Augment: ops.Augment{Size: n.Size, Mean: n.Mean, Std: n.Std}, Tuned: o.Tuned, Keep: keep})
	if err != nil {
		return nil, err
	}
	if err = n.Weights.Load(c.net); err == nil {
		c.images, err = ops.NewImages(dev, "images to classify", n.pixels(), n.pixels(), make([]byte, o.Batch*n.imageBytes()))
	}
	if err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// classMaps is the layer whose maps the last pooling averages.
func (n *Network) classMaps() *nn.Node { return n.Logits.Inputs()[0] }

// Close frees what the classifier holds on the adapter.
func (c *Classifier) Close() {
	c.net.Release()
	if c.images != nil {
		c.images.Release()
	}
	if c.own {
		c.dev.Close()
	}
}

// Classify gives for each image its classes, the most probable first. Images may have any size and format:
// they are fitted to the network as Network.Input does it; those that are fitted already are taken as they are.
func (c *Classifier) Classify(images []image.Image) ([][]Prediction, error) {
	var out [][]Prediction
	err := c.run(images, func(from, n int) error {
		p, err := c.predictions(n)
		out = append(out, p...)
		return err
	})
	return out, err
}

// Explain is Classify with the class maps.
func (c *Classifier) Explain(images []image.Image) ([]Explanation, error) {
	var out []Explanation
	err := c.run(images, func(from, n int) error {
		predictions, err := c.predictions(n)
		if err != nil {
			return err
		}
		maps, err := c.read(c.maps, n)
		if err != nil {
			return err
		}
		for i, p := range predictions {
			out = append(out, Explanation{p, maps[i]})
		}
		return nil
	})
	return out, err
}

// Activations gives for each image the feature maps of the layer in Options.Keep, after a ReLU where the layer has one.
func (c *Classifier) Activations(images []image.Image) ([]Maps, error) {
	if c.kept == nil {
		return nil, fmt.Errorf("no layer was named in Options.Keep")
	}
	var out []Maps
	err := c.run(images, func(from, n int) error {
		maps, err := c.read(c.kept, n)
		out = append(out, maps...)
		return err
	})
	return out, err
}

// run evaluates the network on one batch after the other; read is called when each is done.
func (c *Classifier) run(images []image.Image, read func(from, n int) error) error {
	batch := c.net.Options.Batch
	side := c.Network.pixels()
	pixels := make([]byte, 0, min(batch, len(images))*c.Network.imageBytes())
	m := resize(side, c.Network.Size)
	for from := 0; from < len(images); from += batch {
		part := images[from:min(from+batch, len(images))]
		pixels = pixels[:0]
		entries := make([]nn.Entry, len(part))
		for i, img := range part {
			if img.Bounds().Empty() {
				return fmt.Errorf("image %d has no pixels", from+i)
			}
			in, fitted := img.(Input)
			if !fitted {
				in = c.Network.Input(img)
			} else if size := in.Bounds().Size(); size.X != side || size.Y != side {
				return fmt.Errorf("image %d is fitted to another network: it has %d×%d pixels, %s takes %d×%d", from+i,
					size.X, size.Y, c.Network.Model, side, side)
			}
			pixels = append(pixels, picture.Planes(in.RGBA)...)
			entries[i] = ops.BatchEntry(uint32(i), 0, m)
		}
		if err := c.images.Replace(pixels); err != nil {
			return err
		}
		if err := c.net.EvalStep(c.images, entries); err != nil {
			return err
		}
		if err := read(from, len(part)); err != nil {
			return err
		}
	}
	return nil
}

// read is the output of a layer, by image.
func (c *Classifier) read(x *nn.Node, n int) ([]Maps, error) {
	v, err := c.net.Activation(x, n)
	if err != nil {
		return nil, err
	}
	s := x.Shape
	one := s.C * s.H * s.W
	out := make([]Maps, n)
	for i := range out {
		out[i] = Maps{s.C, s.H, s.W, v[i*one : (i+1)*one]}
	}
	return out, nil
}

// predictions turns the logits of n images into probabilities (softmax), the most probable first; of equals the one with the lower index.
func (c *Classifier) predictions(n int) ([][]Prediction, error) {
	logits, err := c.net.Logits(n)
	if err != nil {
		return nil, err
	}
	for _, v := range logits {
		if math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) {
			return nil, &WeightsError{Path: c.Network.Path, Problem: fmt.Sprintf("with these weights the network's output is %v, not a number to compare", v)}
		}
	}
	classes := len(c.Network.Classes)
	out := make([][]Prediction, n)
	for i := range out {
		own := logits[i*classes : (i+1)*classes]
		top := float64(slices.Max(own))
		list := make([]Prediction, classes)
		sum := 0.0
		for k, v := range own {
			list[k] = Prediction{c.Network.Classes[k], k, math.Exp(float64(v) - top)}
			sum += list[k].Probability
		}
		for k := range list {
			list[k].Probability /= sum
		}
		slices.SortStableFunc(list, func(a, b Prediction) int {
			switch {
			case a.Probability > b.Probability:
				return -1
			case a.Probability < b.Probability:
				return 1
			}
			return 0
		})
		out[i] = list
	}
	return out, nil
}

// UnknownLayerError says that a network has no such layer, and which it has.
type UnknownLayerError struct {
	Model, Layer string
	Known        []string // name, operator and output
}

func (e *UnknownLayerError) Error() string {
	what := fmt.Sprintf("has no layer %q", e.Layer)
	if e.Layer == "" {
		what = "has many layers; name one"
	}
	return fmt.Sprintf("%s %s; its layers are\n  %s", e.Model, what, strings.Join(e.Known, "\n  "))
}

// Layer finds a layer by its name. If there is none, the error is an *UnknownLayerError.
func (n *Network) Layer(name string) (*nn.Node, error) {
	e := &UnknownLayerError{Model: n.Model, Layer: name}
	for _, x := range n.Graph.Nodes() {
		if x.Name == name {
			return x, nil
		}
		e.Known = append(e.Known, fmt.Sprintf("%-14s %-22s %d×%d×%d", x.Name, describe(x), x.Shape.C, x.Shape.H, x.Shape.W))
	}
	return nil, e
}

// describe names a layer's operator.
func describe(x *nn.Node) string {
	relu := func(s string, fused bool) string {
		if fused {
			s += ", ReLU"
		}
		return s
	}
	switch o := x.Op().(type) {
	case ops.Conv:
		return relu(fmt.Sprintf("conv %d×%d", o.K, o.K), o.ReLU)
	case ops.BatchNorm:
		return relu("batch norm", o.ReLU)
	case ops.MaxPool:
		return fmt.Sprintf("max pool %d×%d", o.K, o.K)
	case ops.AvgPool:
		return fmt.Sprintf("average pool %d×%d", o.K, o.K)
	case ops.GlobalAvgPool:
		return "global average pool"
	case ops.Dropout:
		return "dropout"
	}
	return "image, normalised"
}
