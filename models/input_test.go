package models

import (
	"image"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ninvk/picture"
	"ninvk/safetensors"
)

// A network for small images sees the largest square at its own size, whatever size it was trained at; one for ImageNet
// the middle of the image at its input's.
func TestInput(t *testing.T) {
	img := image.NewGray(image.Rect(3, 5, 103, 85))
	for i := range img.Pix {
		img.Pix[i] = uint8(i * i / 77)
	}
	for _, c := range []struct {
		model       string
		given, size int
		want        *image.RGBA
	}{
		{"nin-bn", 0, 32, picture.Square(img, 32)},
		{"nin", 48, 48, picture.Square(img, 48)},
		{"nin-imagenet", 0, 224, picture.FitImageNet.RGBA(img, 224)},
		{"nin-imagenet", 70, 70, picture.FitImageNet.RGBA(img, 70)},
		{"lenet5", 0, 32, picture.Square(img, 32)},
		{"resnet20", 64, 64, picture.Square(img, 64)},
		{"googlenet", 112, 112, picture.FitImageNet.RGBA(img, 112)},
	} {
		m, err := find(c.model)
		if err != nil {
			t.Fatal(err)
		}
		f := &safetensors.File{Tensors: tensors(t, m, 3, func(s string) string { return s })}
		n, err := NewNetwork("w", f, Given{Size: c.given})
		if err != nil {
			t.Fatal(err)
		}
		got := n.Input(img)
		if n.Size != c.size || got.Bounds() != c.want.Bounds() || !cmp.Equal(got.Pix, c.want.Pix) {
			t.Errorf("%s, size %d: an input of %v for %d pixels, not what is wanted", c.model, c.given, got.Bounds(), n.Size)
		}
		if got := n.View(img, 40).Bounds().Size(); got != image.Pt(40, 40) {
			t.Errorf("%s: a view of %v", c.model, got)
		}
	}
}
