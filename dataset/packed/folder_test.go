package packed

import (
	"fmt"
	"image"
	"image/color"
	"image/png"
	"os"
	"path/filepath"
	"testing"

	"ninvk/dataset"
	"ninvk/dataset/folder"
)

// TestFolder: a folder of photos that was packed gives training the same bytes in the same order, with the same names,
// as the folder does at that size.
func TestFolder(t *testing.T) {
	dir := t.TempDir()
	for _, split := range []string{"train", "val"} {
		for class, n := range map[string]int{"cat": 5, "dog": 40} { // more than are decoded at a time
			for i := range n {
				path := filepath.Join(dir, split, class, fmt.Sprintf("%02d.png", i))
				img := image.NewRGBA(image.Rect(0, 0, 20+i%7, 24))
				for p := range img.Pix {
					img.Pix[p] = byte(p*(i+3) + len(split) + len(class)*n)
				}
				for y := range 24 {
					img.SetRGBA(y, y, color.RGBA{byte(i), 200, 3, 255})
				}
				if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
					t.Fatal(err)
				}
				f, err := os.Create(path)
				if err != nil {
					t.Fatal(err)
				}
				if err := png.Encode(f, img); err != nil {
					t.Fatal(err)
				}
				if err := f.Close(); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	o := dataset.Options{Size: 16}
	d, err := folder.Format.Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	path := write(t, d)
	got, err := Format.Open(path, o)
	if err != nil {
		t.Fatal(err)
	}
	d.SHA256 = got.SHA256 // that of a folder is over its files
	same(t, d, got)
	if got.Train.Len() != 45 || got.Train.Shape != (dataset.Shape{C: 3, H: 16, W: 16}) {
		t.Errorf("%d images of %v", got.Train.Len(), got.Train.Shape)
	}
	if err := Verify(path); err != nil {
		t.Error(err)
	}
}
