//go:build unix

package main

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"flag"
	"fmt"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ninvk/dataset"
	"ninvk/ops"
	"ninvk/serve"
	"ninvk/train"
)

var (
	screenshots = flag.String("screenshots", "", "a folder that TestPageInChromium puts its pictures of the page into")
	pageEpochs  = flag.Int("page-epochs", 2, "how many epochs TestPageInChromium waits for")
)

// chromium is a headless browser, led by messages of the Chrome DevTools Protocol over pipes.
type chromium struct {
	t       *testing.T
	to      *os.File
	from    *bufio.Reader
	id      int
	session string   // of the page
	faults  []string // exceptions and errors that the page's console told
}

func startChromium(t *testing.T) *chromium {
	t.Helper()
	var path string
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if p, err := exec.LookPath(name); err == nil {
			path = p
			break
		}
	}
	if path == "" {
		t.Fatal("this test needs Chromium: apt-get install chromium")
	}
	childIn, to, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	from, childOut, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command(path, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run", "--disable-background-networking",
		"--remote-debugging-pipe", "--user-data-dir="+t.TempDir(), "about:blank")
	c.ExtraFiles = []*os.File{childIn, childOut} // 3 and 4, as the protocol has it
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	childIn.Close()
	childOut.Close()
	b := &chromium{t: t, to: to, from: bufio.NewReader(from)}
	t.Cleanup(func() {
		b.session = ""
		b.call("Browser.close", nil, nil)
		to.Close()
		_ = c.Wait()
		from.Close()
	})
	if err := from.SetReadDeadline(time.Now().Add(30 * time.Minute)); err != nil {
		t.Fatal(err)
	}
	var target struct{ TargetID, SessionID string }
	b.call("Target.createTarget", map[string]any{"url": "about:blank"}, &target)
	b.call("Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &target)
	b.session = target.SessionID
	for _, domain := range []string{"Page", "Runtime", "Log"} {
		b.call(domain+".enable", nil, nil)
	}
	return b
}

// call sends a command and waits for its result.
func (b *chromium) call(method string, params, result any) {
	b.t.Helper()
	b.id++
	m := map[string]any{"id": b.id, "method": method}
	if params != nil {
		m["params"] = params
	}
	if b.session != "" {
		m["sessionId"] = b.session
	}
	text, err := json.Marshal(m)
	if err != nil {
		b.t.Fatal(err)
	}
	if _, err := b.to.Write(append(text, 0)); err != nil {
		b.t.Fatalf("%s: %v", method, err)
	}
	for {
		line, err := b.from.ReadBytes(0)
		if err != nil {
			b.t.Fatalf("%s: %v", method, err)
		}
		var answer struct {
			ID     int
			Method string
			Params json.RawMessage
			Result json.RawMessage
			Error  *struct{ Message string }
		}
		if err := json.Unmarshal(bytes.TrimRight(line, "\x00"), &answer); err != nil {
			b.t.Fatalf("%s: %v", method, err)
		}
		if answer.Method == "Runtime.exceptionThrown" || answer.Method == "Log.entryAdded" && bytes.Contains(answer.Params, []byte(`"level":"error"`)) {
			b.faults = append(b.faults, string(answer.Params))
		}
		if answer.ID != b.id {
			continue
		}
		if answer.Error != nil {
			b.t.Fatalf("%s: %s", method, answer.Error.Message)
		}
		if result != nil {
			if err := json.Unmarshal(answer.Result, result); err != nil {
				b.t.Fatalf("%s: %v", method, err)
			}
		}
		return
	}
}

// eval is the value of a JavaScript expression in the page.
func eval[T any](b *chromium, expression string) T {
	b.t.Helper()
	var r struct {
		Result           struct{ Value T }
		ExceptionDetails *struct{ Text string }
	}
	b.call("Runtime.evaluate", map[string]any{"expression": expression, "returnByValue": true, "awaitPromise": true}, &r)
	if r.ExceptionDetails != nil {
		b.t.Fatalf("%s: %s", expression, r.ExceptionDetails.Text)
	}
	return r.Result.Value
}

// until waits for a JavaScript expression to be true.
func (b *chromium) until(expression string) {
	b.t.Helper()
	for deadline := time.Now().Add(15 * time.Minute); !eval[bool](b, expression); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			b.t.Fatalf("in vain waited for %s; the page says\n%s", expression, eval[string](b, "document.body.innerText"))
		}
	}
}

