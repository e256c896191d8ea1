package ops

import (
	"errors"
	"fmt"

	"ninvk/gpu"
	"ninvk/shaders"
)

// The winograd variant, for software drivers: the straight one with Winograd's algorithm along the rows, which needs 2.5 times fewer products for 5×5 kernels
// and twice fewer for 3×3. The weights are transformed into the buffer of partial sums first.

// winogradOutputs is the number of neighbouring outputs of an invocation. Four of a 5×5 kernel have two or three times the rounding error of the direct sum, two
// as much as that. Where channels are few on either side, products saved weigh little against transforms, and sums are too short for errors to even out.
func winogradOutputs(c gemm) int {
	if c.k > 3 && min(c.x.C, c.y.C) < 16 {
		return 2
	}
	return 4
}

func winogradForwardFits(l gpu.Limits, c ConvCall) error {
	return winogradFits(l, c, forwardGemm(c))
}

func winogradInputGradFits(l gpu.Limits, c ConvCall) error {
	return winogradFits(l, c, inputGradGemm(c))
}

func winogradFits(l gpu.Limits, c ConvCall, g gemm) error {
	if !(shaders.Winograd{M: winogradOutputs(g), K: c.K}).Fits() {
		return fmt.Errorf("no points for kernels of %d×%d", c.K, c.K)
	}
	if c.Stride != 1 {
		return errors.New("the stride must be 1")
	}
	t := winogradTile(l, g)
	return firstError(
		straightFits(l, c),
		atMost("bytes of workgroup memory", 16*t.StagedVectors(), int(l.MaxComputeWorkgroupStorageSize)),
		atMost("bytes of transformed weights", int(winogradBytes(t, g)), int(l.MaxStorageBufferBindingSize)),
	)
}

func winogradForwardNeed(l gpu.Limits, c ConvCall) Need { return winogradNeed(l, c, forwardGemm(c)) }

func winogradInputGradNeed(l gpu.Limits, c ConvCall) Need {
	return winogradNeed(l, c, inputGradGemm(c))
}

func winogradNeed(l gpu.Limits, c ConvCall, g gemm) Need {
	n := straightNeed(l, c)
	n.Partial = winogradBytes(winogradTile(l, g), g)
	return n
}

func winogradForward(r *Recorder, c ConvCall) error   { return r.winograd(forwardGemm(c)) }
func winogradInputGrad(r *Recorder, c ConvCall) error { return r.winograd(inputGradGemm(c)) }

// winogradTile picks the tile for a call of the planned batch: as many input channels a chunk as workgroup memory holds weights for, and a kernel may have products of.
func winogradTile(l gpu.Limits, c gemm) shaders.ConvWinogradTile {
	t := shaders.ConvWinogradTile{Winograd: shaders.Winograd{M: winogradOutputs(c), K: c.k}, KY: 1}
	t.R = min(16, 4*c.y.Groups(), channelsBound(l, c.y.Shape))
	staged := int(l.MaxComputeWorkgroupStorageSize)/16/t.RowGroups() - 1
	most := max(1, min(staged, int(l.MaxUnrolledProducts)/t.R)/(4*t.Points())) // channel groups a chunk
	t.CH = 4 * ceilDiv(c.x.Groups(), ceilDiv(c.x.Groups(), most))
	t.KY = max(1, min(c.k, 4*most/t.CH))
	t.KY = ceilDiv(c.k, ceilDiv(c.k, t.KY))
	t.Accumulate = winogradChunks(t, c) > 1
	t.WG = min(1024, int(l.MaxComputeInvocationsPerWorkgroup), int(l.MaxComputeWorkgroupSizeX))
	for t.WG > 64 && ceilDiv(winogradBlocks(c), t.WG)*ceilDiv(c.y.C, t.R) < 8 {
		t.WG /= 2
	}
	return t
}

