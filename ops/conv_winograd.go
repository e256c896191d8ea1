package ops

import (
	"errors"
	"fmt"

	"ninvk/gpu"
	"ninvk/shaders"
)

// The variants winograd and winograd-straight, for 3×3 kernels of stride 1: F(2×2, 3×3) of Winograd, as Lavin and Gray
// have it for networks (arXiv:1509.09308). A tile of 2×2 outputs takes 16 products a pair of channels in place of 36.
// Weights and tiles of 4×4 inputs are brought to the form's 16 points; at each the sum over channels is a product of
// matrices, which a kernel of 1×1 convolutions computes; and these are brought back.

// points are those of F(2×2, 3×3).
const points = 16

// leastTiles is the number of tiles that must have room together, lest many small dispatches take long.
const leastTiles = 32

// matrices are those of all points: of the weights, of the input's tiles, and of their products.
type matrices struct{ weights, input, products gpu.Slice }

// multiplier is a way to compute the products of so many tiles at all points.
type multiplier struct {
	name   string // of the variant
	fits   func(l gpu.Limits, c gemm, tiles int) error
	need   func(l gpu.Limits, c gemm, tiles int) Extent // of the scratch texture
	record func(r *Recorder, c gemm, planned, tiles int, m matrices) error
}

// winogradTiles is the number of tiles that are computed together, for the planned batch; a smaller one has fewer.
func winogradTiles(l gpu.Limits, c gemm) (int, error) {
	if c.k != 3 || c.stride != 1 || c.dilate != 1 {
		return 0, errors.New("it is for 3×3 kernels of stride 1")
	}
	all := tilesOf(c.y.Shape)
	groups := max(c.x.Groups(), c.y.Groups())
	// plane adds at most 32
	room := int(partialLimits(l).MaxStorageBufferBindingSize)/(16*points*groups) - 32
	if room < min(all, leastTiles) {
		return 0, fmt.Errorf("%d tiles of %d points and %d channels have room, %d are needed",
			max(0, room), points, 4*groups, min(all, leastTiles))
	}
	return ceilDiv(all, ceilDiv(all, room)), nil
}

// tilesOf is the number of tiles of an output.
func tilesOf(y Shape) int { return y.N * ceilDiv(y.H, 2) * ceilDiv(y.W, 2) }

// tileShape is the shape of so many tiles at one point.
func tileShape(channels, tiles int) Shape { return Shape{tiles, channels, 1, 1} }

// winogradBytes is the memory of the weights at all points, and of so many tiles.
func winogradBytes(c gemm, tiles int) (weights, input, products uint64) {
	return 16 * points * 4 * uint64(c.x.Groups()*c.y.Groups()),
		points * tileShape(c.x.C, tiles).Bytes(), points * tileShape(c.y.C, tiles).Bytes()
}

// winograd is the variant of a pass that is the convolution that product gives.
func winograd(by multiplier, product func(ConvCall) gemm) Variant[ConvCall] {
	return Variant[ConvCall]{
		Name: by.name,
		Fits: func(l gpu.Limits, c ConvCall) error { return winogradFits(l, by, product(c)) },
		Need: func(l gpu.Limits, c ConvCall) Need {
			g := product(c)
			tiles, err := winogradTiles(l, g)
			if err != nil {
				return Need{} // it does not fit
			}
			weights, input, products := winogradBytes(g, tiles)
			return Need{Scratch: by.need(l, g, tiles), Unfolded: weights + input, Partial: products}
		},
		Record: func(r *Recorder, c ConvCall) error { return r.winograd(by, product(c)) },
		Masks:  true,
	}
}

func winogradFits(l gpu.Limits, by multiplier, c gemm) error {
	tiles, err := winogradTiles(l, c)
	if err != nil {
		return err
	}
	weights, _, _ := winogradBytes(c, tiles)
	return firstError(
		atMost("storage buffers", 4, int(l.MaxStorageBuffersPerShaderStage)),
		atMost("bytes of weights at all points", int(weights), int(l.MaxStorageBufferBindingSize)),
		bindable(l, c.x.Shape, c.y.Shape),
		by.fits(l, c, tiles),
	)
}

func (r *Recorder) winograd(by multiplier, c gemm) error {
	planned, err := winogradTiles(r.Dev.Limits(), r.plannedGemm(c))
	if err != nil {
		return err
	}
	weights, input, products := winogradBytes(c, planned)
	m := matrices{
		weights:  gpu.Slice{Buffer: r.Unfolded, Size: weights},
		input:    gpu.Slice{Buffer: r.Unfolded, Offset: weights, Size: input},
		products: gpu.Slice{Buffer: r.Partial, Size: products},
	}
	k := gpu.Kernel{Name: "conv weights by winograd", Source: shaders.Source("conv_winograd_weights", nil),
		Bindings: []gpu.Kind{gpu.Params, gpu.Read, gpu.Write}}
	if err := r.dispatchEach(k, 0, shaders.ConvTiledWeightsParams{
		M: c.y.C, C: c.x.C, Taps: c.k * c.k, InGroups: c.x.Groups(), Rows: c.y.Groups(), WeightPlace: c.weights,
	}, 4*c.x.Groups()*c.y.Groups(), gpu.All(r.Weights), m.weights); err != nil {
		return err
	}
	all := tilesOf(c.y.Shape)
	for from := 0; from < all; from += planned {
		tiles := min(planned, all-from)
		q := shaders.ConvWinogradParams{
			TilesX: ceilDiv(c.y.W, 2), TilesImage: ceilDiv(c.y.H, 2) * ceilDiv(c.y.W, 2),
			Tile0: from, Tiles: tiles, TilePlane: plane(tiles), Slope: 1,
		}
		if err := firstError(
			r.winogradInput(c, q, m.input),
			by.record(r, c, planned, tiles, m),
			r.winogradOutput(c, q, m.products),
		); err != nil {
			return err
		}
	}
	return nil
}

