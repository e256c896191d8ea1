package dataset

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/go-gl/mathgl/mgl32"
)

// square is the shape of the images in most of these tests.
var square = Shape{3, 32, 32}

const flipCrop = AugmentFlip | AugmentShift

func TestParseAugment(t *testing.T) {
	for _, c := range []struct {
		list  string
		want  Augment
		fails string
	}{
		{list: "none"},
		{list: "flip", want: AugmentFlip},
		{list: "flip-crop", want: AugmentFlip | AugmentShift},
		{list: "random-resized-crop", want: AugmentCrop},
		{list: "color", want: AugmentColor},
		{list: "flip,color", want: AugmentFlip | AugmentColor},
		{list: "color, flip-crop", want: AugmentFlip | AugmentShift | AugmentColor},
		{list: "flip,random-resized-crop,color", want: AugmentFlip | AugmentCrop | AugmentColor},
		{list: "mixup", fails: `"mixup"; known are none, flip, flip-crop, random-resized-crop, color`},
		{list: "", fails: `unknown augmentation ""`},
		{list: "flip,", fails: `unknown augmentation ""`},
		{list: "flip,none", fails: "none is nothing else"},
		{list: "none,none", fails: "none is nothing else"},
		{list: "color,flip,color", fails: `color is in "color,flip" already`},
		{list: "flip-crop,flip", fails: `flip is in "flip-crop" already`},
		{list: "flip,flip-crop", fails: "flip is a part of flip-crop"},
		{list: "color,flip,flip-crop", fails: "flip is a part of flip-crop"},
		{list: "flip-crop,random-resized-crop", fails: "take flip,random-resized-crop"},
	} {
		got, err := ParseAugment(c.list)
		if got != c.want || (err == nil) != (c.fails == "") || err != nil && !strings.Contains(err.Error(), c.fails) {
			t.Errorf("%q: %b, %v; want %b, %q", c.list, got, err, c.want, c.fails)
		}
	}
}

// Flip and a shift by (2, −3) at 32×32, by hand: output (0, 0) is pixel (31, 0) before the flip, (33, −3) before the
// crop, which is in the border; output (2, 3) comes from the source's top right corner (31, 0).
func TestComposeByHand(t *testing.T) {
	want := mgl32.Mat3{
		-1, 0, 0, // first column
		0, 1, 0,
		33, -3, 1,
	}
	m := Crop.window(square).compose(true, 2, -3, 32)
	if m != want {
		t.Errorf("got %v, want %v", m, want)
	}
	if p := m.Mul3x1(mgl32.Vec3{2, 3, 1}); p != (mgl32.Vec3{31, 0, 1}) {
		t.Errorf("(2, 3) comes from %v", p)
	}
	if p := m.Mul3x1(mgl32.Vec3{0, 0, 1}); p != (mgl32.Vec3{33, -3, 1}) {
		t.Errorf("(0, 0) comes from %v", p)
	}
	// At 64×64 a pixel is half of a source pixel: the crop shifts by 1 and −1.5.
	// Output (0, 0): index 63 before the flip, 65 before the crop; (65.5, −2.5) / 2 − ½.
	if p := Crop.window(square).compose(true, 2, -3, 64).Mul3x1(mgl32.Vec3{0, 0, 1}); p != (mgl32.Vec3{32.25, -1.75, 1}) {
		t.Errorf("64×64: (0, 0) comes from %v", p)
	}
}

