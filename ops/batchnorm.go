package ops

import (
	"errors"
	"math"
	"strings"

	"ninvk/gpu"
	"ninvk/shaders"
)

// BatchNorm normalises each channel over batch and image, then scales and shifts it; optional ReLU. In training the
// batch's mean and biased variance normalise, and the running ones move by Momentum towards the mean and the unbiased
// variance; in evaluation the running ones normalise.
type BatchNorm struct {
	Eps      float64 `json:"eps"`
	Momentum float64 `json:"momentum"`
	ReLU     bool    `json:"relu"`
}

// BatchNormParams says where a layer's values are: Weight and Bias in the recorder's Weights (and their gradients in
// Grads), Mean and Variance in State. Norm is the layer's own memory of NormBytes, written by the forward pass and read
// by the backward pass.
type BatchNormParams struct {
	Weight, Bias   Param
	Mean, Variance Param
	State          *gpu.Buffer
	Norm           gpu.Slice
}

// Statistics says what a forward pass normalises by.
type Statistics int

const (
	BatchStatistics   Statistics = iota // of the batch, in training
	RunningStatistics                   // in evaluation
	KeptStatistics                      // what the last forward pass left in the layer's memory
)

// NormBytes is the size of BatchNormParams.Norm: four vec4s a channel group forward, and behind them two backward.
func (BatchNorm) NormBytes(x Shape) uint64 { return backwardAt(x) + uint64(x.Groups())*32 }

// backwardAt is where the backward half of Norm begins: bindings start at multiples of 256 bytes.
func backwardAt(x Shape) uint64 { return (uint64(x.Groups())*64 + 255) &^ 255 }

func (p BatchNormParams) forward(x Shape) gpu.Slice {
	return gpu.Slice{Buffer: p.Norm.Buffer, Offset: p.Norm.Offset, Size: uint64(x.Groups()) * 64}
}

// kernel is that of a mode, with the bindings that come before what in reads of n tensors; in may be nil.
func (o BatchNorm) kernel(mode string, in *inputs, n int, bindings ...gpu.Kind) gpu.Kernel {
	name := "batch norm " + mode
	mode, inPlace := strings.CutSuffix(mode, " in place")
	mode, fused := strings.CutSuffix(mode, " fused")
	relu := o.ReLU && (mode == "apply" || mode == "grad-apply" || mode == "grad-running")
	source := map[string]any{"Mode": mode, "ReLU": relu, "InPlace": inPlace, "Fused": fused}
	bindings = append([]gpu.Kind{gpu.Params}, bindings...)
	if in != nil {
		source["Fetched"] = in.fetched()
		bindings = append(bindings, in.kinds(n)...)
	}
	return gpu.Kernel{Name: name, Bindings: bindings, Source: shaders.Source("batchnorm", source)}
}

// normPixels is the number of pixels that an invocation normalises, where they are read from buffers: they share the
// reading of the channel's values.
const normPixels = 16

func (o BatchNorm) params(x Shape, stretches int, p BatchNormParams, s span) shaders.BatchNormParams {
	return shaders.BatchNormParams{
		Pixels: x.Pixels(), Plane: x.Plane(), Stretches: stretches, Channels: x.C,
		Weight: p.Weight.Offset, Bias: p.Bias.Offset, Mean: p.Mean.Offset, Variance: p.Variance.Offset,
		Momentum: float32(o.Momentum), Eps: float32(o.Eps), Group0: s.from, Groups: s.to - s.from,
	}
}

// each records a kernel of a mode that goes over all pixels of what in reads, with the resources for a stretch of
// channel groups, and n tensors of in; a fused one adds up sums of so many stretches of pixels first.
func (o BatchNorm) each(r *Recorder, mode string, p BatchNormParams, in *inputs, n, stretches int,
	bindings []gpu.Kind, resources func(span) []any) error {
	k := o.kernel(mode, in, n, bindings...)
	x := in.tensors[0].Shape
	pixels := in.pixelsEach(normPixels)
	for _, s := range in.spans() {
		params := o.params(x, stretches, p, s)
		params.Each, params.Bands = pixels, in.at
		if err := r.dispatch(k, pixels+ceilDiv(stretches, 32), params, ceilDiv(x.Pixels(), 128*pixels), s.to-s.from, 1,
			append(resources(s), in.load(s, n)...)...); err != nil {
			return err
		}
	}
	return nil
}

