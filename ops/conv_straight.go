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
	least := shaders.ConvTile{R: 4, CH: 4, KX: c.K, KY: 1}
	return atMost("bytes of workgroup memory", 4*least.Staged(), int(l.MaxComputeWorkgroupStorageSize))
}

// straightNeed holds for both directions: either tensor may be the one that is read.
func straightNeed(_ gpu.Limits, c ConvCall) Need {
	return Need{Scratch: c.In.scratchExtent().Max(c.Out.scratchExtent())}
}

func straightForward(r *Recorder, c ConvCall) error { return r.straight(forwardGemm(c)) }

func straightInputGrad(r *Recorder, c ConvCall) error { return r.straight(inputGradGemm(c)) }

// The tiles of straight kernels are few, whatever the layers: what a network compiles is these, not a kernel for each of its numbers of
// channels. Chunks reach beyond the last input channel, with weights of zero, and rows beyond the last output channel.
var (
	// Where an output needs just the same pixel of the input.
	pointwiseTiles = []straightTile{
		{12, 16, 1, false, 1024}, {12, 32, 1, false, 1024}, {40, 96, 1, false, 1024}, {48, 160, 1, false, 1024},
		{40, 192, 1, false, 1024}, {12, 192, 1, false, 128},
		{4, 4, 1, true, 32}, {4, 64, 1, true, 128}, {48, 64, 1, true, 128}, {48, 128, 1, true, 32}, {32, 192, 1, true, 128},
	}
	// Elsewhere.
	windowTiles = []straightTile{
		{4, 16, all, false, 128}, {8, 16, all, false, 128}, {24, 16, all, false, 128},
		{4, 4, 1, true, 32}, {4, 16, 1, true, 128}, {4, 64, 1, true, 128}, {8, 32, 1, true, 128},
		{16, 32, all, true, 32}, {24, 48, 1, true, 1024}, {24, 64, 1, true, 128}, {16, 128, 1, true, 1024},
	}
	straightWidths = []int{1024, 128, 32} // invocations
	gradTiles      = gradTilesOf()
)

// straightTile is what distinguishes the straight kernels of forward passes and input gradients.
type straightTile struct {
	rows     int  // output channels of a workgroup
	channels int  // input channels of a chunk; where it is fewest, a layer of fewer has a kernel of its own number
	ky       int  // kernel rows of a chunk, or all
	adds     bool // to the outputs of the chunks before, of which there may be none
	least    int  // invocations of the narrowest workgroup
}

const (
	all    = 0
	fewest = 16
)

// gradTilesOf lists the tiles of weight gradients: rows, and the widths of their workgroups. Each workgroup stages the gradients again, and
// lanes beyond the last are work for nothing, so that widths are those of the numbers of channels that networks have.
func gradTilesOf() []shaders.ConvGradTile {
	var tiles []shaders.ConvGradTile
	for _, t := range []struct {
		rows, pixels int
		widths       []int
	}{
		{4, 192, []int{64, 192}}, {8, 192, []int{64, 192}}, {12, 192, []int{64, 192}}, {16, 192, []int{160}},
		{32, 192, []int{192, 288, 576}}, {44, 172, []int{96, 192, 288, 576}}, {48, 160, []int{96, 160, 192, 576, 800}},
		{4, 48, []int{64, 192}}, {12, 48, []int{64, 192}}, {24, 48, []int{64, 192}},
		{32, 48, []int{192, 576}}, {48, 48, []int{192, 576}},
	} {
		for _, w := range t.widths {
			tiles = append(tiles, shaders.ConvGradTile{R: t.rows, TM: 4, Q: t.pixels, WG: w})
		}
	}
	return tiles
}

