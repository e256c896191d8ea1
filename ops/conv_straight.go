package ops

import (
	"fmt"

	"ninvk/gpu"
	"ninvk/shaders"
)

// The straight variant, for software drivers: unrolled kernels without loops around the arithmetic, activations read through the scratch texture.

func straightFits(l gpu.Limits, c ConvCall) error {
	for _, s := range []Shape{c.In.Shape, c.Out.Shape} {
		if e := s.scratchExtent(); max(e.Width, e.Height) > int(l.MaxTextureDimension2D) {
			return fmt.Errorf("an activation takes a texture of %d×%d texels, the adapter's limit is %d a side", e.Width, e.Height, l.MaxTextureDimension2D)
		}
	}
	return nil
}

// straightNeed holds for both directions: either tensor may be the one that is read.
func straightNeed(_ gpu.Limits, c ConvCall) Need {
	return Need{Scratch: c.In.scratchExtent().Max(c.Out.scratchExtent())}
}

func straightForward(r *Recorder, c ConvCall) error { return r.straight(forwardGemm(c)) }

func straightInputGrad(r *Recorder, c ConvCall) error { return r.straight(inputGradGemm(c)) }

// convTile picks the tile for a call: the more products in a kernel, the more use of each fetched texel, and the longer it takes to compile.
func convTile(r *Recorder, c gemm) shaders.ConvTile {
	l := r.Dev.Limits()
	c.y.Shape = r.planned(c.y.Shape)
	t := shaders.ConvTile{KX: c.k, KY: 1, Stride: c.stride, Dilated: c.dilate > 1, TP: 1, TM: 4, CH: c.x.C, Chains: 1}
	t.Pointwise = c.pointwise()
	weights := int(l.MaxComputeWorkgroupStorageSize) / 4
	if t.Pointwise {
		t.R = pointwiseRows(weights, c)
		if t.CH >= 64 {
			t.Chains = 4
		}
	} else {
		t.R = min(24, 4*c.y.Groups())
		if c.y.W > 1 && c.k > 1 && c.stride == 1 {
			t.TP = 2
		}
	}
	t.R = min(t.R, channelsBound(l, c.y.Shape))
	most := min(weights-t.R, int(l.MaxUnrolledProducts)/t.TP) / t.R // weights of one output channel in a chunk
	if c.x.C*c.k*c.k <= most {
		t.KY = c.k
	} else {
		if groups := max(1, most/(4*c.k)); groups < c.x.Groups() {
			t.CH = 4 * ceilDiv(c.x.Groups(), ceilDiv(c.x.Groups(), groups))
		}
		t.KY = max(1, min(c.k, most/(t.CH*c.k)))
		t.KY = ceilDiv(c.k, ceilDiv(c.k, t.KY))
	}
	t.Chains = max(t.Chains, ceilDiv(t.Row(), shaders.LongestChain))
	t.Accumulate = t.CH < c.x.C || t.KY < c.k
	// Wide workgroups spread the staging over many invocations, but every core needs some workgroups.
	t.WG = min(1024, int(l.MaxComputeInvocationsPerWorkgroup), int(l.MaxComputeWorkgroupSizeX))
	for t.WG > 64 && ceilDiv(c.blocks(t), t.WG)*ceilDiv(c.y.C, t.R) < 8 {
		t.WG /= 2
	}
	// Invocations without an output compute as long as the others. In steps of four, as each width is a kernel to compile.
	for t.WG >= 4*64 && c.blocks(t) <= t.WG/4 {
		t.WG /= 4
	}
	return t
}

// channelsBound is the number of channels of s that one binding holds.
func channelsBound(l gpu.Limits, s Shape) int {
	return 4 * max(1, int(l.MaxStorageBufferBindingSize/(16*uint64(s.Plane()))))
}

// pointwiseRows is the number of output channels of a workgroup whose weights for all input channels fit: few blocks, each of which fetches all texels again,
// against rows beyond the last. A fetch takes as long as about 170 multiply-adds.
func pointwiseRows(weights int, c gemm) int {
	const fetch, few = 170, 32
	widest := 48
	if c.x.C <= few { // little arithmetic for each output: what stores them, and masks them, is more code, and time to compile, than it is worth
		widest = 12
	}
	best, rows := 0, 4
	for n := 4; n <= min(widest, 4*c.y.Groups()); n += 4 {
		if n > 4 && n*(c.x.C+1) > weights {
			break
		}
		if cost := ceilDiv(c.y.C, n) * (n*c.x.C + fetch*c.x.Groups()); best == 0 || cost < best {
			best, rows = cost, n
		}
	}
	return rows
}

