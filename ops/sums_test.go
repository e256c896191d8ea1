package ops_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"ninvk/dist"
	"ninvk/gpu"
	"ninvk/ops"
)

// What the adapter adds up of a tree has the bits that the host's part of it has, whatever the driver makes of numbers
// below the normal ones; what is beside the floats added stays.
func TestAddTreeIsTheHosts(t *testing.T) {
	d := device(t)
	const n, from, count = 4096, 1024, 2048
	r := rand.New(rand.NewPCG(1, 2))
	a, b := make([]float32, n), make([]float32, n)
	for i := range a {
		// exponents at the border of the normal numbers, and all over
		draw := func(least, exponents uint32) float32 {
			return math.Float32frombits(r.Uint32()&0x807fffff | (least+r.Uint32N(exponents))<<23)
		}
		if i%2 == 0 {
			a[i], b[i] = draw(0, 3), draw(0, 3)
		} else {
			a[i], b[i] = draw(0, 254), draw(0, 254)
		}
	}
	x, sum := must(d.NewBuffer("x", 4*n))(t), must(d.NewBuffer("sum", 4*n))(t)
	defer x.Release()
	defer sum.Release()
	check(t, d.Write(x, 0, gpu.Bytes(b)))
	check(t, d.Write(sum, 0, gpu.Bytes(a)))
	tape := d.NewTape("test")
	check(t, ops.AddTree(&ops.Recorder{Dev: d, Tape: tape}, from, count, x, sum))
	check(t, d.Submit(tape))
	defer tape.Release()
	got := must(d.ReadFloats(sum, n))(t)
	want := append([]float32(nil), a...)
	dist.Tree([][]float32{want[from : from+count], b[from : from+count]})
	for i := range want {
		if math.Float32bits(got[i]) != math.Float32bits(want[i]) {
			t.Fatalf("%d: %x + %x is %x, want %x", i, math.Float32bits(a[i]), math.Float32bits(b[i]),
				math.Float32bits(got[i]), math.Float32bits(want[i]))
		}
	}
}
