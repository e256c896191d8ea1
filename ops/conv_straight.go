package ops

import (
	"fmt"

	"ninvk/gpu"
	"ninvk/shaders"
)

// The straight variant, for software drivers: unrolled kernels without loops around the arithmetic, activations read
// through the scratch texture.

func straightFits(l gpu.Limits, c ConvCall) error {
	e := straightNeed(l, c).Scratch
	if max(e.Width, e.Height) > int(l.MaxTextureDimension2D) {
		return fmt.Errorf("it takes a texture of %d×%d texels, the adapter's limit is %d a side", e.Width, e.Height,
			l.MaxTextureDimension2D)
	}
	least := shaders.ConvTile{R: 4, CH: 4, KX: c.K, KY: 1}
	return atMost("bytes of workgroup memory", 4*least.Staged(), int(l.MaxComputeWorkgroupStorageSize))
}

// straightNeed holds for both directions: either tensor may be the one that is read.
func straightNeed(l gpu.Limits, c ConvCall) Need {
	return Need{Scratch: straightExtent(l, forwardGemm(c).onePixel()).Max(straightExtent(l, inputGradGemm(c).onePixel()))}
}

// straightExtent is what a call takes of the scratch texture: behind x come, where several chunks add up, y, and
// weights that fetches stage, where there is room.
func straightExtent(l gpu.Limits, c gemm) Extent {
	t := convTile(l, c)
	e := c.x.scratchExtent()
	if c.chunks(t) > 1 {
		e.Height += ceilDiv(c.boundTexels(l), e.Width)
	}
	rows := ceilDiv(c.mostWeightTexels(), e.Width)
	if c.weightsByTexels(t) && e.Height+rows <= int(l.MaxTextureDimension2D) {
		e.Height += rows
	}
	return e
}

// weightsByTexels says whether a vector of the weights' buffer holds several that are staged together: taps, or, where
// there is one, four input or four output channels.
func (c gemm) weightsByTexels(t shaders.ConvTile) bool {
	if w := c.weights; c.k == 1 {
		return t.Squares() && w.W0%4 == 0 &&
			(w.WC == 1 && w.WM%4 == 0 && c.x.C%4 == 0 || w.WM == 1 && w.WC%4 == 0 && c.y.C%4 == 0)
	}
	return c.dilate == 1
}

// weightSpan is the first of the weights in their buffer, and the one behind the last.
func (c gemm) weightSpan() (from, to int) {
	w := c.weights
	last := int32(c.k*c.k-1) * w.WT
	from = int(w.W0 + min(0, last))
	return from, from + (c.y.C-1)*int(w.WM) + (c.x.C-1)*int(w.WC) + int(max(last, -last)) + 1
}

// mostWeightTexels is the most vectors of their buffer in which the weights lie, wherever they begin.
func (c gemm) mostWeightTexels() int {
	from, to := c.weightSpan()
	return ceilDiv(to-from, 4) + 1
}

// boundTexels is the most of y that is bound at a time, for this batch or a smaller one, of which more groups may be.
func (c gemm) boundTexels(l gpu.Limits) int {
	return min(c.y.Groups()*c.y.Plane(), int(l.MaxStorageBufferBindingSize/16))
}

// straightPlaces says from which texel of the scratch texture on lies what a straight convolution reads besides x.
type straightPlaces struct {
	sums    int // of the chunks before
	weights int
	mask    int // output of a ReLU

	fetchesWeights, fetchesMask bool // there is room; else they are read from their buffers
}

// straightPlaces chooses, by the network's largest batch, what is read through the texture: on llvmpipe a fetch takes a
// fraction of what a storage load takes.
func (r *Recorder) straightPlaces(c gemm, t shaders.ConvTile) straightPlaces {
	c = r.plannedGemm(c)
	width, llvmpipe := r.Scratch.tex.Width, r.Dev.Adapter.Llvmpipe()
	y := ceilDiv(c.boundTexels(r.Dev.Limits()), width)
	rows := c.x.scratchRows(c.x.foldShift())
	p := straightPlaces{sums: rows * width}
	if c.chunks(t) > 1 {
		rows += y
	}
	p.weights = rows * width
	weights := ceilDiv(c.mostWeightTexels(), width)
	if p.fetchesWeights = llvmpipe && c.weightsByTexels(t) && rows+weights <= r.Scratch.zero(); p.fetchesWeights {
		rows += weights
	}
	p.mask, p.fetchesMask = rows*width, llvmpipe && rows+y <= r.Scratch.zero()
	return p
}

func straightForward(r *Recorder, c ConvCall) error { return r.straight(forwardGemm(c).onePixel()) }

func straightInputGrad(r *Recorder, c ConvCall) error { return r.straight(inputGradGemm(c).onePixel()) }

