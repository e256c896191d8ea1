package ops

import (
	"fmt"

	"ninvk/gpu"
	"ninvk/shaders"
)

// The tiled variant, for GPUs: implicit GEMM with tiles of both operands in workgroup memory. Activations are read
// where they lie, so it takes no scratch texture.

// convTiles are the tiles of forward pass and input gradient, those that do more arithmetic for each value fetched
// first. The last ones are for few output channels, of which the others would compute mostly padding. None needs more
// than WebGPU guarantees (256 invocations, 16 KiB), nor more than 128 invocations.
var convTiles = []shaders.ConvTiled{
	{BM: 32, BN: 64, TM: 8, TN: 4, GC: 4},
	{BM: 32, BN: 64, TM: 4, TN: 4, GC: 4},
	{BM: 16, BN: 128, TM: 4, TN: 4, GC: 4},
	{BM: 12, BN: 256, TM: 12, TN: 4, GC: 2},
	{BM: 4, BN: 256, TM: 4, TN: 4, GC: 2},
}

// convGradTiles are those of the weight gradient, in the same order.
var convGradTiles = []shaders.ConvGradTiled{
	{BM: 64, BN: 16, TM: 8, TN: 1, BP: 8, Double: true},
	{BM: 32, BN: 24, TM: 8, TN: 1, BP: 16},
	{BM: 16, BN: 32, TM: 4, TN: 1, BP: 16},
	{BM: 12, BN: 64, TM: 12, TN: 1, BP: 8},
	{BM: 4, BN: 64, TM: 4, TN: 1, BP: 8},
}

// The tiles of 8×8 outputs an invocation take twice the registers, which pays on adapters that have them.
var (
	convTiles8     = []shaders.ConvTiled{{BM: 64, BN: 128, TM: 8, TN: 8, GC: 4}, {BM: 32, BN: 128, TM: 8, TN: 8, GC: 4}}
	convGradTiles8 = []shaders.ConvGradTiled{{BM: 64, BN: 32, TM: 8, TN: 2, BP: 16},
		{BM: 32, BN: 32, TM: 8, TN: 2, BP: 16}}
)

// tiledForward, tiledInputGrad and tiledWeightGrad are the variants that use the given tiles.
func tiledForward(name string, tiles []shaders.ConvTiled) Variant[ConvCall] {
	return Variant[ConvCall]{
		Name:   name,
		Fits:   func(l gpu.Limits, c ConvCall) error { return tiledFits(l, tiles, c.K, c.In.Shape, c.Out.Shape) },
		Need:   func(l gpu.Limits, c ConvCall) Need { return tiledNeed(l, tiles, forwardGemm(c)) },
		Record: func(r *Recorder, c ConvCall) error { return r.tiled(tiles, forwardGemm(c)) },
	}
}

func tiledInputGrad(name string, tiles []shaders.ConvTiled) Variant[ConvCall] {
	return Variant[ConvCall]{
		Name:   name,
		Fits:   func(l gpu.Limits, c ConvCall) error { return tiledFits(l, tiles, c.K, c.Out.Shape, c.In.Shape) },
		Need:   func(l gpu.Limits, c ConvCall) Need { return tiledNeed(l, tiles, inputGradGemm(c)) },
		Record: func(r *Recorder, c ConvCall) error { return r.tiled(tiles, inputGradGemm(c)) },
		Masks:  true,
	}
}

func tiledWeightGrad(name string, tiles []shaders.ConvGradTiled) Variant[ConvCall] {
	return Variant[ConvCall]{
		Name: name,
		Fits: func(l gpu.Limits, c ConvCall) error { return tiledWeightFits(l, tiles, c) },
		Need: func(l gpu.Limits, c ConvCall) Need {
			s, err := convGradSplit(l, tiles, c)
			if err != nil {
				return Need{} // it does not fit
			}
			return Need{Partial: convGradBytes(c, s.parts)}
		},
		Record: func(r *Recorder, c ConvCall) error { return r.tiledWeightGrad(tiles, c) },
	}
}

// enough is the number of invocations that keeps a large GPU busy; below it smaller tiles are better.
const enough = 48_000

// tileSize is what the choice among tiles looks at: the output with what is computed beyond its edges, output channels
// of a tile, invocations, bytes of workgroup memory, and how many workgroups the call makes.
type tileSize struct{ padded, rows, invocations, bytes, workgroups int }

