package ops

import (
	"ninvk/gpu"
	"ninvk/shaders"
)

// BatchNorm normalises each channel over batch and image, then scales and shifts it; optional ReLU. In training the batch's mean and biased variance
// normalise, and the running ones move by Momentum towards the mean and the unbiased variance; in evaluation the running ones normalise.
type BatchNorm struct {
	Eps, Momentum float64
	ReLU          bool
}

// BatchNormParams says where a layer's values are: Weight and Bias in the recorder's Weights (and their gradients in Grads), Mean and Variance in State.
// Norm is the layer's own memory of NormBytes, written by the forward pass and read by the backward pass.
type BatchNormParams struct {
	Weight, Bias   Param
	Mean, Variance Param
	State          *gpu.Buffer
	Norm           *gpu.Buffer
}

// NormBytes is the size of BatchNormParams.Norm: four vec4s a channel group forward, and behind them two backward.
func (BatchNorm) NormBytes(x Shape) uint64 { return backwardAt(x) + uint64(x.Groups())*32 }

// backwardAt is where the backward half of Norm begins: bindings start at multiples of 256 bytes.
func backwardAt(x Shape) uint64 { return (uint64(x.Groups())*64 + 255) &^ 255 }

func (p BatchNormParams) forward(x Shape) gpu.Slice {
	return gpu.Slice{Buffer: p.Norm, Size: uint64(x.Groups()) * 64}
}

func (o BatchNorm) kernel(mode string, fetched bool, bindings ...gpu.Kind) gpu.Kernel {
	relu := o.ReLU && (mode == "apply" || mode == "grad-apply")
	return gpu.Kernel{Name: "batch norm " + mode, Source: shaders.Source("batchnorm", map[string]any{"Mode": mode, "ReLU": relu, "Fetched": fetched}), Bindings: bindings}
}

// normPixels is the number of pixels that an invocation normalises: they share the reading of the channel's values, which on a software driver take long.
func normPixels(fetched bool) int {
	if fetched {
		return 64
	}
	return 16
}

func (o BatchNorm) params(x Shape, runs int, p BatchNormParams, s span, fetched bool) []uint32 {
	return []uint32{
		uint32(x.Pixels()), uint32(x.Plane()), uint32(runs), uint32(x.C), uint32(p.Weight.Offset), uint32(p.Bias.Offset),
		uint32(p.Mean.Offset), uint32(p.Variance.Offset), bits(float32(o.Momentum)), bits(float32(o.Eps)), uint32(s.from), uint32(s.to - s.from), uint32(normPixels(fetched)), bits(0),
	}
}

// Need is the memory that recording the layer for input x takes from r.
func (BatchNorm) Need(r *Recorder, x Shape) Need {
	if !r.Dev.Adapter.Llvmpipe() {
		return Need{Partial: reduceBytes(x)}
	}
	return normNeed(r.Dev.Limits(), x)
}

// normNeed is what the layer needs where activations may be fetched.
func normNeed(l gpu.Limits, x Shape) Need {
	return Need{Partial: reduceBytes(x), Scratch: fetchedExtent(l, x)}
}

// Forward records y from x, with the batch's statistics where train is set, else with the running ones.
func (o BatchNorm) Forward(r *Recorder, x Tensor, p BatchNormParams, y Tensor, train bool) error {
	l := r.Dev.Limits()
	all := span{0, x.Groups()}
	fetched := r.fetched(r.planned(x.Shape))
	from := func(s span) any { return x.slice(s) }
	source, texels := gpu.Read, []uint32(nil)
	if fetched {
		texels = r.fetch(x)
		source, from = gpu.TextureF32, func(span) any { return r.Scratch.tex }
	}
	if train {
		runs, part, err := r.reduce(reduceKernel("moments", false, fetched), x, texels, func(s span) []any { return []any{from(s)} })
		if err != nil {
			return err
		}
		k := o.kernel("statistics", false, gpu.Params, gpu.Read, gpu.Read, gpu.Read, gpu.Write, gpu.Write)
		for _, s := range x.spans(l, 1) {
			if err := r.dispatch(k, runs+4, o.params(x.Shape, runs, p, s, fetched), ceilDiv(s.to-s.from, 64), 1, 1,
				part, x.slice(s), gpu.All(r.Weights), gpu.All(p.State), p.forward(x.Shape)); err != nil {
				return err
			}
		}
	} else if err := r.dispatch(o.kernel("running", false, gpu.Params, gpu.Read, gpu.Read, gpu.Write), 4, o.params(x.Shape, 0, p, all, fetched), ceilDiv(x.Groups(), 64), 1, 1,
		gpu.All(r.Weights), gpu.All(p.State), p.forward(x.Shape)); err != nil {
		return err
	}
	k := o.kernel("apply", fetched, gpu.Params, gpu.Read, source, gpu.Write)
	for _, s := range x.spans(l, 1) {
		params := append(o.params(x.Shape, 0, p, s, fetched), texels...)
		if err := r.dispatch(k, normPixels(fetched), params, ceilDiv(x.Pixels(), 128*normPixels(fetched)), s.to-s.from, 1, p.forward(x.Shape), from(s), y.slice(s)); err != nil {
			return err
		}
	}
	return nil
}

// Grad records the gradients of weight and bias, and turns dy into dx in place. x is the layer's input of a training pass.
func (o BatchNorm) Grad(r *Recorder, x Tensor, p BatchNormParams, dy Tensor) error {
	fetched := r.fetched(r.planned(x.Shape))
	source, texels := gpu.Read, []uint32(nil)
	from := func(s span) []any { return []any{dy.slice(s), x.slice(s), p.forward(x.Shape)} }
	if fetched {
		texels = r.fetch(x)
		source, from = gpu.TextureF32, func(s span) []any { return []any{dy.slice(s), r.Scratch.tex, p.forward(x.Shape)} }
	}
	runs, part, err := r.reduce(reduceKernel("grad", o.ReLU, fetched), x, texels, from)
	if err != nil {
		return err
	}
	means := gpu.Slice{Buffer: p.Norm, Offset: backwardAt(x.Shape), Size: uint64(x.Groups()) * 32}
	sums := o.kernel("grad-sums", false, gpu.Params, gpu.Read, gpu.Write, gpu.Write)
	if err := r.dispatch(sums, runs+4, o.params(x.Shape, runs, p, span{0, x.Groups()}, fetched), ceilDiv(x.Groups(), 64), 1, 1, part, gpu.All(r.Grads), means); err != nil {
		return err
	}
	k := o.kernel("grad-apply", fetched, gpu.Params, gpu.Read, gpu.Read, source, gpu.Write)
	for _, s := range x.spans(r.Dev.Limits(), 1) {
		var read any = x.slice(s)
		if fetched {
			read = r.Scratch.tex
		}
		params := append(o.params(x.Shape, 0, p, s, fetched), texels...)
		if err := r.dispatch(k, normPixels(fetched), params, ceilDiv(x.Pixels(), 128*normPixels(fetched)), s.to-s.from, 1, p.forward(x.Shape), means, read, dy.slice(s)); err != nil {
			return err
		}
	}
	return nil
}
