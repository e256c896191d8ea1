package picture

import (
	"image"
	"image/color"
	"image/png"
	"math"
	"math/rand"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"golang.org/x/image/draw"
)

// noise is an opaque image of random pixels, whose corner is not at 0, 0.
func noise(w, h int) *image.RGBA {
	r := rand.New(rand.NewSource(1))
	img := image.NewRGBA(image.Rect(7, -3, 7+w, h-3))
	r.Read(img.Pix)
	for i := 3; i < len(img.Pix); i += 4 {
		img.Pix[i] = 0xff
	}
	return img
}

func TestSquareKeepsWhatFits(t *testing.T) {
	img := noise(32, 32)
	got := Square(img, 32)
	if diff := cmp.Diff(img.Pix, got.Pix); diff != "" {
		t.Error("an image of the wanted size was changed")
	}
	wide := noise(40, 32) // the middle 32 columns count
	if diff := cmp.Diff(Square(wide.SubImage(image.Rect(11, -3, 43, 29)), 32).Pix, Square(wide, 32).Pix); diff != "" {
		t.Error("not the middle of a wide image was taken")
	}
}

// Shrinking by a whole factor counts every pixel: a fine pattern becomes its mean, not one of its colours.
func TestSquareShrinks(t *testing.T) {
	img := image.NewGray(image.Rect(0, 0, 320, 480))
	for y := range 480 {
		for x := range 320 {
			if (x+y)%2 == 0 {
				img.SetGray(x, y, color.Gray{200})
			}
		}
	}
	small := Square(img, 32)
	for i, v := range small.Pix {
		if want := uint8(100); i%4 != 3 && (v < want-1 || v > want+1) {
			t.Fatalf("a pixel of the shrunk pattern is %d, want 100", v)
		}
	}
}

func TestSquareOfTransparency(t *testing.T) {
	img := image.NewNRGBA(image.Rect(0, 0, 64, 64))
	draw.Draw(img, image.Rect(0, 0, 64, 32), image.NewUniform(color.NRGBA{0xff, 0, 0, 0x80}), image.Point{}, draw.Src)
	for _, size := range []int{16, 64} {
		got := Square(img, size)
		if c := got.RGBAAt(size/2, 1); c.R != 0xff || c.G < 0x7e || c.G > 0x80 || c.A != 0xff {
			t.Errorf("half red on white at %d pixels: %v", size, c)
		}
		if c := got.RGBAAt(size/2, size-2); c != (color.RGBA{0xff, 0xff, 0xff, 0xff}) {
			t.Errorf("transparency at %d pixels: %v, want white", size, c)
		}
	}
}

func TestPlanes(t *testing.T) {
	img := image.NewRGBA(image.Rect(0, 0, 2, 1))
	img.SetRGBA(0, 0, color.RGBA{1, 2, 3, 0xff})
	img.SetRGBA(1, 0, color.RGBA{4, 5, 6, 0xff})
	want := []byte{1, 4, 2, 5, 3, 6}
	if diff := cmp.Diff(want, Planes(img)); diff != "" {
		t.Errorf("planes (-want +got):\n%s", diff)
	}
	back, err := FromPlanes(2, 1, want)
	if err != nil || !cmp.Equal(back.Pix, img.Pix) {
		t.Errorf("FromPlanes(Planes) = %v, %v", back, err)
	}
	for _, n := range []int{0, 5, 7} { // 2 are one plane
		if _, err := FromPlanes(2, 1, make([]byte, n)); err == nil {
			t.Errorf("%d bytes were taken for an image of 2×1 pixels", n)
		}
	}
}

func TestRamp(t *testing.T) {
	r := ramp(0x000000, 0x640000, 0x64c800)
	for v, want := range map[float64]color.RGBA{
		-1: {0, 0, 0, 0xff}, 0: {0, 0, 0, 0xff}, 0.25: {50, 0, 0, 0xff}, 0.5: {100, 0, 0, 0xff}, 0.75: {100, 100, 0, 0xff},
		1: {100, 200, 0, 0xff}, 2: {100, 200, 0, 0xff},
		math.Inf(1): {100, 200, 0, 0xff},
	} {
		if got := r.At(v); got != want {
			t.Errorf("At(%v) = %v, want %v", v, got, want)
		}
	}
	if got := r.At(math.NaN()); got != r[0] {
		t.Errorf("At(NaN) = %v", got)
	}
	for name, r := range map[string]Ramp{"Viridis": Viridis, "Blues": Blues} {
		last := luma(r[0])
		up := luma(r[len(r)-1]) > last
		for _, c := range r[1:] {
			if (luma(c) > last) != up {
				t.Errorf("the lightness of %s turns", name)
			}
			last = luma(c)
		}
	}
}

