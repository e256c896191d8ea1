// Package onnx writes a network with its weights as an ONNX model. Other runtimes read it (https://onnx.ai).
//
// The model has one input, "input" [N, C, H, W], and one output, "logits" [N, classes], both float32; N is symbolic. It
// is in inference form: dropout is left out, batch normalisation uses its running statistics.
package onnx

import (
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/moby/sys/atomicwriter"

	"ninvk/nn"
	"ninvk/ops"
)

// Versions of the format: the operators' (https://github.com/onnx/onnx/blob/main/docs/Operators.md) and the file's. Old
// enough for every runtime in use.
const (
	Opset     = 13
	IRVersion = 7
)

// Names of the model's input and output.
const (
	InputName  = "input"
	OutputName = "logits"
)

// Options say what a model carries beside the network.
type Options struct {
	Name          string            // of the graph
	Doc           string            // a sentence for people
	Version       string            // of this program
	Metadata      map[string]string // metadata_props
	FoldBatchNorm bool              // into the convolutions before
}

// Write writes the model of Encode to path as a whole: an interruption leaves the old file or the new one.
func Write(path string, g *nn.Graph, out *nn.Node, values [][]float32, o Options) error {
	b, err := Encode(g, out, values, o)
	if err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	if err := atomicwriter.WriteFile(path, b, 0o644); err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	return nil
}

// Encode gives the bytes of the model of graph g, whose logits are node out [N, classes, 1, 1]. values are those of
// g.Params, in its order; counts have none. The same arguments give the same bytes.
func Encode(g *nn.Graph, out *nn.Node, values [][]float32, o Options) ([]byte, error) {
	if err := g.Err(); err != nil {
		return nil, err
	}
	b := &builder{
		values: map[string][]float32{}, names: map[*nn.Node]string{}, folds: map[*nn.Node]*nn.Node{},
		flat: map[*nn.Node]bool{},
	}
	for i, p := range g.Params() {
		if p.Role == nn.BatchesTracked {
			continue
		}
		if i >= len(values) || len(values[i]) != p.Len() {
			return nil, fmt.Errorf("parameter %s has not the %d values it needs", p.Name, p.Len())
		}
		b.values[p.Name] = values[i]
	}
	if o.FoldBatchNorm {
		b.folds = foldable(g)
	}
	for _, n := range g.Nodes() {
		if err := b.layer(n); err != nil {
			return nil, fmt.Errorf("layer %s: %w", n.Name, err)
		}
	}
	b.compute("Flatten", OutputName, []string{b.names[out]}, nil, attribute{"axis", 1})
	b.graph.add(graphOutput, valueMessage(OutputName, out.Shape.C*out.Shape.H*out.Shape.W))
	b.graph.text(graphName, o.Name)
	b.graph.text(graphDocString, o.Doc)

	var opset, model message
	opset.int(opsetVersion, Opset)
	model.int(modelIRVersion, IRVersion)
	model.text(modelProducerName, "ninvk")
	model.text(modelProducerVersion, o.Version)
	model.add(modelOpsetImport, opset)
	for _, k := range slices.Sorted(maps.Keys(o.Metadata)) {
		var entry message
		entry.text(entryKey, k)
		entry.text(entryValue, o.Metadata[k])
		model.add(modelMetadataProps, entry)
	}
	size := len(b.graph)
	for _, t := range b.tensors {
		size += sizeOf(graphInitializer, t.size())
	}
	if all := len(model) + sizeOf(modelGraph, size); all > mostBytes {
		return nil, fmt.Errorf("the model would have %d MB; files of ONNX, as all protobuf messages, have at most %d",
			all>>20, mostBytes>>20)
	}
	model = slices.Grow(model, sizeOf(modelGraph, size))
	model.begin(modelGraph, size)
	model = append(model, b.graph...)
	for _, t := range b.tensors {
		model.tensor(graphInitializer, t)
	}
	return model, nil
}

