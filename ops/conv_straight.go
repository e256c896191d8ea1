package ops

import (
	"fmt"

	"ninvk/gpu"
	"ninvk/shaders"
)

// The straight variant, for software drivers: unrolled kernels without loops around the arithmetic, activations read through the scratch texture.

func straightFits(l gpu.Limits, c ConvCall) error {
	for _, s := range []Shape{c.In.Shape, c.Out.Shape} {
		if rows := ScratchRows(s.Bytes()); rows > int(l.MaxTextureDimension2D) {
			return fmt.Errorf("an activation takes %d rows of a texture, the adapter's limit is %d", rows, l.MaxTextureDimension2D)
		}
	}
	return nil
}

// straightNeed holds for both directions: either tensor may be the one that is read.
func straightNeed(_ gpu.Limits, c ConvCall) Need {
	return Need{Scratch: max(c.In.Bytes(), c.Out.Bytes())}
}

func straightForward(r *Recorder, c ConvCall) error { return r.straight(forwardGemm(c)) }

func straightInputGrad(r *Recorder, c ConvCall) error { return r.straight(inputGradGemm(c)) }

// budget is the number of multiply-adds in one straight-line kernel: more reuse of each fetched texel against the time to compile.
const budget = 8192

// convTile picks the tile for a call.
func convTile(r *Recorder, c gemm) shaders.ConvTile {
	l := r.Dev.Limits()
	c.y.Shape = r.planned(c.y.Shape)
	t := shaders.ConvTile{KX: c.k, Stride: c.stride, Dilated: c.dilate > 1, TP: 1}
	t.Pointwise = c.pointwise()
	t.R = min(32, 4*c.y.Groups())
	if !t.Pointwise && c.y.W > 1 && c.k > 1 && c.stride == 1 {
		t.TP = 2
		t.R = min(16, 4*c.y.Groups())
	}
	t.TM = 8 / t.TP
	for t.R%t.TM != 0 {
		t.TM -= 4
	}
	staged := int(l.MaxComputeWorkgroupStorageSize)/4 - t.R
	most := min(staged, budget/t.TP) / t.R // weights of one output channel in a chunk
	t.KY = 1
	t.CH = c.x.C
	if c.x.C*c.k*c.k <= most {
		t.KY = c.k
	} else {
		if groups := max(1, most/(4*c.k)); groups < c.x.Groups() {
			t.CH = 4 * ceilDiv(c.x.Groups(), ceilDiv(c.x.Groups(), groups))
		}
		t.KY = max(1, min(c.k, most/(t.CH*c.k)))
		t.KY = ceilDiv(c.k, ceilDiv(c.k, t.KY))
	}
	t.Accumulate = t.CH < c.x.C || t.KY < c.k
	// Wide workgroups spread the staging over many invocations, but every core needs some workgroups.
	t.WG = min(1024, int(l.MaxComputeInvocationsPerWorkgroup), int(l.MaxComputeWorkgroupSizeX))
	for t.WG > 64 && ceilDiv(c.blocks(t), t.WG)*ceilDiv(c.y.C, t.R) < 8 {
		t.WG /= 2
	}
	return t
}

// blocks is the number of invocations: one for every TP neighbouring output pixels of a row.
func (c gemm) blocks(t shaders.ConvTile) int {
	if t.Pointwise {
		return ceilDiv(c.y.Pixels(), t.TP)
	}
	return c.y.N * c.y.H * ceilDiv(c.y.W, t.TP)
}

func (r *Recorder) straight(c gemm) error {
	l := r.Dev.Limits()
	t := convTile(r, c)
	k := gpu.Kernel{
		Name:     fmt.Sprintf("conv %d×%d r%d p%d c%d×%d", c.k, c.k, t.R, t.TP, t.CH, t.KY),
		Source:   t.Source(),
		Bindings: []gpu.Kind{gpu.Params, gpu.Read, gpu.TextureF32, gpu.Write},
	}
	r.stage(c.x)
	first := true
	for c0 := 0; c0 < c.x.C; c0 += t.CH {
		for ky := 0; ky < c.k; ky += t.KY {
			last := c0+t.CH >= c.x.C && ky+t.KY >= c.k
			slope := float32(1)
			if last {
				slope = c.slope
			}
			for _, s := range c.y.spans(l, t.R/4) {
				params := []uint32{
					uint32(c.blocks(t)), uint32(ceilDiv(c.y.W, t.TP)), uint32(c.y.W), uint32(c.y.H),
					uint32(c.y.Plane()), uint32(c.y.Pixels()), uint32(s.from), uint32(s.to),
					uint32(c.x.Plane()), uint32(c.x.W), uint32(c.x.H), r.Scratch.zero(),
					uint32(c.y.C), uint32(4 * s.from), uint32(c.x.C), uint32(c0),
					uint32(c.k * c.k), uint32(ky * c.k), uint32(ky), flag(!first),
					uint32(int32(c.w0)), uint32(int32(c.wm)), uint32(int32(c.wc)), uint32(int32(c.wt)),
					uint32(c.bias.Offset), flag(last && c.bias.Len > 0), bits(slope), uint32(c.stride),
					uint32(int32(c.pad)), uint32(c.dilate),
				}
				if err := r.dispatch(k, ceilDiv(t.Staged(), t.WG)+2, params, ceilDiv(c.blocks(t), t.WG), ceilDiv(4*(s.to-s.from), t.R), 1,
					gpu.All(r.Weights), r.Scratch.tex, c.y.slice(s)); err != nil {
					return err
				}
				r.spend(2 * float64(t.MulAdds()/t.TP) * float64(ceilDiv(4*(s.to-s.from), t.R)*c.y.Pixels()))
			}
			first = false
		}
	}
	return nil
}

