package ops

import (
	"fmt"

	"ninvk/gpu"
	"ninvk/shaders"
)

// The straight variant of a linear layer, for software drivers: unrolled kernels without loops around the arithmetic.
// Weights are read through the scratch texture, some rows at a time, where their rows begin where vectors do: storage
// loads take seven times as long there as fetches, and the copy half as long as these.

// Kernels of 8,192 products compile in seconds; larger ones gain little.
const (
	linearProducts = 8192
	linearImages   = 32  // of an invocation
	linearTerms    = 64  // images that a weight gradient sums up
	linearColumns  = 128 // terms of forward sums
	linearRows     = 64  // terms of input gradients
	linearOutputs  = 32  // of an invocation of the weight gradient
)

// linearBandBytes is about the memory of weights that are copied together.
const linearBandBytes = 16 << 20

// band is the number of rows of weights that are copied together.
func (c LinearCall) band() int {
	const step = 256
	return min(c.M, step*max(1, linearBandBytes/(4*c.Linear.In*step)))
}

// linearBatch is the number of images that a kernel takes together: of four numbers, so that kernels are few.
func linearBatch(n, many int) int {
	for _, few := range []int{1, 4, 16} {
		if n <= few {
			return few
		}
	}
	return many
}

// linearTile is the kernel for a call of the planned batch.
func linearTile(l gpu.Limits, m matrix) shaders.LinearTile {
	t := shaders.LinearTile{R: linearBatch(m.in.N, linearImages), Turned: m.turned, Aligned: m.c.aligned()}
	lanes := m.out.flat().C
	t.Q = linearColumns
	if t.Turned {
		t.Q = linearRows
		lanes = m.out.flat().Groups()
	}
	most := min(linearProducts, int(l.MaxUnrolledProducts))
	for t.Q > 16 && (t.MulAdds() > most || 16*t.Staged() > int(l.MaxComputeWorkgroupStorageSize)) {
		t.Q /= 2
	}
	for t.R > 1 && t.MulAdds() > most {
		t.R = ceilDiv(t.R, 2)
	}
	t.WG = linearLanes(l, lanes)
	return t
}

// linearLanes is the width of a workgroup: of two, so that a network has few kernels.
func linearLanes(l gpu.Limits, lanes int) int {
	most := min(256, int(l.MaxComputeInvocationsPerWorkgroup), int(l.MaxComputeWorkgroupSizeX))
	if lanes < 1024 {
		return min(64, most)
	}
	return most
}

// linearGradTile is that of the weight gradient.
func linearGradTile(l gpu.Limits, c LinearCall) shaders.LinearTile {
	t := shaders.LinearTile{R: linearOutputs, Q: linearBatch(c.Out.N, linearTerms), Aligned: c.aligned()}
	most := min(linearProducts, int(l.MaxUnrolledProducts))
	for t.R > 4 && (4*t.MulAdds() > most || 16*t.Staged() > int(l.MaxComputeWorkgroupStorageSize)) {
		t.R /= 2
	}
	for t.Q > 1 && 4*t.MulAdds() > most {
		t.Q = ceilDiv(t.Q, 2)
	}
	t.WG = linearLanes(l, c.In.flat().Groups())
	return t
}

// straightLinearFits holds for all passes.
func straightLinearFits(l gpu.Limits, c LinearCall) error {
	f, b, g := linearTile(l, c.forward()), linearTile(l, c.inputGrad()), linearGradTile(l, c)
	e := straightLinearNeed(l, c.forward()).Max(straightLinearNeed(l, c.inputGrad())).Max(straightLinearGradNeed(l,
		c)).Scratch
	return firstError(
		atMost("unrolled products", max(f.MulAdds(), b.MulAdds(), 4*g.MulAdds()), int(l.MaxUnrolledProducts)),
		atMost("bytes of workgroup memory", 16*max(f.Staged(), b.Staged(), g.Staged()),
			int(l.MaxComputeWorkgroupStorageSize)),
		atMost("texels a side of the scratch texture", max(e.Width, e.Height), int(l.MaxTextureDimension2D)),
		atMost("workgroups", c.In.Pixels(), int(l.MaxComputeWorkgroupsPerDimension)),
		c.flatFits(l),
	)
}

func straightLinearNeed(l gpu.Limits, m matrix) Need {
	partial := m.partialBytes(l, linearTile(l, m).Q)
	texels := int(partial / 16)
	if m.c.aligned() {
		texels = max(texels, m.c.band()*m.c.Linear.In/4)
	}
	return Need{Scratch: linearExtent(texels), Unfolded: unfoldedFlat(m.in.Shape), Partial: partial}
}

// straightLinearGradNeed is what the weight gradient takes, which fetches the input.
func straightLinearGradNeed(_ gpu.Limits, c LinearCall) Need {
	return Need{Scratch: linearExtent(int(c.In.flat().Bytes() / 16)), Unfolded: unfoldedFlat(c.In.Shape)}
}

