package main

import (
	"flag"
	"image/png"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ninvk/cifar10"
	"ninvk/picture"
)

var update = flag.Bool("update", false, "write the images that the documentation shows anew")

// The images of the documentation are the sample's first test image of each class.
func TestImagesOfDocumentation(t *testing.T) {
	data, err := cifar10.Sample()
	if err != nil {
		t.Fatal(err)
	}
	for class, name := range cifar10.ClassNames {
		i := 0
		for int(data.Test.Labels[i]) != class {
			i++
		}
		pixels := data.Test.Images[i*cifar10.ImageBytes:][:cifar10.ImageBytes]
		path := filepath.Join("..", "..", "docs", "images", name+".png")
		if *update {
			img, err := picture.FromPlanes(cifar10.Width, cifar10.Height, pixels)
			if err == nil {
				err = picture.WritePNG(path, img)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		img, err := png.Decode(f)
		f.Close()
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(pixels, picture.Planes(picture.Square(img, cifar10.Width))); diff != "" {
			t.Errorf("%s is not the sample's first test image of its class; go test ./cmd/ninvk -run %s -update writes it anew", path, t.Name())
		}
	}
}