// picture is a picture of the whole page; it must not be blank.
func (b *chromium) picture(name string) {
	b.t.Helper()
	var shot struct{ Data string }
	b.call("Page.captureScreenshot", map[string]any{"format": "png", "captureBeyondViewport": true}, &shot)
	raw, err := base64.StdEncoding.DecodeString(shot.Data)
	if err != nil {
		b.t.Fatal(err)
	}
	img, err := png.Decode(bytes.NewReader(raw))
	if err != nil {
		b.t.Fatal(err)
	}
	colours := map[any]bool{}
	for y := range img.Bounds().Dy() {
		for x := range img.Bounds().Dx() {
			colours[img.At(x, y)] = true
		}
	}
	if len(colours) < 500 { // the sample images alone have more
		b.t.Errorf("%s: the picture of the page has only %d colours", name, len(colours))
	}
	if *screenshots != "" {
		if err := os.WriteFile(filepath.Join(*screenshots, name+".png"), raw, 0o644); err != nil {
			b.t.Fatal(err)
		}
	}
}

// The page of a real run in a real browser: on a desk, in the dark and on a phone, and after the run.
func TestPageInChromium(t *testing.T) {
	b := startChromium(t)
	dir := t.TempDir()
	write(t, dir, few(t, 320, 100))
	c, url := served(t, dir, "--data", "few", "--model", "nin-bn", "--recipe", "fast", "--sizes", "", "--resize", "8", "--batch", "16", "--epochs", "40", "--no-tune", "--out", "run")
	b.call("Page.navigate", map[string]any{"url": url}, nil)
	b.until(fmt.Sprintf(`document.readyState === "complete" && document.querySelectorAll("#epochs td:nth-child(10)").length >= %d && document.querySelector("#samples .right, #samples .wrong") !== null`, *pageEpochs))

	text := func(selector string) string {
		return eval[string](b, fmt.Sprintf("document.querySelector(%q).textContent", selector))
	}
	for selector, want := range map[string]string{
		"#title": "nin-bn on few", "#subtitle": "recipe fast", "#progress-text": "Step ", "#time-text": " left", "#facts": "969,822 parameters", "#samples-note": "right",
		"#filters-note": "192 filters", "#figure-test": "%", "#figure-train": "%",
	} {
		if got := text(selector); !strings.Contains(got, want) {
			t.Errorf("%s says %q, expected %q", selector, got, want)
		}
	}
	if got := text("#facts"); !strings.Contains(got, "320 training and 100 test images") || !strings.Contains(got, "Driver") {
		t.Errorf("the facts are %q", got)
	}
	for id, axes := range map[string][]string{"loss": {"step", "cross entropy"}, "accuracy": {"epoch", "accuracy"}, "pace": {"step", "images per second"}, "rate": {"step", "learning rate"}} {
		labels := eval[[]string](b, fmt.Sprintf(`[...document.querySelectorAll("#%s text")].map((e) => e.textContent)`, id))
		if len(labels) < 6 || cmp.Diff(axes, labels[len(labels)-2:]) != "" {
			t.Errorf("chart %s is labelled %q, expected marks and then %q", id, labels, axes)
		}
		if d := eval[string](b, fmt.Sprintf(`document.querySelector("#%s path.blue").getAttribute("d")`, id)); strings.Count(d, "L") < 1 || strings.Contains(d, "NaN") {
			t.Errorf("chart %s has the line %q", id, d)
		}
		if label := eval[string](b, fmt.Sprintf(`document.querySelector("#%s svg").getAttribute("aria-label")`, id)); !strings.Contains(label, axes[1]) {
			t.Errorf("chart %s is called %q", id, label)
		}
	}
	if bad := eval[int](b, `[...document.images].filter((i) => !i.hidden && (!i.naturalWidth || !i.alt)).length`); bad != 0 {
		t.Errorf("%d pictures are broken or have no text in their place", bad)
	}
	if n := eval[int](b, `document.querySelectorAll("#samples li img").length`); n != 20 {
		t.Errorf("%d samples are shown", n)
	}

	// Every text must stand out from what is behind it, as WCAG's level AA asks for: 4.5 to 1.
	const faint = `(() => {
		const light = (c) => c.match(/[\d.]+/g).slice(0, 3).map((v) => v / 255).map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)).reduce((s, v, i) => s + v * [0.2126, 0.7152, 0.0722][i], 0);
		const behind = (e) => { const c = getComputedStyle(e).backgroundColor; return c !== "rgba(0, 0, 0, 0)" || !e.parentElement ? c : behind(e.parentElement); };
		return [...document.querySelectorAll("h1, h2, p, dt, dd, b, small, th, td, span, text")].filter((e) => e.textContent.trim()).filter((e) => {
			const s = getComputedStyle(e);
			const [a, b] = [light(e instanceof SVGElement ? s.fill : s.color), light(behind(e))].sort((x, y) => y - x);
			return (a + 0.05) / (b + 0.05) < 4.5;
		}).map((e) => e.outerHTML.slice(0, 100));
	})()`
	for _, look := range []struct {
		name   string
		width  int
		scheme string
	}{{"light", 1280, "light"}, {"dark", 1280, "dark"}, {"phone", 375, "light"}} {
		b.call("Emulation.setEmulatedMedia", map[string]any{"features": []map[string]string{{"name": "prefers-color-scheme", "value": look.scheme}}}, nil)
		b.call("Emulation.setDeviceMetricsOverride", map[string]any{"width": look.width, "height": 900, "deviceScaleFactor": 1, "mobile": look.width < 500}, nil)
		b.until(fmt.Sprintf(`innerWidth === %d && matchMedia("(prefers-color-scheme: %s)").matches && [...document.querySelectorAll("svg")].every((s) => Math.abs(s.viewBox.baseVal.width - s.clientWidth) <= 1)`, look.width, look.scheme))
		if w := eval[int](b, "document.documentElement.scrollWidth"); w > look.width {
			t.Errorf("%s: the page is %d pixels wide, the window %d", look.name, w, look.width)
		}
		if list := eval[[]string](b, faint); len(list) > 0 {
			t.Errorf("%s: hard to read are %q", look.name, list)
		}
		b.picture(look.name)
	}

	// Reading values by keys.
	b.until(`(() => { const s = document.querySelector("#loss svg"); s.focus(); s.dispatchEvent(new KeyboardEvent("keydown", {key: "Home"})); return document.querySelector("#loss .legend").textContent.includes("step 1"); })()`)

	// A reload shows all steps again.
	count := `document.querySelector("#loss path.pale").getAttribute("d").split("L").length`
	before := eval[int](b, count)
	b.call("Page.reload", nil, nil)
	b.until(fmt.Sprintf(`document.querySelector("#loss path.pale") !== null && %s >= %d`, count, before))

	if err := c.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	b.until(`document.querySelector("#state").textContent === "Interrupted"`)
	if got := text("#message"); !strings.Contains(got, "ninvk train --resume run") || !strings.Contains(got, "server has stopped") {
		t.Errorf("after the run the page says %q", got)
	}
	_ = c.Wait()
	if code := c.ProcessState.ExitCode(); code != exitInterrupted {
		t.Errorf("exit code %d", code)
	}
	if len(b.faults) > 0 {
		t.Errorf("the page's console has errors:\n%s", strings.Join(b.faults, "\n"))
	}
}

