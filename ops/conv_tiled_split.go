package ops

import (
	"fmt"

	"ninvk/gpu"
	"ninvk/shaders"
)

// The variant tiled-split, for maps of few pixels, whose tiles are too few to fill a GPU: the pairs of tap and channel
// group are cut into stretches with a partial sum each, which a second pass adds up.

// leastStretch is the number of pairs of a stretch below which adding up costs more than more workgroups gain.
const leastStretch = 8

// convSplit is how the pairs are cut: the tile, and the pairs of a stretch.
type convSplit struct {
	tile    shaders.ConvTiled
	stretch int
}

// splitOf cuts a convolution of the planned batch; a smaller one has stretches of the same length.
func splitOf(l gpu.Limits, c gemm) (convSplit, error) {
	pairs := c.x.Groups() * c.k * c.k
	plane := uint64(c.y.Plane()) * 16
	// Each part of the input that is bound by itself may have one stretch more.
	most := min(pairs/leastStretch, int(partialLimits(l).MaxStorageBufferBindingSize/plane)-len(c.x.spans(l, 1))+1,
		int(l.MaxComputeWorkgroupsPerDimension))
	if most < 2 {
		return convSplit{}, fmt.Errorf("%d pairs of tap and channel group can't be cut into stretches of %d whose sums have "+
			"room", pairs, leastStretch)
	}
	t, err := layeredTile(l, convTiles, c.y.Shape, most)
	if err != nil {
		return convSplit{}, err
	}
	there := tileCount(t, c.y.Shape) * t.WG()
	if there >= enough {
		return convSplit{}, fmt.Errorf("it makes %d invocations without being cut, %d are enough", there, enough)
	}
	stretches := min(most, ceilDiv(enough, there))
	return convSplit{t, ceilDiv(ceilDiv(pairs, stretches), t.GC) * t.GC}, nil
}

// partialLimits are limits by which what is bound of the partial sums has room in them.
func partialLimits(l gpu.Limits) gpu.Limits {
	l.MaxStorageBufferBindingSize = min(l.MaxStorageBufferBindingSize, PartialBytes)
	return l
}

// parts is the number of partial sums of an output.
func (s convSplit) parts(l gpu.Limits, c gemm) int {
	parts := 0
	for _, in := range c.x.spans(l, 1) {
		parts += ceilDiv((in.to-in.from)*c.k*c.k, s.stretch)
	}
	return parts
}

// outputs are the channel groups of the output whose partial sums have room together, and can be bound.
func (s convSplit) outputs(l gpu.Limits, c gemm) []span {
	return spans(c.y.Groups(), uint64(s.parts(l, c))*uint64(c.y.Plane())*16, partialLimits(l), 1)
}

// bytes is the memory of the partial sums, and of those of a smaller batch.
func (s convSplit) bytes(l gpu.Limits, c gemm) uint64 {
	return min(partialLimits(l).MaxStorageBufferBindingSize, uint64(s.parts(l, c))*c.y.Bytes())
}

// tiledSplit is the variant of a pass that is the convolution that product gives.
func tiledSplit(product func(ConvCall) gemm) Variant[ConvCall] {
	return Variant[ConvCall]{
		Name: "tiled-split",
		Fits: func(l gpu.Limits, c ConvCall) error { return splitFits(l, product(c)) },
		Need: func(l gpu.Limits, c ConvCall) Need {
			g := product(c)
			s, err := splitOf(l, g)
			if err != nil {
				return Need{} // it does not fit
			}
			n := Need{Partial: s.bytes(l, g)}
			if orders(l, s.tile, g) {
				n.Unfolded = orderedBytes(g)
			}
			return n
		},
		Record: func(r *Recorder, c ConvCall) error { return r.tiledSplit(product(c)) },
		Masks:  true,
	}
}

func splitFits(l gpu.Limits, c gemm) error {
	s, err := splitOf(l, c)
	if err != nil {
		return err
	}
	return firstError(
		atMost("storage buffers", 4, int(l.MaxStorageBuffersPerShaderStage)),
		atMost("workgroups", ceilDiv(c.y.Pixels(), s.tile.BN), int(l.MaxComputeWorkgroupsPerDimension)),
		atMost("loop passes", max(tiledPasses(s.tile, s.stretch), s.parts(l, c)), MaxPasses),
		bindable(l, c.x.Shape, c.y.Shape),
	)
}

func (r *Recorder) tiledSplit(c gemm) error {
	l := r.Dev.Limits()
	s, err := splitOf(l, r.plannedGemm(c))
	if err != nil {
		return err
	}
	t, ordered, err := r.tiledOf(s.tile, c)
	if err != nil {
		return err
	}
	t.Split = true
	for _, out := range s.outputs(l, c) {
		groups := out.to - out.from
		part := gpu.Slice{Buffer: r.Partial, Size: uint64(s.parts(l, c)*groups*c.y.Plane()) * 16}
		bound := map[string]gpu.Slice{"w": gpu.All(r.Weights), "y": part, "ordered": ordered}
		begun := 0 // parts
		for _, in := range c.x.spans(l, 1) {
			t = c.tileFor(t, in, ordered.Size > 0)
			t.Aligned, t.Chained = c.aligned(t, in, out), 4*s.stretch > shaders.LongestChain
			q := c.tiledParams(t, in, out)
			q.Stretch, q.Part0 = s.stretch, begun
			bound["x"] = c.x.slice(in)
			stretches := ceilDiv(q.Pairs, s.stretch)
			name := fmt.Sprintf("%s in parts %d×%d", c.name, c.k, c.k)
			if err := r.dispatchTiled(name, t, q, stretches, min(s.stretch, q.Pairs), bound); err != nil {
				return err
			}
			begun += stretches
		}
		if err := r.tiledSum(c, out, begun, part); err != nil {
			return err
		}
	}
	return nil
}

// tiledSum records the second pass for the channel groups out.
func (r *Recorder) tiledSum(c gemm, out span, parts int, part gpu.Slice) error {
	k := gpu.Kernel{Name: "conv sum of parts", Source: shaders.Source("conv_tiled_sum", nil),
		Bindings: []gpu.Kind{gpu.Params, gpu.Read, gpu.Read, gpu.Read, gpu.Write}}
	mask := part // bound, not read
	if c.mask != nil {
		mask = c.mask.slice(out)
	}
	return r.dispatchEach(k, parts, shaders.ConvTiledSumParams{
		OutPixels: c.y.Pixels(), OutPlane: c.y.Plane(), OutGroup0: out.from, OutGroups: out.to, M: c.y.C, Parts: parts,
		Bias0: c.bias.Offset, HasBias: c.bias.Len > 0, Slope: c.slope, Masked: c.mask != nil,
	}, (out.to-out.from)*c.y.Pixels(), part, gpu.All(r.Weights), mask, c.y.slice(out))
}