// blocks is the number of invocations: one for every TP neighbouring output pixels of a row.
func (c gemm) blocks(t shaders.ConvTile) int {
	if t.Pointwise {
		return ceilDiv(c.y.Pixels(), t.TP)
	}
	return c.y.N * c.y.H * ceilDiv(c.y.W, t.TP)
}

// straightKernel is the kernel of a tile.
func straightKernel(c gemm, t shaders.ConvTile) gpu.Kernel {
	k := gpu.Kernel{
		Name:     fmt.Sprintf("conv %d×%d r%d p%d c%d×%d", c.k, c.k, t.R, t.TP, t.CH, t.KY),
		Source:   t.Source(),
		Bindings: []gpu.Kind{gpu.Params, gpu.Read, gpu.TextureF32, gpu.Write},
	}
	if t.Masked {
		k.Name += " masked"
		k.Bindings = append(k.Bindings, gpu.Read)
	}
	return k
}

func (r *Recorder) straight(c gemm) error {
	l := r.Dev.Limits()
	t := convTile(r, c)
	k := straightKernel(c, t)
	r.stage(c.x)
	rows := t.R / 4
	earlier := 0 // rows of sums of the chunks before
	for c0 := 0; c0 < c.x.C; c0 += t.CH {
		for ky := 0; ky < c.k; ky += t.KY {
			last := c0+t.CH >= c.x.C && ky+t.KY >= c.k
			if last && c.mask != nil {
				t.Masked = true
				k = straightKernel(c, t)
			}
			for _, s := range c.y.spans(l, rows) {
				params := []uint32{
					uint32(c.blocks(t)), uint32(ceilDiv(c.y.W, t.TP)), uint32(c.y.W), uint32(c.y.H),
					uint32(c.y.Plane()), uint32(c.y.Pixels()), uint32(s.from), uint32(s.to),
					uint32(c.x.strip()), uint32(c.x.W), uint32(c.x.H), r.Scratch.zero(),
					uint32(c.y.C), uint32(4 * s.from), uint32(c.x.C), uint32(c0),
					uint32(c.k * c.k), uint32(ky * c.k), uint32(ky), uint32(earlier),
					uint32(int32(c.w0)), uint32(int32(c.wm)), uint32(int32(c.wc)), uint32(int32(c.wt)),
					uint32(c.bias.Offset), flag(last && c.bias.Len > 0), bits(c.slopeOf(last)), uint32(c.stride),
					uint32(int32(c.pad)), uint32(c.dilate), 1<<c.x.foldShift() - 1, uint32(c.x.foldShift()), uint32(c.x.Groups()), uint32(rows), 4,
				}
				bound := []any{gpu.All(r.Weights), r.Scratch.tex, c.y.slice(s)}
				if t.Masked {
					bound = append(bound, c.mask.slice(s))
				}
				if err := r.dispatch(k, ceilDiv(t.Staged(), t.WG)+2, params, ceilDiv(c.blocks(t), t.WG), ceilDiv(4*(s.to-s.from), t.R), 1, bound...); err != nil {
					return err
				}
				r.spend(2 * float64(t.MulAdds()/t.TP) * float64(ceilDiv(4*(s.to-s.from), t.R)*c.y.Pixels()))
			}
			earlier = rows
		}
	}
	return nil
}

// convGradTile picks the tile of the weight gradient: as many rows and pixels as workgroup memory stages and the adapter's compiler takes, and of those with the
// least cost. Each block of rows fetches all texels again, rows beyond the last are work for nothing, and each chunk of pixels writes sums that are read again.
func convGradTile(l gpu.Limits, c ConvCall) shaders.ConvGradTile {
	const (
		short, long = 48, 192 // pixels
		staged      = 7680    // floats, 30 KiB
		widest      = 48      // rows
		fetch, sum  = 42, 108 // a pixel's part of a fetch, and writing and reading a sum, in multiply-adds
	)
	t := shaders.ConvGradTile{TM: 4}
	most := min(widest, channelsBound(l, c.Out.Shape), max(4, int(l.MaxUnrolledProducts)/short/4*4))
	var best float64
	for rows := 4; rows <= most; rows += 4 {
		q := min(long, staged/rows/4*4)
		if c.Out.Pixels() <= short || q*rows > int(l.MaxUnrolledProducts) {
			q = short
		}
		cost := float64(ceilDiv(c.M, rows)) * (fetch + float64(rows)*(1+sum/float64(q)))
		if best == 0 || cost < best {
			best, t.R, t.Q = cost, rows, q
		}
	}
	widestWG := min(1024, int(l.MaxComputeInvocationsPerWorkgroup), int(l.MaxComputeWorkgroupSizeX))
	lanes := straightLanes(c)
	t.WG = min(widestWG, 16*ceilDiv(lanes, 16*ceilDiv(lanes, widestWG)))
	return t
}