func TestComposeResizesAboutCentres(t *testing.T) {
	for _, out := range []int{16, 32, 48, 64, 224} {
		last := float32(out - 1)
		edge := 16/float32(out) - 0.5 // half an output pixel in from the image's edge
		for _, flip := range []bool{false, true} {
			m := Crop.window(square).compose(flip, 0, 0, out)
			p, q := m.Mul3x1(mgl32.Vec3{0, 0, 1}), m.Mul3x1(mgl32.Vec3{last, last, 1})
			left, right := p.X(), q.X()
			if flip {
				left, right = right, left
			}
			for _, c := range [][2]float32{{left, edge}, {right, 31 - edge}, {p.Y(), edge}, {q.Y(), 31 - edge}} {
				if math.Abs(float64(c[0]-c[1])) > 1e-5 {
					t.Errorf("out %d, flip %v: corners from %v and %v", out, flip, p, q)
				}
			}
		}
	}
}

func TestTransformNone(t *testing.T) {
	if m := Transform(1, 2, 3, 0, Crop, square, 32, 0).Map; m != mgl32.Ident3() {
		t.Error(m)
	}
}

// At the data's own size every draw copies pixels exactly, half of the images are flipped and all 81 shifts come.
func TestTransformDraws(t *testing.T) {
	const n = 5000
	shifts := map[[2]float32]int{}
	flips := 0
	for i := range uint32(n) {
		m := Transform(9, 1, i, flipCrop, Crop, square, 32, 0).Map
		for _, v := range m {
			if v != float32(math.Trunc(float64(v))) {
				t.Fatalf("image %d: coefficient %g", i, v)
			}
		}
		if m[1] != 0 || m[2] != 0 || m[3] != 0 || m[4] != 1 || m[5] != 0 || m[8] != 1 {
			t.Fatalf("image %d: %v", i, m)
		}
		dx := m[6]
		switch m[0] {
		case 1:
		case -1:
			flips++
			dx -= 31
		default:
			t.Fatalf("image %d: %v", i, m)
		}
		if math.Abs(float64(dx)) > CropPadding || math.Abs(float64(m[7])) > CropPadding {
			t.Fatalf("image %d shifts by (%g, %g)", i, dx, m[7])
		}
		shifts[[2]float32{dx, m[7]}]++

		flip := Transform(9, 1, i, AugmentFlip, Crop, square, 32, 0).Map
		if flip[0] != m[0] || flip[6] != m[6]-dx || flip[7] != 0 {
			t.Fatalf("image %d: flip alone is %v, with crop %v", i, flip, m)
		}
	}
	if flips < n*46/100 || flips > n*54/100 {
		t.Errorf("%d of %d flipped", flips, n)
	}
	if len(shifts) != 81 {
		t.Errorf("%d different shifts, expected 81", len(shifts))
	}
}

// An image of half the size shifts by half as many pixels at most, which are as many of the source.
func TestTransformShiftsSmallImagesLess(t *testing.T) {
	most := float32(0)
	for i := range uint32(1000) {
		m := Transform(9, 1, i, flipCrop, Crop, square, 16, 0).Map
		most = max(most, m[7])
		if dy := (m[7] - 0.5) / 2; dy < -2 || dy > 2 || dy != float32(math.Trunc(float64(dy))) {
			t.Fatalf("image %d shifts by %g of 16 pixels", i, dy)
		}
	}
	if most != 4.5 {
		t.Errorf("the largest offset is %g, want 4.5", most)
	}
}

func TestTransformDependsOnNameOnly(t *testing.T) {
	draws := func(seed uint64, epoch int) (all []mgl32.Mat3) {
		for i := range uint32(20) {
			all = append(all, Transform(seed, epoch, i, flipCrop, Crop, square, 32, 0).Map)
		}
		return all
	}
	a := draws(1, 1)
	for i := range uint32(20) { // any order
		if Transform(1, 1, 19-i, flipCrop, Crop, square, 32, 0).Map != a[19-i] {
			t.Errorf("image %d drawn differently", 19-i)
		}
	}
	if slices.Equal(a, draws(1, 2)) || slices.Equal(a, draws(2, 1)) {
		t.Error("draws don't depend on seed and epoch")
	}
}

