package ops

import (
	"errors"
	"fmt"

	"ninvk/gpu"
	"ninvk/shaders"
)

// The variant winograd, for 3×3 kernels of stride 1: F(2×2, 3×3) of Winograd, as Lavin and Gray have it for networks
// (arXiv:1509.09308). A tile of 2×2 outputs takes 16 products a pair of channels in place of 36. Weights and tiles of
// 4×4 inputs are brought to the form's 16 points; at each the sum over channels is a product of matrices, which the tiled
// kernel computes; and these are brought back.

// points are those of F(2×2, 3×3).
const points = 16

// leastTiles is the number of tiles that must have room together, lest many small dispatches take long.
const leastTiles = 32

// winogradPlan is how a convolution is cut: the kernel's tile, and the tiles of 2×2 pixels that are computed together.
type winogradPlan struct {
	tile  shaders.ConvTiled
	tiles int
}

// winogradOf plans for the planned batch; a smaller one has fewer tiles.
func winogradOf(l gpu.Limits, c gemm) (winogradPlan, error) {
	if c.k != 3 || c.stride != 1 || c.dilate != 1 {
		return winogradPlan{}, errors.New("it is for 3×3 kernels of stride 1")
	}
	all := winogradTiles(c.y.Shape)
	groups := max(c.x.Groups(), c.y.Groups())
	// plane adds at most 32
	room := int(partialLimits(l).MaxStorageBufferBindingSize)/(16*points*groups) - 32
	if room < min(all, leastTiles) {
		return winogradPlan{}, fmt.Errorf("%d tiles of %d points and %d channels have room, %d are needed",
			max(0, room), points, 4*groups, min(all, leastTiles))
	}
	tiles := ceilDiv(all, ceilDiv(all, room))
	t, err := layeredTile(l, convTiles, Shape{1, c.y.C, 1, tiles}, points)
	return winogradPlan{t, tiles}, err
}

// winogradTiles is the number of tiles of an output.
func winogradTiles(y Shape) int { return y.N * ceilDiv(y.H, 2) * ceilDiv(y.W, 2) }

// weightBytes, inputBytes and productBytes are the memory of the weights, and of the tiles computed together, at all
// points.
func (winogradPlan) weightBytes(c gemm) uint64 {
	return 16 * points * 4 * uint64(c.x.Groups()*c.y.Groups())
}

func (p winogradPlan) inputBytes(c gemm) uint64 {
	return 16 * points * uint64(c.x.Groups()*plane(p.tiles))
}

func (p winogradPlan) productBytes(c gemm) uint64 {
	return 16 * points * uint64(c.y.Groups()*plane(p.tiles))
}

// winograd is the variant of a pass that is the convolution that product gives.
func winograd(product func(ConvCall) gemm) Variant[ConvCall] {
	return Variant[ConvCall]{
		Name: "winograd",
		Fits: func(l gpu.Limits, c ConvCall) error { return winogradFits(l, product(c)) },
		Need: func(l gpu.Limits, c ConvCall) Need {
			g := product(c)
			p, err := winogradOf(l, g)
			if err != nil {
				return Need{} // it does not fit
			}
			return Need{Unfolded: p.weightBytes(g) + p.inputBytes(g), Partial: p.productBytes(g)}
		},
		Record: func(r *Recorder, c ConvCall) error { return r.winograd(product(c)) },
		Masks:  true,
	}
}

func winogradFits(l gpu.Limits, c gemm) error {
	p, err := winogradOf(l, c)
	if err != nil {
		return err
	}
	return firstError(
		atMost("storage buffers", 4, int(l.MaxStorageBuffersPerShaderStage)),
		atMost("bytes of weights at all points", int(p.weightBytes(c)), int(l.MaxStorageBufferBindingSize)),
		atMost("workgroups", ceilDiv(p.tiles, p.tile.BN), int(l.MaxComputeWorkgroupsPerDimension)),
		atMost("loop passes", tiledPasses(p.tile, c.x.Groups()), MaxPasses),
		bindable(l, c.x.Shape, c.y.Shape),
	)
}

func (r *Recorder) winograd(c gemm) error {
	p, err := winogradOf(r.Dev.Limits(), r.plannedGemm(c))
	if err != nil {
		return err
	}
	weights := gpu.Slice{Buffer: r.Unfolded, Size: p.weightBytes(c)}
	input := gpu.Slice{Buffer: r.Unfolded, Offset: weights.Size, Size: p.inputBytes(c)}
	products := gpu.Slice{Buffer: r.Partial, Size: p.productBytes(c)}
	k := gpu.Kernel{Name: "conv weights by winograd", Source: shaders.Source("conv_winograd_weights", nil),
		Bindings: []gpu.Kind{gpu.Params, gpu.Read, gpu.Write}}
	if err := r.dispatchEach(k, 0, shaders.ConvTiledWeightsParams{
		M: c.y.C, C: c.x.C, Taps: c.k * c.k, InGroups: c.x.Groups(), Rows: c.y.Groups(), WeightPlace: c.weights,
	}, 4*c.x.Groups()*c.y.Groups(), gpu.All(r.Weights), weights); err != nil {
		return err
	}
	all := winogradTiles(c.y.Shape)
	for from := 0; from < all; from += p.tiles {
		q := shaders.ConvWinogradParams{
			TilesX: ceilDiv(c.y.W, 2), TilesImage: ceilDiv(c.y.H, 2) * ceilDiv(c.y.W, 2),
			Tile0: from, Tiles: min(p.tiles, all-from), TilePlane: plane(p.tiles), Slope: 1,
		}
		if err := firstError(
			r.winogradInput(c, q, input),
			r.winogradProducts(c, p, q, weights, input, products),
			r.winogradOutput(c, q, products),
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

// winogradProducts records the products of the points' matrices.
func (r *Recorder) winogradProducts(
	c gemm, p winogradPlan, q shaders.ConvWinogradParams, weights, input, products gpu.Slice,
) error {
	t, pairs := p.tile, c.x.Groups()
	t.K, t.Pointwise, t.Ordered, t.Points = 1, true, true, true
	t.Missing, t.Rolled, t.Chained = c.x.missing(), r.Dev.Adapter.CPU(), 4*pairs > shaders.LongestChain
	return r.dispatchTiled(c.name+" by winograd", t, shaders.ConvTiledParams{
		OutPixels: q.Tiles, OutPlane: q.TilePlane, OutGroups: c.y.Groups(), M: c.y.C, Pairs: pairs,
		InPlane: q.TilePlane, C: c.x.C, Sums: t.TM * t.TN / 4, InGroups: c.x.Groups(), Rows: c.y.Groups(),
	}, points, pairs, map[string]gpu.Slice{"x": input, "y": products, "ordered": weights})
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
