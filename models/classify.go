package models

import (
	"cmp"
	"fmt"
	"image"
	"math"
	"slices"

	"github.com/go-gl/mathgl/mgl32"

	"ninvk/gpu"
	"ninvk/nn"
	"ninvk/ops"
)

// Prediction is what a network thinks of one class.
type Prediction struct {
	Class       string  `json:"class"`
	Index       int     `json:"index"`
	Probability float64 `json:"probability"` // 0 to 1; those of all classes sum to 1
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
	folded *nn.Folded
	ending ending
	kept   *nn.Node // that of Options.Keep
}

// Load reads a weights file, safetensors or PyTorch's .pth, and puts its network on the default adapter; one of
// EmbeddedNames stands for weights that are part of the program, "" for the first of them. The file's metadata, or the
// names and shapes of its tensors, tell which network it is of; of a file that does not tell its classes and
// normalisation, Network.Assumed says what was assumed. Close the classifier after use.
func Load(weights string) (*Classifier, error) {
	n, err := OpenNetwork(cmp.Or(weights, Embedded), Given{})
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
	c := &Classifier{Network: n, dev: dev, ending: n.ending()}
	keep := c.ending.kept()
	if o.Keep != "" {
		var err error
		if c.kept, err = n.Layer(o.Keep); err != nil {
			return nil, err
		}
		keep = append(keep, c.kept)
	}
	c.folded = n.Graph.Fold(append(keep, n.Logits)...)
	for i, x := range keep {
		keep[i] = c.folded.Node(x)
	}
	var err error
	if c.net, err = n.Put(dev, c.folded, nn.Options{Batch: o.Batch, Tuned: o.Tuned, Keep: keep}); err != nil {
		return nil, err
	}
	c.images, err = ops.NewImages(dev, "images to classify", ops.Shape{N: o.Batch, C: n.Channels, H: n.Size, W: n.Size})
	if err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// Put puts the network, folded, on an adapter with its weights. Of o it sets how images are brought to the input.
func (n *Network) Put(dev *gpu.Device, f *nn.Folded, o nn.Options) (*nn.Net, error) {
	o.Augment = ops.Augment{Size: n.Size, Mean: n.Mean, Std: n.Std}
	net, err := nn.Build(dev, f.Graph, f.Node(n.Logits), o)
	if err != nil {
		return nil, err
	}
	if err := n.Weights.Fold(f).Load(net); err != nil {
		net.Release()
		return nil, err
	}
	return net, nil
}

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

// Classes are the names of the classes, by their index.
func (c *Classifier) Classes() []string { return c.Network.Classes }

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

// Explain is Classify with a map of one class, given by its index; -1 stands for each image's most probable one.
func (c *Classifier) Explain(images []image.Image, class int) ([]Explanation, error) {
	if class < -1 || class >= len(c.Network.Classes) {
		return nil, fmt.Errorf("class %d of %d", class, len(c.Network.Classes))
	}
	var out []Explanation
	err := c.run(images, func(from, n int) error {
		predictions, err := c.predictions(n)
		if err != nil {
			return err
		}
		told := make([]int, n)
		for i, p := range predictions {
			if told[i] = class; class < 0 {
				told[i] = p[0].Index
			}
		}
		maps, err := c.classMaps(told)
		for i, m := range maps {
			out = append(out, Explanation{predictions[i], m})
		}
		return err
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
	n := c.Network
	pixels := make([]byte, 0, min(batch, len(images))*n.Channels*n.Size*n.Size)
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
				in = n.Input(img)
			} else if len(in.planes) != n.Channels*n.Size*n.Size {
				size := in.Bounds().Size()
				return fmt.Errorf("image %d is fitted to another network: it has %d values for %d×%d pixels, %s takes %d×%d "+
					"pixels of %s", from+i, len(in.planes), size.X, size.Y, n.Model, n.Size, n.Size, kindOf(n.Channels))
			}
			pixels = append(pixels, in.planes...)
			entries[i] = ops.BatchEntry(uint32(i), 0, mgl32.Ident3())
		}
		if err := c.images.Write(0, pixels); err != nil {
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
	v, err := c.net.Activation(c.folded.Node(x), n)
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

// predictions turns the logits of n images into probabilities (softmax), the most probable first; of equals the one
// with the lower index.
func (c *Classifier) predictions(n int) ([][]Prediction, error) {
	logits, err := c.net.Logits(n)
	if err != nil {
		return nil, err
	}
	for _, v := range logits {
		if math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) {
			return nil, &WeightsError{Path: c.Network.Path, Problem: fmt.Sprintf(
				"with these weights the network's output is %v, not a number to compare", v)}
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
