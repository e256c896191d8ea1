package nn

import "math"

// Folded is a graph for evaluation that computes what another one does by fewer layers: a batch normalisation that
// alone takes a convolution's output is part of that convolution, and layers that the outputs asked for don't depend
// on are left out.
type Folded struct {
	Graph *Graph

	nodes []*Node // with the outputs of the other graph's; nil where there is none
	parts []fold  // by layer of Graph
}

// fold says which values of the other graph's parameters a layer's are made of.
type fold struct {
	params int // the first of the layer's own
	layer  *Node
	norm   *Node // that is part of it; nil for none
	normed int   // the first of the normalisation's
}

// Fold makes the graph for evaluation of the given layers' outputs.
func (g *Graph) Fold(ends ...*Node) *Folded {
	used, at, last := g.leadingTo(ends...), make([]int, len(g.nodes)), 0
	consumers, ended := g.consumersAmong(used), make([]bool, len(g.nodes))
	for _, x := range ends {
		ended[x.id] = true
	}
	for i, x := range g.nodes {
		at[i], last = last, last+len(x.params)
	}
	norms := make([]*Node, len(g.nodes)) // by convolution
	for _, x := range g.nodes {
		if _, ok := x.layer.(batchNorm); !ok || !used[x.id] {
			continue
		}
		in := x.inputs[0]
		if c, ok := in.layer.(conv); ok && !c.operator.ReLU && consumers[in.id] == 1 && !ended[in.id] {
			norms[in.id] = x
		}
	}
	f := &Folded{Graph: NewGraph(), nodes: make([]*Node, len(g.nodes))}
	for i, x := range g.nodes {
		if !used[i] || f.nodes[i] != nil { // a normalisation that is part of a convolution
			continue
		}
		inputs := make([]*Node, len(x.inputs))
		for k, in := range x.inputs {
			inputs[k] = f.nodes[in.id]
		}
		part, l := fold{params: at[i], layer: x}, x.layer
		if norm := norms[i]; norm != nil {
			c := l.(conv)
			c.operator.ReLU, c.options.NoBias = norm.layer.(batchNorm).operator.ReLU, false
			part.norm, part.normed, l = norm, at[norm.id], c
		}
		f.parts = append(f.parts, part)
		y := f.Graph.add(x.Name, l, inputs...)
		f.nodes[i] = y
		if part.norm != nil {
			f.nodes[i], f.nodes[part.norm.id] = nil, y
		}
	}
	return f
}

// Node is the layer with the output of x, a layer of the other graph; nil where there is none.
func (f *Folded) Node(x *Node) *Node { return f.nodes[x.id] }

// Values are those of the graph's parameters, made of the other graph's, both in the order of Params. The scale and
// shift of a normalisation by running statistics go into the weights and the bias:
//
//	scale = γ / √(variance + ε), weight' = scale · weight, bias' = scale · (bias − mean) + β
func (f *Folded) Values(v [][]float32) [][]float32 {
	var out [][]float32
	for _, p := range f.parts {
		own := v[p.params : p.params+len(p.layer.params)]
		if p.norm == nil {
			out = append(out, own...)
			continue
		}
		var bias []float32
		if len(own) > 1 {
			bias = own[1]
		}
		weight, bias := p.norm.layer.(batchNorm).into(own[0], bias, v[p.normed:])
		out = append(out, weight, bias)
	}
	return out
}

// into scales and shifts the weight and bias, which may be nil, of a convolution by a normalisation with these values.
func (l batchNorm) into(weight, bias []float32, norm [][]float32) (scaled, shifted []float32) {
	gamma, beta, mean, variance := norm[0], norm[1], norm[2], norm[3]
	scaled, shifted = make([]float32, len(weight)), make([]float32, len(gamma))
	each := len(weight) / len(gamma)
	for m := range gamma {
		scale := float64(gamma[m]) / math.Sqrt(float64(variance[m])+l.operator.Eps)
		for i, w := range weight[m*each : (m+1)*each] {
			scaled[m*each+i] = float32(scale * float64(w))
		}
		shift := -float64(mean[m])
		if bias != nil {
			shift += float64(bias[m])
		}
		shifted[m] = float32(scale*shift + float64(beta[m]))
	}
	return scaled, shifted
}