// mostBytes is the size of the largest message that readers of protobuf take.
var mostBytes = math.MaxInt32

// builder collects the graph's message.
type builder struct {
	graph   message // without its tensors
	tensors []tensor
	values  map[string][]float32  // of the parameters, by name
	names   map[*nn.Node]string   // what each layer's output is called in the model
	folds   map[*nn.Node]*nn.Node // from a convolution to the batch normalisation that is folded into it
	flat    map[*nn.Node]bool     // whether an output is [N, values] rather than [N, C, H, W]
}

var _ nn.Visitor = (*builder)(nil)

// layer adds the nodes, initializers and shapes of one layer.
func (b *builder) layer(n *nn.Node) error { return n.Visit(b) }

// inputs are what the layers that n reads are called, as images.
func (b *builder) inputs(n *nn.Node) []string {
	var names []string
	for _, in := range n.Inputs() {
		if b.flat[in] {
			b.names[in], b.flat[in] = b.reshape(in.Name+".image", b.names[in], in.Shape.C, 1, 1), false
		}
		names = append(names, b.names[in])
	}
	return names
}

// reshape gives x, [N, …], other dimensions after the first.
func (b *builder) reshape(name, x string, dims ...int) string {
	shape := b.ints(name+".shape", append([]int{0}, dims...)...) // 0 keeps the dimension
	return b.compute("Reshape", name, []string{x, shape}, dims)
}

// same has layer n be what it reads.
func (b *builder) same(n *nn.Node) error {
	in := n.Inputs()[0]
	b.names[n], b.flat[n] = b.names[in], b.flat[in]
	return nil
}

// parameter adds an initializer and gives its name.
func (b *builder) parameter(name string, shape []int, values []float32) string {
	b.tensors = append(b.tensors, floatTensor(name, shape, values))
	return name
}

// ints is parameter for a list of whole numbers.
func (b *builder) ints(name string, values ...int) string {
	b.tensors = append(b.tensors, intTensor(name, values))
	return name
}

// own adds the layer's parameter number i as an initializer and gives its name.
func (b *builder) own(n *nn.Node, i int) string {
	p := n.Params()[i]
	return b.parameter(p.Name, p.Shape, b.values[p.Name])
}

// Input makes the graph's input.
func (b *builder) Input(n *nn.Node) error {
	b.names[n] = InputName
	b.graph.add(graphInput, valueMessage(InputName, n.Shape.C, n.Shape.H, n.Shape.W))
	return nil
}

// Conv writes a convolution, with the batch normalisation after it where that is folded into it.
func (b *builder) Conv(n *nn.Node, o ops.Conv) error {
	weight := n.Params()[0]
	inputs, relu := b.inputs(n), o.ReLU
	if norm := b.folds[n]; norm != nil {
		bias := make([]float32, o.M)
		if len(n.Params()) > 1 {
			bias = b.values[n.Params()[1].Name]
		}
		w, c := b.fold(b.values[weight.Name], bias, norm)
		inputs = append(inputs, b.parameter(weight.Name, weight.Shape, w), b.parameter(n.Name+".bias", []int{o.M}, c))
		relu = norm.Op().(ops.BatchNorm).ReLU
	} else {
		for i := range n.Params() {
			inputs = append(inputs, b.own(n, i))
		}
	}
	b.node(n, "Conv", inputs, append([]attribute{{"kernel_shape", []int{o.K, o.K}}}, sliding(o.Stride, o.Pad)...)...)
	b.relu(n, relu)
	return nil
}

// Linear writes a linear layer, whose input is flattened first.
func (b *builder) Linear(n *nn.Node, o ops.Linear) error {
	in := n.Inputs()[0]
	x := b.names[in]
	if !b.flat[in] {
		x = b.compute("Flatten", n.Name+".flat", []string{x}, []int{o.In}, attribute{"axis", 1})
	}
	b.flat[n] = true
	b.node(n, "Gemm", []string{x, b.own(n, 0), b.own(n, 1)}, attribute{"transB", 1})
	b.relu(n, o.ReLU)
	return nil
}