// pickTile is the index of the first tile that computes at most a tenth more than the best, fits the adapter, and makes
// enough invocations; where none makes enough, that which makes most.
func pickTile(l gpu.Limits, channels int, tiles []tileSize) (int, error) {
	fits := func(t tileSize) bool {
		return t.invocations <= int(min(l.MaxComputeInvocationsPerWorkgroup, l.MaxComputeWorkgroupSizeX)) &&
			t.bytes <= int(l.MaxComputeWorkgroupStorageSize)
	}
	least, rows := 0, 0
	for _, t := range tiles {
		if !fits(t) {
			continue
		}
		if least == 0 || t.padded < least {
			least = t.padded
		}
		if padded := ceilDiv(channels, t.rows) * t.rows; rows == 0 || padded < rows {
			rows = padded
		}
	}
	switch {
	case least == 0:
		return 0, fmt.Errorf("no tile fits %d invocations and %d bytes of workgroup memory",
			l.MaxComputeInvocationsPerWorkgroup, l.MaxComputeWorkgroupStorageSize)
	case rows >= 2*channels && rows > 4:
		return 0, fmt.Errorf("%d channels leave half of every tile empty", channels)
	}
	best := -1
	for i, t := range tiles {
		if !fits(t) || 10*t.padded > 11*least {
			continue
		}
		if t.workgroups*t.invocations >= enough {
			return i, nil
		}
		if best < 0 || t.workgroups*t.invocations > tiles[best].workgroups*tiles[best].invocations {
			best = i
		}
	}
	return best, nil
}

// convTiled picks the tile for in → out, for the planned batch.
func convTiled(l gpu.Limits, tiles []shaders.ConvTiled, in, out Shape) (shaders.ConvTiled, error) {
	sizes := make([]tileSize, len(tiles))
	for i, t := range tiles {
		sizes[i] = tileSize{ceilDiv(out.C, t.BM) * t.BM, t.BM, t.WG(), t.Bytes(),
			ceilDiv(out.C, t.BM) * ceilDiv(out.Pixels(), t.BN)}
	}
	i, err := pickTile(l, out.C, sizes)
	return tiles[i], err
}

func tiledFits(l gpu.Limits, tiles []shaders.ConvTiled, k int, in, out Shape) error {
	t, err := convTiled(l, tiles, in, out)
	if err != nil {
		return err
	}
	return firstError(
		atMost("storage buffers", 4, int(l.MaxStorageBuffersPerShaderStage)),
		atMost("workgroups", ceilDiv(out.Pixels(), t.BN), int(l.MaxComputeWorkgroupsPerDimension)),
		atMost("loop passes", tiledPasses(t, in.Groups()*k*k), MaxPasses),
		bindable(l, in, out),
	)
}

// bindable says whether a plane of each activation can be bound.
func bindable(l gpu.Limits, shapes ...Shape) error {
	for _, s := range shapes {
		if plane := uint64(s.Plane()) * 16; plane > l.MaxStorageBufferBindingSize {
			return fmt.Errorf("four channels of %v take %d bytes, the adapter binds %d", s, plane, l.MaxStorageBufferBindingSize)
		}
	}
	return nil
}

