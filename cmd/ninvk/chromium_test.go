//go:build unix

package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/google/go-cmp/cmp"

	"ninvk/ci/chromium"
	"ninvk/dataset"
	"ninvk/ops"
	"ninvk/serve"
	"ninvk/train"
)

var (
	screenshots = flag.String("screenshots", "", "a folder that TestPageInChromium puts its pictures of the page into")
	pageEpochs  = flag.Int("page-epochs", 2, "how many epochs TestPageInChromium waits for")
)

// The page of a real run in a real browser: on a desk, in the dark and on a phone, and after the run.
func TestPageInChromium(t *testing.T) {
	b := chromium.Start(t)
	dir := t.TempDir()
	write(t, dir, few(t, 320, 100))
	c, url := served(t, dir, "--data", "few", "--model", "nin-bn", "--recipe", "fast", "--sizes", "", "--resize", "8",
		"--batch", "16", "--epochs", "40", "--no-tune", "--out", "run")
	b.Open(url)
	b.Until(fmt.Sprintf(`document.readyState === "complete" && `+
		`document.querySelectorAll("#epochs td:nth-child(10)").length >= %d && `+
		`document.querySelector("#samples .right, #samples .wrong") !== null`, *pageEpochs))

	for selector, want := range map[string]string{
		"#title": "nin-bn on few", "#subtitle": "recipe fast", "#progress-text": "Step ", "#time-text": " left",
		"#facts": "969,822 parameters", "#samples-note": "right",
		"#filters-note": "192 filters", "#figure-test": "%", "#figure-train": "%",
	} {
		if got := b.Text(selector); !strings.Contains(got, want) {
			t.Errorf("%s says %q, expected %q", selector, got, want)
		}
	}
	if got := b.Text("#facts"); !strings.Contains(got, "320 training and 100 test images") || !strings.Contains(got,
		"Driver") {
		t.Errorf("the facts are %q", got)
	}
	for id, axes := range map[string][]string{"loss": {"step", "cross entropy"}, "accuracy": {"epoch", "accuracy"},
		"pace": {"step", "images per second"}, "rate": {"step", "learning rate"}} {
		labels := chromium.Eval[[]string](b,
			fmt.Sprintf(`[...document.querySelectorAll("#%s text")].map((e) => e.textContent)`, id))
		if len(labels) < 6 || cmp.Diff(axes, labels[len(labels)-2:]) != "" {
			t.Errorf("chart %s is labelled %q, expected marks and then %q", id, labels, axes)
		}
		if d := chromium.Eval[string](b, fmt.Sprintf(`document.querySelector("#%s path.blue").getAttribute("d")`,
			id)); strings.Count(d, "L") < 1 || strings.Contains(d, "NaN") {
			t.Errorf("chart %s has the line %q", id, d)
		}
		if label := chromium.Eval[string](b, fmt.Sprintf(`document.querySelector("#%s svg").getAttribute("aria-label")`,
			id)); !strings.Contains(label, axes[1]) {
			t.Errorf("chart %s is called %q", id, label)
		}
	}
	if bad := chromium.Eval[int](b,
		`[...document.images].filter((i) => !i.hidden && (!i.naturalWidth || !i.alt)).length`); bad != 0 {
		t.Errorf("%d pictures are broken or have no text in their place", bad)
	}
	if n := chromium.Eval[int](b, `document.querySelectorAll("#samples li img").length`); n != 20 {
		t.Errorf("%d samples are shown", n)
	}

	b.Looks(*screenshots, "")

	// Reading values by keys.
	b.Until(`(() => { const s = document.querySelector("#loss svg"); s.focus(); ` +
		`s.dispatchEvent(new KeyboardEvent("keydown", {key: "Home"})); ` +
		`return document.querySelector("#loss .legend").textContent.includes("step 1"); })()`)

	// A reload shows all steps again.
	count := `document.querySelector("#loss path.pale").getAttribute("d").split("L").length`
	before := chromium.Eval[int](b, count)
	b.Do(chromedp.Reload())
	b.Until(fmt.Sprintf(`document.querySelector("#loss path.pale") !== null && %s >= %d`, count, before))

	if err := c.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	b.Until(`document.querySelector("#state").textContent === "Interrupted"`)
	if got := b.Text("#message"); !strings.Contains(got, "ninvk train --resume run") || !strings.Contains(got,
		"server has stopped") {
		t.Errorf("after the run the page says %q", got)
	}
	_ = c.Wait()
	if code := c.ProcessState.ExitCode(); code != exitInterrupted {
		t.Errorf("exit code %d", code)
	}
	if faults := b.Faults(); len(faults) > 0 {
		t.Errorf("the page's console has errors:\n%s", strings.Join(faults, "\n"))
	}
}

