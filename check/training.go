package check

import (
	"context"
	"math"
	"slices"
	"strings"

	"github.com/go-gl/mathgl/mgl32"

	"ninvk/nn"
	"ninvk/ops"
	"ninvk/rng"
)

// The training steps: a small network with every layer that the published networks have.
const (
	steps     = 10
	batch     = 4
	side      = 32 // pixels a side of the images, of which
	size      = 8  // a part is trained on
	images    = 12
	rate      = 0.05
	dropped   = 0.25
	training  = "training/" // of the names of expected results
	parameter = training + "parameter "

	// The bounds are those of the comparison with PyTorch.
	lossBound   = 1e-4 // relative
	weightBound = 6e-5 // absolute
)

var options = nn.Options{
	Batch: batch, Train: true,
	Loss: ops.CrossEntropy{Smoothing: 0.1}, Clip: ops.GradNorm{Clip: 2},
	Optimiser: ops.SGD{Momentum: 0.9, WeightDecay: 0.0005, Nesterov: true},
	Augment:   ops.Augment{Size: size, Mean: []float64{0.5, 0.4, 0.3}, Std: []float64{0.25, 0.3, 0.35}},
}

// network is the graph with its last node.
func network() (*nn.Graph, *nn.Node) {
	g := nn.NewGraph()
	x := g.Conv("first", g.Input(3, size, size), nn.Conv{Channels: 8, Kernel: 3, Pad: 1, ReLU: true})
	x = g.Dropout("dropout", g.MaxPool("maxpool", x, ops.MaxPool{K: 3, Stride: 2, Pad: 1}), dropped)
	x = g.BatchNorm("norm", g.Conv("second", x, nn.Conv{Channels: 8, Kernel: 1}), nn.BatchNorm{ReLU: true})
	x = g.Conv("third", g.AvgPool("avgpool", x, ops.AvgPool{K: 3, Stride: 2, Pad: 1}), nn.Conv{Channels: 10, Kernel: 1})
	return g, g.GlobalAvgPool("mean", x)
}

// pixels are the images, CHW.
func pixels() []byte {
	r := rng.New(1, "check images", 0, 0)
	p := make([]byte, images*3*side*side)
	for i := range p {
		p[i] = byte(r.Uint32())
	}
	return p
}

// initial are the first values of parameter i, nil for a count.
func initial(i int, p nn.ParamSpec) []float32 {
	v := make([]float32, p.Len())
	r := rng.New(1, "check parameters", uint64(i), 0)
	for j := range v {
		switch p.Role {
		case nn.Weight:
			v[j] = float32(p.Init.Normal * r.NormFloat64())
		case nn.Bias, nn.RunningMean:
			v[j] = float32(0.1 * r.NormFloat64())
		case nn.Scale, nn.RunningVariance:
			v[j] = float32(0.5 + r.Float64())
		default:
			return nil
		}
	}
	return v
}

// entry is the i-th image of a step, with the transform that takes a part of it, every other one flipped.
func entry(step, i int) (image, label int, m mgl32.Mat3) {
	image = (step*batch + i) % images
	x, y := float32(2*step), float32(5*i)
	m = mgl32.Mat3{1, 0, 0, 0, 1, 0, x, y, 1}
	if (step+i)%2 == 1 {
		m = mgl32.Mat3{-1, 0, 0, 0, 1, 0, x + size - 1, y, 1}
	}
	return image, image % 10, m
}

// dropoutKey is that of a step.
func dropoutKey(step int) uint32 { return rng.New(1, "check dropout", uint64(step), 0).Uint32() }

// train trains the network and compares losses, norms of the gradients, and the parameters at the end.
func (r *runner) train(ctx context.Context, progress func(step int)) ([]Result, error) {
	g, out := network()
	if err := g.Err(); err != nil {
		return nil, err
	}
	net, err := nn.Build(r.d, g, out, options)
	if err != nil {
		return nil, err
	}
	defer net.Release()
	for i, p := range net.Params() {
		if v := initial(i, p.ParamSpec); v != nil {
			if err := net.SetParam(i, v); err != nil {
				return nil, err
			}
		}
	}
	data, err := ops.UploadImages(r.d, "images of the check", ops.Shape{C: 3, H: side, W: side}, pixels())
	if err != nil {
		return nil, err
	}
	defer data.Release()
	done, err := trainSteps(ctx, net, data, progress)
	if err != nil {
		return nil, err
	}
	return r.compareTraining(net, done)
}

// trainSteps makes the steps, and gives their results.
func trainSteps(ctx context.Context, net *nn.Net, data *ops.Images, progress func(step int)) ([]nn.StepResult, error) {
	var results []nn.StepResult
	for step := range steps {
		progress(step)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		var entries []nn.Entry
		for i := range batch {
			image, label, m := entry(step, i)
			entries = append(entries, ops.BatchEntry(uint32(image), uint32(label), m))
		}
		done, err := net.TrainStep(data, entries, step, rate, dropoutKey(step))
		if err != nil {
			return nil, err
		}
		results = append(results, done...)
	}
	done, err := net.Drain()
	return append(results, done...), err
}

// compareTraining compares what the steps gave and what the parameters are after them.
func (r *runner) compareTraining(net *nn.Net, done []nn.StepResult) ([]Result, error) {
	var losses, norms []float32
	for _, s := range done {
		losses, norms = append(losses, float32(s.Loss)), append(norms, float32(s.GradientNorm))
	}
	values, err := net.ReadParams()
	if err != nil {
		return nil, err
	}
	var variants []string
	for _, v := range net.Variants() {
		variants = append(variants, v)
	}
	slices.Sort(variants)
	about := Result{Operator: "network", Variant: strings.Join(slices.Compact(variants), ", ")}
	about.Shape = ops.Shape{N: batch, C: 3, H: size, W: size}.String()
	relative := func(w float32) float64 { return lossBound * math.Abs(float64(w)) }
	loss, norm, weights := about, about, about
	loss.Pass, norm.Pass, weights.Pass = "losses of ten steps", "gradient norms of ten steps", "parameters after ten steps"
	for _, x := range []struct {
		name string
		got  []float32
		to   *Result
	}{{"loss", losses, &loss}, {"gradient norm", norms, &norm}} {
		want, err := r.want(training+x.name, len(x.got))
		if err != nil {
			return nil, err
		}
		x.to.compare(x.name, x.got, want, relative)
	}
	for i, p := range net.Params() {
		if values[i] == nil {
			continue
		}
		want, err := r.want(parameter+p.Name, len(values[i]))
		if err != nil {
			return nil, err
		}
		weights.compare(p.Name, values[i], want, func(float32) float64 { return weightBound })
	}
	return []Result{loss, norm, weights}, nil
}