// Need is the memory that recording the layer for input x takes from r.
func (BatchNorm) Need(r *Recorder, x Shape) Need {
	return Need{Partial: reduceBytes(x), Scratch: r.fetchedExtent(x)}
}

// MostNeed is the most that it is on an adapter of these limits.
func (BatchNorm) MostNeed(l gpu.Limits, x Shape) Need {
	return Need{Partial: reduceBytes(x), Scratch: fetchedExtent(l, x)}
}

// Forward records y from x, with the batch's statistics where train is set, else with the running ones.
func (o BatchNorm) Forward(r *Recorder, x Tensor, p BatchNormParams, y Tensor, train bool) error {
	c := NormCall{BatchNorm: o, In: x, Out: y, Params: p, By: RunningStatistics}
	if train {
		c.By = BatchStatistics
	}
	return normVariants.record(r, NormForward, c)
}

// Offers are the variants that can record a pass for input x; all take the layer's memory, see Need.
func (o BatchNorm) Offers(p Pass, x Shape) []Offer {
	return normVariants.offers(p, NormCall{BatchNorm: o, In: Tensor{Shape: x}})
}

// moments records the sums of the batch.
func (c NormCall) moments(r *Recorder, in *inputs) (stretches int, part gpu.Slice, err error) {
	return r.reduce("moments", false, in)
}

// normForward works out the statistics, and then applies them.
func normForward(r *Recorder, c NormCall) error {
	x, p := c.In, c.Params
	switch c.By {
	case KeptStatistics:
		return c.apply(r, r.inputs(x))
	case RunningStatistics:
		k := c.kernel("running", nil, 0, gpu.Read, gpu.Read, gpu.Write)
		if err := r.dispatch(k, 4, c.params(x.Shape, 0, p, span{0, x.Groups()}), ceilDiv(x.Groups(), 64), 1, 1,
			gpu.All(r.Weights), gpu.All(p.State), p.forward(x.Shape)); err != nil {
			return err
		}
		return c.apply(r, r.inputs(x))
	}
	in := r.inputs(x)
	stretches, part, err := c.moments(r, in)
	if err != nil {
		return err
	}
	k := c.kernel("statistics", nil, 0, gpu.Read, gpu.Read, gpu.Read, gpu.Write, gpu.Write)
	for _, s := range x.spans(r.Dev.Limits(), 1) {
		if err := r.dispatch(k, stretches+4, c.params(x.Shape, stretches, p, s), ceilDiv(s.to-s.from, 64), 1, 1,
			part, x.slice(s), gpu.All(r.Weights), gpu.All(p.State), p.forward(x.Shape)); err != nil {
			return err
		}
	}
	return c.apply(r, in)
}

// fusedNormFits says whether a workgroup that applies the statistics can work them out as well: it reads the first of
// the input's values, which another one would have written over.
func fusedNormFits(l gpu.Limits, c NormCall) error {
	if c.In == c.Out {
		return errors.New("it can't take its input's place")
	}
	return firstError(
		atMost("storage buffers", 6, int(l.MaxStorageBuffersPerShaderStage)),
		atMost("invocations of a workgroup", 128, int(l.MaxComputeInvocationsPerWorkgroup)),
		atMost("bytes of a workgroup's memory", (128+16)*32, int(l.MaxComputeWorkgroupStorageSize)),
	)
}

// fusedNormForward has each workgroup that applies the statistics work them out anew, which saves a dispatch.
func fusedNormForward(r *Recorder, c NormCall) error {
	if c.By != BatchStatistics {
		return normForward(r, c)
	}
	in := r.inputs(c.In)
	stretches, part, err := c.moments(r, in)
	if err != nil {
		return err
	}
	bindings := []gpu.Kind{gpu.Read, gpu.Read, gpu.Write, gpu.Write, gpu.Write}
	return c.each(r, "apply fused", c.Params, in, 1, stretches, bindings, func(s span) []any {
		return []any{part, gpu.All(r.Weights), gpu.All(c.Params.State), c.Params.forward(c.In.Shape), c.Out.slice(s)}
	})
}

// Apply records y from x once more, by what Forward has left in p.Norm. They may be the same.
func (o BatchNorm) Apply(r *Recorder, x Tensor, p BatchNormParams, y Tensor) error {
	return normVariants.record(r, NormForward, NormCall{BatchNorm: o, In: x, Out: y, Params: p, By: KeptStatistics})
}