// winogradBlocks is the number of invocations: one for some neighbouring output pixels of a row.
func winogradBlocks(c gemm) int { return c.y.N * c.y.H * ceilDiv(c.y.W, winogradOutputs(c)) }

// winogradChunks is the number of chunks of input channels and kernel rows.
func winogradChunks(t shaders.ConvWinogradTile, c gemm) int {
	return ceilDiv(c.x.C, t.CH) * ceilDiv(c.k, t.KY)
}

// winogradBytes is the memory of the transformed weights.
func winogradBytes(t shaders.ConvWinogradTile, c gemm) uint64 {
	return 16 * uint64(t.StagedVectors()) * uint64(ceilDiv(c.y.C, t.R)) * uint64(winogradChunks(t, c))
}

func (r *Recorder) winograd(c gemm) error {
	l := r.Dev.Limits()
	plan := c
	plan.x.Shape, plan.y.Shape = r.planned(c.x.Shape), r.planned(c.y.Shape)
	t := winogradTile(l, plan)
	blocks, chunks := ceilDiv(c.y.C, t.R), winogradChunks(t, c)
	weights := gpu.Slice{Buffer: r.Partial, Size: winogradBytes(t, c)}
	params := []uint32{
		uint32(c.y.C), uint32(c.x.C), uint32(c.k), uint32(chunks),
		uint32(blocks), uint32(c.bias.Offset), flag(c.bias.Len > 0), uint32(ceilDiv(c.k, t.KY)),
		uint32(int32(c.w0)), uint32(int32(c.wm)), uint32(int32(c.wc)), uint32(int32(c.wt)),
	}
	transform := gpu.Kernel{
		Name: fmt.Sprintf("winograd weights %d×%d r%d c%d×%d", c.k, c.k, t.R, t.CH, t.KY), Source: t.Weights(), Bindings: []gpu.Kind{gpu.Params, gpu.Read, gpu.Write},
	}
	if err := r.dispatch(transform, 0, params, ceilDiv(t.RowGroups()*(t.CH*t.KY+1), 64), blocks, chunks, gpu.All(r.Weights), weights); err != nil {
		return err
	}
	k := gpu.Kernel{
		Name:     fmt.Sprintf("conv %d×%d winograd r%d c%d×%d", c.k, c.k, t.R, t.CH, t.KY),
		Source:   t.Source(),
		Bindings: []gpu.Kind{gpu.Params, gpu.Read, gpu.TextureF32, gpu.Write},
	}
	r.stage(c.x)
	for chunk := range chunks {
		c0, ky := chunk/ceilDiv(c.k, t.KY)*t.CH, chunk%ceilDiv(c.k, t.KY)*t.KY
		for _, s := range c.y.spans(l, t.RowGroups()) {
			params := []uint32{
				uint32(winogradBlocks(c)), uint32(ceilDiv(c.y.W, t.M)), uint32(c.y.W), uint32(c.y.H),
				uint32(c.y.Plane()), uint32(s.from), uint32(s.to), flag(chunk > 0),
				uint32(c.x.strip()), uint32(c.x.W), uint32(c.x.H), r.Scratch.zero(),
				uint32(c0 / 4), uint32(c.x.Groups()), uint32(ky), uint32(chunk*blocks + s.from/t.RowGroups()),
				bits(c.slopeOf(chunk == chunks-1)), uint32(int32(c.pad)), 1<<c.x.foldShift() - 1, uint32(c.x.foldShift()),
			}
			rows := ceilDiv(4*(s.to-s.from), t.R)
			if err := r.dispatch(k, ceilDiv(t.StagedVectors(), t.WG), params, ceilDiv(winogradBlocks(c), t.WG), rows, 1,
				weights, r.Scratch.tex, c.y.slice(s)); err != nil {
				return err
			}
			r.spend(2 * float64(t.MulAdds()) * float64(rows*winogradBlocks(c)))
		}
	}
	return nil
}
