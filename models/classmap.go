package models

import (
	"slices"
	"sync"

	"ninvk/nn"
	"ninvk/ops"
)

// Maps are the feature maps of a layer for one image.
type Maps struct {
	C, H, W int
	Values  []float32 // [C][H][W]
}

// Map is the map of channel c, H·W values row by row.
func (m Maps) Map(c int) []float32 { return m.Values[c*m.H*m.W : (c+1)*m.H*m.W] }

// How class maps are made. Each is a weighted sum of a layer's maps.
const (
	// ClassActivation is the share of each pixel in the class's score (Zhou et al., 2016), for networks that average
	// their last maps and make the scores by a linear layer, or by nothing: the map's mean and the class's bias in the
	// linear layer are the score.
	ClassActivation = "class activation map"
	// GradCAM weights the maps by the means of the score's gradient, and leaves out what is negative (Selvaraju et al.,
	// 2017), for networks that end in several layers after the maps.
	GradCAM = "Grad-CAM"
)

// ClassMap says where in an image a network sees a class.
type ClassMap struct {
	Class  string    `json:"class"`
	Index  int       `json:"index"`
	Method string    `json:"method"` // ClassActivation or GradCAM
	Layer  string    `json:"layer"`  // whose maps it is a sum of
	H      int       `json:"-"`
	W      int       `json:"-"`
	Values []float32 `json:"-"` // H·W, row by row
}

// Explanation is a classification with what it came from.
type Explanation struct {
	Predictions []Prediction // the most probable first
	Map         ClassMap
}

// ending is how a network comes from its last maps to the scores.
type ending struct {
	maps   *nn.Node
	linear []*nn.Node // the linear layers after the maps, in order
	exact  bool       // the scores are sums of the maps' means, and biases
}

// ending finds the last layer before those that pool, drop and combine whole images.
func (n *Network) ending() ending {
	e := ending{maps: n.Logits}
	relu := false
	for {
		switch o := e.maps.Op().(type) {
		case ops.GlobalAvgPool:
			e.maps, e.exact = e.maps.Inputs()[0], !relu
			return e
		case ops.Linear:
			e.linear = slices.Insert(e.linear, 0, e.maps)
			relu = relu || o.ReLU
		case ops.Dropout, ops.MaxPool, ops.AdaptiveAvgPool:
		default:
			return e
		}
		e.maps = e.maps.Inputs()[0]
	}
}

// kept are the layers whose outputs the class maps are made from.
func (e ending) kept() []*nn.Node {
	keep := []*nn.Node{e.maps}
	for _, x := range e.linear {
		if x.Op().(ops.Linear).ReLU {
			keep = append(keep, x)
		}
	}
	return keep
}

// classMaps are those of the images of the last batch, each for one class.
func (c *Classifier) classMaps(classes []int) ([]ClassMap, error) {
	outputs := map[*nn.Node][]Maps{} // by image
	for _, x := range c.ending.kept() {
		var err error
		if outputs[x], err = c.read(x, len(classes)); err != nil {
			return nil, err
		}
	}
	all := make([]ClassMap, len(classes))
	var images sync.WaitGroup
	for i, class := range classes {
		images.Go(func() {
			gradient := c.gradient(class, func(x *nn.Node) []float32 { return outputs[x][i].Values })
			all[i] = c.ending.classMap(outputs[c.ending.maps][i], gradient)
			all[i].Class, all[i].Index = c.Network.Classes[class], class
		})
	}
	images.Wait()
	return all, nil
}

// gradient is that of a class's score by each channel of the last maps, summed over the channel's pixels. Poolings keep
// that sum: they hand all of an output's gradient to pixels of its channel. So linear layers alone change it; those
// with a ReLU pass the gradient on where their output is positive.
func (c *Classifier) gradient(class int, output func(*nn.Node) []float32) []float64 {
	gradient := make([]float64, len(c.Network.Classes))
	gradient[class] = 1
	for _, x := range slices.Backward(c.ending.linear) {
		o := x.Op().(ops.Linear)
		weights := c.Network.values(x)[0]
		in := make([]float64, o.In)
		for m, d := range gradient {
			if d == 0 || o.ReLU && output(x)[m] <= 0 {
				continue
			}
			for i, w := range weights[m*o.In : (m+1)*o.In] {
				in[i] += d * float64(w)
			}
		}
		gradient = in
	}
	s := c.ending.maps.Shape
	pixels := len(gradient) / s.C // that the first linear layer takes of each channel
	sums := make([]float64, s.C)
	for i, d := range gradient {
		sums[i/pixels] += d
	}
	return sums
}

// classMap weights the maps of an image by the gradient of a class's score, given as sums over the pixels.
func (e ending) classMap(m Maps, gradient []float64) ClassMap {
	c := ClassMap{Method: ClassActivation, Layer: e.maps.Name, H: m.H, W: m.W, Values: make([]float32, m.H*m.W)}
	pixels := float64(1)
	if !e.exact {
		c.Method, pixels = GradCAM, float64(m.H*m.W)
	}
	for p := range c.Values {
		sum := 0.0
		for k, d := range gradient {
			if d != 0 {
				sum += d / pixels * float64(m.Values[k*m.H*m.W+p])
			}
		}
		if !e.exact {
			sum = max(sum, 0)
		}
		c.Values[p] = float32(sum)
	}
	return c
}