// A map that rises evenly stays so when it is enlarged (the cubic is exact for straight lines), its pixels' centres in
// place.
func TestEnlarge(t *testing.T) {
	const n, to = 8, 64
	v := make([]float32, n*n)
	for i := range v {
		v[i] = float32(3*(i%n) - 2*(i/n))
	}
	got := enlarge(n, n, v, to, to)
	for y := range to {
		for x := range to {
			sx, sy := (float64(x)+0.5)/8-0.5, (float64(y)+0.5)/8-0.5
			if sx < 1 || sy < 1 || sx > n-2 || sy > n-2 { // the edges are continued
				continue
			}
			if want := 3*sx - 2*sy; math.Abs(got[y*to+x]-want) > 1e-9 {
				t.Fatalf("at %d, %d: %v, want %v", x, y, got[y*to+x], want)
			}
		}
	}
	flat := enlarge(1, 1, []float32{7}, 3, 2)
	if diff := cmp.Diff([]float64{7, 7, 7, 7, 7, 7}, flat, cmpopts.EquateApprox(0, 1e-12)); diff != "" {
		t.Errorf("a map of one value (-want +got):\n%s", diff)
	}
}

func TestHeat(t *testing.T) {
	base := image.NewRGBA(image.Rect(0, 0, 64, 64))
	draw.Draw(base, base.Bounds(), image.NewUniform(color.Gray{0x80}), image.Point{}, draw.Src)
	img, err := Heat(base, 1, 3, []float32{-1, 0, 1}, 1)
	if err != nil {
		t.Fatal(err)
	}
	if c := img.RGBAAt(4, 32); c.B < c.R+50 {
		t.Errorf("below 0: %v, want blue", c)
	}
	if c := img.RGBAAt(60, 32); c.R < c.B+50 {
		t.Errorf("above 0: %v, want red", c)
	}
	for x := 31; x <= 32; x++ { // on either side of the middle, where 0 is
		if c := img.RGBAAt(x, 32); max(c.R, c.G, c.B)-min(c.R, c.G, c.B) > 20 {
			t.Errorf("at 0: %v, want grey", c)
		}
	}
	if _, err := Heat(base, 2, 2, make([]float32, 3), 1); err == nil {
		t.Error("3 values were taken for a map of 2×2")
	}
	if img, err = Heat(base, 2, 2, make([]float32, 4), 0); err != nil || img.RGBAAt(9, 9).R != img.RGBAAt(9, 9).B {
		t.Errorf("a map of zeros: %v, %v", img.RGBAAt(9, 9), err)
	}
}

func TestFilter(t *testing.T) {
	// Red rises from -2 to 2 along the only row of two; green and blue are 0 and the half.
	img := Filter(3, 1, []float32{2, 0, -1}, 2)
	if img.Bounds().Dx() != 2 || img.RGBAAt(1, 1) != (color.RGBA{255, 128, 64, 0xff}) {
		t.Errorf("%v, %v", img.Bounds(), img.RGBAAt(1, 1))
	}
	if c := Filter(2, 1, []float32{1, -3}, 1).RGBAAt(0, 0); c != (color.RGBA{0, 0, 0, 0xff}) {
		t.Errorf("a filter of two channels, mean -1: %v, want black", c)
	}
	if c := Filter(3, 1, make([]float32, 3), 1).RGBAAt(0, 0); c != (color.RGBA{128, 128, 128, 0xff}) {
		t.Errorf("a filter of zeros: %v, want grey", c)
	}
}

func TestFeature(t *testing.T) {
	img := Feature(1, 3, []float32{0, 5, 10}, 0, 10, Blues, 4)
	if img.Bounds().Dx() != 12 || img.Bounds().Dy() != 4 {
		t.Fatalf("%v", img.Bounds())
	}
	for i, want := range []color.RGBA{Blues.At(0), Blues.At(0.5), Blues.At(1)} {
		if got := img.RGBAAt(4*i+3, 3); got != want {
			t.Errorf("value %d: %v, want %v", i, got, want)
		}
	}
	if got := Feature(1, 1, []float32{3}, 3, 3, Blues, 1).RGBAAt(0, 0); got != Blues[0] {
		t.Errorf("a map without a range: %v", got)
	}
}

func TestRange(t *testing.T) {
	v := make([]float32, 1000)
	for i := range v {
		v[i] = float32((i * 7) % 1000)
	}
	if low, high := Range(v); low != 5 || high != 994 {
		t.Errorf("%v to %v, want 5 to 994", low, high)
	}
	if low, high := Range(nil); low != 0 || high != 0 {
		t.Errorf("of nothing: %v to %v", low, high)
	}
	if got := MostOf([]float32{1, -4, 3}); got != 4 {
		t.Errorf("the largest is %v", got)
	}
}

