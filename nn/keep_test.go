package nn_test

import (
	"strings"
	"testing"

	"github.com/go-gl/mathgl/mgl32"

	"ninvk/gpu"
	"ninvk/nn"
	"ninvk/ops"
)

// What is kept is what the layer put out, also where the next layer would overwrite it; what is not kept can't be read.
func TestActivation(t *testing.T) {
	d, err := gpu.Open("")
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	g := nn.NewGraph()
	in := g.Input(3, 8, 8)
	a := g.Conv("a", in, nn.Conv{Channels: 8, Kernel: 1})
	b := g.ReLU("b", a)
	c := g.Conv("c", b, nn.Conv{Channels: 4, Kernel: 1})
	out := g.GlobalAvgPool("out", c)
	n, err := nn.Build(d, g, out, nn.Options{Batch: 2, Augment: ops.Augment{Size: 8}, Keep: []*nn.Node{in, a, b}})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Release()
	for i, p := range n.Params() {
		v := make([]float32, p.Len())
		for j := range v {
			v[j] = float32(j%7) - 3
		}
		if err := n.SetParam(i, v); err != nil {
			t.Fatal(err)
		}
	}
	pixels := make([]byte, 2*3*8*8)
	for i := range pixels {
		pixels[i] = byte(i * 37)
	}
	images, err := ops.UploadImages(d, "images", ops.Shape{C: 3, H: 8, W: 8}, make([]byte, len(pixels)))
	if err != nil {
		t.Fatal(err)
	}
	defer images.Release()
	if err := images.Write(0, pixels); err != nil {
		t.Fatal(err)
	}
	if err := n.EvalStep(images, []nn.Entry{ops.BatchEntry(0, 0, mgl32.Ident3()),
		ops.BatchEntry(1, 0, mgl32.Ident3())}); err != nil {
		t.Fatal(err)
	}
	read := func(x *nn.Node) []float32 {
		v, err := n.Activation(x, 2)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	x, before, after := read(in), read(a), read(b)
	for i, p := range pixels {
		if want := float32(p) / 255; x[i]-want > 1e-6 || want-x[i] > 1e-6 {
			t.Fatalf("input value %d is %v, want %v", i, x[i], want)
		}
	}
	if len(before) != 2*8*64 || len(after) != len(before) {
		t.Fatalf("%d and %d values, want %d", len(before), len(after), 2*8*64)
	}
	negative := 0
	for i, v := range before {
		if v < 0 {
			negative++
		}
		if after[i] != max(v, 0) {
			t.Fatalf("value %d: %v before and %v after the ReLU", i, v, after[i])
		}
	}
	if negative == 0 {
		t.Error("no negative value before the ReLU: it was overwritten")
	}
	if _, err := n.Activation(c, 2); err == nil || !strings.Contains(err.Error(), "c was not kept") {
		t.Errorf("an output that was not kept: %v", err)
	}
	if err := images.Write(0, make([]byte, len(pixels)+3*8*8)); err == nil {
		t.Error("three images took the place of two")
	}
	if err := images.Write(0, pixels[1:]); err == nil {
		t.Error("a part of an image took the place of one")
	}
}
