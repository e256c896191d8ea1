package check

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"ninvk/golden"
	"ninvk/gpu"
	"ninvk/nn"
	"ninvk/ops"
)

// Network is a network with what PyTorch computes of it.
type Network struct {
	Golden *golden.Network
	Graph  *nn.Graph
	Logits *nn.Node
}

// networkSlack is how many times as far from float64 as PyTorch's float32 runs a network may be: drivers round in other
// orders, and a kernel that is wrong is farther away by powers of ten.
const networkSlack = 8

// runNetworks has networks compute and train as PyTorch did, a few steps from weights and images of a formula.
func runNetworks(ctx context.Context, d *gpu.Device, o Options) ([]Result, error) {
	var results []Result
	for i, n := range o.Networks {
		one, err := runNetwork(ctx, d, n, func(doing string, stage, stages int) {
			o.Progress(n.Golden.Name+": "+doing, i*stages+stage, len(o.Networks)*stages)
		})
		if err != nil {
			return results, err
		}
		results = append(results, one...)
	}
	return results, nil
}

func runNetwork(ctx context.Context, d *gpu.Device, n Network,
	progress func(doing string, stage, stages int)) ([]Result, error) {
	r, err := golden.Start(d, n.Golden, n.Graph, n.Logits, networkSlack)
	if err != nil {
		return nil, err
	}
	defer r.Release()
	stages := r.Stages()
	found, err := r.Compare(ctx, func(doing string, stage int) { progress(doing, stage, stages) })
	if err != nil {
		return nil, err
	}
	progress("done", stages, stages)
	variants := layerVariants(n, r.Net.Variants())
	whole := ops.Shape{N: n.Golden.Batch, C: 3, H: n.Golden.Size, W: n.Golden.Size}.String()
	var results []Result
	for _, c := range found {
		one := Result{
			Operator: n.Golden.Name, Pass: c.Kind, Shape: whole,
			Error: Number(c.Error), Bound: Number(c.Bound), Problem: c.Problem,
		}
		if c.Tensor != "" {
			one.Shape, one.Variant = c.Tensor, variants[c.Tensor]
		}
		results = append(results, one)
	}
	return results, nil
}

// layerVariants are the layers that parameters belong to, in words: what they compute, of which input, and the variants
// that compute it.
func layerVariants(n Network, used map[string]string) map[string]string {
	said := map[string]string{}
	for _, x := range n.Graph.Nodes() {
		if len(x.Params()) == 0 {
			continue
		}
		in := x.Inputs()[0].Shape
		in.N = n.Golden.Batch
		words := fmt.Sprintf("%s of %v", x.Title(), in)
		if o, ok := x.Op().(ops.Varied); ok {
			forward, inputGrad, weightGrad := o.Passes()
			var names []string
			for _, p := range []ops.Pass{forward, inputGrad, weightGrad} {
				if name := used[o.Key(p, in)]; name != "" && !slices.Contains(names, name) {
					names = append(names, name)
				}
			}
			words += ": " + strings.Join(names, ", ")
		}
		for _, p := range x.Params() {
			said[p.Name] = words
		}
	}
	return said
}
