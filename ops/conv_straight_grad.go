package ops

import (
	"fmt"

	"ninvk/gpu"
	"ninvk/shaders"
)

// gradTilesOf lists the tiles of weight gradients: rows, and the widths of their workgroups. Each workgroup stages the
// gradients again, and lanes beyond the last are work for nothing, so that widths are those of the numbers of channels
// that networks have.
func gradTilesOf() []shaders.ConvGradTile {
	var tiles []shaders.ConvGradTile
	for _, t := range []struct {
		rows, pixels int
		widths       []int
	}{
		{4, 192, []int{64, 192}}, {8, 192, []int{64, 192}}, {12, 192, []int{64, 192}}, {16, 192, []int{144, 160}},
		{32, 240, []int{192, 288, 576}}, {44, 172, []int{96, 192, 288, 576}},
		{48, 160, []int{64, 80, 96, 160, 192, 576, 800}},
		{4, 48, []int{64, 192}}, {12, 48, []int{64, 192}}, {24, 48, []int{64, 192}},
		{32, 48, []int{192, 576}}, {48, 48, []int{192, 576}},
	} {
		for _, w := range t.widths {
			tiles = append(tiles, shaders.ConvGradTile{R: t.rows, TM: 4, Q: t.pixels, WG: w})
		}
	}
	return tiles
}

// convGradTile picks the tile of least cost for a weight gradient. Each block of rows fetches all texels again, rows,
// lanes and pixels beyond the last are work for nothing, each workgroup stages its gradients, and each chunk of pixels
// writes sums that are read again.
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
		if of.WG > widest || of.R*of.Q > int(l.MaxUnrolledProducts) ||
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

// straightLanes is the number of sums of an output channel in a weight gradient: one for each of its weights, and one
// for its bias.
func straightLanes(c ConvCall) int { return c.K*c.K*c.C + min(1, c.Bias.Len) }

// unfolded is the activation that the weight gradient reads: for each of kernel columns and channels the input rows of
// all images, in texels of four output columns; from one channel to the next it is pitch texels.
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
	return spans(c.In.Groups(), u.group(l), l, 1)
}

// group is the bytes of a channel group.
func (u unfolded) group(l gpu.Limits) uint64 { return uint64(u.kernelsEach(l)) * 64 * uint64(u.pitch) }

// kernelsEach is the number of kernel columns that are unfolded together: all, or as many as are of use.
func (u unfolded) kernelsEach(l gpu.Limits) int {
	return max(1, min(u.kernels, int(unfoldedLimit(l)/(64*uint64(u.pitch)))))
}

// bytes is the memory of the largest part, for this batch or a smaller one.
func (u unfolded) bytes(c ConvCall, l gpu.Limits) uint64 {
	group := u.group(l)
	return max(group, min(unfoldedLimit(l), uint64(c.In.Groups())*group))
}

// texels is the whole size.
func (u unfolded) texels() int { return u.kernels * u.channels * u.pitch }

// end is where x ends that lies in the texture while it is unfolded: no group is overwritten before it is read.
func (u unfolded) end(x Shape) int {
	g, plane := x.Groups(), x.Plane()
	return (u.kernels-1)*u.channels*u.pitch + max(g*plane, 4*(g-1)*u.pitch+plane)
}

// extent is what a weight gradient takes of the scratch texture: what is unfolded, and behind it so many pixels of the
// gradients of y, in whole rows, and then in their place so many bytes of partial sums.
func (u unfolded) extent(x, y Shape, pixels, partial int) Extent {
	e := linearExtent(max(u.texels()+max(partial/16, pixels*y.Groups()), u.end(x)))
	e.Height = max(e.Height, ceilDiv(u.texels(), e.Width)+ceilDiv(pixels, e.Width)*y.Groups()+1)
	return e
}

// pixels are those of the output in texels from one on up to another: the first, and their number.
func (u unfolded) pixels(from, to int) (first, n int) {
	at := func(t, more int) int { return t/u.columns*u.outW + min(4*(t%u.columns)+more, u.outW) }
	first = at(from, 0)
	return first, at(to-1, 4) - first
}

