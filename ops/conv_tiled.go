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

// The tiles of 8×8 outputs an invocation take twice the registers, which pays on adapters that have them.
var convTiles8 = []shaders.ConvTiled{
	{BM: 64, BN: 128, TM: 8, TN: 8, GC: 4}, {BM: 32, BN: 128, TM: 8, TN: 8, GC: 4},
}

// tiledForward and tiledInputGrad are the variants that use the given tiles.
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
	return layeredTile(l, tiles, out, 1)
}

// layeredTile picks the tile for an output that is computed in so many layers.
func layeredTile(l gpu.Limits, tiles []shaders.ConvTiled, out Shape, layers int) (shaders.ConvTiled, error) {
	sizes := make([]tileSize, len(tiles))
	for i, t := range tiles {
		sizes[i] = tileSize{ceilDiv(out.C, t.BM) * t.BM, t.BM, t.WG(), t.Bytes(), layers * tileCount(t, out)}
	}
	i, err := pickTile(l, out.C, sizes)
	return tiles[i], err
}

// tileCount is the number of workgroups that compute an output.
func tileCount(t shaders.ConvTiled, out Shape) int {
	return ceilDiv(out.C, t.BM) * ceilDiv(out.Pixels(), t.BN)
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

// tileFor is a tile for the channel groups in of a convolution's input.
func (c gemm) tileFor(t shaders.ConvTiled, in span, inOrder bool) shaders.ConvTiled {
	pairs := (in.to - in.from) * c.k * c.k
	t.Whole = !t.Pointwise && (in.to-in.from)%t.GC == 0
	t.Ordered = t.Whole && inOrder
	t.Chained = 4*pairs > shaders.LongestChain
	return t
}

// aligned says whether the weights between the channel groups in and out need no bounds.
func (c gemm) aligned(t shaders.ConvTiled, in, out span) bool {
	pairs := (in.to - in.from) * c.k * c.k
	return !t.Ordered && c.x.C%4 == 0 && pairs%t.GC == 0 && (min(4*out.to, c.y.C)-4*out.from)%t.BM == 0
}

// tiledParams are the parameters for these channel groups, but for those of finishing the sums.
func (c gemm) tiledParams(t shaders.ConvTiled, in, out span) shaders.ConvTiledParams {
	return shaders.ConvTiledParams{
		OutPixels: c.y.Pixels(), OutPlane: c.y.Plane(), OutW: c.y.W, OutH: c.y.H,
		OutGroup0: out.from, OutGroups: out.to, M: c.y.C, Pairs: (in.to - in.from) * c.k * c.k,
		InPlane: c.x.Plane(), InW: c.x.W, InH: c.x.H, C: c.x.C, C0: 4 * in.from,
		Bias0: c.bias.Offset, WeightPlace: c.weights, Slope: 1,
		Stride: int32(c.stride), Pad: int32(c.pad), Dilate: int32(c.dilate),
		Sums: t.TM * t.TN / 4, InGroups: c.x.Groups(), Rows: c.y.Groups(),
	}
}

// dispatchTiled records one dispatch of a tile's kernel in so many layers, of so many pairs each. bound are its
// buffers, by the names in its source.
func (r *Recorder) dispatchTiled(
	name string, t shaders.ConvTiled, q shaders.ConvTiledParams, layers, pairs int, bound map[string]gpu.Slice,
) error {
	kernel := gpu.Kernel{Name: fmt.Sprintf("%s tiled %d×%d", name, t.BM, t.BN), Source: t.Source(),
		Bindings: []gpu.Kind{gpu.Params}}
	var resources []any
	for _, b := range t.Bound() {
		kind := gpu.Read
		if b == "y" {
			kind = gpu.Write
		}
		kernel.Bindings = append(kernel.Bindings, kind)
		resources = append(resources, bound[b])
	}
	rows := ceilDiv(4*(q.OutGroups-q.OutGroup0), t.BM)
	err := r.dispatch(kernel, tiledPasses(t, pairs), q, ceilDiv(q.OutPixels, t.BN), rows, layers, resources...)
	r.spend(8 * float64(layers*pairs) * float64(rows*t.BM) * float64(q.OutPixels))
	return err
}

// tiledOf is a tile for a convolution on this adapter, and its weights in order where they are put so.
func (r *Recorder) tiledOf(t shaders.ConvTiled, c gemm) (_ shaders.ConvTiled, ordered gpu.Slice, err error) {
	t.K, t.Turned, t.Dilated, t.Missing = c.k, c.turned, c.dilate > 1, c.x.missing()
	t.Pointwise, t.Rolled = c.pointwise(), r.Dev.Adapter.CPU()
	if orders(r.Dev.Limits(), t, c) {
		ordered = gpu.Slice{Buffer: r.Unfolded, Size: orderedBytes(c)}
		err = r.orderWeights(c, ordered)
	}
	return t, ordered, err
}

func (r *Recorder) tiled(tiles []shaders.ConvTiled, c gemm) error {
	l := r.Dev.Limits()
	t, err := convTiled(l, tiles, r.planned(c.x.Shape), r.planned(c.y.Shape))
	if err != nil {
		return err
	}
	t, ordered, err := r.tiledOf(t, c)
	if err != nil {
		return err
	}
	inputs := c.x.spans(l, 1)
	for i, in := range inputs {
		last := i == len(inputs)-1
		t = c.tileFor(t, in, ordered.Size > 0)
		for _, out := range c.y.spans(l, 1) {
			t.Aligned = c.aligned(t, in, out)
			q := c.tiledParams(t, in, out)
			q.Accumulate, q.HasBias, q.Slope = i > 0, last && c.bias.Len > 0, c.slopeOf(last)
			bound := map[string]gpu.Slice{"w": gpu.All(r.Weights), "x": c.x.slice(in), "y": c.y.slice(out),
				"mask": c.x.slice(in), "ordered": ordered} // a mask is bound, but not read
			if q.Masked = last && c.mask != nil; q.Masked {
				bound["mask"] = c.mask.slice(out)
			}
			name := fmt.Sprintf("%s %d×%d", c.name, c.k, c.k)
			if err := r.dispatchTiled(name, t, q, 1, q.Pairs, bound); err != nil {
				return err
			}
		}
	}
	return nil
}
