package ops

import (
	"fmt"
	"slices"

	"ninvk/gpu"
	"ninvk/shaders"
)

// The tiled variant of a linear layer, for GPUs: tiles of outputs and images in workgroup memory. Sums are cut into
// parts of shaders.LongestChain terms, which run side by side, so that there is work for all cores however few the
// outputs are.

// linearTiles are the tiles for few images up to those for many; each runs on the smallest adapter.
var linearTiles = []shaders.LinearTiled{{BM: 256, BN: 4}, {BM: 128, BN: 16}, {BM: 64, BN: 32}}

// linearTiled is the tile for a call of the planned batch. The weight gradient has outputs and inputs in plenty.
func linearTiled(c LinearCall, pass string) shaders.LinearTiled {
	t := linearTiles[len(linearTiles)-1]
	if i := slices.IndexFunc(linearTiles, func(t shaders.LinearTiled) bool { return c.Out.N <= t.BN }); i >= 0 &&
		pass != "grad" {
		t = linearTiles[i]
	}
	t.Pass, t.Aligned = pass, c.aligned()
	return t
}

func tiledLinearFits(l gpu.Limits, c LinearCall) error {
	t, g := linearTiled(c, "forward"), linearTiled(c, "grad")
	return firstError(
		atMost("invocations", max(t.WG(), g.WG()), int(min(l.MaxComputeInvocationsPerWorkgroup, l.MaxComputeWorkgroupSizeX))),
		atMost("bytes of workgroup memory", max(t.Bytes(), g.Bytes()), int(l.MaxComputeWorkgroupStorageSize)),
		atMost("workgroups", ceilDiv(c.In.Pixels(), 64), int(l.MaxComputeWorkgroupsPerDimension)),
		c.flatFits(l),
	)
}

func tiledLinearNeed(l gpu.Limits, m matrix) Need {
	return Need{Unfolded: unfoldedFlat(m.in.Shape), Partial: m.partialBytes(l, shaders.LongestChain)}
}

func tiledLinearGradNeed(_ gpu.Limits, c LinearCall) Need {
	return Need{Unfolded: unfoldedFlat(c.In.Shape)}
}

func tiledLinear(r *Recorder, c LinearCall) error { return r.tiledMatrix(c.forward(), "forward") }

func tiledLinearInputGrad(r *Recorder, c LinearCall) error {
	return r.tiledMatrix(c.inputGrad(), "turned")
}

// linearTiledPasses counts the loop passes of an invocation over so many terms.
func linearTiledPasses(t shaders.LinearTiled, terms int) int {
	return ceilDiv(terms, t.S()) * (1 + t.S() + ceilDiv(t.S()/4*t.BM, t.WG()) + ceilDiv(t.S()/4*t.BN, t.WG()))
}

func (r *Recorder) tiledMatrix(m matrix, pass string) error {
	t := linearTiled(m.c.planned(r), pass)
	x, err := r.flatten(m.in)
	if err != nil {
		return err
	}
	k := gpu.Kernel{
		Name: fmt.Sprintf("%s tiled %d×%d", m.name, t.BM, t.BN), Source: t.Source(),
		Bindings: []gpu.Kind{gpu.Params, gpu.Read, gpu.Read, gpu.Write},
	}
	in, out := m.in.flat(), m.out.flat()
	const terms = shaders.LongestChain
	blocks, columns := ceilDiv(out.C, t.BM), ceilDiv(in.N, t.BN)
	return r.inParts(m, terms, false, func(first, n int, sums gpu.Slice) error {
		params := shaders.LinearTiledParams{
			Images: in.N, XPlane: in.Plane(), XGroups: in.Groups(), OutGroups: out.Groups(),
			Row: m.c.Linear.In, Rows: m.c.M, W0: m.c.Weight.Offset, First: first * terms, Terms: terms, All: in.C,
		}
		r.spend(2 * float64(n*terms) * float64(blocks*t.BM) * float64(columns*t.BN))
		return r.dispatch(k, linearTiledPasses(t, terms), params, blocks, columns, n, gpu.All(r.Weights), x, sums)
	})
}

func tiledLinearWeightGrad(r *Recorder, c LinearCall) error {
	t := linearTiled(c.planned(r), "grad")
	x, err := r.flatten(c.In)
	if err != nil {
		return err
	}
	k := gpu.Kernel{
		Name: "linear weight gradient tiled", Source: t.Source(), Bindings: []gpu.Kind{gpu.Params, gpu.Read, gpu.Read,
			gpu.Write},
	}
	in, dy := c.In.flat(), c.Out
	const terms = shaders.LongestChain
	rows, columns := ceilDiv(c.M, t.BM), ceilDiv(in.C, t.BN)
	for first := 0; first < in.N; first += terms {
		params := shaders.LinearTiledParams{
			Images: in.N, XPlane: in.Plane(), XGroups: in.Groups(), OutGroups: dy.Groups(),
			Row: c.Linear.In, Rows: c.M, W0: c.Weight.Offset, First: first, Terms: terms, All: in.N,
			DYPlane: dy.Plane(), Accumulate: first > 0,
		}
		if err := r.dispatch(k, linearTiledPasses(t, terms)+4, params, rows, columns, 1, dy.All(), x,
			gpu.All(r.Grads)); err != nil {
			return err
		}
		r.spend(2 * float64(min(terms, in.N-first)) * float64(rows*t.BM) * float64(columns*t.BN))
	}
	return nil
}