// straightWeightFits asks for what the weight gradient takes: the unfolded activation, not the activation itself, goes
// through the texture.
func straightWeightFits(l gpu.Limits, whole ConvCall) error {
	need := straightWeightNeed(l, whole)
	e := need.Scratch
	c, _ := whole.onePixel()
	t := convGradTile(l, c)
	_, one := straightParts(l, c, t)
	return firstError(
		atMost("bytes of workgroup memory", 4*t.Staged(), int(l.MaxComputeWorkgroupStorageSize)),
		atMost("texels a side of the scratch texture", max(e.Width, e.Height), int(l.MaxTextureDimension2D)),
		atMost("bytes of four unfolded channels", 64*unfold(c).pitch, int(l.MaxStorageBufferBindingSize)),
		atMost("workgroups of sums of an output channel", ceilDiv(straightLanes(whole), 64),
			int(l.MaxComputeWorkgroupsPerDimension)),
		atMost("bytes of a partial weight gradient", one+16, int(l.MaxStorageBufferBindingSize)),
	)
}

// straightPartialBytes is less than a pass may ask for: eleven partial gradients of nin's largest layer are work enough
// for every core. Gradients of the output that go into the texture for them are hardly more.
const straightPartialBytes = 20 << 20

// straightParts is the number of partial weight gradients that are computed together, of a pixel's chunk each, and the
// bytes of one. A binding holds them, and 16 bytes more.
func straightParts(l gpu.Limits, c ConvCall, t shaders.ConvGradTile) (parts, one int) {
	// with a bias or without: memory is planned before that is known
	one = c.Out.Groups() * ceilDiv(c.K*c.K*c.C+1, stretch) * stretch * 16
	u := unfold(c)
	most := min(straightPartialBytes, int(l.MaxStorageBufferBindingSize)-16)
	return max(1, min(ceilDiv(u.outTexels(), t.Texels()), most/one, straightPartialBytes/(16*t.Q*c.Out.Groups()))), one
}

func straightWeightNeed(l gpu.Limits, c ConvCall) Need {
	c, _ = c.onePixel()
	u := unfold(c)
	need := Need{Unfolded: u.bytes(c, l)}
	for _, bias := range []int{0, c.M} { // the tile depends on it, and memory is planned before it is known
		c.Bias.Len = bias
		t := convGradTile(l, c)
		parts, one := straightParts(l, c, t)
		need.Partial = max(need.Partial, uint64(parts*one+16))
		need.Scratch = need.Scratch.Max(u.extent(c.In.Shape, c.Out.Shape, min(parts*t.Q, c.Out.Pixels()), parts*one))
	}
	return need
}

// onePixel is the call of the one tap that reaches images of one pixel, and the number of that tap: the gradients of
// the others are zeros.
func (c ConvCall) onePixel() (one ConvCall, tap int) {
	if c.In.H*c.In.W > 1 || c.Out.H*c.Out.W > 1 || c.Pad >= c.K {
		return c, 0
	}
	tap = c.Pad*c.K + c.Pad
	c.K, c.Pad, c.Stride = 1, 0, 1
	return c, tap
}

// unfold records how x comes into the scratch texture as u has it. Before that x lies there as in its buffer, behind
// all that is written before it is read.
func (r *Recorder) unfold(c ConvCall, u unfolded) error {
	k := gpu.Kernel{Name: "unfold", Source: shaders.Source("unfold", nil),
		Bindings: []gpu.Kind{gpu.Params, gpu.TextureF32, gpu.Write}}
	x, divisor := c.In, rowDivisor(r.Scratch.tex.Width)
	first := u.end(x.Shape) - x.Groups()*x.Plane()
	r.Tape.CopyTexels(x.All(), r.Scratch.tex, first, x.Groups()*x.Plane())
	l := r.Dev.Limits()
	each := u.kernelsEach(l)
	for _, s := range u.parts(c, l) {
		channels := min(4*(s.to-s.from), c.C-4*s.from)
		for kx := 0; kx < u.kernels; kx += each {
			kernels := min(each, u.kernels-kx)
			params := shaders.UnfoldParams{
				Rows: u.images * u.inH, Columns: u.columns, InW: u.inW, OutW: u.outW, InPlane: x.Plane(), Pitch: u.pitch,
				Stride: int32(c.Stride), Pad: int32(c.Pad), Channels: channels, KX: kx, Kernels: kernels,
				First: first + s.from*x.Plane(), Zero: r.Scratch.zero(), RowDivisor: divisor,
			}
			if err := r.dispatch(k, kernels, params, ceilDiv(u.inTexels(), 64), s.to-s.from, 1, r.Scratch.tex,
				gpu.Slice{Buffer: r.Unfolded, Size: uint64(kernels*channels*u.pitch) * 16}); err != nil {
				return err
			}
			for i := range kernels {
				part := gpu.Slice{Buffer: r.Unfolded, Offset: uint64(i*channels*u.pitch) * 16, Size: uint64(channels*u.pitch) * 16}
				r.Tape.CopyTexels(part, r.Scratch.tex, ((kx+i)*c.C+4*s.from)*u.pitch, channels*u.pitch)
			}
		}
	}
	return nil
}