// convGradTile picks the tile of the weight gradient from few choices, so that layers share pipelines: adding a chunk to the partial results costs as
// much as the products of about 100 pixels, and more channels than 16 would take too long to compile with that many pixels.
func convGradTile(l gpu.Limits, c Conv, x, y Shape) shaders.ConvGradTile {
	t := shaders.ConvGradTile{TM: 4, Q: 128, R: 16, Pointwise: c.pointwise()}
	for t.R > 4 && t.R/2 >= c.M {
		t.R /= 2
	}
	if y.Pixels() <= 32 {
		t.Q = 32
	}
	// Every workgroup stages the same gradients, which takes about as long as the arithmetic of stagingLanes.
	const stagingLanes = 10
	most := min(int(l.MaxComputeInvocationsPerWorkgroup), int(l.MaxComputeWorkgroupSizeX))
	lanes := c.K * c.K * x.Groups()
	best := 0
	for _, wg := range []int{8, 16, 32, 48, 96, 216} {
		if cost := ceilDiv(lanes, wg) * (wg + stagingLanes); wg <= most && (best == 0 || cost < best) {
			t.WG, best = wg, cost
		}
	}
	return t
}

// straightParts is the number of partial weight gradients and the bytes of one.
func straightParts(c ConvCall, t shaders.ConvGradTile) (parts, one int) {
	one = c.M * c.K * c.K * c.In.Groups() * 16
	return max(1, min(ceilDiv(c.Out.Pixels(), t.Q), 16, PartialBytes/4/one)), one
}

func straightWeightNeed(l gpu.Limits, c ConvCall) Need {
	parts, _ := straightParts(c, convGradTile(l, c.Conv, c.In.Shape, c.Out.Shape))
	return Need{Scratch: c.In.Bytes(), Partial: max(convGradBytes(c, parts), reduceBytes(c.Out.Shape))}
}

func straightWeightGrad(r *Recorder, c ConvCall) error {
	if err := BiasGrad(r, c.Out, c.Mask, c.Bias); err != nil {
		return err
	}
	l := r.Dev.Limits()
	x, dy := c.In, c.Out
	t := convGradTile(l, c.Conv, x.Shape, r.planned(dy.Shape))
	k := gpu.Kernel{
		Name:     fmt.Sprintf("conv weight gradient r%d q%d wg%d", t.R, t.Q, t.WG),
		Source:   t.Source(),
		Bindings: []gpu.Kind{gpu.Params, gpu.Read, gpu.TextureF32, gpu.Write},
	}
	lanes := c.K * c.K * x.Groups()
	chunks := ceilDiv(dy.Pixels(), t.Q)
	parts, one := straightParts(c, t)
	r.stage(x)
	r.Tape.Clear(r.Partial, 0, uint64(one*parts))
	for chunk := 0; chunk < chunks; chunk += parts {
		for _, s := range dy.spans(l, t.R/4) {
			params := []uint32{
				uint32(dy.Plane()), uint32(dy.Pixels()), uint32(dy.W), uint32(dy.H),
				uint32(x.Plane()), uint32(x.W), uint32(x.H), r.Scratch.zero(),
				uint32(x.Groups()), uint32(lanes), uint32(c.M), uint32(4 * s.from),
				uint32(s.from), uint32(chunk), uint32(c.Stride), uint32(c.Pad), uint32(s.to), uint32(c.K),
			}
			if err := r.dispatch(k, ceilDiv(t.R*t.Q/4, t.WG)+ceilDiv(t.Q, t.WG), params, ceilDiv(lanes, t.WG), ceilDiv(4*(s.to-s.from), t.R), min(parts, chunks-chunk),
				dy.slice(s), r.Scratch.tex, gpu.Slice{Buffer: r.Partial, Size: uint64(one * parts)}); err != nil {
				return err
			}
			r.spend(8 * float64(lanes) * float64(4*(s.to-s.from)) * float64(t.Q*min(parts, chunks-chunk)))
		}
	}
	return convGradSum(r, c, parts, false)
}
