// Package onnx writes a network with its weights as an ONNX model (https://onnx.ai), which other runtimes read.
//
// The model has one input, "input" [N, C, H, W], and one output, "logits" [N, classes], both float32; N is symbolic. It is in inference form:
// dropout is left out, batch normalisation uses its running statistics.
package onnx

import (
	"fmt"
	"maps"
	"slices"

	"github.com/moby/sys/atomicwriter"

	"ninvk/nn"
	"ninvk/ops"
)

// Versions of the format: the operators' (https://github.com/onnx/onnx/blob/main/docs/Operators.md) and the file's. Old enough for every runtime in use.
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

// Encode gives the bytes of the model of graph g, whose logits are node out [N, classes, 1, 1]. values are those of g.Params, in its order; counts
// have none. The same arguments give the same bytes.
func Encode(g *nn.Graph, out *nn.Node, values [][]float32, o Options) ([]byte, error) {
	if err := g.Err(); err != nil {
		return nil, err
	}
	b := &builder{values: map[string][]float32{}, names: map[*nn.Node]string{}, folds: map[*nn.Node]*nn.Node{}}
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
	b.graph.add(graphNode, nodeMessage("Flatten", OutputName, []string{b.names[out]}, OutputName, []attribute{{"axis", 1}}))
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
	model.add(modelGraph, b.graph)
	return model, nil
}

// builder collects the graph's message.
type builder struct {
	graph  message
	values map[string][]float32  // of the parameters, by name
	names  map[*nn.Node]string   // what each layer's output is called in the model
	folds  map[*nn.Node]*nn.Node // from a convolution to the batch normalisation that is folded into it
}

// layer adds the nodes, initializers and shapes of one layer.
func (b *builder) layer(n *nn.Node) error {
	var inputs []string
	for _, in := range n.Inputs() {
		inputs = append(inputs, b.names[in])
	}
	switch op := n.Op().(type) {
	case nil:
		b.names[n] = InputName
		b.graph.add(graphInput, valueMessage(InputName, n.Shape.C, n.Shape.H, n.Shape.W))
	case ops.Conv:
		weight, bias := n.Params()[0], n.Params()[1]
		w, c, relu := b.values[weight.Name], b.values[bias.Name], op.ReLU
		if norm := b.folds[n]; norm != nil {
			w, c = b.fold(w, c, norm)
			relu = norm.Op().(ops.BatchNorm).ReLU
		}
		b.graph.add(graphInitializer, tensorMessage(weight.Name, weight.Shape, w))
		b.graph.add(graphInitializer, tensorMessage(bias.Name, bias.Shape, c))
		b.node(n, "Conv", append(inputs, weight.Name, bias.Name), append([]attribute{{"kernel_shape", []int{op.K, op.K}}}, sliding(op.Stride, op.Pad)...)...)
		b.relu(n, relu)
	case ops.BatchNorm:
		if b.folds[n.Inputs()[0]] == n {
			b.names[n] = inputs[0]
			return nil
		}
		for _, p := range n.Params() {
			if p.Role != nn.BatchesTracked {
				b.graph.add(graphInitializer, tensorMessage(p.Name, p.Shape, b.values[p.Name]))
				inputs = append(inputs, p.Name) // scale, B, mean, var: PyTorch's order and ONNX's
			}
		}
		b.node(n, "BatchNormalization", inputs, attribute{"epsilon", float32(op.Eps)})
		b.relu(n, op.ReLU)
	case ops.ReLU:
		b.node(n, "Relu", inputs)
	case ops.MaxPool:
		attributes := append([]attribute{{"kernel_shape", []int{op.K, op.K}}}, sliding(op.Stride, op.Pad)...)
		if op.Ceil {
			in := n.Inputs()[0].Shape
			if n.Shape.H != ceilWindows(in.H, op) || n.Shape.W != ceilWindows(in.W, op) {
				return fmt.Errorf("ONNX has no max pooling whose last window would start in the padding and is left out")
			}
			attributes = append(attributes, attribute{"ceil_mode", 1})
		}
		b.node(n, "MaxPool", inputs, attributes...)
	case ops.AvgPool:
		b.node(n, "AveragePool", []string{b.padded(n, inputs[0], op.Pad)}, append([]attribute{{"kernel_shape", []int{op.K, op.K}}}, sliding(op.Stride, 0)...)...)
	case ops.GlobalAvgPool:
		b.node(n, "GlobalAveragePool", inputs)
	case ops.Dropout: // does nothing in inference
		b.names[n] = inputs[0]
	case ops.Add:
		b.node(n, "Add", inputs)
	default:
		return fmt.Errorf("there is no way yet to write %T as ONNX", op)
	}
	return nil
}

// padded adds a node that puts pad rows and columns of zeros around the input of layer n, and gives the name of what it makes. AveragePool has an attribute for an
// average over the padding, too, count_include_pad, but not every reader honours it.
func (b *builder) padded(n *nn.Node, input string, pad int) string {
	if pad == 0 {
		return input
	}
	name, pads := n.Name+".padded", n.Name+".pads"
	b.graph.add(graphInitializer, intsMessage(pads, []int{0, 0, pad, pad, 0, 0, pad, pad})) // before and after each dimension
	b.graph.add(graphNode, nodeMessage("Pad", name, []string{input, pads}, name, nil))
	s := n.Inputs()[0].Shape
	b.graph.add(graphValueInfo, valueMessage(name, s.C, s.H+2*pad, s.W+2*pad))
	return name
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

// emit adds a node and the shape of its output, which bears its name and is the output of layer n so far.
func (b *builder) emit(n *nn.Node, op, name string, inputs []string, attributes []attribute) {
	b.graph.add(graphNode, nodeMessage(op, name, inputs, name, attributes))
	b.graph.add(graphValueInfo, valueMessage(name, n.Shape.C, n.Shape.H, n.Shape.W))
	b.names[n] = name
}

// sliding are the attributes of a window, the same in both directions.
func sliding(stride, pad int) []attribute {
	return []attribute{{"strides", []int{stride, stride}}, {"pads", []int{pad, pad, pad, pad}}}
}

// ceilWindows is the number of windows that ONNX's ceil_mode gives along size pixels.
func ceilWindows(size int, op ops.MaxPool) int {
	return (size+2*op.Pad-op.K+op.Stride-1)/op.Stride + 1
}