// apply records the output, by what lies in the layer's memory.
func (c NormCall) apply(r *Recorder, in *inputs) error {
	mode, read := "apply", 1
	if c.In == c.Out && !in.fetched() {
		mode, read = "apply in place", 0
	}
	return c.each(r, mode, c.Params, in, read, 0, []gpu.Kind{gpu.Read, gpu.Write}, func(s span) []any {
		return []any{c.Params.forward(c.In.Shape), c.Out.slice(s)}
	})
}

// nowhere is the place of a gradient that is not wanted.
const nowhere = math.MaxUint32

// Grad records the gradients of weight and bias, of those whose length is not 0, and with wantInput turns dy into dx in
// place. x is the layer's input of a training pass.
func (o BatchNorm) Grad(r *Recorder, x Tensor, p BatchNormParams, dy Tensor, wantInput bool) error {
	for _, q := range []*Param{&p.Weight, &p.Bias} {
		if q.Len == 0 {
			q.Offset = nowhere
		}
	}
	c := NormCall{BatchNorm: o, In: x, Out: dy, Params: p}
	if wantInput {
		return normVariants.record(r, NormGrad, c)
	}
	stretches, part, err := c.gradSums(r, r.inputs(x, dy))
	if err != nil {
		return err
	}
	return c.paramGrads(r, stretches, part)
}

// gradSums records the sums of which all gradients are made.
func (c NormCall) gradSums(r *Recorder, in *inputs) (stretches int, part gpu.Slice, err error) {
	return r.reduce("grad", c.ReLU, in, c.Params.forward(c.In.Shape))
}

// means are where the gradients' means lie in the layer's memory.
func (c NormCall) means() gpu.Slice {
	norm := c.Params.Norm
	return gpu.Slice{Buffer: norm.Buffer, Offset: norm.Offset + backwardAt(c.In.Shape), Size: uint64(c.In.Groups()) * 32}
}

// paramGrads records the gradients of weight and bias, and the means for that of the input.
func (c NormCall) paramGrads(r *Recorder, stretches int, part gpu.Slice) error {
	k := c.kernel("grad-sums", nil, 0, gpu.Read, gpu.Write, gpu.Write)
	params := c.params(c.In.Shape, stretches, c.Params, span{0, c.In.Groups()})
	return r.dispatch(k, stretches+4, params, ceilDiv(c.In.Groups(), 64), 1, 1, part, gpu.All(r.Grads), c.means())
}

func normGrad(r *Recorder, c NormCall) error {
	in := r.inputs(c.In, c.Out)
	stretches, part, err := c.gradSums(r, in)
	if err != nil {
		return err
	}
	if err := c.paramGrads(r, stretches, part); err != nil {
		return err
	}
	bindings := []gpu.Kind{gpu.Read, gpu.Read, gpu.Write}
	return c.each(r, "grad-apply", c.Params, in, 1, 0, bindings, func(s span) []any {
		return []any{c.Params.forward(c.In.Shape), c.means(), c.Out.slice(s)}
	})
}

// fusedNormGrad has each workgroup that makes the input's gradient add the sums up anew, which saves a dispatch.
func fusedNormGrad(r *Recorder, c NormCall) error {
	in := r.inputs(c.In, c.Out)
	stretches, part, err := c.gradSums(r, in)
	if err != nil {
		return err
	}
	bindings := []gpu.Kind{gpu.Read, gpu.Read, gpu.Write, gpu.Write}
	return c.each(r, "grad-apply fused", c.Params, in, 1, stretches, bindings, func(s span) []any {
		return []any{part, c.Params.forward(c.In.Shape), gpu.All(r.Grads), c.Out.slice(s)}
	})
}

// RunningGrad records the turning of dy into dx in place, where the running statistics have normalised, as in
// evaluation; nothing is wanted of weight and bias. x is the layer's input, which is read where the layer has a ReLU.
func (o BatchNorm) RunningGrad(r *Recorder, x Tensor, p BatchNormParams, dy Tensor) error {
	in, read := r.inputs(dy), 0
	if o.ReLU {
		in, read = r.inputs(x, dy), 1
	}
	return o.each(r, "grad-running", p, in, read, 0, []gpu.Kind{gpu.Read, gpu.Write}, func(s span) []any {
		return []any{p.forward(dy.Shape), dy.slice(s)}
	})
}
