package ref

import (
	"math"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The cases below were worked out by hand.

func TestConvByHand(t *testing.T) {
	// 1 2 3     kernel 1 10
	// 4 5 6          100 1000
	// 7 8 9
	x := []float64{1, 2, 3, 4, 5, 6, 7, 8, 9}
	w := []float64{1, 10, 100, 1000}
	for _, c := range []struct {
		name string
		conv Conv
		want []float64
	}{
		{"plain", Conv{1, 1, 3, 3, 1, 2, 1, 0}, []float64{5421, 6532, 8754, 9865}},
		{"stride 2 with padding", Conv{1, 1, 3, 3, 1, 2, 2, 1}, []float64{1000, 3200, 7040, 9865}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, ConvForward(c.conv, x, w, nil)); diff != "" {
				t.Error(diff)
			}
		})
	}

	t.Run("channels and bias", func(t *testing.T) {
		// Two images of two channels, two outputs, 1×1: y = W·x + b.
		c := Conv{N: 2, C: 2, H: 1, W: 2, M: 2, K: 1, Stride: 1}
		got := ConvForward(c, []float64{1, 2, 3, 4, 5, 6, 7, 8}, []float64{1, 10, 100, 1000}, []float64{0.5, 0.25})
		want := []float64{31.5, 42.5, 3100.25, 4200.25, 75.5, 86.5, 7500.25, 8600.25}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("gradients", func(t *testing.T) {
		c := Conv{N: 1, C: 1, H: 3, W: 3, M: 1, K: 2, Stride: 1}
		dy := []float64{1, 0, 0, 2} // the upper left output once, the lower right twice
		if diff := cmp.Diff([]float64{1, 10, 0, 100, 1002, 20, 0, 200, 2000}, ConvInputGrad(c, dy, w)); diff != "" {
			t.Error("dx", diff)
		}
		dw, db := ConvWeightGrad(c, x, dy)
		if diff := cmp.Diff([]float64{11, 14, 20, 23}, dw); diff != "" {
			t.Error("dw", diff)
		}
		if diff := cmp.Diff([]float64{3}, db); diff != "" {
			t.Error("db", diff)
		}
	})
}

func TestReLUByHand(t *testing.T) {
	y := ReLU([]float64{-1, 0, 2})
	if diff := cmp.Diff([]float64{0, 0, 2}, y); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]float64{0, 0, 7}, ReLUGrad(y, []float64{5, 6, 7})); diff != "" {
		t.Error("gradient at 0 must be 0", diff)
	}
}

func TestPoolByHand(t *testing.T) {
	// -1 -2 -3
	// -4 -5 -6
	// -7 -8 -1
	x := []float64{-1, -2, -3, -4, -5, -6, -7, -8, -1}
	p := Pool{N: 1, C: 1, H: 3, W: 3, K: 3, Stride: 2, Pad: 1}
	y, arg := MaxPool(p, x)
	if diff := cmp.Diff([]float64{-1, -2, -4, -1}, y); diff != "" {
		t.Error("padding must not win", diff)
	}
	if diff := cmp.Diff([]int{0, 1, 3, 8}, arg); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]float64{-12.0 / 9, -16.0 / 9, -24.0 / 9, -20.0 / 9}, AvgPool(p, x)); diff != "" {
		t.Error("the divisor must count padding", diff)
	}

	whole := Pool{N: 1, C: 1, H: 3, W: 3, K: 3, Stride: 1}
	_, arg = MaxPool(whole, x) // −1 at 0 and at 8
	if diff := cmp.Diff([]float64{5, 0, 0, 0, 0, 0, 0, 0, 0}, MaxPoolGrad(whole, arg, []float64{5})); diff != "" {
		t.Error("the first maximum must get the gradient", diff)
	}
	// Overlapping windows add up: 5 is the greatest of three windows.
	row := Pool{N: 1, C: 1, H: 1, W: 4, K: 3, Stride: 1, Pad: 1}
	_, arg = MaxPool(row, []float64{1, 5, 2, 3})
	if diff := cmp.Diff([]float64{0, 111, 0, 1000}, MaxPoolGrad(row, arg, []float64{1, 10, 100, 1000})); diff != "" {
		t.Error(diff)
	}
	// Floor mode: the fourth column is never looked at.
	floor := Pool{N: 1, C: 1, H: 2, W: 4, K: 2, Stride: 3}
	if floor.OH() != 1 || floor.OW() != 1 {
		t.Errorf("output %d×%d, want 1×1", floor.OH(), floor.OW())
	}
	// A window with nothing but padding.
	empty := Pool{N: 1, C: 1, H: 1, W: 1, K: 1, Stride: 1, Pad: 1}
	y, arg = MaxPool(empty, []float64{3})
	if !math.IsInf(y[0], -1) || arg[0] != -1 || y[4] != 3 || arg[4] != 0 {
		t.Errorf("y = %v, arg = %v", y, arg)
	}
	if diff := cmp.Diff([]float64{2}, MaxPoolGrad(empty, arg, []float64{1, 1, 1, 1, 2, 1, 1, 1, 1})); diff != "" {
		t.Error(diff)
	}

	if diff := cmp.Diff([]float64{2.5, 10}, GlobalAvgPool(1, 2, 2, 2, []float64{1, 2, 3, 4, 10, 20, 0, 10})); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]float64{0.5, 0.5, 2, 2}, GlobalAvgPoolGrad(2, 1, 1, 2, []float64{1, 4})); diff != "" {
		t.Error(diff)
	}
}