// convTile picks the tile of least cost for a call.
func convTile(r *Recorder, c gemm) shaders.ConvTile {
	const (
		fetch  = 170 // a texel, in multiply-adds
		sum    = 200 // four sums of the chunks before, read and written again
		staged = 128 // a weight, in the multiply-adds of one invocation
	)
	l := r.Dev.Limits()
	c.y.Shape = r.planned(c.y.Shape)
	k := c.taps()
	t := shaders.ConvTile{KX: k, TP: 1, TM: 4, Pointwise: c.pointwise()}
	tiles := windowTiles
	if t.Pointwise {
		tiles = pointwiseTiles
	} else if ceilDiv(c.y.W, c.dilate) > 1 && k > 1 && c.stride == 1 {
		t.TP = 2
	}
	t.R, t.CH, t.KY, t.Accumulate = 4, 4, 1, true // fits everywhere
	t.WG = straightWidth(l, c, t, 1)
	best := 0
	for _, o := range tiles {
		of := t
		of.R, of.CH, of.KY, of.Accumulate = o.rows, o.channels, o.ky, o.adds
		if o.ky == all {
			of.KY = k
		}
		if o.channels == fewest {
			of.CH = min(of.CH, c.x.C)
		}
		chunks := ceilDiv(c.x.C, of.CH) * ceilDiv(k, of.KY)
		if of.R > channelsBound(l, c.y.Shape) || 4*of.Staged() > int(l.MaxComputeWorkgroupStorageSize) ||
			of.MulAdds() > int(l.MaxUnrolledProducts) || chunks > 1 && !o.adds {
			continue
		}
		each := of.MulAdds() + fetch*of.Groups()*of.KY*of.Span()
		if o.adds {
			each += sum * of.TP * of.R / 4
		}
		stage := staged * of.Weights()
		if of.KY < k {
			stage *= 2 // of a cache line of weights a chunk wants a part
		}
		of.WG = straightWidth(l, c, of, o.least)
		cost := ceilDiv(c.y.C, of.R) * chunks * ceilDiv(c.blocks(of), of.WG) * (of.WG*each + stage)
		if best == 0 || cost < best {
			best, t = cost, of
		}
	}
	t.Chains = ceilDiv(t.Row(), shaders.LongestChain)
	if t.Pointwise && t.CH >= 64 {
		t.Chains = 4
	}
	return t
}

// straightWidth is the number of invocations of a workgroup: wide ones spread the staging over many invocations, but every core needs some
// workgroups, and invocations without an output compute as long as the others.
func straightWidth(l gpu.Limits, c gemm, t shaders.ConvTile, least int) int {
	most := min(int(l.MaxComputeInvocationsPerWorkgroup), int(l.MaxComputeWorkgroupSizeX))
	width := most
	for _, w := range straightWidths {
		if w < least {
			break
		}
		width = min(w, most)
		if c.blocks(t) > width/4 && ceilDiv(c.blocks(t), width)*ceilDiv(c.y.C, t.R) >= 8 {
			break
		}
	}
	return width
}

// channelsBound is the number of channels of s that one binding holds.
func channelsBound(l gpu.Limits, s Shape) int {
	return 4 * max(1, int(l.MaxStorageBufferBindingSize/(16*uint64(s.Plane()))))
}

// blocks is the number of invocations: one for every TP neighbouring output pixels of a row.
func (c gemm) blocks(t shaders.ConvTile) int {
	if t.Pointwise {
		return ceilDiv(c.y.Pixels(), t.TP)
	}
	return c.y.N * ceilDiv(c.y.H, c.dilate) * ceilDiv(ceilDiv(c.y.W, c.dilate), t.TP)
}

// taps is the number of kernel columns, and rows, that reach an output pixel.
func (c gemm) taps() int { return ceilDiv(c.k, c.dilate) }

// phase is a part of the output along one side: every dilate-th pixel from the one numbered first on, which every dilate-th tap from tap on
// reaches. Its i-th pixel is reached from the input's pixel i·stride + from and those behind it.
type phase struct{ first, pixels, tap, from int }

// phases cuts a side of so many output pixels. Where the input has no zeros between its pixels there is one phase.
func (c gemm) phases(side int) []phase {
	var out []phase
	for first := range min(c.dilate, side) {
		tap := ((c.pad-first)%c.dilate + c.dilate) % c.dilate
		out = append(out, phase{first, ceilDiv(side-first, c.dilate), tap, (first - c.pad + tap) / c.dilate})
	}
	return out
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
	t := convTile(r, c)
	r.stage(c.x)
	for _, rows := range c.phases(c.y.H) {
		for _, columns := range c.phases(c.y.W) {
			if err := r.straightPhase(c, t, rows, columns); err != nil {
				return err
			}
		}
	}
	return nil
}