// straightLanes is the number of sums of an output channel in a weight gradient: one for each of its weights, and one for its bias.
func straightLanes(c ConvCall) int { return c.K*c.K*c.C + min(1, c.Bias.Len) }

// unfolded is the activation that the weight gradient reads: for each of kernel columns and channels the input rows of all images, in texels of four output
// columns; from one channel to the next it is pitch texels.
type unfolded struct{ images, inH, inW, outH, outW, columns, pitch, kernels, channels int }

// unfold of a pointwise convolution takes all pixels of the batch as one row of one image.
func unfold(c ConvCall) unfolded {
	u := unfolded{images: c.In.N, inH: c.In.H, inW: c.In.W, outH: c.Out.H, outW: c.Out.W, kernels: c.K, channels: c.C}
	if c.pointwise() {
		u.images, u.inH, u.inW, u.outH, u.outW = 1, 1, c.In.Pixels(), 1, c.In.Pixels()
	}
	u.columns = ceilDiv(u.outW, 4)
	u.pitch = plane(u.inTexels())
	return u
}

// inTexels is the number of texels of a channel, at one kernel column.
func (u unfolded) inTexels() int { return u.images * u.inH * u.columns }

// outTexels is the number of texels of an output channel.
func (u unfolded) outTexels() int { return u.images * u.outH * u.columns }

// unfoldedMost is the memory up to which channels are unfolded together, before they go into the texture.
const unfoldedMost = 12 << 20

func unfoldedLimit(l gpu.Limits) uint64 {
	return min(unfoldedMost, l.MaxStorageBufferBindingSize, l.MaxBufferSize)
}

// parts are the channel groups that are unfolded together.
func (u unfolded) parts(c ConvCall, l gpu.Limits) []span {
	l.MaxStorageBufferBindingSize = unfoldedLimit(l)
	return spans(c.In.Groups(), max(4*uint64(u.pitch), uint64(c.In.Plane()))*16, l, 1)
}

// bytes is the memory of the largest part, for this batch or a smaller one.
func (u unfolded) bytes(c ConvCall, l gpu.Limits) uint64 {
	group := 4 * uint64(u.pitch) * 16
	return max(group, min(unfoldedLimit(l), uint64(c.In.Groups())*group))
}

// texels is the whole size.
func (u unfolded) texels() int { return u.kernels * u.channels * u.pitch }

// straightWeightFits asks for what the weight gradient takes: the unfolded activation, not the activation itself, goes through the texture.
func straightWeightFits(l gpu.Limits, c ConvCall) error {
	texels := unfold(c).texels()
	e := linearExtent(texels)
	t := convGradTile(l, c)
	_, one := straightParts(l, c, t)
	return firstError(
		atMost("bytes of workgroup memory", 4*t.Staged(), int(l.MaxComputeWorkgroupStorageSize)),
		atMost("texels a side of the scratch texture", max(e.Width, e.Height), int(l.MaxTextureDimension2D)),
		atMost("bytes of four unfolded channels", 64*unfold(c).pitch, int(l.MaxStorageBufferBindingSize)),
		atMost("workgroups of sums of an output channel", ceilDiv(straightLanes(c), 64), int(l.MaxComputeWorkgroupsPerDimension)),
		atMost("bytes of a partial weight gradient", one+16, int(l.MaxStorageBufferBindingSize)),
	)
}

// straightPartialBytes is less than a pass may ask for: eleven partial gradients of nin's largest layer are work enough for every core.
const straightPartialBytes = 20 << 20

// straightParts is the number of partial weight gradients and the bytes of one. A binding holds them, and 16 bytes more.
func straightParts(l gpu.Limits, c ConvCall, t shaders.ConvGradTile) (parts, one int) {
	one = c.Out.Groups() * ceilDiv(c.K*c.K*c.C+1, run) * run * 16 // with a bias or without: memory is planned before that is known
	u := unfold(c)
	most := min(straightPartialBytes, int(l.MaxStorageBufferBindingSize)-16)
	return max(1, min(ceilDiv(u.outTexels(), t.Texels()), most/one)), one
}

