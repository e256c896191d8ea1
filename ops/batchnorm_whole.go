package ops

import (
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
func (c NormCall) whole(r *Recorder, mode string, in input, passes int, bindings []gpu.Kind,
	resources func(span) []any) error {
	inPlace := c.In == c.Out && !in.fetched()
	bindings = append([]gpu.Kind{gpu.Params}, bindings...)
	name := "batch norm whole " + mode
	if !inPlace {
		bindings = append(bindings, in.kind)
	} else {
		name += " in place"
	}
	k := gpu.Kernel{Name: name, Bindings: bindings, Source: shaders.Source("batchnorm_whole",
		map[string]any{"Mode": mode, "ReLU": c.ReLU, "Fetched": in.fetched(), "InPlace": inPlace})}
	for _, s := range c.In.spans(r.Dev.Limits(), 1) {
		params := c.params(c.In.Shape, 0, c.Params, s)
		params.RowDivisor, params.Summed = in.divisor, c.In.Pixels()
		if c.By == RunningStatistics {
			params.Summed = 0
		}
		bound := resources(s)
		if !inPlace {
			bound = append(bound, in.slice(s))
		}
		if err := r.dispatch(k, passes*c.In.Pixels(), params, ceilDiv(s.to-s.from, 16), 1, 1, bound...); err != nil {
			return err
		}
	}
	return nil
}

func wholeNormForward(r *Recorder, c NormCall) error {
	in, p := r.input(c.In), c.Params
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
	return c.whole(r, "gradient", r.input(c.In), 2, []gpu.Kind{gpu.Read, gpu.Write, gpu.Write}, func(s span) []any {
		return []any{c.Params.forward(c.In.Shape), gpu.All(r.Grads), c.Out.slice(s)}
	})
}