func TestBatchNormByHand(t *testing.T) {
	// Channel 0 holds 1 and 5 (mean 3, variance 4, unbiased 8), channel 1 holds 10 twice.
	b := BatchNorm{N: 2, C: 2, HW: 1, Eps: 1e-5, Momentum: 0.1}
	mean, variance := []float64{1, 0}, []float64{1, 1}
	y, _, _ := b.Train([]float64{1, 10, 5, 10}, []float64{2, 3}, []float64{10, 20}, mean, variance)
	s := 4 / math.Sqrt(4+1e-5)
	compare(t, "y", y, []float64{10 - s, 20, 10 + s, 20}, 1e-15)
	compare(t, "running mean", mean, []float64{1.2, 1}, 1e-15)
	compare(t, "running variance", variance, []float64{1.7, 0.9}, 1e-15)

	y = BatchNorm{N: 1, C: 2, HW: 2, Eps: 1}.Eval([]float64{1, 2, 3, 4}, []float64{1, 6}, []float64{0, 1}, []float64{1, 2},
		[]float64{3, 8})
	compare(t, "evaluation", y, []float64{0, 0.5, 3, 5}, 1e-15)

	// A single element has no unbiased variance; nothing must become NaN.
	mean, variance = []float64{0}, []float64{1}
	y, _, _ = BatchNorm{N: 1, C: 1, HW: 1, Eps: 1e-5, Momentum: 0.1}.Train([]float64{4}, []float64{2}, []float64{3}, mean,
		variance)
	compare(t, "y", append(y, mean[0], variance[0]), []float64{3, 0.4, 0.9}, 1e-15)
}

func TestSoftmaxCrossEntropyByHand(t *testing.T) {
	losses, dz, places := SoftmaxCrossEntropy(2, 4, make([]float64, 8), []int{0, 1}, 0)
	compare(t, "equal logits", losses, []float64{math.Log(4), math.Log(4)}, 1e-15)
	compare(t, "dlogits", dz, []float64{-0.375, 0.125, 0.125, 0.125, 0.125, -0.375, 0.125, 0.125}, 1e-15)
	if diff := cmp.Diff([]int{0, 1}, places); diff != "" {
		t.Errorf("of equal logits the first wins; places (-want +got):\n%s", diff)
	}
	losses, _, places = SoftmaxCrossEntropy(1, 3, []float64{-2000, 3000, 0}, []int{1}, 0)
	if losses[0] != 0 || places[0] != 0 {
		t.Errorf("great logits: loss %g, place %d; want 0 and 0", losses[0], places[0])
	}
	losses, _, _ = SoftmaxCrossEntropy(1, 2, []float64{math.Log(3), 0}, []int{0}, 0.2)
	compare(t, "smoothing", losses, []float64{0.9*math.Log(4.0/3) + 0.1*math.Log(4)}, 1e-15)
}

