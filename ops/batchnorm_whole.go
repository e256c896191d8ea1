package ops

import (
	"slices"

	"ninvk/gpu"
	"ninvk/shaders"
)

// The variant whole of batch normalisation, for software drivers: where there are few pixels an invocation has all
// those of a channel group. There a workgroup takes as long where most of its invocations have nothing to do.

// wholePixels is the most pixels of a channel group that one invocation goes over: with more, those that share them are
// faster (BenchmarkNorm), and have work for more cores.
const wholePixels = 1024

func wholeNormFits(_ gpu.Limits, c NormCall) error {
	return atMost("pixels of a channel", c.In.Pixels(), wholePixels)
}

// whole records a kernel of one invocation a channel group.
func (c NormCall) whole(r *Recorder, mode string, in *inputs, passes int, bindings []gpu.Kind,
	resources func(span) []any) error {
	name, read := "batch norm whole "+mode, 1
	if c.In == c.Out && !in.fetched() {
		name, read = name+" in place", 0
	}
	k := gpu.Kernel{Name: name, Bindings: slices.Concat([]gpu.Kind{gpu.Params}, bindings, in.kinds(read))}
	k.Source = shaders.Source("batchnorm_whole",
		map[string]any{"Mode": mode, "ReLU": c.ReLU, "Fetched": in.fetched(), "InPlace": read == 0})
	for _, s := range in.spans() {
		params := c.params(c.In.Shape, 0, c.Params, s)
		params.Bands, params.Summed = in.at, c.In.Pixels()
		if c.By == RunningStatistics {
			params.Summed = 0
		}
		bound := append(resources(s), in.load(s, read)...)
		if err := r.dispatch(k, passes*c.In.Pixels(), params, ceilDiv(s.to-s.from, 16), 1, 1, bound...); err != nil {
			return err
		}
	}
	return nil
}

func wholeNormForward(r *Recorder, c NormCall) error {
	in, p := r.inputs(c.In), c.Params
	if c.By == KeptStatistics {
		return c.whole(r, "apply", in, 1, []gpu.Kind{gpu.Read, gpu.Write}, func(s span) []any {
			return []any{p.forward(c.In.Shape), c.Out.slice(s)}
		})
	}
	return c.whole(r, "forward", in, 2, []gpu.Kind{gpu.Read, gpu.Write, gpu.Write, gpu.Write}, func(s span) []any {
		return []any{gpu.All(r.Weights), gpu.All(p.State), p.forward(c.In.Shape), c.Out.slice(s)}
	})
}

func wholeNormGrad(r *Recorder, c NormCall) error {
	bindings := []gpu.Kind{gpu.Read, gpu.Write, gpu.Write}
	return c.whole(r, "gradient", r.inputs(c.In, c.Out), 2, bindings, func(s span) []any {
		return []any{c.Params.forward(c.In.Shape), gpu.All(r.Grads), c.Out.slice(s)}
	})
}
