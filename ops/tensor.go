// Package ops holds the operators that networks are made of. Each has a file with its attributes, output shape, and the
// recording of its forward and backward kernels onto a tape. Shaders are in package shaders under the same name; the
// float64 twins that tests compare with are in ops/ref, the cases that both are tried by in ops/cases.
//
// Activations live on the adapter with channels packed by four: a plane of vec4 for every group of four channels, a
// plane holding the pixels of the whole batch, image after image, row after row. Channels beyond the last are zero. A
// channel group is thus one stretch of memory, whatever the batch, and operators split along groups where a
// binding would exceed the adapter's limit.
package ops

import (
	"fmt"

	"ninvk/gpu"
	"ninvk/shaders"
)

// Shape is that of a batch of images: N images of C channels, H rows, W columns.
type Shape struct{ N, C, H, W int }

func (s Shape) String() string { return fmt.Sprintf("%d×%d×%d×%d", s.N, s.C, s.H, s.W) }

// Groups is the number of channel groups of four.
func (s Shape) Groups() int { return (s.C + 3) / 4 }

// missing is the number of channels that s lacks to four where it has fewer.
func (s Shape) missing() int { return max(0, 4-s.C) }

// Pixels is the number of pixels of the whole batch.
func (s Shape) Pixels() int { return s.N * s.H * s.W }

// Elements is the number of values.
func (s Shape) Elements() int { return s.C * s.Pixels() }

// Plane is the distance between channel groups in vec4s.
func (s Shape) Plane() int { return plane(s.Pixels()) }

// plane is room for n vec4s and at least one of padding, which kernels may overwrite with zeros: rounded up so that
// every plane can be bound by itself (256 bytes), and never a multiple of 4 KiB, so that the same pixel of neighbouring
// planes does not fall into the same cache set.
func plane(n int) int {
	p := (n + 16) &^ 15
	if p%256 == 0 {
		p += 16
	}
	return p
}

// Bytes is the memory the packed activation takes.
func (s Shape) Bytes() uint64 { return uint64(s.Groups()) * uint64(s.Plane()) * 16 }

// Tensor is a packed activation on the adapter: in Buf from byte At on, a multiple of 256.
type Tensor struct {
	Shape
	Buf *gpu.Buffer
	At  uint64
}

// All is the memory of the whole tensor.
func (t Tensor) All() gpu.Slice { return gpu.Slice{Buffer: t.Buf, Offset: t.At, Size: t.Bytes()} }

// Range is the part of t that holds channels channels from the one numbered from on, a multiple of four.
func (t Tensor) Range(from, channels int) Tensor {
	r := t
	r.C = channels
	r.At += uint64(from/4*t.Plane()) * 16
	return r
}

// NewTensor allocates an activation of zeros.
func NewTensor(d *gpu.Device, label string, s Shape) (Tensor, error) {
	b, err := d.NewBuffer(label, s.Bytes())
	return Tensor{Shape: s, Buf: b}, err
}

// Pack lays NCHW values out as the adapter holds them.
func Pack(s Shape, v []float32) []float32 {
	out := make([]float32, s.Bytes()/4)
	s.each(func(nchw, packed int) { out[packed] = v[nchw] })
	return out
}

// Unpack is the inverse of Pack.
func Unpack(s Shape, v []float32) []float32 {
	out := make([]float32, s.Elements())
	s.each(func(nchw, packed int) { out[nchw] = v[packed] })
	return out
}

func (s Shape) each(f func(nchw, packed int)) {
	hw, plane := s.H*s.W, s.Plane()
	i := 0
	for n := range s.N {
		for c := range s.C {
			for p := range hw {
				f(i, 4*(c/4*plane+n*hw+p)+c%4)
				i++
			}
		}
	}
}

// span is a stretch of channel groups that fits one binding.
type span struct{ from, to int }

// spans cuts the channel groups of s into stretches whose bytes fit one binding, each a multiple of step groups but the
// last.
func (s Shape) spans(l gpu.Limits, step int) []span {
	return spans(s.Groups(), uint64(s.Plane())*16, l, step)
}