func straightWeightGrad(r *Recorder, c ConvCall) error {
	l := r.Dev.Limits()
	taps, whole := c.K*c.K, straightLanes(c)
	c, tap := c.onePixel()
	u, dy := unfold(c), c.Out
	if err := r.unfold(c, u); err != nil {
		return err
	}

	t := convGradTile(l, c.planned(r))
	k := gpu.Kernel{
		Name:     fmt.Sprintf("conv weight gradient r%d q%d wg%d", t.R, t.Q, t.WG),
		Source:   t.Source(),
		Bindings: []gpu.Kind{gpu.Params, gpu.TextureF32, gpu.Write},
	}
	lanes := straightLanes(c)
	texels := u.outTexels()
	chunks := ceilDiv(texels, t.Texels())
	parts, one := straightParts(l, c.planned(r), t)
	parts = min(parts, chunks)
	divisor := rowDivisor(r.Scratch.tex.Width)
	gradRow := ceilDiv(u.texels(), r.Scratch.tex.Width)
	sum := gpu.Kernel{Name: "conv weight gradient sum", Source: shaders.Source("conv_grad_straight_sum", nil),
		Bindings: []gpu.Kind{gpu.Params, gpu.TextureF32, gpu.Write}}
	for chunk := 0; chunk < chunks; chunk += parts {
		wave := min(parts, chunks-chunk)
		first, pixels := u.pixels(chunk*t.Texels(), min((chunk+wave)*t.Texels(), texels))
		from := dy.All()
		from.Offset, from.Size = from.Offset+16*uint64(first), from.Size-16*uint64(first)
		r.Tape.CopyPlanes(from, r.Scratch.tex, gradRow, dy.Groups(), dy.Plane(), pixels)
		params := shaders.ConvGradStraightParams{
			OutW: u.outW, OutH: u.outH, Columns: u.columns, Texels: texels,
			InH: int32(u.inH), Pitch: u.pitch, Zero: r.Scratch.zero(),
			C: c.C, Lanes: c.K * c.K * c.C, GradRow: gradRow, Pixel0: first, Chunk0: chunk,
			Stride: int32(c.Stride), Pad: int32(c.Pad), OutGroups: dy.Groups(), KX: c.K, RowDivisor: divisor,
			Spare: one / 16 * parts, AllLanes: lanes, Parts: parts,
		}
		if err := r.dispatch(k, ceilDiv(t.R*t.Q/4, t.WG)+ceilDiv(t.Texels(), t.WG), params, ceilDiv(lanes, t.WG),
			ceilDiv(c.M, t.R), wave, r.Scratch.tex, gpu.Slice{Buffer: r.Partial, Size: uint64(one*parts + 16)}); err != nil {
			return err
		}
		r.spend(2 * float64(lanes) * float64(c.M) * float64(t.Q*wave))
		partial := gpu.Slice{Buffer: r.Partial, Size: uint64(one * parts)}
		r.Tape.CopyTexels(partial, r.Scratch.tex, u.texels(), one*parts/16)
		sums := shaders.ConvGradStraightSumParams{
			M: c.M, C: c.C, Taps: taps, Tap0: tap, Computed: c.K * c.K, Parts: wave, Out0: c.Weight.Offset,
			Accumulate: chunk > 0, Lanes: lanes, All: whole, Bias0: c.Bias.Offset, Pitch: parts,
			Begin: u.texels(), RowDivisor: divisor,
		}
		if err := r.dispatch(sum, wave+4, sums, ceilDiv(whole, 64), dy.Groups(), 1,
			r.Scratch.tex, gpu.All(r.Grads)); err != nil {
			return err
		}
	}
	return nil
}