func atMost(what string, n, most int) error {
	if n > most {
		return fmt.Errorf("%d %s, at most %d are allowed", n, what, most)
	}
	return nil
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// tiledPasses counts the loop passes of an invocation: the steps over pairs of tap and channel group, with the products
// of each, and the sums that are stored.
func tiledPasses(t shaders.ConvTiled, pairs int) int {
	return ceilDiv(pairs, t.GC)*(1+t.GC) + t.TM*t.TN/4
}

// orders says whether the weights of a call with this tile are put in order first. It pays where they have many taps,
// over which neighbouring weights lie apart; the kernel then takes one more buffer.
func orders(l gpu.Limits, t shaders.ConvTiled, c gemm) bool {
	return c.k > 1 && c.x.Groups()%t.GC == 0 && l.MaxStorageBuffersPerShaderStage > 4 &&
		orderedBytes(c) <= l.MaxStorageBufferBindingSize
}

// orderedBytes is the memory of the weights in order.
func orderedBytes(c gemm) uint64 { return 16 * uint64(orderedVectors(c)) }

func orderedVectors(c gemm) int { return c.k * c.k * 4 * c.x.Groups() * c.y.Groups() }

func tiledNeed(l gpu.Limits, tiles []shaders.ConvTiled, c gemm) Need {
	t, err := convTiled(l, tiles, c.x.Shape, c.y.Shape)
	if err != nil || !orders(l, t, c) {
		return Need{} // where it does not fit, it is not recorded
	}
	return Need{Unfolded: orderedBytes(c)}
}

// orderWeights records that the weights are put in order.
func (r *Recorder) orderWeights(c gemm, ordered gpu.Slice) error {
	k := gpu.Kernel{Name: "conv weights in order", Source: shaders.Source("conv_tiled_weights", nil),
		Bindings: []gpu.Kind{gpu.Params, gpu.Read, gpu.Write}}
	return r.dispatchEach(k, 0, shaders.ConvTiledWeightsParams{
		M: c.y.C, C: c.x.C, Taps: c.k * c.k, InGroups: c.x.Groups(), Rows: c.y.Groups(), WeightPlace: c.weights,
	}, orderedVectors(c), gpu.All(r.Weights), ordered)
}

func (r *Recorder) tiled(tiles []shaders.ConvTiled, c gemm) error {
	l := r.Dev.Limits()
	t, err := convTiled(l, tiles, r.planned(c.x.Shape), r.planned(c.y.Shape))
	if err != nil {
		return err
	}
	t.K, t.Turned, t.Dilated = c.k, c.turned, c.dilate > 1
	t.Pointwise, t.Rolled = c.pointwise(), r.Dev.Adapter.CPU()
	ordered := gpu.Slice{Buffer: r.Unfolded, Size: orderedBytes(c)}
	inOrder := orders(l, t, c)
	if inOrder {
		if err := r.orderWeights(c, ordered); err != nil {
			return err
		}
	}
	inputs := c.x.spans(l, 1)
	for i, in := range inputs {
		last := i == len(inputs)-1
		masked := last && c.mask != nil
		pairs := (in.to - in.from) * c.k * c.k
		t.Whole = !t.Pointwise && (in.to-in.from)%t.GC == 0
		t.Ordered = t.Whole && inOrder
		t.Chained = 4*pairs > shaders.LongestChain
		kernel := gpu.Kernel{
			Name:     fmt.Sprintf("%s %d×%d tiled %d×%d", c.name, c.k, c.k, t.BM, t.BN),
			Bindings: []gpu.Kind{gpu.Params, gpu.Read, gpu.Read, gpu.Write, gpu.Read},
		}
		if t.Ordered {
			kernel.Bindings = append(kernel.Bindings, gpu.Read)
		}
		for _, out := range c.y.spans(l, 1) {
			t.Aligned = !t.Ordered && c.x.C%4 == 0 && pairs%t.GC == 0 && (min(4*out.to, c.y.C)-4*out.from)%t.BM == 0
			kernel.Source = t.Source()
			params := shaders.ConvTiledParams{
				OutPixels: c.y.Pixels(), OutPlane: c.y.Plane(), OutW: c.y.W, OutH: c.y.H,
				OutGroup0: out.from, OutGroups: out.to, M: c.y.C, Pairs: pairs,
				InPlane: c.x.Plane(), InW: c.x.W, InH: c.x.H, C: c.x.C, C0: 4 * in.from,
				Accumulate: i > 0, Bias0: c.bias.Offset, HasBias: last && c.bias.Len > 0,
				WeightPlace: c.weights, Slope: c.slopeOf(last),
				Stride: int32(c.stride), Pad: int32(c.pad), Dilate: int32(c.dilate),
				Sums: t.TM * t.TN / 4, Masked: masked, InGroups: c.x.Groups(), Rows: c.y.Groups(),
			}
			mask := c.x.slice(in) // bound, not read
			if masked {
				mask = c.mask.slice(out)
			}
			bound := []any{gpu.All(r.Weights), c.x.slice(in), c.y.slice(out), mask}
			if t.Ordered {
				bound = append(bound, ordered)
			}
			rows := ceilDiv(4*(out.to-out.from), t.BM)
			if err := r.dispatch(kernel, tiledPasses(t, pairs), params, ceilDiv(c.y.Pixels(), t.BN), rows, 1,
				bound...); err != nil {
				return err
			}
			r.spend(8 * float64(pairs) * float64(rows*t.BM) * float64(c.y.Pixels()))
		}
	}
	return nil
}

// gradSplit is how a tiled weight gradient is cut: the tile, pixels a run, and the number of runs, each of which has a
// partial result.
type gradSplit struct {
	tile       shaders.ConvGradTiled
	run, parts int
}

// partWorkgroups is the number of workgroups of a weight gradient among which its pixels are divided.
const partWorkgroups = 1024

// convGradSplit picks tile and runs, for the planned batch; a smaller one makes fewer runs of the same length.
func convGradSplit(l gpu.Limits, tiles []shaders.ConvGradTiled, c ConvCall) (gradSplit, error) {
	pixels, pairs := c.Out.Pixels(), c.K*c.K*c.In.Groups()
	// At least 256 pixels a run, so that adding up the partial results stays cheap.
	most := max(1, min(ceilDiv(pixels, 256), int(PartialBytes/convGradBytes(c, 1)),
		int(l.MaxComputeWorkgroupsPerDimension)))
	sizes := make([]tileSize, len(tiles))
	for i, t := range tiles {
		rows, columns := ceilDiv(c.M, t.BM), ceilDiv(pairs, t.BN)
		sizes[i] = tileSize{rows * t.BM * columns * t.BN, t.BM, t.WG(), t.Bytes(), most * rows * columns}
	}
	i, err := pickTile(l, c.M, sizes)
	if err != nil {
		return gradSplit{}, err
	}
	s := gradSplit{tile: tiles[i]}
	s.tile.K = c.K
	parts := min(most, ceilDiv(partWorkgroups, sizes[i].workgroups/most))
	s.run = ceilDiv(ceilDiv(pixels, parts), s.tile.BP) * s.tile.BP
	s.parts = ceilDiv(pixels, s.run)
	return s, nil
}

// passes counts the loop passes of an invocation over n pixels of a run: the steps, with the products and the bias of
// each, and the sums that are stored.
func (s gradSplit) passes(n int) int {
	return ceilDiv(n, s.tile.BP)*(1+2*s.tile.BP) + s.tile.TM*s.tile.TN
}

// stretch is the most pixels of a run that one dispatch may walk over.
func (s gradSplit) stretch() int {
	return (MaxPasses - s.passes(0)) / (1 + 2*s.tile.BP) * s.tile.BP
}

func tiledWeightFits(l gpu.Limits, tiles []shaders.ConvGradTiled, c ConvCall) error {
	s, err := convGradSplit(l, tiles, c)
	if err != nil {
		return err
	}
	return firstError(
		atMost("storage buffers", 3, int(l.MaxStorageBuffersPerShaderStage)),
		atMost("bytes of partial sums", int(convGradBytes(c, s.parts)), int(l.MaxStorageBufferBindingSize)),
		bindable(l, c.In.Shape, c.Out.Shape),
	)
}

func (r *Recorder) tiledWeightGrad(tiles []shaders.ConvGradTiled, c ConvCall) error {
	l := r.Dev.Limits()
	s, err := convGradSplit(l, tiles, c.planned(r))
	if err != nil {
		return err
	}
	x, dy, t := c.In, c.Out, s.tile
	t.Pointwise, t.Rolled = c.pointwise(), r.Dev.Adapter.CPU()
	t.Chained = min(s.run, s.stretch()) > shaders.LongestChain
	parts := ceilDiv(dy.Pixels(), s.run)
	kernel := gpu.Kernel{
		Name: fmt.Sprintf("conv weight gradient %d×%d tiled %d×%d", c.K, c.K, t.BM, 4*t.BN), Source: t.Source(),
		Bindings: []gpu.Kind{gpu.Params, gpu.Read, gpu.Read, gpu.Write},
	}
	partial := gpu.Slice{Buffer: r.Partial, Size: convGradBytes(c, parts)}
	vectors := c.M * c.K * c.K * x.Groups()
	for i, in := range x.spans(l, 1) {
		pairs := (in.to - in.from) * c.K * c.K
		for _, out := range dy.spans(l, 1) {
			rows := ceilDiv(4*(out.to-out.from), t.BM)
			for from := 0; from < s.run; from += s.stretch() {
				n := min(s.stretch(), s.run-from)
				params := shaders.ConvGradTiledParams{
					OutPixels: dy.Pixels(), OutPlane: dy.Plane(), OutW: dy.W, OutH: dy.H,
					OutGroup0: out.from, OutGroups: out.to, M: c.M, Run: s.run,
					InPlane: x.Plane(), InW: x.W, InH: x.H, InGroup0: in.from, Span: in.to - in.from, Groups: x.Groups(),
					Bias0: parts * vectors, HasBias: i == 0 && c.Bias.Len > 0,
					Stride: int32(c.Stride), Pad: int32(c.Pad), Start: from, Length: n, Sums: t.TM * t.TN,
					Right: t.BP % dy.W, Down: t.BP / dy.W % dy.H, Images: t.BP / (dy.W * dy.H),
				}
				if err := r.dispatch(kernel, s.passes(n), params, ceilDiv(pairs, t.BN), rows, parts, dy.slice(out), x.slice(in),
					partial); err != nil {
					return err
				}
				r.spend(8 * float64(pairs) * float64(rows*t.BM) * float64(n*parts))
			}
		}
	}
	return convGradSum(r, c, parts, c.Bias.Len > 0)
}
