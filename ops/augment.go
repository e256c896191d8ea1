package ops

import (
	"fmt"
	"math"
	"unsafe"

	"github.com/go-gl/mathgl/mgl32"

	"ninvk/gpu"
	"ninvk/shaders"
)

// Augment gathers a batch out of images on the adapter, cuts, resizes and colours them as their entries say, to
// Size×Size pixels, and normalises: (value/255 - Mean)/Std, with one Mean and Std a channel. Without them values are
// from 0 to 1.
type Augment struct {
	Size      int
	Mean, Std []float64
}

// Check says whether the operator can make images of c channels, and no values that are not numbers.
func (o Augment) Check(c int) error {
	if o.Mean != nil && len(o.Mean) != c || o.Std != nil && len(o.Std) != c {
		return fmt.Errorf("%d means and %d deviations for images of %d channels", len(o.Mean), len(o.Std), c)
	}
	for _, s := range o.Std {
		if !(s > 0) {
			return fmt.Errorf("a deviation of %g; it must be above 0", s)
		}
	}
	return nil
}

// Entry is what the kernel reads for one image of a batch, see BatchEntry.
type Entry shaders.Image

// BatchBytes is the size of one image's entry in the batch buffer.
const BatchBytes = int(unsafe.Sizeof(Entry{}))

// EntryBytes views entries as the bytes that the kernel reads.
func EntryBytes(entries []Entry) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(entries))), BatchBytes*len(entries))
}

// BatchEntry is the entry of an image: its place in the data set, its label, and the affine matrix from output pixel to
// source pixel, which scales, mirrors and shifts each axis by itself; one that turns the image is a mistake of the
// caller, and panics. Colours stay as they are.
func BatchEntry(index, label uint32, m mgl32.Mat3) Entry {
	if m.At(0, 1) != 0 || m.At(1, 0) != 0 || m.Row(2) != (mgl32.Vec3{0, 0, 1}) {
		panic(fmt.Sprintf("the matrix of an image mixes its axes: %v", m))
	}
	return Entry{
		ScaleX: m.At(0, 0), ShiftX: m.At(0, 2), ScaleY: m.At(1, 1), ShiftY: m.At(1, 2), Place: index, Label: label,
	}.Coloured(mgl32.Mat3x4{0: 1, 4: 1, 8: 1})
}

// Coloured is the entry with a colour matrix: rows are the new red, green and blue, columns what they have of the old
// ones and, in steps of a byte, in addition. What comes of an image's bytes is cut off to whole bytes from 0 to 255, as
// Pillow's ImageEnhance does it. One channel, or the first of two, is grey: red, green and blue alike, of which the new
// red stays. A fourth channel is none of colour.
func (e Entry) Coloured(m mgl32.Mat3x4) Entry {
	e.Red, e.Green, e.Blue = m.Row(0), m.Row(1), m.Row(2)
	return e
}

// Forward records x [N, C, Size, Size] and the labels (a word an image) from the batch buffer's first x.N entries.
func (o Augment) Forward(r *Recorder, images *Images, batch *gpu.Buffer, x Tensor, labels *gpu.Buffer) error {
	if x.C != images.C || x.H != o.Size || x.W != o.Size {
		return fmt.Errorf("a batch of %v out of images of %d channels, made %d×%d pixels", x.Shape, images.C, o.Size, o.Size)
	}
	if err := o.Check(x.C); err != nil {
		return err
	}
	taps := o.taps(images.Shape)
	if taps > MaxPasses {
		return fmt.Errorf("images of %d×%d pixels are too large to be made %d×%d on the adapter; make them smaller first",
			images.W, images.H, o.Size, o.Size)
	}
	k := gpu.Kernel{
		Name: "augment", Source: shaders.Source("augment", struct{ Channels []string }{channelNames[:x.C]}),
		Bindings: []gpu.Kind{gpu.Params, gpu.Read, gpu.TextureUint, gpu.Write, gpu.Write},
	}
	l := images.layout
	params := shaders.AugmentParams{
		Pixels: x.Pixels(), Size: o.Size, Width: images.W, Height: images.H,
		LayerImages: l.layerImages, RowImages: l.rowImages, ImageRows: l.rows, Stored: l.stored / l.rows,
		Lines: l.lines, InverseLines: float32(1 / float64(l.lines)),
		Inverse: [4]float32{1, 1, 1, 1},
	}
	for i, m := range o.Mean {
		params.Mean[i] = float32(m)
	}
	for i, s := range o.Std {
		params.Inverse[i] = float32(1 / s)
	}
	return r.dispatch(k, taps, params, ceilDiv(x.Pixels(), 64), 1, 1, gpu.All(batch), images.tex, x.slice(span{0, 1}),
		gpu.All(labels))
}

// channelNames are those of a vector's components.
var channelNames = []string{"x", "y", "z", "w"}

// taps is the most pixels that one of the output is made of, where an image, or a square of its longer side, is shrunk:
// four output pixels across and down, and the two that are cut.
func (o Augment) taps(s Shape) int {
	scale := max(1, float64(max(s.H, s.W))/float64(o.Size))
	across := int(math.Ceil(4*scale)) + 1
	return min(across, s.W) * min(across, s.H)
}
