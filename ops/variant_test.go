package ops

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ninvk/gpu"
	"ninvk/shaders"
)

func TestForcedVariants(t *testing.T) {
	for _, c := range []struct {
		value string
		want  map[Pass]string
		fails []string // parts of the error
	}{
		{value: "", want: map[Pass]string{}},
		{value: "conv/forward=straight", want: map[Pass]string{ConvForward: "straight"}},
		{
			value: " conv/forward=straight, conv/weight-gradient=straight,",
			want:  map[Pass]string{ConvForward: "straight", ConvWeightGrad: "straight"},
		},
		{value: "conv/forward=fastest", fails: []string{VariantEnv, "conv/forward=fastest", "straight, tiled"}},
		{value: "conv/forward", fails: []string{"conv/forward", "straight"}},
		{value: "conv/backward=straight", fails: []string{VariantEnv, "conv/backward=straight",
			"conv/forward, conv/input-gradient, conv/weight-gradient"}},
		{value: "straight", fails: []string{"PASS=VARIANT"}},
	} {
		t.Setenv(VariantEnv, c.value)
		got, err := ForcedVariants()
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%q (-want +got):\n%s", c.value, diff)
		}
		if (err != nil) != (c.fails != nil) {
			t.Errorf("%q: error %v", c.value, err)
		}
		for _, part := range c.fails {
			if err != nil && !strings.Contains(err.Error(), part) {
				t.Errorf("%q: error %q does not contain %q", c.value, err, part)
			}
		}
	}
}

// TestChoose checks who is asked in which order, with variants that only say that they fit.
func TestChoose(t *testing.T) {
	defer func(was []Variant[ConvCall]) { convVariants[ConvForward] = was }(convVariants[ConvForward])
	yes := func(gpu.Limits, ConvCall) error { return nil }
	small := func(_ gpu.Limits, c ConvCall) error {
		if c.In.N > 8 {
			return errors.New("more than 8 images")
		}
		return nil
	}
	call, err := Conv{C: 3, M: 5, K: 3, Stride: 1, Pad: 1}.call(Shape{4, 3, 8, 8})
	if err != nil {
		t.Fatal(err)
	}
	key := call.Key(ConvForward)
	forced := func(name string) map[Pass]string { return map[Pass]string{ConvForward: name} }
	tuned := func(name string) map[string]string { return map[string]string{key: name, "another": "a"} }
	for _, c := range []struct {
		name   string
		kind   string // of the adapter
		batch  int
		choice Choice
		want   string
	}{
		{"heuristic for llvmpipe", "llvmpipe", 4, Choice{}, "straight"},
		{"heuristic for another software driver", "cpu", 4, Choice{}, "tiled-8x8"},
		{"heuristic for a GPU", "discrete", 4, Choice{}, "tiled"},
		{"tuned", "cpu", 4, Choice{Tuned: tuned("a")}, "a"},
		{"forced before tuned", "cpu", 4, Choice{Forced: forced("b"), Tuned: tuned("a")}, "b"},
		{"tuned for another batch", "llvmpipe", 5, Choice{Tuned: tuned("a")}, "straight"},
		{"tuned to what is gone", "llvmpipe", 4, Choice{Tuned: tuned("z")}, "straight"},
		{"forced where it does not fit the largest batch", "llvmpipe", 9, Choice{Forced: forced("b")}, "straight"},
	} {
		convVariants[ConvForward] = []Variant[ConvCall]{
			{Name: "a", Fits: yes}, {Name: "b", Fits: small}, {Name: "straight", Fits: yes}, {Name: "tiled", Fits: yes},
			{Name: "tiled-8x8", Fits: yes},
		}
		a := gpu.Adapter{Type: c.kind}
		if c.kind == "llvmpipe" {
			a = gpu.Adapter{Type: "cpu", VectorWidth: 256}
		}
		r := &Recorder{Dev: &gpu.Device{Adapter: a}, Batch: c.batch, Choice: c.choice}
		if v, err := convVariants.choose(r, ConvForward, call); err != nil || v.Name != c.want {
			t.Errorf("%s: %q, error %v; want %q", c.name, v.Name, err, c.want)
		}
	}
	convVariants[ConvForward] = []Variant[ConvCall]{{Name: "b", Fits: small}}
	r := &Recorder{Dev: &gpu.Device{}, Batch: 9}
	v, err := convVariants.choose(r, ConvForward, call)
	if err == nil || !strings.Contains(err.Error(), "b: more than 8 images") {
		t.Errorf("nothing fits: %q, error %v", v.Name, err)
	}
}