func TestSGDByHand(t *testing.T) {
	for _, c := range []struct {
		name string
		sgd  SGD
		w, v float64 // after two steps with gradient 1 from w = 2
	}{
		{"plain", SGD{LR: 0.5}, 1, 1},
		{"momentum", SGD{LR: 0.5, Momentum: 0.5}, 0.75, 1.5},
		{"nesterov", SGD{LR: 0.5, Momentum: 0.5, Nesterov: true}, 0.375, 1.5},
		{"decay", SGD{LR: 0.5, WeightDecay: 0.5}, 0.25, 1.5},
	} {
		t.Run(c.name, func(t *testing.T) {
			w, v := []float64{2}, []float64{0}
			c.sgd.Step(w, []float64{1}, v)
			c.sgd.Step(w, []float64{1}, v)
			compare(t, "w and v", []float64{w[0], v[0]}, []float64{c.w, c.v}, 1e-15)
		})
	}
}

func TestGradNormByHand(t *testing.T) {
	g, w := []float64{3, -4}, []float64{1, math.Inf(-1)}
	norm, broken := GradNorm(g, w, 0)
	compare(t, "norm", []float64{norm, float64(broken), g[0], g[1]}, []float64{5, 1, 3, -4}, 1e-15)
	GradNorm(g, w, 2.5)
	compare(t, "clipped", g, []float64{1.5, -2}, 1e-6)
	GradNorm(g, w, 2.5)
	compare(t, "within the bound", g, []float64{1.5, -2}, 1e-6)
}

func TestPCG(t *testing.T) {
	for v, want := range map[uint32]uint32{0: 129708002, 1: 2831084092, 2: 2055130248, 12345: 4099845390,
		4294967295: 3861530882} {
		if got := PCG(v); got != want {
			t.Errorf("PCG(%d) = %d, want %d", v, got, want)
		}
	}
}

func TestDropout(t *testing.T) {
	x := make([]float64, 100_000)
	for i := range x {
		x[i] = 1
	}
	for _, p := range []float64{0, 0.1, 0.5, 0.9} {
		var kept int
		for _, v := range Dropout(1, 2, 0, p, x) {
			if v != 0 {
				kept++
				if v != 1/(1-p) {
					t.Fatalf("p = %g: kept element is %g, want %g", p, v, 1/(1-p))
				}
			}
		}
		// Five standard deviations.
		n := float64(len(x))
		if math.Abs(float64(kept)-n*(1-p)) > 5*math.Sqrt(n*p*(1-p)) {
			t.Errorf("p = %g: kept %d of %g", p, kept, n)
		}
	}
	base := Dropout(1, 2, 0, 0.5, x)
	for name, other := range map[string][]float64{"key": Dropout(2, 2, 0, 0.5, x), "layer": Dropout(1, 3, 0, 0.5, x)} {
		var same int
		for i, v := range other {
			if v == base[i] {
				same++
			}
		}
		if same < 49_000 || same > 51_000 {
			t.Errorf("another %s agrees in %d of %d places, want about half", name, same, len(x))
		}
	}
	if !slices.Equal(base, Dropout(1, 2, 0, 0.5, x)) {
		t.Error("the same key and layer give another mask")
	}
}

