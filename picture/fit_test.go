package picture

import (
	"bytes"
	"image"
	"image/color"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"

	"golang.org/x/image/draw"
)

// formula is the image of testdata/fit.py.
func formula(w, h int, img draw.Image) {
	min := img.Bounds().Min
	for y := range h {
		for x := range w {
			v := func(c int) uint8 { return uint8((3*x*x + 5*y*y + x*y + 85*c) / 8) }
			img.Set(min.X+x, min.Y+y, color.RGBA{v(0), v(1), v(2), 0xff})
		}
	}
}

// Squares are those that PIL makes, to the bit (testdata/fit.py), whatever kind of image they are made of.
func TestFits(t *testing.T) {
	files, err := os.ReadDir("testdata/fit")
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 50 {
		t.Fatalf("only %d files", len(files))
	}
	pattern := regexp.MustCompile(`^(\w+)-(\d+)x(\d+)-(\d+)-(RGB|L)\.png$`)
	for _, f := range files {
		m := pattern.FindStringSubmatch(f.Name())
		if m == nil {
			t.Fatal(f.Name())
		}
		number := func(i int) int {
			n, err := strconv.Atoi(m[i])
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
		w, h, size, channels := number(2), number(3), number(4), map[string]int{"RGB": 3, "L": 1}[m[5]]
		file, err := ReadFile(filepath.Join("testdata", "fit", f.Name()))
		if err != nil {
			t.Fatal(err)
		}
		want := make([]byte, channels*size*size)
		for y := range size {
			for x := range size {
				r, g, b, _ := file.At(x, y).RGBA()
				for c, v := range []uint32{r, g, b}[:channels] {
					want[(c*size+y)*size+x] = byte(v >> 8)
				}
			}
		}
		for _, img := range []draw.Image{image.NewRGBA(image.Rect(0, 0, w, h)),
			image.NewNRGBA64(image.Rect(-7, 11, w-7, h+11))} {
			formula(w, h, img)
			got := make([]byte, len(want))
			Fit(m[1]).Planes(img, size, channels, got)
			for i := range want {
				if got[i] != want[i] {
					t.Errorf("%s of a %T: value %d is %d, PIL has %d", f.Name(), img, i, got[i], want[i])
					break
				}
			}
		}
	}
}

// What has the size already keeps its values, in every fit but ImageNet's, and in every kind of image.
func TestFitsKeep(t *testing.T) {
	const n = 13
	grey := image.NewGray(image.Rect(0, 0, n, n))
	deep := image.NewGray16(grey.Rect)
	coloured := image.NewNRGBA(grey.Rect)
	want := map[int][]byte{1: make([]byte, n*n), 3: make([]byte, 3*n*n)}
	for i := range n * n {
		grey.Pix[i] = byte(7 * i)
		deep.SetGray16(i%n, i/n, color.Gray16{Y: uint16(7*i&0xff)<<8 | 0xab})
		coloured.Set(i%n, i/n, color.NRGBA{byte(i), byte(3 * i), byte(5 * i), 0xff})
		want[1][i] = byte(7 * i)
		want[3][i], want[3][n*n+i], want[3][2*n*n+i] = byte(i), byte(3*i), byte(5*i)
	}
	for _, fit := range []Fit{FitCrop, FitStretch, FitPad} {
		for _, c := range []struct {
			img      image.Image
			channels int
			want     []byte
		}{{grey, 1, want[1]}, {deep, 1, want[1]}, {coloured, 3, want[3]},
			{grey, 3, bytes.Repeat(want[1], 3)}} {
			got := make([]byte, c.channels*n*n)
			fit.Planes(c.img, n, c.channels, got)
			if !bytes.Equal(got, c.want) {
				t.Errorf("%s of a %T in %d channels changes values", fit, c.img, c.channels)
			}
		}
	}
}

// Transparent parts lie on white; beside what is padded it is black.
func TestFitsTransparent(t *testing.T) {
	img := image.NewNRGBA(image.Rect(0, 0, 4, 2))
	img.SetNRGBA(1, 1, color.NRGBA{0, 0, 0, 0x80})
	got := make([]byte, 16)
	FitPad.Planes(img, 4, 1, got)
	want := []byte{0, 0, 0, 0, 255, 255, 255, 255, 255, 127, 255, 255, 0, 0, 0, 0}
	if !bytes.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestGrey(t *testing.T) {
	colour := image.NewRGBA(image.Rect(0, 0, 5, 5))
	draw.Draw(colour, colour.Rect, image.NewUniform(color.Gray{77}), image.Point{}, draw.Src)
	for _, img := range []image.Image{image.NewGray(colour.Rect), image.NewGray16(colour.Rect),
		image.NewNRGBA(colour.Rect),
		colour, image.NewPaletted(colour.Rect, color.Palette{color.Gray{3}})} {
		if !Grey(img) {
			t.Errorf("a %T without colour is not grey", img)
		}
	}
	colour.SetRGBA(4, 4, color.RGBA{77, 77, 78, 0xff})
	if Grey(colour) {
		t.Error("an image with one blue pixel is grey")
	}
}

// Images are told from what lies beside them by their beginnings, and where these say nothing by their names.
func TestIsImage(t *testing.T) {
	for _, c := range []struct {
		name, head string
		want       bool
	}{
		{"a", "\x89PNG\r\n\x1a\n", true}, {"a.txt", "\xff\xd8\xff\xe0", true}, {"a.jpg", "", true}, {"a.JPG", "hello", true},
		{"a", "II*\x00", true}, {"a.tif", "", true}, {"a", "BM\x10\x00\x00\x00\x00\x00\x00\x00\x36", true},
		{"notes.txt", "BMX is a sport", false}, {"notes.txt", "PT boats, CI runs", false}, {"a.svg", "<svg>", false},
		{"a.mp4", "\x00\x00\x00\x18ftypisom\x00\x00\x00\x00", false}, {"a.zip", "PK\x03\x04", false}, {"a", "", false},
	} {
		if got := IsImage(c.name, []byte(c.head)); got != c.want {
			t.Errorf("%q, %q: %v", c.name, c.head, got)
		}
	}
}

func TestRegion(t *testing.T) {
	for _, c := range []struct {
		fit        Fit
		w, h, size int
		want       [4]float64 // left, top, right, bottom
	}{
		{FitCrop, 100, 60, 32, [4]float64{20, 0, 80, 60}},
		{FitStretch, 100, 60, 32, [4]float64{0, 0, 100, 60}},
		{FitPad, 100, 60, 32, [4]float64{0, -20, 100, 80}},
		{FitImageNet, 512, 256, 224, [4]float64{144, 16, 368, 240}},
	} {
		var got [4]float64
		got[0], got[1], got[2], got[3] = c.fit.Region(c.w, c.h, c.size)
		if got != c.want {
			t.Errorf("%s of %d×%d: %v, expected %v", c.fit, c.w, c.h, got, c.want)
		}
	}
}