// The page of a network with a thousand classes of long names, on large photos and on small grey images: it is no wider
// than the window, names end where there is no room, and what is cut is told.
func TestPageOfManyClassesInChromium(t *testing.T) {
	b := chromium.Start(t)
	for name, shape := range map[string]dataset.Shape{"photos": {C: 3, H: 224, W: 224}, "grey": {C: 1, H: 28, W: 28}} {
		const classes = 1000
		split := dataset.Split{Shape: shape}
		for i := range train.ObservedImages {
			split.Labels = append(split.Labels, uint16(i*7))
		}
		pixels := make([]byte, len(split.Labels)*shape.Bytes())
		for i := range pixels {
			pixels[i] = byte(i*i/97 + i/7)
		}
		split.Source = dataset.Memory{Shape: shape, Pixels: pixels}
		data := &dataset.Set{Name: strings.Repeat("a-very-long-folder-name/", 4), Train: split, Test: split}
		for i := range classes {
			data.Classes = append(data.Classes, fmt.Sprintf("Podiceps_cristatus_(great_crested_grebe)_%d", i))
		}
		s, err := serve.Listen("127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		cfg, err := train.LoadRecipe("fast")
		if err != nil {
			t.Fatal(err)
		}
		cfg.Resolve()
		s.Describe(cfg, data)
		run, err := train.NewRun(filepath.Join(t.TempDir(), "run"), cfg)
		if err != nil {
			t.Fatal(err)
		}
		s.Begin(run, train.RunInfo{Model: "resnet18", DataSet: data.Name, Classes: classes}, 3, 2, 6, 0)
		conv := ops.Conv{C: shape.C, M: 64, K: 7}
		for e := 1; e <= 2; e++ {
			for i := range 2 {
				s.Step(train.StepRecord{Epoch: e, Step: 2*e - 1 + i, Loss: 7 - float64(e), LearningRate: 0.1, ImagesPerSecond: 9})
			}
			o := train.Observation{Epoch: e, Layer: "conv1", Conv: conv, Filters: make([]float32, conv.M*conv.C*conv.K*conv.K)}
			for i := range o.Filters {
				o.Filters[i] = float32(i%13) - 6
			}
			for i, l := range split.Labels {
				o.Verdicts = append(o.Verdicts, train.Verdict{Image: i, True: int(l), Predicted: int(l) + i%2, Probability: 0.5})
			}
			s.Observe(o)
			s.Epoch(train.EpochRecord{Epoch: e, Steps: 2, LearningRate: 0.1, TrainLoss: 6, TrainAccuracy: 0.3, TestLoss: 6,
				TestAccuracy: 0.25, TrainTop5: 0.6, TestTop5: 0.5, Seconds: 4, ImagesPerSecond: 9, Size: shape.H})
		}
		b.Open(s.URL())
		b.Until(`document.readyState === "complete" && document.querySelectorAll("#epochs tr").length === 2 && ` +
			`document.querySelector("#samples .wrong") !== null && !document.querySelector("#filters").hidden`)
		for _, width := range []int64{1280, 375} {
			b.Window(width, "light")
			if n := b.Overflow(); n > 0 {
				t.Errorf("%s: the page is %d pixels wider than the window", name, n)
			}
			if bad := chromium.Eval[[]string](b,
				`[...document.querySelectorAll("#samples li")].flatMap((li) => [...li.querySelectorAll("b, span")]`+
					`.filter((e) => e.getBoundingClientRect().right > li.getBoundingClientRect().right + 1 || `+
					`!e.title)).map((e) => e.textContent)`); len(bad) > 0 {
				t.Errorf("%s, %d pixels: these names leave their place or can't be read whole: %q", name, width, bad)
			}
			b.Picture(*screenshots, fmt.Sprintf("%s-%d", name, width))
		}
		if got := chromium.Eval[string](b, `document.querySelector("#figure-test-note").textContent`); !strings.Contains(got,
			"top 5: 50.00 %") {
			t.Errorf("%s: the test accuracy's note is %q", name, got)
		}
		if got := chromium.Eval[string](b, `document.querySelector("#accuracy .legend").textContent`); !strings.Contains(got,
			"top 5") {
			t.Errorf("%s: the chart of accuracies has %q", name, got)
		}
		if got := chromium.Eval[string](b, `getComputedStyle(document.querySelector("th.top5")).display`); got == "none" {
			t.Errorf("%s: the table has no column for top-5 accuracy", name)
		}
		s.End(train.Summary{}, nil)
		if err := run.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if faults := b.Faults(); len(faults) > 0 {
		t.Errorf("the page's console has errors:\n%s", strings.Join(faults, "\n"))
	}
}
