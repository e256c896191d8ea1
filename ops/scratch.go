package ops

import (
	"slices"

	"ninvk/gpu"
	"ninvk/shaders"
)

// Scratch is the one texture through which kernels for software drivers read: there a texture fetch of four channels is
// cheaper than a storage load, and the copy into it goes at the speed of memory. What is copied lies in it as in its
// buffer, row by row, but for two: the gradients that a weight gradient stages, of which each channel group has rows of
// its own (see gpu.Tape.CopyPlanes), and the activations that straight convolutions read.
//
// Such an activation lies in it in stretches of 16 pixels, the vector width of a software driver: number b
// of channel group g begins at column ((b mod folds)·groups + g)·16 of row b / folds. So what an invocation reads, all
// channels of a pixel, is one stretch of memory and not a cache line of every plane. The last row stays zero: pixels
// outside the image are read from it.
type Scratch struct {
	tex *gpu.Texture
}

// stretch is the number of pixels that lie side by side.
const stretch = 16

// mostRows is the height up to which activations are not folded.
const mostRows = 4096

// Extent is the size of a texture in texels.
type Extent struct{ Width, Height int }

// Max is the extent that holds both.
func (e Extent) Max(o Extent) Extent { return Extent{max(e.Width, o.Width), max(e.Height, o.Height)} }

// Bytes is the memory of a texture of that extent.
func (e Extent) Bytes() uint64 { return uint64(e.Width) * uint64(e.Height) * 16 }

// foldShift is the binary logarithm of the number of stretches of all groups that lie side by side.
func (s Shape) foldShift() int {
	shift := 0
	for ceilDiv(ceilDiv(s.Pixels(), stretch), 1<<shift) > mostRows {
		shift++
	}
	return shift
}

// foldShift is that of the network's largest batch, for which the texture has been planned: a smaller one that is
// folded less often takes more rows.
func (r *Recorder) foldShift(s Shape) int { return r.planned(s).foldShift() }

// strip is the width of the stretches of all groups.
func (s Shape) strip() int { return stretch * s.Groups() }

// scratchExtent is what s takes of the scratch texture, the row of zeros included.
func (s Shape) scratchExtent() Extent {
	shift := s.foldShift()
	return Extent{scratchWidth(s.strip() << shift), s.scratchRows(shift) + 1}
}

// scratchRows is the number of rows of stretches, folded so often.
func (s Shape) scratchRows(shift int) int { return ceilDiv(ceilDiv(s.Pixels(), stretch), 1<<shift) }

// scratchWidth is the least width of at least n texels that is a power of two or three times one: by these kernels
// divide without dividing, see rowDivisor.
func scratchWidth(n int) int {
	w := powerOfTwo(n)
	if w >= 64 && 3*w/4 >= n {
		return 3 * w / 4
	}
	return w
}

// rowDivisor is what divides a place by a scratchWidth: exact up to places of 2¹⁵ widths.
func rowDivisor(width int) shaders.RowDivisor {
	shift := log2(width)
	if width&(width-1) != 0 {
		return shaders.RowDivisor{Width: width, Shift: shift - 1, Factor: (1<<17 + 2) / 3}
	}
	return shaders.RowDivisor{Width: width, Shift: shift, Factor: 1 << 17}
}

// linearExtent is what texels in a row take, the row of zeros included. The widths are those of nin's widest layers,
// and a little higher textures hold the padding of planes.
func linearExtent(texels int) Extent {
	width := 768
	for ceilDiv(texels, width) > mostRows+mostRows/32 {
		width *= 2
	}
	return Extent{width, ceilDiv(texels, width) + 1}
}

func powerOfTwo(n int) int { return 1 << log2(2*n-1) }

// log2 is the binary logarithm rounded down.
func log2(n int) int {
	l := 0
	for n >>= 1; n > 0; n >>= 1 {
		l++
	}
	return l
}