// spans cuts groups of so many bytes.
func spans(groups int, bytes uint64, l gpu.Limits, step int) []span {
	most := int(min(l.MaxStorageBufferBindingSize/bytes, uint64(groups)))
	if most < groups {
		most = max(step, most/step*step)
	}
	var out []span
	for g := 0; g < groups; g += most {
		out = append(out, span{g, min(g+most, groups)})
	}
	return out
}

func (t Tensor) slice(p span) gpu.Slice {
	plane := uint64(t.Plane()) * 16
	return gpu.Slice{Buffer: t.Buf, Offset: t.At + uint64(p.from)*plane, Size: uint64(p.to-p.from) * plane}
}

// Step is what operators are told anew for each step.
type Step = shaders.Step

// Param is a stretch of floats in a buffer of weights (and, at the same place, of gradients and momenta).
type Param struct{ Offset, Len int }

// Recorder records operators onto a tape.
type Recorder struct {
	Dev      *gpu.Device
	Tape     *gpu.Tape
	Scratch  *Scratch
	Unfolded *gpu.Buffer // what a pass puts in order for itself: an activation, or weights
	Partial  *gpu.Buffer // partial sums of the reductions
	Weights  *gpu.Buffer // parameters
	Grads    *gpu.Buffer // their gradients, at the same offsets
	// largest batch of the network, for which tiles are chosen, so that a smaller last batch needs no kernels of its own
	Batch  int
	Choice Choice
	Used   map[string]string // where not nil: filled with the variant of each call recorded, by its key

	spent float64 // arithmetic in the submit being recorded
}

// planned is s with the network's largest batch.
func (r *Recorder) planned(s Shape) Shape {
	s.N = max(s.N, r.Batch)
	return s
}

// submitFlops is the arithmetic after which a submit is ended: about half a second on a software driver, and on a GPU
// far less than the seconds after which an operating system takes it for hung.
func (r *Recorder) submitFlops() float64 {
	if r.Dev.Adapter.CPU() {
		return 20e9
	}
	return 500e9
}

// spend counts arithmetic recorded, and ends the submit where it would otherwise run too long.
func (r *Recorder) spend(flops float64) {
	if r.spent += flops; r.spent >= r.submitFlops() {
		r.Tape.Split()
		r.spent = 0
	}
}

// PartialBytes is the most that a pass may ask for partial sums.
const PartialBytes = 32 << 20

// MaxPasses is the most loop passes one invocation may make. Lavapipe before Mesa 23 ends loops silently after 65,535
// passes, nested loops counted together and at times more than once.
const MaxPasses = 16384

// dispatch records a start of a kernel after checking the bound on loop passes, and that params are those of its shader
// (see shaders.Words).
func (r *Recorder) dispatch(k gpu.Kernel, passes int, params any, x, y, z int, resources ...any) error {
	if passes > MaxPasses {
		return fmt.Errorf("kernel %s: an invocation would make %d loop passes, some drivers stop silently after 65,535; at "+
			"most %d are allowed", k.Name, passes, MaxPasses)
	}
	words, err := shaders.Words(k.Source, params)
	if err != nil {
		return fmt.Errorf("kernel %s: %w", k.Name, err)
	}
	r.Tape.Dispatch(k, words, x, y, z, resources...)
	return r.Tape.Err()
}

// dispatchEach records a dispatch of a kernel of 64 invocations a workgroup that has one for each of n values, and
// numbers them by workgroups in lines of 65,535.
func (r *Recorder) dispatchEach(k gpu.Kernel, passes int, params any, n int, resources ...any) error {
	const line = 65535 // workgroups that every adapter takes side by side
	wgs := ceilDiv(n, 64)
	return r.dispatch(k, passes, params, min(wgs, line), ceilDiv(wgs, line), 1, resources...)
}

func ceilDiv(a, b int) int { return (a + b - 1) / b }