func straightWeightNeed(l gpu.Limits, c ConvCall) Need {
	parts, one := straightParts(l, c, convGradTile(l, c))
	u := unfold(c)
	return Need{Scratch: linearExtent(u.texels()), Unfolded: u.bytes(c, l), Partial: uint64(parts*one + 16)}
}

func straightWeightGrad(r *Recorder, c ConvCall) error {
	l := r.Dev.Limits()
	u, dy := unfold(c), c.Out
	uk := gpu.Kernel{Name: "unfold", Source: shaders.Source("unfold", nil), Bindings: []gpu.Kind{gpu.Params, gpu.Read, gpu.Write}}
	for kx := range u.kernels {
		for _, s := range u.parts(c, l) {
			channels := min(4*(s.to-s.from), c.C-4*s.from)
			params := []uint32{
				uint32(u.images * u.inH), uint32(u.columns), uint32(u.inW), uint32(u.outW), uint32(c.In.Plane()), uint32(u.pitch), uint32(c.Stride), uint32(c.Pad),
				uint32(channels), uint32(kx),
			}
			if err := r.dispatch(uk, 0, params, ceilDiv(u.inTexels(), 64), s.to-s.from, 1, c.In.slice(s), gpu.Slice{Buffer: r.Unfolded, Size: uint64(channels*u.pitch) * 16}); err != nil {
				return err
			}
			r.Tape.CopyTexels(gpu.All(r.Unfolded), r.Scratch.tex, (kx*c.C+4*s.from)*u.pitch, channels*u.pitch)
		}
	}

	t := convGradTile(l, c.planned(r))
	k := gpu.Kernel{
		Name:     fmt.Sprintf("conv weight gradient r%d q%d wg%d", t.R, t.Q, t.WG),
		Source:   t.Source(),
		Bindings: []gpu.Kind{gpu.Params, gpu.Read, gpu.TextureF32, gpu.Write},
	}
	lanes := straightLanes(c)
	texels := u.outTexels()
	chunks := ceilDiv(texels, t.Texels())
	parts, one := straightParts(l, c.planned(r), t)
	parts = min(parts, chunks)
	width := r.Scratch.tex.Width
	shift, factor := rowDivisor(width)
	sum := gpu.Kernel{Name: "conv weight gradient sum", Source: shaders.Source("conv_grad_straight_sum", nil), Bindings: []gpu.Kind{gpu.Params, gpu.Read, gpu.Write}}
	for chunk := 0; chunk < chunks; chunk += parts {
		wave := min(parts, chunks-chunk)
		for _, s := range dy.spans(l, t.R/4) {
			params := []uint32{
				uint32(dy.Plane()), uint32(u.outW), uint32(u.outH), uint32(u.columns),
				uint32(texels), uint32(u.inH), uint32(u.pitch), r.Scratch.zero(),
				uint32(c.C), uint32(c.K * c.K * c.C), uint32(4 * s.from),
				uint32(s.from), uint32(chunk), uint32(c.Stride), uint32(c.Pad), uint32(s.to), uint32(c.K),
				uint32(width), uint32(shift), uint32(factor), uint32(one / 16 * parts), uint32(lanes), uint32(parts),
			}
			if err := r.dispatch(k, ceilDiv(t.R*t.Q/4, t.WG)+ceilDiv(t.Texels(), t.WG), params, ceilDiv(lanes, t.WG), ceilDiv(4*(s.to-s.from), t.R), wave,
				dy.slice(s), r.Scratch.tex, gpu.Slice{Buffer: r.Partial, Size: uint64(one*parts + 16)}); err != nil {
				return err
			}
			r.spend(2 * float64(lanes) * float64(4*(s.to-s.from)) * float64(t.Q*wave))
		}
		params := []uint32{
			uint32(c.M), uint32(c.C), uint32(c.K * c.K), uint32(wave), uint32(c.Weight.Offset), flag(chunk > 0), uint32(lanes), uint32(c.Bias.Offset), uint32(parts),
		}
		if err := r.dispatch(sum, wave+4, params, ceilDiv(lanes, 64), dy.Groups(), 1, gpu.Slice{Buffer: r.Partial, Size: uint64(one * parts)}, gpu.All(r.Grads)); err != nil {
			return err
		}
	}
	return nil
}