// onePixel is the same sum without the taps that reach beyond images of one pixel: of these one is left, and to stage
// weights is most of the work there.
func (c gemm) onePixel() gemm {
	if c.x.H*c.x.W > 1 || c.y.H*c.y.W > 1 || c.pad < 0 || c.pad >= c.k {
		return c
	}
	c.weights.W0 += int32(c.pad*c.k+c.pad) * c.weights.WT
	c.k, c.pad, c.stride, c.dilate = 1, 0, 1, 1
	return c
}

// The tiles of straight kernels are few, whatever the layers: what a network compiles is these, not a kernel for each
// of its numbers of channels. Chunks reach beyond the last input channel, with weights of zero, and rows beyond the
// last output channel.
var (
	// Invocations of a workgroup.
	wide      = []int{1024}
	narrow    = []int{1024, 128}
	narrowest = []int{1024, 128, 32}
	halved    = []int{1024, 512, 128}
	anyWidth  = []int{1024, 512, 128, 32}

	// Where an output needs just the same pixel of the input.
	pointwiseTiles = []straightTile{
		{12, 16, 1, false, wide}, {12, 32, 1, false, wide}, {40, 96, 1, false, wide}, {48, 160, 1, false, wide},
		{40, 192, 1, false, wide}, {12, 192, 1, false, narrow},
		{4, 4, 1, true, narrowest}, {4, 64, 1, true, narrow}, {32, 64, 1, true, narrowest}, {48, 128, 1, true, narrowest},
		{32, 192, 1, true, narrow},
	}
	// Elsewhere. A chunk has one kernel row or all.
	windowTiles = []straightTile{
		{4, 16, all, false, narrow}, {8, 16, all, false, narrow}, {16, 16, all, false, narrow},
		{24, 16, all, false, wide},
		{4, 4, 1, true, narrowest}, {4, 16, 1, true, narrowest}, {4, 64, 1, true, narrowest},
		{8, 32, 1, true, narrowest}, {12, 16, 1, true, narrowest}, {16, 24, 1, true, narrowest},
		{16, 32, 1, true, narrowest}, {16, 32, all, true, anyWidth}, {24, 48, 1, true, halved},
		{32, 64, 1, true, wide}, {16, 128, 1, true, wide},
	}
	gradTiles = gradTilesOf()
)

// straightTile is what distinguishes the straight kernels of forward passes and input gradients.
type straightTile struct {
	rows     int   // output channels of a workgroup
	channels int   // input channels of a chunk; where it is fewest, a layer of fewer has a kernel of its own number
	ky       int   // kernel rows of a chunk, or all
	adds     bool  // to the outputs of the chunks before, of which there may be none
	widths   []int // that workgroups may have, falling
}

const (
	all    = 0
	fewest = 16
)

// convTile picks the tile of least cost for a call with the network's largest batch.
func convTile(l gpu.Limits, c gemm) shaders.ConvTile {
	const ( // in the multiply-adds of one invocation, by least squares over layers of 3×3 with ten tiles
		fetch   = 110 // a texel
		outputs = 450 // four outputs, with the sums of the chunks before
		staged  = 100 // a weight
		copied  = 370 // a texel of such sums
		launch  = 6_000_000

		enough = 8 // workgroups: fewer count for more than they are, lest cores have none
	)
	k := c.taps()
	t := shaders.ConvTile{KX: k, TP: 1, TM: 4, Pointwise: c.pointwise()}
	tiles := windowTiles
	if t.Pointwise {
		tiles = pointwiseTiles
	} else if ceilDiv(c.y.W, c.dilate) > 1 && k > 1 && c.stride == 1 {
		t.TP = 2
	}
	t.R, t.CH, t.KY, t.Accumulate = 4, 4, 1, true // fits everywhere
	t.WG = straightWidth(l, 32)
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
		chunks := c.chunks(of)
		if of.R > channelsBound(l, c.y.Shape) || 4*of.Staged() > int(l.MaxComputeWorkgroupStorageSize) ||
			of.MulAdds() > int(l.MaxUnrolledProducts) || chunks > 1 && !o.adds {
			continue
		}
		each := of.MulAdds() + fetch*of.Groups()*of.KY*of.Texels() + outputs*of.TP*of.R/4
		dispatches := c.dispatches(of)
		sums := (dispatches - c.dilate*c.dilate) * c.y.Groups() * c.y.Plane() // of all but the first chunk of each phase
		for _, width := range o.widths {
			of.WG = straightWidth(l, width)
			workgroups := ceilDiv(c.y.C, of.R) * ceilDiv(c.blocks(of), of.WG)
			workgroups = max(workgroups, (3*workgroups+enough)/4)
			cost := dispatches*(workgroups*(of.WG*each+staged*of.Weights())+launch) + copied*sums
			if best == 0 || cost < best {
				best, t = cost, of
			}
		}
	}
	t.Chains = ceilDiv(t.Row(), shaders.LongestChain)
	if t.Pointwise && t.CH >= 64 {
		t.Chains = 4
	}
	return t
}