func TestMirror(t *testing.T) {
	for _, size := range []int{32, 24} {
		plain, mirror := Transform(0, 0, 0, 0, Crop, square, size, 0).Map, Mirror(Crop, square, size)
		for i := range size {
			at := func(m mgl32.Mat3, x int) mgl32.Vec3 { return m.Mul3x1(mgl32.Vec3{float32(x), float32(i), 1}) }
			// At the data's own size the numbers are whole and exact.
			if got, want := at(mirror, i), at(plain, size-1-i); size == square.W && got != want ||
				!got.ApproxEqualThreshold(want, 1e-5) {
				t.Errorf("%d pixels: pixel %d is taken from %v, want %v", size, i, got, want)
			}
		}
	}
}

// An image of 30×20 pixels, fitted to a square of 20 and of 30 pixels.
func TestFits(t *testing.T) {
	in := Shape{3, 20, 30}
	for _, c := range []struct {
		fit         Fit
		out         int
		first, last mgl32.Vec3 // the source of the first and the last pixel
	}{
		{Crop, 20, mgl32.Vec3{5, 0, 1}, mgl32.Vec3{24, 19, 1}},
		{Stretch, 10, mgl32.Vec3{1, 0.5, 1}, mgl32.Vec3{28, 18.5, 1}},
		{Pad, 30, mgl32.Vec3{0, -5, 1}, mgl32.Vec3{29, 24, 1}},
	} {
		m := Plain(c.fit, in, c.out)
		last := float32(c.out - 1)
		from, to := m.Mul3x1(mgl32.Vec3{0, 0, 1}), m.Mul3x1(mgl32.Vec3{last, last, 1})
		if from != c.first || to != c.last {
			t.Errorf("%s to %d pixels: from %v to %v, want %v to %v", c.fit, c.out, from, to, c.first, c.last)
		}
	}
}

// TestTransformIsFrozen: runs that were begun by an earlier version go on with the same images.
func TestTransformIsFrozen(t *testing.T) {
	for _, c := range []struct {
		a    Augment
		want string
	}{
		{AugmentFlip, "1.3333 0.16667 1.3333 0.16667; -1.3333 30.833 1.3333 0.16667; 1.3333 0.16667 1.3333 0.16667; "},
		{flipCrop, "1.3333 0.16667 1.3333 0.16667; -1.3333 26.833 1.3333 -2.5; 1.3333 -2.5 1.3333 0.16667; "},
		{AugmentFlip | AugmentCrop | AugmentColor, "1 3 0.95833 5.9792 [1.0316 0.01998 0.01998 0.039224 1.0508 0.039224 " +
			"0.0076177 0.0076177 1.0192 -21.957 -21.957 -21.957]; -0.5 29.25 0.58333 8.7917 [1.0585 -0.058781 -0.058781 " +
			"-0.1154 1.0019 -0.1154 -0.022411 -0.022411 1.0949 -4.9075 -4.9075 -4.9075]; 0.75 0.875 0.75 10.875 [0.55292 " +
			"0.068046 0.068046 0.13359 0.61846 0.13359 0.025944 0.025944 0.51082 -6.4734 -6.4734 -6.4734]; "},
	} {
		var got string
		for i := range uint32(3) {
			v := Transform(7, 2, i, c.a, Crop, square, 24, 100)
			got += fmt.Sprintf("%.5g %.5g %.5g %.5g", v.Map[0], v.Map[6], v.Map[4], v.Map[7])
			if c.a&AugmentColor != 0 {
				got += fmt.Sprintf(" %.5g", v.Colour)
			}
			got += "; "
		}
		if got != c.want {
			t.Errorf("%b: %s, want %s", c.a, got, c.want)
		}
	}
}