// BatchNorm writes a batch normalisation, unless it is part of the convolution before.
func (b *builder) BatchNorm(n *nn.Node, o ops.BatchNorm) error {
	if b.folds[n.Inputs()[0]] == n {
		return b.same(n)
	}
	inputs := b.inputs(n)
	for i, p := range n.Params() {
		if p.Role != nn.BatchesTracked {
			inputs = append(inputs, b.own(n, i)) // scale, B, mean, var: PyTorch's order and ONNX's
		}
	}
	b.node(n, "BatchNormalization", inputs, attribute{"epsilon", float32(o.Eps)})
	b.relu(n, o.ReLU)
	return nil
}

// ReLU writes a ReLU.
func (b *builder) ReLU(n *nn.Node) error {
	in := n.Inputs()[0]
	b.flat[n] = b.flat[in]
	b.node(n, "Relu", []string{b.names[in]})
	return nil
}

// MaxPool writes max pooling.
func (b *builder) MaxPool(n *nn.Node, o ops.MaxPool) error {
	attributes := append([]attribute{{"kernel_shape", []int{o.K, o.K}}}, sliding(o.Stride, o.Pad)...)
	if o.Ceil {
		in := n.Inputs()[0].Shape
		if n.Shape.H != ceilWindows(in.H, o) || n.Shape.W != ceilWindows(in.W, o) {
			return fmt.Errorf("ONNX has no max pooling whose last window would start in the padding and is left out")
		}
		attributes = append(attributes, attribute{"ceil_mode", 1})
	}
	b.node(n, "MaxPool", b.inputs(n), attributes...)
	return nil
}

// AvgPool writes average pooling.
func (b *builder) AvgPool(n *nn.Node, o ops.AvgPool) error {
	input := b.padded(n, b.inputs(n)[0], []int{0, 0, o.Pad, o.Pad, 0, 0, o.Pad, o.Pad})
	window := append([]attribute{{"kernel_shape", []int{o.K, o.K}}}, sliding(o.Stride, 0)...)
	b.node(n, "AveragePool", []string{input}, window...)
	return nil
}

// GlobalAvgPool writes global average pooling.
func (b *builder) GlobalAvgPool(n *nn.Node) error {
	b.node(n, "GlobalAveragePool", b.inputs(n))
	return nil
}

// AdaptiveAvgPool writes average pooling where all windows are alike and lie side by side, else the product of each
// channel's pixels with a matrix that averages them.
func (b *builder) AdaptiveAvgPool(n *nn.Node, o ops.AdaptiveAvgPool) error {
	in, x := n.Inputs()[0].Shape, b.inputs(n)[0]
	if in.H%o.H == 0 && in.W%o.W == 0 {
		size := []int{in.H / o.H, in.W / o.W}
		b.node(n, "AveragePool", []string{x}, attribute{"kernel_shape", size}, attribute{"strides", size})
		return nil
	}
	pixels := b.reshape(n.Name+".pixels", x, in.C, in.H*in.W)
	means := b.parameter(n.Name+".means", []int{in.H * in.W, o.H * o.W}, averaging(in, o))
	product := b.compute("MatMul", n.Name+".product", []string{pixels, means}, []int{in.C, o.H * o.W})
	b.names[n] = b.reshape(n.Name, product, in.C, o.H, o.W)
	return nil
}

// averaging is the matrix [pixels of in][pixels of the output] that averages each window.
func averaging(in ops.Shape, o ops.AdaptiveAvgPool) []float32 {
	window := func(i, from, to int) (first, end int) { return i * from / to, ((i+1)*from + to - 1) / to }
	m := make([]float32, in.H*in.W*o.H*o.W)
	for row := range o.H {
		top, bottom := window(row, in.H, o.H)
		for column := range o.W {
			left, right := window(column, in.W, o.W)
			for y := top; y < bottom; y++ {
				for x := left; x < right; x++ {
					m[(y*in.W+x)*o.H*o.W+row*o.W+column] = float32(1 / float64((bottom-top)*(right-left)))
				}
			}
		}
	}
	return m
}