// Sheets hold every tile whole, whatever their number, and their captions fit.
func TestSheet(t *testing.T) {
	tile := func(w, h int, lines ...Line) Tile {
		img := image.NewRGBA(image.Rect(0, 0, w, h))
		draw.Draw(img, img.Bounds(), image.NewUniform(color.RGBA{1, 2, 3, 0xff}), image.Point{}, draw.Src)
		return Tile{img, lines}
	}
	long := Line{Text: "a name that is by far too long for the small picture above it.png"}
	for _, c := range []struct {
		name    string
		columns int
		tiles   []Tile
		foot    image.Image
	}{
		{"none", 5, nil, nil},
		{"one", 5, []Tile{tile(50, 40)}, nil},
		{"three in two columns, of different sizes", 2, []Tile{tile(50, 40, long), tile(60, 20), tile(10, 80, Line{}, long)},
			Scale(Blues, "low", "", "high")},
	} {
		img := Sheet("A title", c.columns, c.tiles, c.foot)
		count, want := 0, 0
		for _, x := range c.tiles {
			want += x.Image.Bounds().Dx() * x.Image.Bounds().Dy()
		}
		for i := 0; i < len(img.Pix); i += 4 {
			if img.Pix[i] == 1 && img.Pix[i+1] == 2 {
				count++
			}
		}
		if count != want {
			t.Errorf("%s: %d pixels of tiles, want %d", c.name, count, want)
		}
		w := img.Bounds().Dx()
		for y := range img.Bounds().Dy() { // the margin stays white
			if img.RGBAAt(0, y) != paper || img.RGBAAt(w-1, y) != paper {
				t.Fatalf("%s: something reaches the edge in row %d", c.name, y)
			}
		}
	}
}

func TestThumbnail(t *testing.T) {
	for _, c := range []struct{ w, h, size, wantW, wantH int }{
		{28, 28, 128, 112, 112}, {32, 32, 128, 128, 128}, {224, 224, 128, 128, 128}, {400, 100, 128, 128, 32},
		{1, 1000, 128, 1, 128},
		{128, 3, 128, 128, 3},
	} {
		img := image.NewRGBA(image.Rect(0, 0, c.w, c.h))
		draw.Draw(img, img.Bounds(), image.NewUniform(Wrong), image.Point{}, draw.Src)
		got := Thumbnail(img, c.size)
		if got.Bounds().Size() != image.Pt(c.wantW, c.wantH) || got.RGBAAt(c.wantW/2, c.wantH/2) != Wrong {
			t.Errorf("%d×%d: %v, %v in its middle", c.w, c.h, got.Bounds(), got.RGBAAt(c.wantW/2, c.wantH/2))
		}
	}
}

func TestClip(t *testing.T) {
	f := fonts().regular
	if got := clip(f, "short", 200); got != "short" {
		t.Errorf("%q", got)
	}
	got := clip(f, "IMG_20240518_123456.jpeg", 100)
	if r := []rune(got); len(r) > 16 || got[:4] != "IMG_" || got[len(got)-4:] != "jpeg" {
		t.Errorf("%q", got)
	}
	if got := clip(f, "abc", 1); got != "…" {
		t.Errorf("%q", got)
	}
}

func TestGridAndStack(t *testing.T) {
	square := func(n int) image.Image { return noise(n, n) }
	if b := Grid(3, 2, []image.Image{square(10), square(10), square(10), square(10)}).Bounds(); b.Size() != image.Pt(34,
		22) {
		t.Errorf("four in three columns: %v", b.Size())
	}
	if b := Grid(3, 2, []image.Image{square(10)}).Bounds(); b.Size() != image.Pt(10, 10) {
		t.Errorf("one: %v", b.Size())
	}
	if b := Stack(square(10), square(20)).Bounds(); b.Size() != image.Pt(20, 34) {
		t.Errorf("a stack: %v", b.Size())
	}
}

func TestWritePNG(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a.png")
	img := noise(5, 4)
	if err := WritePNG(path, img); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	back, err := png.Decode(f)
	if err != nil || !cmp.Equal(Planes(Square(back, 4)), Planes(Square(img, 4))) {
		t.Errorf("not what was written: %v", err)
	}
	if err := WritePNG(filepath.Join(dir, "none", "a.png"), img); err == nil {
		t.Error("written into a missing folder")
	}
	if err := WritePNG(filepath.Join(dir, "b.png"), image.NewRGBA(image.Rectangle{})); err == nil {
		t.Error("an empty picture was written")
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 1 {
		t.Errorf("%d files are left, %v", len(left), err)
	}
}

func TestColumns(t *testing.T) {
	for n, want := range map[int]int{1: 1, 2: 2, 3: 2, 96: 12, 160: 16, 192: 16, 10: 5, 101: 12} {
		if got := Columns(n); got != want {
			t.Errorf("%d pictures in %d columns, want %d", n, got, want)
		}
	}
}