// TestRandomResizedCrop: as torchvision's, parts are of 8 to 100 % of the area and of ratios from 3:4 to 4:3, evenly in
// area and in the ratio's logarithm as far as they fit, at all places; whole pixels, resized.
func TestRandomResizedCrop(t *testing.T) {
	const n, out = 4000, 16
	in := Shape{3, 80, 100}
	var areas, logs float64
	wide, narrow, small, flips, left, right, top, bottom := 0, 0, 0, 0, 0, 0, 0, 0
	for i := range uint32(n) {
		v := Transform(3, 1, i, AugmentFlip|AugmentCrop, Pad, in, out, 0)
		w, h := math.Abs(float64(v.Map[0]))*out, float64(v.Map[4])*out
		x, y := float64(v.Map[6])+0.5-float64(v.Map[0])/2, float64(v.Map[7])+0.5-float64(v.Map[4])/2
		if v.Map[0] < 0 {
			flips++
			x -= w
		}
		for _, whole := range []float64{w, h, x, y} {
			if math.Abs(whole-math.Round(whole)) > 1e-4 {
				t.Fatalf("image %d: part %g×%g at %g, %g", i, w, h, x, y)
			}
		}
		if x < -1e-4 || y < -1e-4 || x+w > 100+1e-4 || y+h > 80+1e-4 {
			t.Fatalf("image %d: part %g×%g at %g, %g is beyond the image", i, w, h, x, y)
		}
		area, ratio := w*h/8000, w/h
		if area < 0.075 || area > 1 || ratio < 0.7 || ratio > 1.42 {
			t.Fatalf("image %d: %g of the area, ratio %g", i, area, ratio)
		}
		areas, logs = areas+area/n, logs+math.Log(ratio)/n
		count := func(c *int, is bool) {
			if is {
				*c++
			}
		}
		count(&wide, ratio > 1.3)
		count(&narrow, ratio < 0.77)
		count(&small, area < 0.1)
		count(&left, x < 0.5)
		count(&right, x+w > 99.5)
		count(&top, y < 0.5)
		count(&bottom, y+h > 79.5)
		if v.Colour != Colours(1, 1, 1, 0) {
			t.Fatalf("image %d has colours %v", i, v.Colour)
		}
	}
	// What 60,000 draws of torchvision 0.14 come to.
	if math.Abs(areas-0.457) > 0.015 || math.Abs(logs-0.028) > 0.01 {
		t.Errorf("mean area %g, mean logarithm of the ratio %g", areas, logs)
	}
	for _, c := range []struct {
		name  string
		count int
		want  float64
	}{
		{"wide", wide, 0.050}, {"narrow", narrow, 0.033}, {"small", small, 0.027}, {"left", left, 0.039},
		{"right", right, 0.040}, {"top", top, 0.103}, {"bottom", bottom, 0.105},
	} {
		if share := float64(c.count) / n; math.Abs(share-c.want) > 0.012 {
			t.Errorf("%g of the parts are %s, want %g", share, c.name, c.want)
		}
	}
	if flips < n*46/100 || flips > n*54/100 {
		t.Errorf("%d of %d flipped", flips, n)
	}
}

// An image in which no part of an allowed ratio is large enough: the middle.
func TestRandomResizedCropOfANarrowImage(t *testing.T) {
	for _, c := range []struct {
		in   Shape
		want window
	}{
		{Shape{1, 2, 300}, window{148, 0, 3, 2}},
		{Shape{1, 300, 3}, window{0, 148, 3, 4}},
	} {
		for i := range uint32(20) {
			// The smallest part has 8 % of the area, which is higher or wider than the image.
			if v := Transform(1, 1, i, AugmentCrop, Crop, c.in, 4, 0); v.Map != c.want.compose(false, 0, 0, 4) {
				t.Errorf("%v, image %d: %v, want %v", c.in, i, v.Map, c.want)
			}
		}
	}
	one := Transform(1, 1, 1, AugmentCrop, Crop, Shape{1, 1, 1}, 4, 0)
	if one.Map != (window{0, 0, 1, 1}).compose(false, 0, 0, 4) {
		t.Errorf("of one pixel: %v", one.Map)
	}
}

