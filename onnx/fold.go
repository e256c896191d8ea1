package onnx

import (
	"math"

	"ninvk/nn"
	"ninvk/ops"
)

// foldable finds the batch normalisations that can be part of the convolution before them: nothing comes between the
// two, and nothing else reads the convolution. The map is from the convolution.
func foldable(g *nn.Graph) map[*nn.Node]*nn.Node {
	readers := map[*nn.Node]int{}
	for _, n := range g.Nodes() {
		for _, in := range n.Inputs() {
			readers[in]++
		}
	}
	folds := map[*nn.Node]*nn.Node{}
	for _, n := range g.Nodes() {
		if _, norm := n.Op().(ops.BatchNorm); !norm {
			continue
		}
		in := n.Inputs()[0]
		if c, conv := in.Op().(ops.Conv); conv && !c.ReLU && readers[in] == 1 {
			folds[in] = n
		}
	}
	return folds
}

// fold gives the weights [M][…] and biases [M] of a convolution that does what the one given and the normalisation
// after it do in inference: with s = γ/√(variance + ε), w·s and (bias − mean)·s + β. The arithmetic is float64, rounded
// once.
func (b *builder) fold(weight, bias []float32, norm *nn.Node) (w, c []float32) {
	p := norm.Params()
	gamma, beta, mean, variance := b.values[p[0].Name], b.values[p[1].Name], b.values[p[2].Name], b.values[p[3].Name]
	eps := norm.Op().(ops.BatchNorm).Eps
	w, c = make([]float32, len(weight)), make([]float32, len(bias))
	each := len(weight) / len(bias)
	for m := range c {
		s := float64(gamma[m]) / math.Sqrt(float64(variance[m])+eps)
		for i := m * each; i < (m+1)*each; i++ {
			w[i] = float32(float64(weight[i]) * s)
		}
		c[m] = float32((float64(bias[m])-float64(mean[m]))*s + float64(beta[m]))
	}
	return w, c
}
