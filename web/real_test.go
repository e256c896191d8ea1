//go:build !js

package web

import (
	"flag"
	"fmt"
	"image"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/google/go-cmp/cmp"

	"ninvk/ci/chromium"
	"ninvk/docs/images"
	"ninvk/models"
	"ninvk/picture"
	"ninvk/safetensors"
	"ninvk/train"
)

var epochs = flag.Int("epochs", 1, "of the run on the sample in TestPageInChromium")

// The page with its program in a real browser: it sees in images what the program sees natively, and trains; what it
// saves goes on natively.
func TestPageInChromium(t *testing.T) {
	f, err := Files()
	if err != nil {
		t.Fatal(err)
	}
	first := 0 // what is loaded before the first answer
	for name, content := range f {
		if !strings.HasPrefix(name, "sample/") {
			first += len(content)
		}
	}
	t.Logf("before the first answer %d bytes are loaded", first)
	if first > 6e6 {
		t.Errorf("before the first answer %d bytes are loaded, at most 6 MB are promised", first)
	}
	b := chromium.Start(t, webgpu)
	address := serve(t, f)
	begun := time.Now()
	b.Open(address)
	b.Says("#state", "Ready", "#software", "not on a GPU", "#network", "nin-bn, 10 classes")
	t.Logf("ready after %.1f s", time.Since(begun).Seconds())
	t.Run("examples", func(t *testing.T) { seesAsNatively(t, b.In(t)) })
	b.Click("#examples li:nth-child(4) button")
	b.Says("#answer-title", "cat", "#map-note", "speaks for cat")
	looks(t, b, "classify")
	b.Run(photo)
	longest := b.LongestTask(func() { t.Run("photo", func(t *testing.T) { seesPhoto(t, b.In(t)) }) })
	t.Logf("with a photo the longest task of the page took %v", longest)
	if longest > mostBusy {
		t.Errorf("with a photo the page computed for %v in one go", longest)
	}
	t.Run("own images", func(t *testing.T) { learns(t, b.In(t)) })
	t.Run("sample", func(t *testing.T) { goesOnNatively(t, b.In(t)) })
	sound(t, b, address)
}

// seesAsNatively compares what is said of the examples, and where it is seen, with the same network on this machine's
// adapter, whose weights are in full precision.
func seesAsNatively(t *testing.T, b *chromium.Browser) {
	entries, err := images.Files.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	var all []image.Image
	for _, e := range entries {
		raw, err := images.Files.ReadFile(e.Name())
		if err != nil {
			t.Fatal(err)
		}
		img, err := picture.DecodeBytes(raw)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, img)
	}
	native, err := models.Load("")
	if err != nil {
		t.Fatal(err)
	}
	defer native.Close()
	want, err := native.Explain(all, -1)
	if err != nil {
		t.Fatal(err)
	}
	for i, e := range entries {
		name := strings.TrimSuffix(e.Name(), ".png")
		begun := time.Now()
		b.Click(fmt.Sprintf("#examples li:nth-child(%d) button", i+1))
		b.Says("#image-note", name+", 32×32 pixels", "#map-note", "speaks for", "#answer-title", name)
		t.Logf("%s: answer and map after %.1f s, %s", name, time.Since(begun).Seconds(), b.Text("#answer-note"))
		var class string
		var percent float64
		if _, err := fmt.Sscanf(strings.ReplaceAll(b.Text("#answer-title"), ",", ""), "%s %f", &class, &percent); err != nil {
			t.Fatal(b.Text("#answer-title"), err)
		}
		if top := want[i].Predictions[0]; class != top.Class || math.Abs(percent-100*top.Probability) > 0.25 {
			t.Errorf("%s: the page says %s with %.1f %%, natively %s with %.2f %%", name, class, percent, top.Class,
				100*top.Probability)
		}
		label := chromium.Eval[string](b, `document.querySelector("#image").ariaLabel`)
		if place := where(want[i].Map); !strings.Contains(label, "sees "+name+" most "+place) {
			t.Errorf("%s: the page's map is told as %q, natively it is %s", name, label, place)
		}
	}
}

// where says where a map is largest, as the page does.
func where(m models.ClassMap) string {
	at := 0
	for i, v := range m.Values {
		if v > m.Values[at] {
			at = i
		}
	}
	third := func(i, n int, names ...string) string { return names[min(2, (6*i+3)/(2*n))] }
	row, column := third(at/m.W, m.H, "top", "middle", "bottom"), third(at%m.W, m.W, "left", "centre", "right")
	if row == "middle" && column == "centre" {
		return "in the middle"
	}
	return "at the " + row + " " + column
}

// photo makes a large JPEG that is wider than high, as the page's variable photo.
const photo = `
	const ship = await createImageBitmap(document.querySelector("#examples img[alt=ship]"));
	const c = new OffscreenCanvas(4000, 3000);
	const x = c.getContext("2d");
	x.imageSmoothingQuality = "high";
	x.fillRect(0, 0, 4000, 3000);
	x.drawImage(ship, 500, 0, 3000, 3000);
	window.photo = await (await c.convertToBlob({type: "image/jpeg", quality: 0.9})).arrayBuffer();`