// straightPhase records the chunks of a phase of rows and columns, which add up.
func (r *Recorder) straightPhase(c gemm, t shaders.ConvTile, rows, columns phase) error {
	const outside = -1 << 20
	channels, taps := c.x.C, c.taps()
	if rows.tap >= c.k || columns.tap >= c.k { // no tap reaches it: one chunk writes zeros
		channels, taps, rows.from = min(channels, t.CH), min(taps, t.KY), outside
	}
	row := ceilDiv(columns.pixels, t.TP)
	blocks := c.y.N * rows.pixels * row
	if t.Pointwise {
		blocks = c.blocks(t)
	}
	k := straightKernel(c, t)
	groups := t.R / 4
	earlier := 0 // groups of sums of the chunks before
	for c0 := 0; c0 < channels; c0 += t.CH {
		for ky := 0; ky < taps; ky += t.KY {
			last := c0+t.CH >= channels && ky+t.KY >= taps
			if last && c.mask != nil {
				t.Masked = true
				k = straightKernel(c, t)
			}
			for _, s := range c.y.spans(r.Dev.Limits(), groups) {
				params := []uint32{
					uint32(blocks), uint32(row), uint32(columns.pixels), uint32(rows.pixels),
					uint32(c.y.Plane()), uint32(c.y.Pixels()), uint32(s.from), uint32(s.to),
					uint32(c.x.strip()), uint32(c.x.W), uint32(c.x.H), r.Scratch.zero(),
					uint32(c.y.C), uint32(4 * s.from), uint32(c.x.C), uint32(c0),
					uint32(c.k), uint32(columns.tap), uint32(rows.tap + ky*c.dilate), uint32(earlier),
					uint32(int32(c.w0)), uint32(int32(c.wm)), uint32(int32(c.wc)), uint32(int32(c.wt)),
					uint32(c.bias.Offset), flag(last && c.bias.Len > 0), bits(c.slopeOf(last)), uint32(c.stride),
					uint32(int32(columns.from)), uint32(int32(rows.from + ky)), 1<<c.x.foldShift() - 1, uint32(c.x.foldShift()),
					uint32(c.x.Groups()), uint32(groups), 4, uint32(c.dilate),
					uint32(c.y.W), uint32(c.y.H * c.y.W), uint32(rows.first*c.y.W + columns.first),
				}
				bound := []any{gpu.All(r.Weights), r.Scratch.tex, c.y.slice(s)}
				if t.Masked {
					bound = append(bound, c.mask.slice(s))
				}
				blocksOfRows := ceilDiv(4*(s.to-s.from), t.R)
				passes := ceilDiv(t.Staged(), t.WG) + 2
				if err := r.dispatch(k, passes, params, ceilDiv(blocks, t.WG), blocksOfRows, 1, bound...); err != nil {
					return err
				}
				r.spend(2 * float64(t.MulAdds()) * float64(blocksOfRows*blocks))
			}
			earlier = groups
		}
	}
	return nil
}

// convGradTile picks the tile of least cost for a weight gradient. Each block of rows fetches all texels again, rows, lanes and pixels beyond
// the last are work for nothing, each workgroup stages its gradients, and each chunk of pixels writes sums that are read again.
func convGradTile(l gpu.Limits, c ConvCall) shaders.ConvGradTile {
	const (
		fetch, sum = 42, 108 // a pixel's part of a fetch, and writing and reading a sum, in multiply-adds
		staging    = 30      // lanes whose work takes as long as the staging
	)
	widest := min(1024, int(l.MaxComputeInvocationsPerWorkgroup), int(l.MaxComputeWorkgroupSizeX))
	t := shaders.ConvGradTile{R: 4, TM: 4, Q: 48, WG: min(64, widest)} // fits everywhere
	best := 0
	for _, of := range gradTiles {
		of.WG += 16 * min(1, c.Bias.Len) // the bias is a lane
		if of.WG > widest || of.R > channelsBound(l, c.Out.Shape) || of.R*of.Q > int(l.MaxUnrolledProducts) ||
			4*of.Staged() > int(l.MaxComputeWorkgroupStorageSize) {
			continue
		}
		cost := ceilDiv(c.M, of.R) * ceilDiv(straightLanes(c), of.WG) * (of.WG + staging) *
			ceilDiv(c.Out.Pixels(), of.Q) * (fetch*of.Q + of.R*(of.Q+sum))
		if best == 0 || cost < best {
			best, t = cost, of
		}
	}
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
	u := unfold(c)
	need := Need{Scratch: linearExtent(u.texels()), Unfolded: u.bytes(c, l)}
	for _, bias := range []int{0, c.M} { // the tile depends on it, and memory is planned before it is known
		c.Bias.Len = bias
		parts, one := straightParts(l, c, convGradTile(l, c))
		need.Partial = max(need.Partial, uint64(parts*one+16))
	}
	return need
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
