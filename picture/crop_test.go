package picture

import (
	"fmt"
	"image"
	"image/color"
	"os"
	"path/filepath"
	"testing"
)

// The middle of an image is what PIL makes it, to the bit (testdata/crop.py), whatever kind of image it is.
func TestCrop(t *testing.T) {
	files, err := os.ReadDir("testdata/crop")
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 5 {
		t.Fatalf("only %d files", len(files))
	}
	for _, f := range files {
		var w, h, shorter, size int
		if _, err := fmt.Sscanf(f.Name(), "%dx%d-%d-%d.png", &w, &h, &shorter, &size); err != nil {
			t.Fatal(f.Name(), ": ", err)
		}
		file, err := ReadFile(filepath.Join("testdata", "crop", f.Name()))
		if err != nil {
			t.Fatal(err)
		}
		want := Square(file, size)
		part := image.NewRGBA(image.Rect(0, 0, w, h))
		moved := image.NewNRGBA64(image.Rect(-7, 11, w-7, h+11))
		for y := range h {
			for x := range w {
				v := func(c int) uint8 { return uint8((3*x*x + 5*y*y + x*y + 85*c) / 8) }
				c := color.RGBA{v(0), v(1), v(2), 0xff}
				part.SetRGBA(x, y, c)
				moved.Set(x-7, y+11, c)
			}
		}
		for _, img := range []image.Image{part, moved} {
			got := middleOf(img, shorter, size)
			if got.Bounds() != want.Bounds() {
				t.Fatalf("%s: %v, want %v", f.Name(), got.Bounds(), want.Bounds())
			}
			for i := range want.Pix {
				if got.Pix[i] != want.Pix[i] {
					t.Errorf("%s of a %T: at %d,%d %v, PIL has %v", f.Name(), img, i/4%size, i/4/size, got.Pix[i/4*4:][:4],
						want.Pix[i/4*4:][:4])
					break
				}
			}
		}
	}
}

// What is transparent lies on white, and a line of pixels is an image too.
func TestCropOdd(t *testing.T) {
	if got := middleOf(image.NewNRGBA(image.Rect(0, 0, 5, 4)), 8, 7).At(3, 3); got != (color.RGBA{255, 255, 255, 255}) {
		t.Errorf("a transparent image is %v", got)
	}
	line := image.NewGray(image.Rect(0, 0, 1, 100_000))
	for i := range line.Pix {
		line.Pix[i] = 77
	}
	if got := middleOf(line, 256, 224).At(223, 223); got != (color.RGBA{77, 77, 77, 255}) {
		t.Errorf("a line is %v", got)
	}
}

// middleOf is the middle of an image, see middle.
func middleOf(img image.Image, shorter, size int) *image.RGBA {
	b := img.Bounds()
	return middle(b.Dx(), b.Dy(), shorter, size).rgba(img, size)
}