// The page of a network with a thousand classes of long names, on large photos and on small grey images: it is no wider
// than the window, names end where there is no room, and what is cut is told.
func TestPageOfManyClassesInChromium(t *testing.T) {
	b := startChromium(t)
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
		b.call("Page.navigate", map[string]any{"url": s.URL()}, nil)
		b.until(`document.readyState === "complete" && document.querySelectorAll("#epochs tr").length === 2 && document.querySelector("#samples .wrong") !== null && !document.querySelector("#filters").hidden`)
		for _, width := range []int{1280, 375} {
			b.call("Emulation.setDeviceMetricsOverride",
				map[string]any{"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}, nil)
			b.until(fmt.Sprintf("innerWidth === %d", width))
			if w := eval[int](b, "document.documentElement.scrollWidth"); w > width {
				t.Errorf("%s: the page is %d pixels wide, the window %d", name, w, width)
			}
			if bad := eval[[]string](b, `[...document.querySelectorAll("#samples li")].flatMap((li) => [...li.querySelectorAll("b, span")].filter((e) => e.getBoundingClientRect().right > li.getBoundingClientRect().right + 1 || !e.title)).map((e) => e.textContent)`); len(bad) > 0 {
				t.Errorf("%s, %d pixels: these names leave their place or can't be read whole: %q", name, width, bad)
			}
			b.picture(fmt.Sprintf("%s-%d", name, width))
		}
		if got := eval[string](b, `document.querySelector("#figure-test-note").textContent`); !strings.Contains(got, "top 5: 50.00 %") {
			t.Errorf("%s: the test accuracy's note is %q", name, got)
		}
		if got := eval[string](b, `document.querySelector("#accuracy .legend").textContent`); !strings.Contains(got, "top 5") {
			t.Errorf("%s: the chart of accuracies has %q", name, got)
		}
		if got := eval[string](b, `getComputedStyle(document.querySelector("th.top5")).display`); got == "none" {
			t.Errorf("%s: the table has no column for top-5 accuracy", name)
		}
		s.End(train.Summary{}, nil)
		if err := run.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if len(b.faults) > 0 {
		t.Errorf("the page's console has errors:\n%s", strings.Join(b.faults, "\n"))
	}
}
