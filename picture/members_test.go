package picture

import (
	"fmt"
	"image"
	"image/color"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const expectedSuffix = ".expected.png"

// members are images of many kinds with what they must look like, as testdata/members.py makes them.
func members(t testing.TB, pattern string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", "members", pattern))
	if err != nil || len(files) == 0 {
		t.Fatalf("no files %s: %v", pattern, err)
	}
	return files
}

// onWhite is a picture as it is seen.
func onWhite(img image.Image) *image.RGBA {
	b := img.Bounds()
	out := image.NewRGBA(image.Rect(0, 0, b.Dx(), b.Dy()))
	for y := range b.Dy() {
		for x := range b.Dx() {
			c := color.NRGBA64Model.Convert(img.At(b.Min.X+x, b.Min.Y+y)).(color.NRGBA64)
			over := func(v uint16) uint8 {
				return uint8((int(v)*int(c.A) + 0xffff*(0xffff-int(c.A)) + 0xffff*0xffff/510) / 0xffff * 255 / 0xffff)
			}
			out.SetRGBA(x, y, color.RGBA{over(c.R), over(c.G), over(c.B), 0xff})
		}
	}
	return out
}

// farthest is the largest difference of a channel of a pixel, of 255.
func farthest(a, b *image.RGBA) int {
	most := 0
	for i, v := range a.Pix {
		most = max(most, int(v)-int(b.Pix[i]), int(b.Pix[i])-int(v))
	}
	return most
}

// How far from the expected picture a file may be, in steps of 255; 1 where nothing is said. Of files that are not here the decoder and PIL's are the same library.
var tolerance = map[string]int{}

func TestMembers(t *testing.T) {
	for _, expected := range members(t, "*"+expectedSuffix) {
		file := strings.TrimSuffix(expected, expectedSuffix)
		t.Run(filepath.Base(file), func(t *testing.T) {
			f, err := os.Open(expected)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			want, err := png.Decode(f)
			if err != nil {
				t.Fatal(err)
			}
			img, err := ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(fmt.Sprint(want.Bounds().Size()), fmt.Sprint(img.Bounds().Size())); diff != "" {
				t.Fatalf("size (-want +got):\n%s", diff)
			}
			if n := farthest(onWhite(want), onWhite(img)); n > max(1, tolerance[filepath.Base(file)]) {
				t.Errorf("a channel is %d of 255 off", n)
			}
		})
	}
}