// Dropout does nothing in inference.
func (b *builder) Dropout(n *nn.Node, _ ops.Dropout) error { return b.same(n) }

// Add writes a sum.
func (b *builder) Add(n *nn.Node, o ops.Add) error {
	op := "Add"
	if len(n.Inputs()) != 2 {
		op = "Sum"
	}
	b.node(n, op, b.inputs(n))
	b.relu(n, o.ReLU)
	return nil
}

// Concat joins channels.
func (b *builder) Concat(n *nn.Node) error {
	b.node(n, "Concat", b.inputs(n), attribute{"axis", 1})
	return nil
}

// Subsample takes pixels at a distance and puts channels of zeros around.
func (b *builder) Subsample(n *nn.Node, o ops.Subsample) error {
	in := n.Inputs()[0]
	ints := func(what string, v ...int) string { return b.ints(n.Name+"."+what, v...) }
	pixels := b.compute("Slice", n.Name+".pixels", []string{
		b.inputs(n)[0], ints("starts", 0, 0), ints("ends", in.Shape.H, in.Shape.W), ints("axes", 2, 3),
		ints("steps", o.Stride, o.Stride),
	}, []int{in.Shape.C, n.Shape.H, n.Shape.W})
	b.node(n, "Pad", []string{pixels, ints("pads", 0, o.Before, 0, 0, 0, o.After, 0, 0)})
	return nil
}

// padded adds a node that puts zeros around the input of layer n, pads before and after each dimension, and gives the
// name of what it makes. AveragePool has an attribute for an average over the padding, too, count_include_pad, but not
// every reader honours it.
func (b *builder) padded(n *nn.Node, input string, pads []int) string {
	if !slices.ContainsFunc(pads, func(p int) bool { return p > 0 }) {
		return input
	}
	s := n.Inputs()[0].Shape
	return b.compute("Pad", n.Name+".padded", []string{input, b.ints(n.Name+".pads", pads...)},
		[]int{s.C + pads[1] + pads[5], s.H + pads[2] + pads[6], s.W + pads[3] + pads[7]})
}

// node adds a node that computes layer n, or its first part.
func (b *builder) node(n *nn.Node, op string, inputs []string, attributes ...attribute) {
	b.emit(n, op, n.Name, inputs, attributes)
}

// relu adds the ReLU that layer n has fused.
func (b *builder) relu(n *nn.Node, has bool) {
	if has {
		b.emit(n, "Relu", n.Name+".relu", []string{b.names[n]}, nil)
	}
}

// emit adds a node whose output is that of layer n so far.
func (b *builder) emit(n *nn.Node, op, name string, inputs []string, attributes []attribute) {
	dims := []int{n.Shape.C, n.Shape.H, n.Shape.W}
	if b.flat[n] {
		dims = dims[:1]
	}
	b.names[n] = b.compute(op, name, inputs, dims, attributes...)
}

// compute adds a node, and the shape [N, dims…] of its output, which bears the node's name. Without dims the shape is
// told elsewhere: that of the graph's output.
func (b *builder) compute(op, name string, inputs []string, dims []int, attributes ...attribute) string {
	b.graph.add(graphNode, nodeMessage(op, name, inputs, name, attributes))
	if dims != nil {
		b.graph.add(graphValueInfo, valueMessage(name, dims...))
	}
	return name
}

// sliding are the attributes of a window, the same in both directions.
func sliding(stride, pad int) []attribute {
	return []attribute{{"strides", []int{stride, stride}}, {"pads", []int{pad, pad, pad, pad}}}
}

// ceilWindows is the number of windows that ONNX's ceil_mode gives along size pixels.
func ceilWindows(size int, op ops.MaxPool) int {
	return (size+2*op.Pad-op.K+op.Stride-1)/op.Stride + 1
}