// Colours leave the map as it is, and the map the colours.
func TestTransformColours(t *testing.T) {
	var low, high float32 = 2, 0
	for i := range uint32(500) {
		both := Transform(5, 3, i, flipCrop|AugmentColor, Crop, square, 32, 100)
		plain := Transform(5, 3, i, flipCrop, Crop, square, 32, 0)
		alone := Transform(5, 3, i, AugmentColor, Crop, square, 32, 100)
		if both.Map != plain.Map || both.Colour != alone.Colour || plain.Colour != Colours(1, 1, 1, 0) ||
			alone.Map != mgl32.Ident3() {
			t.Fatalf("image %d: %v; %v; %v", i, both, plain, alone)
		}
		// Of white the matrix makes brightness·contrast of 255, and what contrast adds.
		white := both.Colour.Mul4x1(mgl32.Vec4{1, 1, 1, 0})
		low, high = min(low, white.X()), max(high, white.X())
		if !white.ApproxEqualThreshold(mgl32.Vec3{white.X(), white.X(), white.X()}, 1e-5) {
			t.Fatalf("image %d: grey becomes %v", i, white)
		}
	}
	if low < 0.36 || low > 0.45 || high > 1.96 || high < 1.8 {
		t.Errorf("brightness times contrast is from %g to %g, want nearly 0.36 to 1.96", low, high)
	}
}

func TestColours(t *testing.T) {
	if got := Colours(1, 1, 1, 77); got != (mgl32.Mat3x4{0: 1, 4: 1, 8: 1}) {
		t.Errorf("without change: %v", got)
	}
	for _, c := range []struct {
		name string
		m    mgl32.Mat3x4
		want mgl32.Vec3 // of red 200, green 100, blue 50
	}{
		{"brightness", Colours(0.5, 1, 1, 77), mgl32.Vec3{100, 50, 25}},
		{"contrast", Colours(1, 0.5, 1, 79.6), mgl32.Vec3{140, 90, 65}},
		{"saturation", Colours(1, 1, 0, 77), mgl32.Vec3{124.2, 124.2, 124.2}},
		{"brightness, then contrast", Colours(0.5, 0.5, 1, 80), mgl32.Vec3{70, 45, 32.5}},
		{"all", Colours(0.5, 0.5, 0, 80), mgl32.Vec3{51.05, 51.05, 51.05}},
	} {
		if got := c.m.Mul4x1(mgl32.Vec4{200, 100, 50, 1}); !got.ApproxEqualThreshold(c.want, 1e-4) {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

func TestMeasured(t *testing.T) {
	grey := Split{Shape{1, 1, 2}, []uint16{0, 0}, Memory{Shape{1, 1, 2}, []byte{10, 21, 0, 255}, "image"}}
	colour := Split{Shape{3, 1, 1}, []uint16{0, 0}, Memory{Shape{3, 1, 1}, []byte{200, 100, 50, 255, 255, 255}, "image"}}
	for _, c := range []struct {
		s    Split
		want []float32
	}{{grey, []float32{15.5, 127.5}}, {colour, []float32{124, 255}}} {
		if _, got := c.s.Measured(); !slices.Equal(got, c.want) {
			t.Errorf("%v in memory: %v, want %v", c.s.Shape, got, c.want)
		}
		elsewhere := c.s
		elsewhere.Source = struct{ Source }{c.s.Source}
		read, got := elsewhere.Measured()
		if !slices.Equal(got, []float32{0, 0}) {
			t.Errorf("%v not read yet: %v", c.s.Shape, got)
		}
		pixels, err := read.All()
		if want, _ := c.s.All(); err != nil || !slices.Equal(pixels, want) || !slices.Equal(got, c.want) {
			t.Errorf("%v read: pixels %v, levels %v, %v; want %v", c.s.Shape, pixels, got, err, c.want)
		}
	}
}
