package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ninvk/cifar10"
	"ninvk/dataset"
	"ninvk/rng"
)

// photo is one of a class that anybody tells from the other: a yellow disk or a blue ring somewhere on a noisy ground.
func photo(seed uint64, ring bool) *image.RGBA {
	r := rng.New(seed, "photo", 0, 0)
	w, h := 40+r.Intn(24), 40+r.Intn(24)
	x0, y0, radius := w/2+r.Intn(9)-4, h/2+r.Intn(9)-4, 12+r.Intn(4)
	ground := [3]int{40 + r.Intn(60), 40 + r.Intn(60), 40 + r.Intn(60)}
	img := image.NewRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			d := (x-x0)*(x-x0) + (y-y0)*(y-y0)
			v := ground
			if d < radius*radius && (!ring || d > radius*radius/4) {
				v = [3]int{230, 200, 90}
				if ring {
					v = [3]int{60, 110, 230}
				}
			}
			noise := r.Intn(20)
			img.SetRGBA(x, y, color.RGBA{uint8(v[0] + noise), uint8(v[1] + noise), uint8(v[2] + noise), 255})
		}
	}
	return img
}

// photos are files of a folder with two classes, n images each, of two formats and different sizes.
func photos(t *testing.T, n int) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	for i := range 2 * n {
		class := []string{"disks", "rings"}[i%2]
		var b bytes.Buffer
		err, ending := png.Encode(&b, photo(uint64(i), i%2 == 1)), "png"
		if i%3 == 0 {
			b.Reset()
			err, ending = jpeg.Encode(&b, photo(uint64(i), i%2 == 1), &jpeg.Options{Quality: 95}), "jpg"
		}
		if err != nil {
			t.Fatal(err)
		}
		files[fmt.Sprintf("photos/%s/%03d.%s", class, i, ending)] = b.Bytes()
	}
	return files
}

// Two classes of photos in a folder train a network, which is evaluated, predicts by their names, and is exported; no
// command needs more than the folder and the weights.
func TestPhotosToPredictions(t *testing.T) {
	dir := t.TempDir()
	files := photos(t, 60)
	files["photos/notes.txt"] = []byte("no image")
	write(t, dir, files)
	do := func(args ...string) (stdout, stderr string) {
		t.Helper()
		code, stdout, stderr := run(t, dir, args...)
		if code != 0 {
			t.Fatalf("ninvk %q: exit code %d\n%s%s", args, code, stdout, stderr)
		}
		return stdout, stderr
	}
	_, said := do("train", "--data", "photos", "--model", "lenet5", "--resize", "16", "--batch", "16", "--epochs", "12",
		"--eval-every", "12", "--lr", "0.05", "--schedule", "onecycle", "--val-fraction", "0.2", "--out", "run")
	for _, want := range []string{"2 classes", "notes.txt"} {
		if !strings.Contains(said, want) {
			t.Errorf("training does not say %q:\n%s", want, said)
		}
	}
	weights := filepath.Join("run", "best.safetensors")

	stdout, said := do("eval", "--data", "photos", "--weights", weights, "--val-fraction", "0.2", "--json")
	var e struct {
		Accuracy float64
		Images   int
		Classes  []struct{ Class string }
	}
	if err := json.Unmarshal([]byte(stdout), &e); err != nil {
		t.Fatal(err)
	}
	if len(e.Classes) != 2 || e.Classes[1].Class != "rings" || e.Images < 16 || e.Images > 32 || e.Accuracy < 0.9 {
		t.Errorf("evaluated %+v\n%s", e, said)
	}

	var unseen, classes []string
	for i := range 6 {
		var b bytes.Buffer
		if err := png.Encode(&b, photo(uint64(1000+i), i%2 == 1)); err != nil {
			t.Fatal(err)
		}
		name := fmt.Sprintf("new-%d.png", i)
		write(t, dir, map[string][]byte{name: b.Bytes()})
		unseen, classes = append(unseen, name), append(classes, []string{"disks", "rings"}[i%2])
	}
	stdout, said = do(append([]string{"predict", "--json", "--weights", weights}, unseen...)...)
	var predicted []prediction
	if err := json.Unmarshal([]byte(stdout), &predicted); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, p := range predicted {
		got = append(got, p.Predictions[0].Class)
	}
	if diff := cmp.Diff(classes, got); diff != "" || strings.Contains(said, "assumed") {
		t.Errorf("predicted (-want +got):\n%s\n%s", diff, said)
	}

	// A packed set gives the same weights to the bit, also where its images are read while steps run.
	do("data", "pack", "photos", "--size", "16", "--val-fraction", "0.2", "--out", "photos.safetensors")
	var trained []string
	for i, flags := range [][]string{{"--data", "photos", "--val-fraction", "0.2"}, {"--data", "photos.safetensors"},
		{"--data", "photos.safetensors", "--stream", "always"}} {
		out := fmt.Sprint("few-", i)
		do(append([]string{"train", "--model", "lenet5", "--resize", "16", "--batch", "16", "--max-steps", "8", "--augment",
			"flip,color", "--eval-train", "16", "--out", out}, flags...)...)
		trained = append(trained, fileText(filepath.Join(dir, out, "model.safetensors")))
	}
	if trained[0] == "" || trained[1] != trained[0] || trained[2] != trained[0] {
		t.Error("the weights from a folder, a packed set and a streamed one differ")
	}

	do("export", "--weights", weights, "--format", "onnx", "--out", "photos.onnx")
	model, err := os.ReadFile(filepath.Join(dir, "photos.onnx"))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(model, []byte(`["disks","rings"]`)) {
		t.Error("the ONNX model does not name the classes")
	}
}

// fileText is the content of a file, "" where there is none.
func fileText(path string) string {
	b, _ := os.ReadFile(path)
	return string(b)
}

// recordsOf are those of a file with the images of a split.
func recordsOf(t *testing.T, s dataset.Split) []byte {
	t.Helper()
	b, err := cifar10.Records(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
