package ops

import (
	"errors"
	"fmt"

	"ninvk/gpu"
	"ninvk/shaders"
)

// The tiled weight gradient, a second pass of which adds up the partial results of stretches of pixels.

// convGradTiles are the tiles of the weight gradient, in the order of convTiles.
var convGradTiles = []shaders.ConvGradTiled{
	{BM: 64, BN: 16, TM: 8, TN: 1, BP: 8, Double: true},
	{BM: 32, BN: 24, TM: 8, TN: 1, BP: 16},
	{BM: 16, BN: 32, TM: 4, TN: 1, BP: 16},
	{BM: 12, BN: 64, TM: 12, TN: 1, BP: 8},
	{BM: 4, BN: 64, TM: 4, TN: 1, BP: 8},
}

// convGradTiles8 are those of 8×8 outputs an invocation.
var convGradTiles8 = []shaders.ConvGradTiled{
	{BM: 64, BN: 32, TM: 8, TN: 2, BP: 16}, {BM: 32, BN: 32, TM: 8, TN: 2, BP: 16},
}

// convGradTilesWide are as large, but take one barrier for each step.
var convGradTilesWide = []shaders.ConvGradTiled{
	{BM: 64, BN: 32, TM: 8, TN: 2, BP: 8, Double: true},
	{BM: 64, BN: 24, TM: 8, TN: 2, BP: 8, Double: true},
	{BM: 32, BN: 48, TM: 8, TN: 2, BP: 8, Double: true},
}

// gradForm is a form of the weight gradient: its tiles, and how the pixels are cut into stretches.
type gradForm struct {
	tiles      []shaders.ConvGradTiled
	least      int  // pixels of a stretch, so that adding up the partial results stays cheap
	most       int  // pixels of a stretch; 0 for any number
	workgroups int  // among which the pixels are divided
	pointwise  bool // for layers of 1×1 alone
}

// The forms. What binds those of 1×1 is told in docs/performance.md.
var (
	convGradTiled  = gradForm{tiles: convGradTiles, least: 256, workgroups: 1024}
	convGradTiled8 = gradForm{tiles: convGradTiles8, least: 256, workgroups: 1024}
	// Large maps: more products for each byte that a workgroup fetches.
	convGradWide = gradForm{tiles: convGradTilesWide, least: 256, workgroups: 1024, pointwise: true}
	// Small maps: four times as many workgroups, and stretches of a chain at most, so that no sums are kept beside the
	// chain's.
	convGradShort = gradForm{
		tiles: convGradTiles, least: 32, most: shaders.LongestChain, workgroups: 4096, pointwise: true,
	}
)

// tiledWeightGrad is the variant of a form.
func tiledWeightGrad(name string, f gradForm) Variant[ConvCall] {
	return Variant[ConvCall]{
		Name: name,
		Fits: func(l gpu.Limits, c ConvCall) error { return tiledWeightFits(l, f, c) },
		Need: func(l gpu.Limits, c ConvCall) Need {
			s, err := convGradSplit(l, f, c)
			if err != nil {
				return Need{} // it does not fit
			}
			return Need{Partial: convGradBytes(c, s.parts)}
		},
		Record: func(r *Recorder, c ConvCall) error { return r.tiledWeightGrad(f, c) },
	}
}

// gradSplit is how a tiled weight gradient is cut: the tile, pixels a stretch, and the number of stretches, each of
// which has a partial result.
type gradSplit struct {
	tile           shaders.ConvGradTiled
	stretch, parts int
}

// convGradSplit picks tile and stretches, for the planned batch; a smaller one makes fewer stretches of the same
// length.
func convGradSplit(l gpu.Limits, f gradForm, c ConvCall) (gradSplit, error) {
	if f.pointwise && !c.pointwise() {
		return gradSplit{}, errors.New("it is for 1×1 kernels of stride 1 without padding")
	}
	pixels, pairs := c.Out.Pixels(), c.K*c.K*c.In.Groups()
	room := min(int(PartialBytes/convGradBytes(c, 1)), int(l.MaxComputeWorkgroupsPerDimension))
	most := max(1, min(ceilDiv(pixels, f.least), room))
	sizes := make([]tileSize, len(f.tiles))
	for i, t := range f.tiles {
		rows, columns := ceilDiv(c.M, t.BM), ceilDiv(pairs, t.BN)
		sizes[i] = tileSize{rows * t.BM * columns * t.BN, t.BM, t.WG(), t.Bytes(), most * rows * columns}
	}
	i, err := pickTile(l, c.M, sizes)
	if err != nil {
		return gradSplit{}, err
	}
	s := gradSplit{tile: f.tiles[i]}
	s.tile.K = c.K
	parts := min(most, ceilDiv(f.workgroups, sizes[i].workgroups/most))
	if f.most > 0 {
		parts = max(parts, ceilDiv(pixels, f.most))
	}
	s.stretch = ceilDiv(ceilDiv(pixels, parts), s.tile.BP) * s.tile.BP
	s.parts = ceilDiv(pixels, s.stretch)
	return s, atMost(fmt.Sprintf("partial sums of %d pixels each", s.stretch), s.parts, max(1, room))
}

// passes counts the loop passes of an invocation over n pixels of a stretch: the steps, with the products and the bias
// of each, and the sums that are stored.
func (s gradSplit) passes(n int) int {
	return ceilDiv(n, s.tile.BP)*(1+2*s.tile.BP) + s.tile.TM*s.tile.TN
}

// walk is the most pixels of a stretch that one dispatch may walk over.
func (s gradSplit) walk() int {
	return (MaxPasses - s.passes(0)) / (1 + 2*s.tile.BP) * s.tile.BP
}

func tiledWeightFits(l gpu.Limits, f gradForm, c ConvCall) error {
	s, err := convGradSplit(l, f, c)
	if err != nil {
		return err
	}
	return firstError(
		atMost("storage buffers", 3, int(l.MaxStorageBuffersPerShaderStage)),
		atMost("bytes of partial sums", int(convGradBytes(c, s.parts)), int(l.MaxStorageBufferBindingSize)),
		bindable(l, c.In.Shape, c.Out.Shape),
	)
}

func (r *Recorder) tiledWeightGrad(f gradForm, c ConvCall) error {
	l := r.Dev.Limits()
	s, err := convGradSplit(l, f, c.planned(r))
	if err != nil {
		return err
	}
	x, dy, t := c.In, c.Out, s.tile
	t.Pointwise, t.Rolled, t.Missing = c.pointwise(), r.Dev.Adapter.CPU(), x.missing()
	t.Chained = min(s.stretch, s.walk()) > shaders.LongestChain
	parts := ceilDiv(dy.Pixels(), s.stretch)
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
			for from := 0; from < s.stretch; from += s.walk() {
				n := min(s.walk(), s.stretch-from)
				params := shaders.ConvGradTiledParams{
					OutPixels: dy.Pixels(), OutPlane: dy.Plane(), OutW: dy.W, OutH: dy.H,
					OutGroup0: out.from, OutGroups: out.to, M: c.M, Stretch: s.stretch,
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