func TestAugmentByHand(t *testing.T) {
	const side = 32
	img := make([]byte, 3*side*side)
	for i := range img {
		img[i] = byte(PCG(uint32(i)))
	}
	// at gives a byte of the image, or 0 outside.
	at := func(c, y, x int) float64 {
		if y < 0 || y >= side || x < 0 || x >= side {
			return 0
		}
		return float64(img[(c*side+y)*side+x])
	}
	for _, c := range []struct {
		name   string
		out    int
		m      [9]float64
		sy, sx func(y, x int) int
	}{
		{"copy", 32, [9]float64{1, 0, 0, 0, 1, 0, 0, 0, 1},
			func(y, x int) int { return y }, func(y, x int) int { return x }},
		{"flip", 32, [9]float64{-1, 0, 31, 0, 1, 0, 0, 0, 1},
			func(y, x int) int { return y }, func(y, x int) int { return 31 - x }},
		{"shift", 32, [9]float64{1, 0, -3, 0, 1, 4, 0, 0, 1},
			func(y, x int) int { return y + 4 }, func(y, x int) int { return x - 3 }},
		{"cut out", 7, [9]float64{1, 0, 20, 0, 1, 5, 0, 0, 1},
			func(y, x int) int { return y + 5 }, func(y, x int) int { return x + 20 }},
	} {
		t.Run(c.name, func(t *testing.T) {
			mean, std := []float64{0.5, 0.25, 0}, []float64{0.25, 0.5, 1}
			got := View{C: 3, H: side, W: side, Out: c.out, Map: c.m, Mean: mean, Std: std}.Augment(img)
			want := make([]float64, len(got))
			for i := range want {
				ch, y, x := i/(c.out*c.out), i/c.out%c.out, i%c.out
				want[i] = (at(ch, c.sy(y, x), c.sx(y, x))/255 - mean[ch]) / std[ch]
			}
			compare(t, c.name, got, want, 1e-15)
		})
	}

	sample := func(plane []byte, sx, sy float64) float64 {
		t.Helper()
		return 255 * View{C: 1, H: side, W: side, Out: 1, Map: [9]float64{0, 0, sx, 0, 0, sy, 0, 0, 1}}.Augment(plane)[0]
	}
	ones := make([]byte, side*side)
	for i := range ones {
		ones[i] = 200
	}
	for _, c := range []struct{ sx, sy, want float64 }{
		{-0.5, 31.5, 200}, {31.5, -0.5, 200}, {-0.51, 3, 0}, {3, 31.51, 0}, {3, -0.51, 0}, {31.51, 3, 0},
		{10.3, 0.2, 200}, {math.NaN(), 3, 0},
	} {
		if got := sample(ones, c.sx, c.sy); math.Abs(got-c.want) > 1e-9 {
			t.Errorf("flat image at %g, %g: %g, want %g", c.sx, c.sy, got, c.want)
		}
	}
	// Half-way between pixels the weights are −1, 9, 9, −1 sixteenths; at the border 9 and −1 over 8 are left.
	row := make([]byte, side*side)
	copy(row, []byte{80, 16, 0, 160, 0, 255, 255, 0})
	for _, c := range []struct{ sx, want float64 }{
		{1.5, 0},   // (−80 + 144 + 0 − 160)/16 = −6, clamped
		{2.5, 89},  // (−16 + 0 + 1440 − 0)/16 = 89
		{0.5, 51},  // (720 + 144 − 0)/17 = 50.8, the pixel at −1 dropped
		{-0.5, 88}, // (720 − 16)/8
		{5.5, 255}, // (0 + 2295 + 2295 − 0)/16 = 286.9, clamped
		{30.5, 0},  // nothing but zeros
	} {
		if got := sample(row, c.sx, 0); math.Abs(got-c.want) > 1e-9 {
			t.Errorf("row at %g: %g, want %g", c.sx, got, c.want)
		}
	}
	// The same down a column, and both together: rows are rounded first.
	column := make([]byte, side*side)
	for i := range side {
		column[i*side] = row[i]
	}
	if got := sample(column, 0, 2.5); math.Abs(got-89) > 1e-9 {
		t.Errorf("column at 2.5: %g, want 89", got)
	}
	clear(column)
	column[5*side+9] = 1   // 9/16 rounds to 1, then again; 81/256 would be 0
	column[5*side+20] = 24 // 13.5 rounds to 14, then 7.9 to 8; unrounded 7.6, rounded down 7.3
	for sx, want := range map[float64]float64{8.5: 1, 19.5: 8} {
		if got := sample(column, sx, 4.5); math.Abs(got-want) > 1e-9 {
			t.Errorf("dot at %g, 4.5: %g, want %g", sx, got, want)
		}
	}
}

func TestConverters(t *testing.T) {
	if diff := cmp.Diff([]float64{1.5, float64(float32(0.1))}, Float64s(Float32s([]float64{1.5, 0.1}))); diff != "" {
		t.Error(diff)
	}
}

func BenchmarkConv(b *testing.B) {
	c := Conv{N: 65, C: 5, H: 32, W: 32, M: 10, K: 5, Stride: 1, Pad: 2}
	x, w := make([]float64, c.N*c.C*c.H*c.W), make([]float64, c.M*c.C*c.K*c.K)
	dy := make([]float64, c.N*c.M*c.OH()*c.OW())
	b.Run("forward", func(b *testing.B) {
		for b.Loop() {
			ConvForward(c, x, w, nil)
		}
	})
	b.Run("input", func(b *testing.B) {
		for b.Loop() {
			ConvInputGrad(c, dy, w)
		}
	})
	b.Run("weight", func(b *testing.B) {
		for b.Loop() {
			ConvWeightGrad(c, x, dy)
		}
	})
}