// winogradInput records that tiles of the input are brought to the points.
func (r *Recorder) winogradInput(c gemm, q shaders.ConvWinogradParams, input gpu.Slice) error {
	k := gpu.Kernel{Name: "conv input by winograd", Source: shaders.Source("conv_winograd_input", nil),
		Bindings: []gpu.Kind{gpu.Params, gpu.Read, gpu.Write}}
	q.Width, q.Height, q.Plane, q.Pad, q.Groups = c.x.W, c.x.H, c.x.Plane(), int32(c.pad), c.x.Groups()
	for _, in := range c.x.spans(r.Dev.Limits(), 1) {
		q.Group0, q.Group1 = in.from, in.to
		if err := r.dispatchEach(k, 0, q, (in.to-in.from)*q.Tiles, c.x.slice(in), input); err != nil {
			return err
		}
	}
	return nil
}

// winogradOutput records that products are brought back, and finished.
func (r *Recorder) winogradOutput(c gemm, q shaders.ConvWinogradParams, products gpu.Slice) error {
	k := gpu.Kernel{Name: "conv output by winograd", Source: shaders.Source("conv_winograd_output", nil),
		Bindings: []gpu.Kind{gpu.Params, gpu.Read, gpu.Read, gpu.Read, gpu.Write}}
	q.Width, q.Height, q.Plane, q.Groups, q.M = c.y.W, c.y.H, c.y.Plane(), c.y.Groups(), c.y.C
	q.Bias0, q.HasBias, q.Slope, q.Masked = c.bias.Offset, c.bias.Len > 0, c.slope, c.mask != nil
	for _, out := range c.y.spans(r.Dev.Limits(), 1) {
		q.Group0, q.Group1 = out.from, out.to
		mask := products // bound, not read
		if q.Masked {
			mask = c.mask.slice(out)
		}
		if err := r.dispatchEach(k, 0, q, (out.to-out.from)*q.Tiles, products, gpu.All(r.Weights), mask,
			c.y.slice(out)); err != nil {
			return err
		}
	}
	return nil
}

// byTiles multiplies by the tiled kernel, all points in one dispatch.
var byTiles = multiplier{
	name: "winograd",
	fits: func(l gpu.Limits, c gemm, tiles int) error {
		t, err := layeredTile(l, convTiles, tileShape(c.y.C, tiles), points)
		if err != nil {
			return err
		}
		return firstError(
			atMost("workgroups", ceilDiv(tiles, t.BN), int(l.MaxComputeWorkgroupsPerDimension)),
			atMost("loop passes", tiledPasses(t, c.x.Groups()), MaxPasses),
		)
	},
	need: func(gpu.Limits, gemm, int) Extent { return Extent{} },
	record: func(r *Recorder, c gemm, planned, tiles int, m matrices) error {
		t, err := layeredTile(r.Dev.Limits(), convTiles, tileShape(c.y.C, planned), points)
		if err != nil {
			return err
		}
		pairs := c.x.Groups()
		t.K, t.Pointwise, t.Ordered, t.Points = 1, true, true, true
		t.Missing, t.Rolled, t.Chained = c.x.missing(), r.Dev.Adapter.CPU(), 4*pairs > shaders.LongestChain
		return r.dispatchTiled(c.name+" by winograd", t, shaders.ConvTiledParams{
			OutPixels: tiles, OutPlane: plane(tiles), OutGroups: c.y.Groups(), M: c.y.C, Pairs: pairs,
			InPlane: plane(tiles), C: c.x.C, Sums: t.TM * t.TN / 4, InGroups: c.x.Groups(), Rows: c.y.Groups(),
		}, points, pairs, map[string]gpu.Slice{"x": m.input, "y": m.products, "ordered": m.weights})
	},
}

// byStraight multiplies by the straight kernels, one point after the other.
var byStraight = multiplier{
	name: "winograd-straight",
	fits: func(l gpu.Limits, c gemm, tiles int) error {
		return straightFits(l, ConvCall{
			Conv: Conv{C: c.x.C, M: c.y.C, K: 1, Stride: 1},
			In:   Tensor{Shape: tileShape(c.x.C, tiles)}, Out: Tensor{Shape: tileShape(c.y.C, tiles)},
		})
	},
	need: func(l gpu.Limits, c gemm, tiles int) Extent {
		return straightExtent(l, c.atPoint(0, tiles, matrices{}))
	},
	record: func(r *Recorder, c gemm, planned, tiles int, m matrices) error {
		own := *r
		own.Batch = planned
		for i := range points {
			if err := own.straight(c.atPoint(i, tiles, m)); err != nil {
				return err
			}
		}
		r.spent = own.spent
		return nil
	},
}

// atPoint is the product at a point as a convolution of 1×1.
func (c gemm) atPoint(i, tiles int, m matrices) gemm {
	x, y := tileShape(c.x.C, tiles), tileShape(c.y.C, tiles)
	rows := int32(4 * c.y.Groups())
	return gemm{
		name: c.name, k: 1, stride: 1, dilate: 1, slope: 1,
		x:       Tensor{x, m.input.Buffer, m.input.Offset + uint64(i)*x.Bytes()},
		y:       Tensor{y, m.products.Buffer, m.products.Offset + uint64(i)*y.Bytes()},
		weights: shaders.WeightPlace{W0: int32(i*4*c.x.Groups()) * rows, WM: 1, WC: rows}, matrix: &m.weights,
	}
}