// NewScratch makes a scratch texture.
func NewScratch(d *gpu.Device, e Extent) (*Scratch, error) {
	t, err := d.NewTexture("scratch", e.Width, e.Height)
	if err != nil {
		return nil, err
	}
	return &Scratch{t}, nil
}

// Release frees the texture.
func (s *Scratch) Release() { s.tex.Release() }

// holds says whether the texture has at least extent e; a missing one holds nothing.
func (s *Scratch) holds(e Extent) bool {
	return e == Extent{} || s != nil && e.Width <= s.tex.Width && e.Height <= s.tex.Height
}

// fetchTexels records the copy of vectors to the scratch texture, and gives what divides by its width.
func (r *Recorder) fetchTexels(from gpu.Slice) shaders.RowDivisor {
	r.Tape.CopyTexels(from, r.Scratch.tex, 0, int(from.Size/16))
	return rowDivisor(r.Scratch.tex.Width)
}

// bands says how many vectors of each of some buffers of n vectors the scratch texture holds at a time, where reading
// them through it is faster than from the buffers; 0 where it is not. It takes the texture as it is: whatever its size,
// what is left comes in further bands.
func (r *Recorder) bands(buffers, n int) int {
	const least = 16 // rows of a buffer, for which a copy is worth while
	if !r.Dev.Adapter.Llvmpipe() || r.Scratch == nil {
		return 0
	}
	width := r.Scratch.tex.Width
	rows := r.Scratch.zero() / buffers
	if rows < least && rows*width < n {
		return 0
	}
	return min(rows, ceilDiv(n, width)) * width
}

// fetchBands records the copy of n vectors of each buffer, from the one numbered first on, to bands of so many texels.
func (r *Recorder) fetchBands(band, first, n int, buffers ...*gpu.Buffer) shaders.Bands {
	for i, b := range buffers {
		r.Tape.CopyTexels(gpu.Slice{Buffer: b, Offset: 16 * uint64(first), Size: 16 * uint64(n)}, r.Scratch.tex, i*band, n)
	}
	return shaders.Bands{Band: band, RowDivisor: rowDivisor(r.Scratch.tex.Width)}
}

// inBands records what goes over n vectors of some buffers, from the one numbered first on: a band after the other,
// which lie in the scratch texture then, or all at once where they are read from the buffers, with no place there.
func (r *Recorder) inBands(
	first, n int, buffers []*gpu.Buffer, record func(first, n int, at shaders.Bands) error,
) error {
	band := r.bands(len(buffers), n)
	if band == 0 {
		return record(first, n, shaders.Bands{})
	}
	for end := first + n; first < end; first += band {
		some := min(band, end-first)
		if err := record(first, some, r.fetchBands(band, first, some, buffers...)); err != nil {
			return err
		}
	}
	return nil
}

// bandKernel is a kernel that has a step and reads what lies at the given place, or from a buffer; and what it is bound
// to. Its further bindings are still to be named.
func bandKernel(name string, at shaders.Bands, s *Scratch, buffer gpu.Slice) (gpu.Kernel, any) {
	fetched := at != shaders.Bands{}
	k := gpu.Kernel{Name: name, Source: shaders.Source(name, map[string]any{"Fetched": fetched})}
	if fetched {
		k.Bindings = []gpu.Kind{gpu.Params, gpu.Uniform, gpu.TextureF32}
		return k, s.tex
	}
	k.Bindings = []gpu.Kind{gpu.Params, gpu.Uniform, gpu.Read}
	return k, buffer
}

// inputs is how kernels read activations of one shape: from their buffers, or through the scratch texture, where some
// channel groups of each lie in a band of its own.
type inputs struct {
	r       *Recorder
	tensors []Tensor
	groups  int  // of each that the texture holds at a time; 0 where they are read from their buffers
	loaded  span // what it holds
	at      shaders.Bands
}

