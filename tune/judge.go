package tune

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"ninvk/gpu"
	"ninvk/ops"
	"ninvk/ops/cases"
)

// pattern is the number of random values of which inputs are made.
const pattern = 65537

// fill writes the operands: the inputs, or in changed those that the pass writes or changes, with NaN where it must
// write, so that a value left out shows.
func (m *meter) fill(mem *cases.Memory, operands []cases.Operand, changed bool) error {
	for i, o := range operands {
		if changed != (o.Use != cases.Reads) {
			continue
		}
		value := func(*rand.Rand) float64 { return math.NaN() }
		if o.Use != cases.Writes {
			value = o.Value
		}
		r := rand.New(rand.NewPCG(1, uint64(i)))
		v := make([]float32, min(pattern, o.Elements()))
		for i := range v {
			v[i] = float32(value(r))
		}
		for len(v) < o.Elements() {
			v = append(v, v[:min(pattern, o.Elements()-len(v))]...)
		}
		if o.Place == cases.Activation {
			v = ops.Pack(o.Shape, v)
		}
		buffer, at := mem.Where(o)
		if err := m.d.Write(buffer, at, gpu.Bytes(v)); err != nil {
			return err
		}
	}
	return nil
}

// outputs reads what the pass has written or changed.
func (m *meter) outputs(mem *cases.Memory, operands []cases.Operand) ([][]float32, error) {
	var out [][]float32
	for _, o := range operands {
		if o.Use == cases.Reads {
			continue
		}
		buffer, at := mem.Where(o)
		v, err := m.d.ReadFloats(buffer, int(buffer.Size/4))
		if err != nil {
			return nil, err
		}
		if o.Place == cases.Activation {
			v = ops.Unpack(o.Shape, v)
		} else {
			v = v[at/4:][:o.Len]
		}
		out = append(out, v)
	}
	return out, nil
}

// judge drops, and says so, the candidates whose results are not those that most agree on; where that is even, those
// that the naive variant agrees with are right, and where no two agree, none is.
func (m *meter) judge(key string, operands []cases.Operand, trials []*trial) {
	if len(trials) < 2 {
		return
	}
	operands = slices.DeleteFunc(slices.Clone(operands), func(o cases.Operand) bool { return o.Use == cases.Reads })
	agree := func(a, b *trial) bool { return a == b || difference(operands, a.out, b.out) <= 1 }
	votes := make([]int, len(trials))
	best := 0
	for i, a := range trials {
		for _, b := range trials {
			if agree(a, b) {
				votes[i] += 2
			}
		}
		if a.Variant == "naive" {
			votes[i]++
		}
		if votes[i] > votes[best] {
			best = i
		}
	}
	right := trials[best]
	if votes[best] < 4 { // its own, and of naive one more
		m.Warn(fmt.Sprintf("WRONG RESULTS: no two variants of %s agree on %s (%s): none is chosen by its time", key,
			m.d.Adapter.Name, m.d.Adapter.Driver))
		drop(trials, "no other variant has the same result")
		return
	}
	for _, t := range trials {
		if agree(t, right) {
			continue
		}
		t.Dropped = "wrong result: it differs from that of " + right.Variant
		m.Warn(fmt.Sprintf("WRONG RESULT: variant %s of %s differs from %s by %.3g times what rounding explains on %s "+
			"(%s); it is not used",
			t.Variant, key, right.Variant, difference(operands, t.out, right.out), m.d.Adapter.Name, m.d.Adapter.Driver))
	}
}

// tolerance is the difference allowed between two results, in bounds of one against exact arithmetic: fast algorithms
// may be five times as far from it.
const tolerance = 10

// difference is the largest difference of two results in units of what is allowed; infinite where one is no number.
func difference(operands []cases.Operand, a, b [][]float32) float64 {
	most := 0.0
	for i, o := range operands {
		bound := tolerance * o.Bound()
		for j, x := range a[i] {
			d := math.Abs(float64(x)-float64(b[i][j])) / bound
			if math.IsNaN(d) {
				return math.Inf(1)
			}
			most = max(most, d)
		}
	}
	return most
}

// choose takes the candidate with the least median of those that are in.
func (e *Entry) choose() {
	best := math.Inf(1)
	for _, c := range e.Candidates {
		if c.Dropped == "" && len(c.Milliseconds) > 0 && c.Median() < best {
			best, e.Chosen = c.Median(), c.Variant
		}
	}
}

// Median is that of the samples, NaN where there are none.
func (c Candidate) Median() float64 {
	if len(c.Milliseconds) == 0 {
		return math.NaN()
	}
	s := slices.Sorted(slices.Values(c.Milliseconds))
	return (s[(len(s)-1)/2] + s[len(s)/2]) / 2
}
