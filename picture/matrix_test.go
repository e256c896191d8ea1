package picture

import (
	"flag"
	"fmt"
	"image"
	"math/rand/v2"
	"path/filepath"
	"testing"
)

var matrices = flag.String("matrices", "", "a folder that TestMatrixSizes puts its pictures into")

func TestMatrix(t *testing.T) {
	img := Matrix("Title", []string{"a", "b"}, []Count{{0, 1, 4}})
	if n := count(img, image.Rectangle{}); n < 82*46/2 || n > 82*46 {
		t.Errorf("the one cell with counts is not dark: %d pixels", n)
	}
}

// count is how many pixels have the darkest blue, all where the rectangle is empty.
func count(img *image.RGBA, in image.Rectangle) int {
	if in.Empty() {
		in = img.Bounds()
	}
	n, last := 0, Blues[len(Blues)-1]
	for y := in.Min.Y; y < in.Max.Y; y++ {
		for x := in.Min.X; x < in.Max.X; x++ {
			if img.RGBAAt(x, y) == last {
				n++
			}
		}
	}
	return n
}

// guesses are the counts of a network that is mostly right and takes some classes for a neighbour.
func guesses(classes, images int) []Count {
	r := rand.New(rand.NewPCG(3, uint64(classes)))
	var counts []Count
	for i := range classes {
		wrong := r.IntN(images/2 + 1)
		near := (i + 1 + r.IntN(min(3, classes-1))) % classes
		counts = append(counts, Count{i, i, images - wrong}, Count{i, near, wrong / 2})
		if far := r.IntN(classes); far != i && far != near {
			counts = append(counts, Count{i, far, wrong - wrong/2})
		}
	}
	return counts
}

// Whatever the number of classes, the picture is bounded, nothing reaches its edge, and a diagonal of 1 is as dark as
// can be in every row.
func TestMatrixSizes(t *testing.T) {
	for _, classes := range []int{2, 5, 10, 12, 33, 50, 200, 1001, 20000} {
		names := make([]string, classes)
		for i := range names {
			names[i] = fmt.Sprintf("class %d", i)
			if i%7 == 3 {
				names[i] = fmt.Sprintf("a class with a long name such as the great crested grebe %d", i)
			}
		}
		title := fmt.Sprintf("resnet18, test split, %d images with their mirror images: accuracy 71.21 %%", 100*classes)
		for kind, counts := range map[string][]Count{"right": nil, "mostly": guesses(classes, 100), "none": {}} {
			for i := range classes {
				if kind == "right" {
					counts = append(counts, Count{i, i, 9})
				}
			}
			img := Matrix(title, names, counts)
			size := img.Bounds().Size()
			if size.X < 300 || size.X > 1800 || size.Y > 1400 {
				t.Errorf("%d classes: the picture has %v", classes, size)
			}
			for y := range size.Y {
				if img.RGBAAt(0, y) != paper || img.RGBAAt(size.X-1, y) != paper {
					t.Fatalf("%d classes, %s: something reaches the edge in row %d", classes, kind, y)
				}
			}
			for x := range size.X {
				if img.RGBAAt(x, 0) != paper || img.RGBAAt(x, size.Y-1) != paper {
					t.Fatalf("%d classes, %s: something reaches the edge in column %d", classes, kind, x)
				}
			}
			if m := layOut(classes); kind == "right" {
				if n := count(img, image.Rectangle{}); n < m.n*max(1, (m.w-m.gap)*(m.h-m.gap)/2) {
					t.Errorf("%d classes: %d dark pixels on the diagonal", classes, n)
				}
			} else if kind == "none" && count(img, image.Rectangle{}) > 0 {
				t.Errorf("%d classes without images: there are dark cells", classes)
			}
			if *matrices != "" && kind == "mostly" {
				if err := WritePNG(filepath.Join(*matrices, fmt.Sprintf("%d.png", classes)), img); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
}