// inputs chooses for some activations: on llvmpipe a fetch in a loop costs a third of a storage load, and the copy into
// the texture a tenth; elsewhere buffers are as fast. It takes the texture as it is.
func (r *Recorder) inputs(t ...Tensor) *inputs {
	in := &inputs{r: r, tensors: t}
	if !r.Dev.Adapter.Llvmpipe() || r.Scratch == nil {
		return in
	}
	width := r.Scratch.tex.Width
	texels := r.Scratch.zero() / len(t) * width
	if min(2, t[0].Groups())*r.planned(t[0].Shape).Plane() > texels {
		return in // too few groups, at the network's batch, by which kernels are chosen
	}
	in.groups = min(texels/t[0].Plane(), t[0].Groups())
	in.at = shaders.Bands{Band: ceilDiv(in.groups*t[0].Plane(), width) * width, RowDivisor: rowDivisor(width)}
	return in
}

// fetched says whether kernels read through the texture.
func (in *inputs) fetched() bool { return in.groups > 0 }

// pixelsEach is the number of pixels of an invocation in kernels of 128 invocations a workgroup, of at most so many
// where they are read from buffers.
func (in *inputs) pixelsEach(most int) int {
	if in.fetched() {
		most = fetchedEach
	}
	return eachOf(most, in.tensors[0].Pixels())
}

// kinds are those of the bindings to read by, of the first n where that is from their buffers.
func (in *inputs) kinds(n int) []gpu.Kind {
	if in.fetched() {
		return []gpu.Kind{gpu.TextureF32}
	}
	return slices.Repeat([]gpu.Kind{gpu.Read}, n)
}

// spans cuts the channel groups into stretches that fit one binding, and the texture.
func (in *inputs) spans() []span { return in.spansOf(in.tensors[0].Shape, 1) }

// spansOf cuts those of another shape, of as many, into multiples of one or two.
func (in *inputs) spansOf(s Shape, step int) []span {
	bytes, most := uint64(s.Plane())*16, in.r.Dev.Limits()
	if in.fetched() {
		most.MaxStorageBufferBindingSize = min(most.MaxStorageBufferBindingSize, uint64(in.groups)*bytes)
	}
	return spans(s.Groups(), bytes, most, step)
}

// load records the copy of a stretch of channel groups into the texture, where it is not there yet, and gives what is
// bound to kinds(n).
func (in *inputs) load(s span, n int) []any {
	if !in.fetched() {
		var bound []any
		for _, t := range in.tensors[:n] {
			bound = append(bound, t.slice(s))
		}
		return bound
	}
	if in.loaded != s {
		for i, t := range in.tensors {
			in.r.Tape.CopyTexels(t.slice(s), in.r.Scratch.tex, i*in.at.Band, (s.to-s.from)*t.Plane())
		}
		in.loaded = s
	}
	return []any{in.r.Scratch.tex}
}

// fetchedExtent is what an operator asks of the scratch texture so that it can read an activation through it, see
// inputs; nothing on adapters that read from buffers.
func (r *Recorder) fetchedExtent(s Shape) Extent {
	if !r.Dev.Adapter.Llvmpipe() {
		return Extent{}
	}
	return fetchedExtent(r.Dev.Limits(), s)
}

func fetchedExtent(l gpu.Limits, s Shape) Extent {
	e := linearExtent(s.Groups() * s.Plane())
	if max(e.Width, e.Height) > int(l.MaxTextureDimension2D) {
		return Extent{}
	}
	return e
}

// zero is the row that nobody writes.
func (s *Scratch) zero() int { return s.tex.Height - 1 }

// stage copies x to the scratch texture.
func (r *Recorder) stage(x Tensor) {
	r.Tape.CopyStretches(x.All(), r.Scratch.tex, x.Groups(), x.Plane(), ceilDiv(x.Pixels(), stretch),
		1<<r.foldShift(x.Shape))
}