// straightWidth is the number of invocations of a workgroup, at most as many as an adapter has.
func straightWidth(l gpu.Limits, width int) int {
	return min(width, int(l.MaxComputeInvocationsPerWorkgroup), int(l.MaxComputeWorkgroupSizeX))
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

// dispatches is the number for all phases: that of the chunks for those that taps reach, one for others.
func (c gemm) dispatches(t shaders.ConvTile) int {
	reached := min(c.k, c.dilate) * min(c.k, c.dilate)
	return reached*c.chunks(t) + c.dilate*c.dilate - reached
}

// chunks is the number of dispatches that add up to an output.
func (c gemm) chunks(t shaders.ConvTile) int { return ceilDiv(c.x.C, t.CH) * ceilDiv(c.taps(), t.KY) }

// taps is the number of kernel columns, and rows, that reach an output pixel.
func (c gemm) taps() int { return ceilDiv(c.k, c.dilate) }

// phase is a part of the output along one side: every dilate-th pixel from the one numbered first on, which every
// dilate-th tap from tap on reaches. Its i-th pixel is reached from the input's pixel i·stride + from and those behind
// it.
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
	}
	if t.Masked && !t.MaskFetched {
		k.Bindings = append(k.Bindings, gpu.Read)
	}
	return k
}

func (r *Recorder) straight(c gemm) error {
	t := convTile(r.Dev.Limits(), r.plannedGemm(c))
	at := r.straightPlaces(c, t)
	r.stage(c.x)
	if t.Fetched = at.fetchesWeights; t.Fetched {
		from, to := c.weightSpan()
		from &^= 3
		weights, n := r.weightsOf(c), ceilDiv(to-from, 4)
		weights.Offset, weights.Size = weights.Offset+4*uint64(from), 16*uint64(n)
		r.Tape.CopyTexels(weights, r.Scratch.tex, at.weights, n)
		c.weights.W0 -= int32(from)
	}
	for _, rows := range c.phases(c.y.H) {
		for _, columns := range c.phases(c.y.W) {
			if err := r.straightPhase(c, t, at, rows, columns); err != nil {
				return err
			}
		}
	}
	return nil
}

// straightPhase records the chunks of a phase of rows and columns, which add up.
func (r *Recorder) straightPhase(c gemm, t shaders.ConvTile, at straightPlaces, rows, columns phase) error {
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
	shift := r.foldShift(c.x.Shape)
	earlier := 0 // groups of sums of the chunks before
	for c0 := 0; c0 < channels; c0 += t.CH {
		for ky := 0; ky < taps; ky += t.KY {
			last := c0+t.CH >= channels && ky+t.KY >= taps
			if last && c.mask != nil {
				t.Masked, t.MaskFetched = true, at.fetchesMask
				k = straightKernel(c, t)
			}
			for _, s := range c.y.spans(r.Dev.Limits(), groups) {
				if earlier > 0 {
					r.Tape.CopyTexels(c.y.slice(s), r.Scratch.tex, at.sums, (s.to-s.from)*c.y.Plane())
				}
				params := shaders.ConvStraightParams{
					Blocks: blocks, RowBlocks: row, OutW: columns.pixels, OutH: rows.pixels,
					OutPlane: c.y.Plane(), OutPixels: c.y.Pixels(), OutGroup0: s.from, OutGroups: s.to,
					Strip: c.x.strip(), InW: c.x.W, InH: c.x.H, Zero: r.Scratch.zero(),
					M: c.y.C, M0: 4 * s.from, C: c.x.C, C0: c0,
					K: c.k, KX0: columns.tap, KY0: rows.tap + ky*c.dilate, Earlier: earlier, WeightPlace: c.weights,
					Bias0: c.bias.Offset, HasBias: last && c.bias.Len > 0, Slope: c.slopeOf(last),
					Stride: int32(c.stride), Left: int32(columns.from), Top: int32(rows.from + ky),
					Fold: 1<<shift - 1, FoldShift: shift,
					InGroups: c.x.Groups(), Rows: groups, Four: 4, Step: c.dilate,
					FullW: c.y.W, FullImage: c.y.H * c.y.W, First: rows.first*c.y.W + columns.first,
					Before: at.sums, Mask: at.mask, Weights: at.weights,
					RowDivisor: rowDivisor(r.Scratch.tex.Width),
				}
				bound := []any{r.weightsOf(c), r.Scratch.tex, c.y.slice(s)}
				if t.MaskFetched {
					r.Tape.CopyTexels(c.mask.slice(s), r.Scratch.tex, at.mask, (s.to-s.from)*c.y.Plane())
				} else if t.Masked {
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