// seesPhoto drops the photo.
func seesPhoto(t *testing.T, b *chromium.Browser) {
	drop(b, `[["ship.jpg", "image/jpeg", photo]]`)
	b.Says("#image-note", "ship.jpg, 4000×3000 pixels", "#answer-title", "ship", "#map-note", "speaks for ship")
}

// learns trains three epochs on a dropped folder.
func learns(t *testing.T, b *chromium.Browser) {
	drop(b, folder(9, "red", "rgb(20, 30, 220)"))
	b.Says("#data-note", "18 images of 2 classes")
	start(b, `{model: "nin-bn", size: "16", epochs: 3, batch: 8, lr: 0.02}`)
	b.Says("#train-message", "The run is complete")
	t.Logf("%s, %s images/s at the end", b.Text("#time-text"), b.Text("#figure-pace"))
	losses := chromium.Eval[[]float64](b,
		`[...document.querySelectorAll("#epochs tr td:nth-child(3)")].reverse().map((e) => Number(e.textContent))`)
	if len(losses) != 3 || !(losses[2] < losses[0]) {
		t.Errorf("the losses of three epochs are %v", losses)
	}
	b.Says("#samples-note", "right", "#filters-note", "192 filters of classifier.0", "#figure-test", "%")
}

// A run whose device is lost, as the browser's process that has it dies, goes on from its last steps, and ends in the
// same weights as one that was left alone.
func TestLostDeviceInChromium(t *testing.T) {
	f, err := Files()
	if err != nil {
		t.Fatal(err)
	}
	b := chromium.Start(t, webgpu)
	b.Open(serve(t, f))
	b.Says("#state", "Ready")
	drop(b, folder(9, "red", "rgb(20, 30, 220)"))
	b.Says("#data-note", "18 images of 2 classes")
	var ends [2]*safetensors.File
	for i := range ends {
		start(b, `{model: "resnet20", size: "16", epochs: 5, batch: 8, lr: 0.02}`)
		if i == 0 {
			b.Until(`/^Step [5-9] of/.test(document.querySelector("#train-text").textContent)`)
			b.LoseGPU()
			b.Says("#train-message", "The graphics device was lost", "#train-message", "The run goes on from step ")
			t.Log(b.Text("#train-message"))
		}
		b.Says("#train-message", "The run is complete")
		content, err := os.ReadFile(save(t, b))
		if err != nil {
			t.Fatal(err)
		}
		if ends[i], err = safetensors.Decode(content); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(ends[1].Tensors, ends[0].Tensors); diff != "" || len(ends[0].Tensors) < 20 {
		t.Errorf("%d tensors (-left alone +lost):\n%.1000s", len(ends[0].Tensors), diff)
	}
}

// goesOnNatively begins a run on the sample, pauses it, saves it, and has the program go on with it.
func goesOnNatively(t *testing.T, b *chromium.Browser) {
	b.Click("input[value=sample]")
	start(b, fmt.Sprintf(`{model: "resnet20", size: "16", epochs: %d, batch: 16, lr: 0.02}`, *epochs))
	// Results come in some at a time, as the worker is some steps ahead.
	b.Until(`/^Step [2-9] of/.test(document.querySelector("#train-text").textContent)`)
	b.Click("#pause")
	b.Says("#state", "Paused")
	file := save(t, b)
	var done int
	if _, err := fmt.Sscanf(b.Text("#train-text"), "Step %d of", &done); err != nil {
		t.Fatal(b.Text("#train-text"), err)
	}
	b.Click("#pause")
	b.Says("#state", "Training")
	b.Click("#stop")
	b.Says("#train-message", "The run was stopped after step")

	run := filepath.Join(t.TempDir(), "run")
	c := exec.Command("go", "run", "ninvk/cmd/ninvk", "train", "--resume", file, "--out", run, "--max-steps",
		fmt.Sprint(done+3))
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("ninvk train --resume: %v\n%s", err, out)
	}
	m, err := train.ReadMetrics(filepath.Join(run, train.MetricsFile))
	if err != nil {
		t.Fatal(err)
	}
	if len(m.Steps) != done+3 {
		t.Fatalf("after %d steps here and 3 natively the run has %d", done, len(m.Steps))
	}
	for i, s := range m.Steps {
		if s.Step != i+1 || !(s.Loss > 0 && s.Loss < 10) {
			t.Errorf("step %d of the run is %+v", i+1, s)
		}
	}
	// And here again, from the same file.
	b.Do(chromedp.SetUploadFiles(chromedp.CSS("#checkpoint-file"), []string{file}))
	b.Says("#train-message", "The run is complete", "#samples-note", "of 20 right", "#filters-note", "16 filters")
	if *epochs == 1 {
		b.Says("#figure-train-note", "epoch 1, the best so far")
	}
	t.Logf("%s, %s images/s at the end", b.Text("#time-text"), b.Text("#figure-pace"))
	looks(t, b, "train")
	if info, err := os.Stat(file); err != nil || info.Size() < 1e6 {
		t.Errorf("what was saved: %v, %v", info, err)
	}
}