// TestTiles checks that every tile of the tiled variants runs on the smallest adapter, and that its invocations share
// the staging evenly, as the shaders assume.
func TestTiles(t *testing.T) {
	smallest := gpu.Limits{
		MaxComputeInvocationsPerWorkgroup: 128, MaxComputeWorkgroupSizeX: 128, MaxComputeWorkgroupStorageSize: 16 << 10,
		MaxStorageBuffersPerShaderStage: 8, MaxComputeWorkgroupsPerDimension: 65535, MaxStorageBufferBindingSize: 128 << 20,
		MaxUnrolledProducts: gpu.UnrolledElsewhere,
	}
	check := func(tile any, divides bool, invocations, bytes int) {
		if invocations > 128 || bytes > 16<<10 {
			t.Errorf("%+v takes %d invocations and %d bytes", tile, invocations, bytes)
		}
		if !divides {
			t.Errorf("%+v: its %d invocations don't share the work evenly", tile, invocations)
		}
	}
	for _, c := range slices.Concat(convTiles, convTiles8) {
		even := c.BM%c.TM == 0 && c.BN%c.TN == 0 && c.TM%4 == 0 && (c.BN%c.WG() == 0 || c.WG()%c.BN == 0) &&
			c.Staging()*c.WG() == c.BN*c.GC
		check(c, even, c.WG(), c.Bytes())
	}
	for _, c := range slices.Concat(convGradTiles, convGradTiles8, convGradTilesWide) {
		even := c.BM%c.TM == 0 && c.BN%c.TN == 0 && c.TM%4 == 0 && c.WG()%c.BP == 0 && c.Staging()*c.WG() == c.BN*c.BP &&
			c.BP%8 == 0 && shaders.LongestChain%c.BP == 0
		check(c, even, c.WG(), c.Bytes())
	}
	for _, c := range linearTiles {
		check(c, c.BM%4 == 0 && c.BN%4 == 0 && c.S()%4 == 0 && shaders.LongestChain%c.S() == 0, c.WG(), c.Bytes())
	}
	fits := func(l gpu.Limits, name string, c ConvCall) []error {
		var errs []error
		for p := range convVariants {
			for _, v := range convVariants[p] {
				if v.Name == name {
					errs = append(errs, v.Fits(l, c))
				}
			}
		}
		if len(errs) != 3 {
			t.Fatalf("%d passes have the variant %s", len(errs), name)
		}
		return errs
	}
	call := func(m int) ConvCall {
		c, err := Conv{C: m, M: m, K: 5, Stride: 1, Pad: 2}.call(Shape{128, m, 32, 32})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	for _, m := range []int{1, 3, 10, 16, 40, 96, 160, 192, 1000} {
		x := Shape{128, m, 32, 32}
		tile, err := convTiled(smallest, convTiles, x, x)
		if padded := ceilDiv(m, tile.BM) * tile.BM; err != nil || padded > m+max(4, m/5) {
			t.Errorf("%d channels take %d of tile %+v, error %v", m, padded, tile, err)
		}
		if err := errors.Join(fits(smallest, "tiled", call(m))...); err != nil {
			t.Errorf("%d channels: %v", m, err)
		}
	}
	tiny := smallest
	tiny.MaxComputeInvocationsPerWorkgroup = 32
	for _, err := range append(fits(tiny, "tiled", call(40)), fits(tiny, "tiled-8x8", call(40))...) {
		if err == nil || !strings.Contains(err.Error(), "32 invocations") {
			t.Errorf("32 invocations: error %v", err)
		}
	}
	for _, err := range fits(smallest, "tiled-8x8", call(10)) {
		if err == nil || !strings.Contains(err.Error(), "10 channels") {
			t.Errorf("tiles of 32 for 10 channels: error %v", err)
		}
	}
}

// TestNeedWithoutBias: what is planned for a convolution is enough where, before batch norm, its bias has no gradient.
func TestNeedWithoutBias(t *testing.T) {
	l := gpu.Limits{
		MaxComputeInvocationsPerWorkgroup: 1024, MaxComputeWorkgroupSizeX: 1024, MaxComputeWorkgroupStorageSize: 32 << 10,
		MaxBufferSize:               1 << 30,
		MaxStorageBufferBindingSize: 128 << 20, MaxStorageBuffersPerShaderStage: 8, MaxTextureDimension2D: 16384,
		MaxUnrolledProducts: gpu.UnrolledOnLlvmpipe,
	}
	for _, size := range []int{8, 16, 32} {
		for _, o := range []Conv{
			{C: 3, M: 192, K: 5, Stride: 1, Pad: 2}, {C: 192, M: 160, K: 1, Stride: 1}, {C: 160, M: 96, K: 1, Stride: 1},
			{C: 96, M: 192, K: 5, Stride: 1, Pad: 2},
			{C: 192, M: 192, K: 3, Stride: 1, Pad: 1}, {C: 192, M: 10, K: 1, Stride: 1}, {C: 1, M: 1, K: 1, Stride: 1},
			{C: 32, M: 33, K: 7, Stride: 1, Pad: 8},
		} {
			call, err := o.call(Shape{64, o.C, size, size})
			if err != nil {
				t.Fatal(err)
			}
			without := call
			without.Bias = Param{}
			for _, v := range convVariants[ConvWeightGrad] {
				if v.Need == nil || v.Fits(l, call) != nil {
					continue
				}
				if planned, need := v.Need(l, call), v.Need(l, without); planned.Max(need) != planned {
					t.Errorf("%v, %s: %+v is planned, without a bias %+v is needed", call, v.Name, planned, need)
				}
			}
		}
	}
}

// TestUnrolled: no kernel without loops has more products than its adapter's compiler is given, and on Lavapipe such
// kernels are worth their time to compile.
func TestUnrolled(t *testing.T) {
	for _, most := range []uint32{1200, gpu.UnrolledElsewhere, gpu.UnrolledOnLlvmpipe} {
		l := gpu.Limits{
			MaxComputeInvocationsPerWorkgroup: 256, MaxComputeWorkgroupSizeX: 256, MaxComputeWorkgroupStorageSize: 32 << 10,
			MaxStorageBufferBindingSize: 128 << 20, MaxUnrolledProducts: most,
		}
		largest := 0
		for _, c := range []struct {
			Conv
			size int
		}{
			{Conv{C: 3, M: 192, K: 5, Stride: 1, Pad: 2}, 32}, {Conv{C: 192, M: 160, K: 1, Stride: 1}, 32},
			{Conv{C: 96, M: 192, K: 5, Stride: 1, Pad: 2}, 16},
			{Conv{C: 192, M: 192, K: 3, Stride: 1, Pad: 1}, 8}, {Conv{C: 192, M: 10, K: 1, Stride: 1}, 8},
			{Conv{C: 3, M: 96, K: 11, Stride: 4}, 224},
			{Conv{C: 384, M: 1024, K: 3, Stride: 1, Pad: 1}, 6}, {Conv{C: 1024, M: 1000, K: 1, Stride: 1}, 6},
			{Conv{C: 1, M: 1, K: 1, Stride: 1}, 1},
		} {
			call, err := c.call(Shape{64, c.C, c.size, c.size})
			if err != nil {
				t.Fatal(err)
			}
			grad := convGradTile(l, call)
			products := map[string]int{"weight gradient": grad.R * grad.Q}
			for pass, g := range map[string]gemm{"forward": forwardGemm(call), "input gradient": inputGradGemm(call)} {
				products[pass] = convTile(l, g).MulAdds()
			}
			for pass, n := range products {
				if largest = max(largest, n); n > int(most) {
					t.Errorf("%+v at %d×%d, %s: %d products in a kernel, the limit is %d", c.Conv, c.size, c.size, pass, n, most)
				}
			}
		}
		if largest < int(most)/2 {
			t.Errorf("the largest kernel has %d products, the limit is %d", largest, most)
		}
	}
}

// TestTileFits: in layers like the zoo's, with more pixels than a few, not many products that a straight convolution
// computes are for nothing (invocations without a pixel, channels and outputs beyond the last, phases without taps),
// whatever the batch and however short kernels must be.
func TestTileFits(t *testing.T) {
	const most = 2.4
	for _, c := range []struct {
		Conv
		size int
	}{
		{Conv{C: 192, M: 160, K: 1, Stride: 1}, 32}, {Conv{C: 192, M: 192, K: 1, Stride: 1}, 8},
		{Conv{C: 96, M: 192, K: 5, Stride: 1, Pad: 2}, 16}, {Conv{C: 192, M: 192, K: 3, Stride: 1, Pad: 1}, 8},
		{Conv{C: 64, M: 64, K: 3, Stride: 1, Pad: 1}, 56}, {Conv{C: 128, M: 32, K: 3, Stride: 1, Pad: 1}, 14},
		{Conv{C: 96, M: 128, K: 3, Stride: 1, Pad: 1}, 28}, {Conv{C: 512, M: 512, K: 3, Stride: 1, Pad: 1}, 7},
		{Conv{C: 64, M: 128, K: 3, Stride: 2, Pad: 1}, 56}, {Conv{C: 256, M: 128, K: 1, Stride: 1}, 14},
		{Conv{C: 16, M: 16, K: 3, Stride: 1, Pad: 1}, 32},
	} {
		for _, batch := range []int{1, 4, 10, 16, 64} {
			for _, products := range []uint32{1536, 2048, 4096, gpu.UnrolledOnLlvmpipe} {
				l := gpu.Limits{
					MaxComputeInvocationsPerWorkgroup: 1024, MaxComputeWorkgroupSizeX: 1024,
					MaxComputeWorkgroupStorageSize: 32 << 10, MaxStorageBufferBindingSize: 128 << 20,
					MaxUnrolledProducts: products,
				}
				call, err := c.call(Shape{batch, c.C, c.size, c.size})
				if err != nil {
					t.Fatal(err)
				}
				for pass, g := range map[string]gemm{"forward": forwardGemm(call), "input gradient": inputGradGemm(call)} {
					g = g.onePixel()
					tile := convTile(l, g)
					computed := g.dispatches(tile) * ceilDiv(g.y.C, tile.R) *
						ceilDiv(g.blocks(tile), tile.WG) * tile.WG * tile.MulAdds()
					needed := g.x.C * g.k * g.k * g.y.C * g.y.Pixels() / (g.dilate * g.dilate)
					if by := float64(computed) / float64(needed); by > most {
						t.Errorf("%+v at %d×%d, batch %d, %s by %d outputs, %d channels, %d rows, width %d: %.1f times the products",
							c.Conv, c.size, c.size, batch, pass, tile.R, tile.CH, tile.KY, tile.WG, by)
					}
				}
			}
		}
	}
}

// Every place is found in the row that division gives, for all widths that textures have.
func TestRowDivisor(t *testing.T) {
	for n := 1; n <= 16384; n++ {
		width := scratchWidth(n)
		if width < n || width > 2*n {
			t.Fatalf("width %d for %d texels", width, n)
		}
		if n > 1 && width == scratchWidth(n-1) {
			continue
		}
		by := rowDivisor(width)
		for row := range 16384 {
			for _, place := range []int{row * width, row*width + width/2, (row+1)*width - 1} {
				if got := int(uint32(place>>by.Shift) * uint32(by.Factor) >> 17); got != row {
					t.Fatalf("width %d: place %d lies in row %d, not %d", width, place, row, got)
				}
			}
		}
	}
}
