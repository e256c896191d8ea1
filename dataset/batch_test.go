package dataset

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/go-gl/mathgl/mgl32"
	"github.com/google/go-cmp/cmp"
)

// square is the shape of the images in most of these tests.
var square = Shape{3, 32, 32}

func TestOrder(t *testing.T) {
	if diff := cmp.Diff([]uint32{0, 1, 2, 3}, Order(1, 5, 4, false)); diff != "" {
		t.Error(diff)
	}
	a, b := Order(1, 1, 1000, true), Order(1, 1, 1000, true)
	if diff := cmp.Diff(a, b); diff != "" {
		t.Error("not repeatable:", diff)
	}
	if slices.Equal(a, Order(1, 2, 1000, true)) || slices.Equal(a, Order(2, 1, 1000, true)) {
		t.Error("the order doesn't depend on epoch and seed")
	}
	if slices.IsSorted(a) {
		t.Error("not shuffled")
	}
	slices.Sort(b)
	if diff := cmp.Diff(Order(0, 0, 1000, false), b); diff != "" {
		t.Error("not a permutation:", diff)
	}
}

func TestParseAugment(t *testing.T) {
	for _, a := range Augments {
		if got, err := ParseAugment(string(a)); err != nil || got != a {
			t.Errorf("%q: %q, %v", a, got, err)
		}
	}
	if _, err := ParseAugment("mixup"); err == nil || !strings.Contains(err.Error(), "none, flip, flip-crop") {
		t.Errorf("error %v doesn't list what is known", err)
	}
}

// Flip and a shift by (2, −3) at 32×32, by hand: output (0, 0) is pixel
// (31, 0) before the flip, (33, −3) before the crop, which is in the border;
// output (2, 3) comes from the source's top right corner (31, 0).
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
	if m := Transform(1, 2, 3, AugmentNone, Crop, square, 32); m != mgl32.Ident3() {
		t.Error(m)
	}
}

// At the data's own size every draw copies pixels exactly, half of the images
// are flipped and all 81 shifts come.
func TestTransformDraws(t *testing.T) {
	const n = 5000
	shifts := map[[2]float32]int{}
	flips := 0
	for i := range uint32(n) {
		m := Transform(9, 1, i, AugmentFlipCrop, Crop, square, 32)
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

		flip := Transform(9, 1, i, AugmentFlip, Crop, square, 32)
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
		m := Transform(9, 1, i, AugmentFlipCrop, Crop, square, 16)
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
			all = append(all, Transform(seed, epoch, i, AugmentFlipCrop, Crop, square, 32))
		}
		return all
	}
	a := draws(1, 1)
	for i := range uint32(20) { // any order
		if Transform(1, 1, 19-i, AugmentFlipCrop, Crop, square, 32) != a[19-i] {
			t.Errorf("image %d drawn differently", 19-i)
		}
	}
	if slices.Equal(a, draws(1, 2)) || slices.Equal(a, draws(2, 1)) {
		t.Error("draws don't depend on seed and epoch")
	}
}

func TestMirror(t *testing.T) {
	for _, size := range []int{32, 24} {
		plain, mirror := Transform(0, 0, 0, AugmentNone, Crop, square, size), Mirror(Crop, square, size)
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