// straightLinear records some outputs after the others.
func straightLinear(r *Recorder, c LinearCall) error {
	x, err := r.flatten(c.In)
	if err != nil {
		return err
	}
	band := c.band()
	for from := 0; from < c.M; from += band {
		some := c
		some.M = min(c.M-from, band)
		some.Out = c.Out.Range(from, some.M)
		some.Weight.Offset += from * c.Linear.In
		some.Bias.Offset += from
		m, whole := some.forward(), c.planned(r).forward()
		t := linearTile(r.Dev.Limits(), whole)
		record := func(first, n int, sums gpu.Slice) error {
			return r.straightParts(m, t, x, 0, some.M, first, n, 0, sums)
		}
		if err := r.inParts(m, t.Q, true, record); err != nil {
			return err
		}
	}
	return nil
}

// straightLinearInputGrad copies the rows of some parts after the others.
func straightLinearInputGrad(r *Recorder, c LinearCall) error {
	dy, err := r.flatten(c.Out)
	if err != nil {
		return err
	}
	m := c.inputGrad()
	t := linearTile(r.Dev.Limits(), c.planned(r).inputGrad())
	return r.inParts(m, t.Q, true, func(first, n int, sums gpu.Slice) error {
		band := max(1, c.band()/t.Q)
		for from := first; from < first+n; from += band {
			some := min(band, first+n-from)
			rows := min(some*t.Q, c.M-from*t.Q)
			if err := r.straightParts(m, t, dy, from*t.Q, rows, from, some, from-first, sums); err != nil {
				return err
			}
		}
		return nil
	})
}

// straightParts records n parts from the one numbered first on with the given rows of weights. They go to sums, from
// the part numbered to on.
func (r *Recorder) straightParts(
	m matrix, t shaders.LinearTile, x gpu.Slice, row, rows, first, n, to int, sums gpu.Slice,
) error {
	k := gpu.Kernel{
		Name: fmt.Sprintf("%s r%d q%d wg%d", m.name, t.R, t.Q, t.WG), Source: t.Source(),
		Bindings: []gpu.Kind{gpu.Params, gpu.Read, gpu.Read, gpu.Write},
	}
	in, out, c := m.in.flat(), m.out.flat(), m.c
	var weights any = gpu.All(r.Weights)
	var divisor shaders.RowDivisor
	if t.Aligned {
		k.Bindings[1], weights = gpu.TextureF32, r.Scratch.tex
		divisor = r.fetchTexels(gpu.Slice{
			Buffer: r.Weights, Offset: 4 * uint64(c.Weight.Offset+row*c.Linear.In), Size: 4 * uint64(rows*c.Linear.In),
		})
	}
	lanes := out.C
	wide := ceilDiv(4*out.Groups(), t.WG)
	if m.turned {
		lanes = out.Groups()
		wide = ceilDiv(lanes, t.WG)
	}
	params := shaders.LinearStraightParams{
		Images: in.N, InPlane: in.Plane(), InGroups: in.Groups(), OutGroups: out.Groups(),
		Row: c.Linear.In, Lanes: lanes, W0: c.Weight.Offset, First: first * t.Q,
		RowDivisor: divisor, Last: max(0, rows*c.Linear.In/4-1), Terms: in.C, Part0: to,
	}
	r.spend(2 * float64(n*t.MulAdds()) * float64(wide*t.WG*ceilDiv(in.N, t.R)))
	return r.dispatch(k, ceilDiv(t.Staged(), t.WG), params, wide, ceilDiv(in.N, t.R), n, weights, x, sums)
}

func straightLinearWeightGrad(r *Recorder, c LinearCall) error {
	t := linearGradTile(r.Dev.Limits(), c.planned(r))
	from, err := r.flatten(c.In)
	if err != nil {
		return err
	}
	divisor := r.fetchTexels(from)
	x, dy := c.In.flat(), c.Out
	for first := 0; first < x.N; first += t.Q {
		t.Added = first > 0
		k := gpu.Kernel{
			Name: fmt.Sprintf("linear weight gradient r%d q%d wg%d", t.R, t.Q, t.WG), Source: t.Grad(),
			Bindings: []gpu.Kind{gpu.Params, gpu.Read, gpu.TextureF32, gpu.Write},
		}
		params := shaders.LinearGradStraightParams{
			Images: x.N, Plane: x.Plane(), InGroups: x.Groups(), OutGroups: dy.Groups(),
			Row: c.Linear.In, Rows: c.M, W0: c.Weight.Offset, First: first, RowDivisor: divisor, DYPlane: dy.Plane(),
		}
		rows, columns := ceilDiv(c.M, t.R), ceilDiv(x.Groups(), t.WG)
		if err := r.dispatch(k, ceilDiv(t.Staged(), t.WG), params, columns, rows, 1,
			dy.All(), r.Scratch.tex, gpu.All(r.Grads)); err != nil {
			return err
		}
		r.spend(8 * float64(t.MulAdds()) * float64(rows) * float64(columns*t.WG))
	}
	return nil
}
