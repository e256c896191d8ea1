//go:build !js

package web

import (
	"encoding/json"
	"flag"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/chromedp"

	"ninvk/ci/chromium"
	"ninvk/page"
)

var screenshots = flag.String("screenshots", "", "a folder for pictures of the page, of the tests in Chromium")

const webgpu = "--enable-unsafe-webgpu"

// serve serves files, and returns the page's address.
func serve(t *testing.T, f page.Files) string {
	t.Helper()
	l, err := page.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := page.Server(Handler(l, f))
	go s.Serve(l) // until Close
	t.Cleanup(func() { s.Close() })
	return l.URL()
}

// standIn is the page with a worker that computes nothing.
func standIn(t *testing.T) page.Files {
	t.Helper()
	worker, err := os.ReadFile("testdata/worker.js")
	if err != nil {
		t.Fatal(err)
	}
	f := files()
	f["worker.js"] = worker
	return f
}

// sound says whether the page's console had an error, and whether it asked for anything elsewhere.
func sound(t *testing.T, b *chromium.Browser, address string) {
	t.Helper()
	if faults := b.Faults(); len(faults) > 0 {
		t.Errorf("the page's console has errors:\n%s", strings.Join(faults, "\n"))
	}
	own, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range b.Requests() {
		u, err := url.Parse(r)
		inside := err == nil && (u.Host == own.Host || u.Scheme == "data" || u.Scheme == "blob" || r == "about:blank")
		if !inside {
			t.Errorf("the page asked for %.100s", r)
		}
	}
}

// mostBusy is how long the page may compute in one go, so that it seems to answer at once.
const mostBusy = 50 * time.Millisecond

// looks looks at the page on a desk, in the dark and on a phone.
func looks(t *testing.T, b *chromium.Browser, name string) {
	t.Helper()
	b.Looks(*screenshots, name+"-")
	b.Window(1280, "light")
	unnamed := chromium.Eval[[]string](b, `(() => {
		const all = [...document.querySelectorAll("button, input, select, canvas, [role=img], progress, img")];
		const named = (e) => e.textContent.trim() || e.ariaLabel || e.alt || e.labels?.length || e.querySelector("img[alt]");
		return all.filter((e) => e.checkVisibility() && !named(e)).map((e) => e.outerHTML.slice(0, 100));
	})()`)
	if len(unnamed) > 0 {
		t.Errorf("%s: these have no name for a screen reader: %q", name, unnamed)
	}
}

// drop drops files on the page: a JavaScript list of [path, type, content].
func drop(b *chromium.Browser, files string) {
	b.Run(`
		const top = [];
		const folders = new Map([["", top]]); // what is in them, by path
		const entries = (path) => {
			if (folders.has(path)) return folders.get(path);
			const parts = path.split("/");
			const list = [];
			folders.set(path, list);
			let given = false;
			const readEntries = (f) => {
				f(given ? [] : list);
				given = true;
			};
			entries(parts.slice(0, -1).join("/")).push({isFile: false, name: parts.at(-1), createReader: () => ({readEntries})});
			return list;
		};
		for (const [path, type, content] of await (` + files + `)) {
			const parts = path.split("/");
			const file = new File([content], parts.at(-1), {type});
			entries(parts.slice(0, -1).join("/")).push({isFile: true, name: file.name, file: (f) => f(file)});
		}
		const event = new Event("drop", {bubbles: true, cancelable: true});
		event.dataTransfer = {types: ["Files"], items: top.map((e) => ({kind: "file", webkitGetAsEntry: () => e}))};
		dispatchEvent(event);`)
}

// colour is a PNG of one colour in a JavaScript expression, an ArrayBuffer.
func colour(css string, w, h int) string {
	return fmt.Sprintf(`(async () => {
		const c = new OffscreenCanvas(%d, %d);
		const x = c.getContext("2d");
		x.fillStyle = "%s";
		x.fillRect(0, 0, c.width, c.height);
		return (await c.convertToBlob({type: "image/png"})).arrayBuffer();
	})()`, w, h, css)
}

// folder is a JavaScript list for drop with n images of each colour.
func folder(n int, colours ...string) string {
	var list []string
	for _, c := range colours {
		for i := range n {
			list = append(list, fmt.Sprintf(`["photos/%s/%d.png", "image/png", await %s]`, c, i, colour(c, 40+i, 30)))
		}
	}
	return "(async () => [" + strings.Join(list, ",") + "])()"
}

// What the page makes of all that a worker may tell it, with a stand-in for the worker.
func TestStatesInChromium(t *testing.T) {
	b := chromium.Start(t, webgpu, "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")
	address := serve(t, standIn(t))
	b.Open(address)
	b.Says("#state", "Ready", "#software", "(Stand-in), not on a GPU")
	longest := b.LongestTask(func() {
		t.Run("camera", func(t *testing.T) { camera(t, b.In(t)) })
		t.Run("classify", func(t *testing.T) { classifyStates(t, b.In(t)) })
		t.Run("weights", func(t *testing.T) { weightsStates(t, b.In(t)) })
		t.Run("folders", func(t *testing.T) { classesOfFolders(t, b.In(t)) })
		t.Run("own images", func(t *testing.T) { ownImages(t, b.In(t)) })
		t.Run("run", func(t *testing.T) { runStates(t, b.In(t)) })
	})
	looks(t, b, "states")
	b.Click("#tab-classify")
	drop(b, `[["many.safetensors", "", new Uint8Array([1])]]`)
	b.Says("#network", "40 classes")
	b.Click("#all-classes")
	looks(t, b, "many")
	t.Logf("the longest task of the page took %v", longest)
	if longest > mostBusy {
		t.Errorf("the page computed for %v in one go", longest)
	}
	sound(t, b, address)
}

// An image that is dropped, chosen among the examples, or pasted; its classes, and the map of the one that is chosen.
func classifyStates(t *testing.T, b *chromium.Browser) {
	drop(b, "(async () => [["+`"wide.png", "image/png", await `+colour("rgb(200, 40, 10)", 300, 100)+"]])()")
	b.Says("#answer-title", "red, 80.0 %", "#map-note", "speaks for red", "#image-note", "wide.png, 300×100 pixels",
		"#answer-note", "3.3 ms")
	// The map covers the middle square alone: the image's own red is beside it.
	pixel := func(x, y int) []int {
		return chromium.Eval[[]int](b, fmt.Sprintf(
			`[...document.querySelector("#image").getContext("2d").getImageData(%d, %d, 1, 1).data]`, x, y))
	}
	if p := pixel(10, 10); p[0] < 195 || p[1] > 45 {
		t.Errorf("beside the map the image is %v", p)
	}
	if p := pixel(320, 200); p[2] < p[0] {
		t.Errorf("where the map is negative the image is %v, expected a blue", p)
	}
	b.Click("#show-map")
	if p := pixel(320, 200); p[0] < 195 || p[1] > 45 {
		t.Errorf("without the map the image is %v", p)
	}
	b.Click("#show-map")
	b.Run(`const all = [...document.querySelectorAll("#classes button")];
		const blue = all.find((e) => e.textContent.includes("blue"));
		blue.focus(); blue.click()`)
	b.Says("#map-note", "speaks for blue")
	got := chromium.Eval[string](b, "document.activeElement.textContent + document.activeElement.ariaPressed")
	if !strings.Contains(got, "blue") || !strings.Contains(got, "true") {
		t.Errorf("after the choice the focus is on %q", got)
	}
	got = chromium.Eval[string](b, `document.querySelector("#image").ariaLabel`)
	if !strings.Contains(got, "sees blue most at the top centre") {
		t.Errorf("the picture is told as %q", got)
	}
	b.Click("#examples li:nth-child(7) button")
	b.Says("#image-note", "frog, 32×32", "#map-note", "speaks for")
	b.Run(`const data = new DataTransfer();
		const bytes = await ` + colour("rgb(0, 0, 250)", 20, 50) + `;
		data.items.add(new File([bytes], "pasted.png", {type: "image/png"}));
		document.body.dispatchEvent(new ClipboardEvent("paste", {clipboardData: data, bubbles: true}))`)
	b.Says("#answer-title", "blue, 100.0 %")
	drop(b, `[["broken.png", "image/png", "no image"]]`)
	b.Says("#message-text", "broken.png can’t be read as an image", "#answer-title", "blue, 100.0 %")

	b.Key("#tab-classify", "ArrowRight")
	got = chromium.Eval[string](b, "document.activeElement.id + document.activeElement.ariaSelected + location.hash")
	if got != "tab-traintrue#train" {
		t.Errorf("after an arrow key on the tabs: %s", got)
	}
	b.Key("#tab-train", "ArrowLeft")
}

// A photo by a camera, which is used from the press of the button to that of the next one.
func camera(t *testing.T, b *chromium.Browser) {
	b.Run(`window.asked = 0;
		const get = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
		navigator.mediaDevices.getUserMedia = async (...a) => {
			window.asked += 1;
			return window.stream = await get(...a);
		}`)
	b.Click("#examples button")
	b.Says("#image-note", "airplane")
	if n := chromium.Eval[int](b, "asked"); n != 0 {
		t.Errorf("the camera was asked for %d times before its button was pressed", n)
	}
	b.Click("#camera")
	b.Until(`document.querySelector("#camera-view").videoWidth > 0`)
	b.Click("#camera-take")
	b.Says("#image-note", "photo, ", "#map-note", "speaks for")
	b.Until(`!document.querySelector("#camera-dialog").open && stream.getTracks().every((t) => t.readyState === "ended")`)
}

// Weights of the visitor, right and wrong.
func weightsStates(t *testing.T, b *chromium.Browser) {
	drop(b, `[["net.pth", "", "x"]]`)
	b.Says("#message-text", "ninvk import")
	drop(b, `[["own.safetensors", "", "zzz"]]`)
	b.Says("#message-text", "own.safetensors: this is no safetensors file", "#network", "own weights", "#state", "Ready")
	drop(b, `[["many.safetensors", "", new Uint8Array([1])]]`)
	b.Says("#network", "40 classes", "#network", "many.safetensors", "#all-classes", "All 40 classes")
	b.Click("#all-classes")
	if n := chromium.Eval[int](b, `document.querySelectorAll("#classes li").length`); n != 40 {
		t.Errorf("all classes are %d", n)
	}
	b.Click("#own-weights")
	b.Says("#network", "3 classes", "#answer-title", "blue")
}

// A folder of classes, with files that are none.
func ownImages(t *testing.T, b *chromium.Browser) {
	drop(b, "(async () => [...await "+folder(3, "red", "blue")+
		`, ["photos/red/notes.txt", "text/plain", "x"], ["photos/readme.md", "", "x"]])()`)
	b.Says("#data-note", "6 images of 2 classes: blue 3, red 3. 1 file can’t be read as images: photos/red/notes.txt. "+
		"1 file outside a class’s folder, or hidden, left out: photos/readme.md.")
	drop(b, folder(2, "red"))
	b.Says("#train-message", "Found 1 class in this folder")
	start(b, "{epochs: 2, batch: 2, lr: 0.05}")
	b.Says("#train-message", "The run is complete", "#train-text", "Step 6 of 6 · epoch 2 of 2",
		"#samples-note", "1 of 2 right", "#filters-note", "192 filters")
	b.Until(`document.querySelectorAll("#epochs tr").length === 2`)
	b.Click("#try")
	b.Says("#network", "resnet20, 2 classes", "#network", "the network in training, step 6")
	b.Click("#tab-train")
}

// What the class of an image in a folder is.
func classesOfFolders(t *testing.T, b *chromium.Browser) {
	for _, c := range []struct{ paths, want string }{
		{"d/cat/1.png d/dog/2.png", "cat dog: cat/1.png dog/2.png"},
		{"cat/1.png dog/2.png", "cat dog: cat/1.png dog/2.png"}, // two folders at once
		{"d/cat/a/1.png d/cat/2.png d/dog/b/c/3.png", "cat dog: cat/1.png cat/2.png dog/3.png"},
		{"d/train/cat/1.png d/val/cat/2.png d/val/dog/3.png", "cat dog: cat/1.png cat/2.png dog/3.png"},
		{"train/cat/1.png test/dog/2.png", "cat dog: cat/1.png dog/2.png"},
		{"d/cat/1.png d/.git/x d/cat/.DS_Store d/read.me d/dog/2.png",
			"cat dog: cat/1.png dog/2.png -.git/x -.DS_Store -read.me"},
		{"d/1.png d/2.png", ": -1.png -2.png"},
	} {
		got := chromium.Eval[string](b, fmt.Sprintf(`(async () => {
			const {byClass} = await import("/images.js");
			const {classes, files, left} = byClass(%q.split(" ").map((path) => ({path})));
			const short = (path) => path.split("/").at(-1);
			return classes.join(" ") + ":" + files.map((f) => " " + classes[f.class] + "/" + short(f.path)).join("")
				+ left.map((p) => " -" + p.split("/").slice(p.includes(".git") ? -2 : -1).join("/")).join("");
		})()`, c.paths))
		if got != c.want {
			t.Errorf("%s: %q, want %q", c.paths, got, c.want)
		}
	}
}

// start fills in the settings, and starts a run.
func start(b *chromium.Browser, values string) {
	b.Run(`const form = document.querySelector("#settings");
		for (const [k, v] of Object.entries(` + values + `)) form.elements[k].value = v;
		form.requestSubmit()`)
}

// A run that is too large, that is paused, changed, saved, stopped and resumed, and whose device is lost.
func runStates(t *testing.T, b *chromium.Browser) {
	start(b, "{batch: 1024}")
	b.Says("#train-message", "not enough memory", "#train-message", "Take fewer images a step")
	b.Until(`!document.querySelector("#start").disabled`)

	b.Click("input[value=sample]")
	start(b, "{batch: 5, epochs: 1000, seed: 1}")
	b.Says("#train-text", "of 4,000 · epoch")
	b.Click("#pause")
	b.Says("#pause", "Continue", "#state", "Paused")
	at := b.Text("#train-text")
	time.Sleep(300 * time.Millisecond)
	if now := b.Text("#train-text"); now != at {
		t.Errorf("while it is paused the run goes from %q to %q", at, now)
	}
	b.Run(`const e = document.querySelector("#settings").elements.lr;
		e.value = "0.0123";
		e.dispatchEvent(new Event("change"))`)
	b.Click("#pause")
	b.Says("#state", "Training", "#figure-rate", "0.0123")
	b.Run(`const seen = () => document.dispatchEvent(new Event("visibilitychange"));
		Object.defineProperty(document, "hidden", {configurable: true, value: true});
		seen();
		const now = performance.now.bind(performance);
		performance.now = () => now() + 60000;
		delete document.hidden;
		seen();`)
	b.Says("#train-message", "While this tab was in the background", "#train-message", "in 1 min 0 s")
	saved := save(t, b)
	b.Click("#stop")
	b.Says("#train-message", "The run was stopped after step")

	var state struct{ Step int }
	content, err := os.ReadFile(saved)
	if err != nil || json.Unmarshal(content, &state) != nil {
		t.Fatalf("%s: %q, %v", saved, content, err)
	}
	b.Do(chromedp.SetUploadFiles(chromedp.CSS("#checkpoint-file"), []string{saved}))
	b.Says("#state", "Training")
	b.Until(`document.querySelector("#loss path.pale") !== null`)
	b.Key("#loss svg", "Home")
	if want, got := fmt.Sprintf("step %d", state.Step+1), b.Text("#loss .legend"); !strings.HasSuffix(got, want) {
		t.Errorf("a run that goes on after step %d shows as its first %q", state.Step, got)
	}
	b.Click("#stop")
	b.Says("#state", "Ended")

	start(b, "{batch: 5, epochs: 3, seed: 13}")
	b.Says("#train-message", "The run goes on from step ", "#train-message", "The run is complete",
		"#train-text", "Step 12 of 12")
}

// save saves the run, and returns the file.
func save(t *testing.T, b *chromium.Browser) string {
	t.Helper()
	dir := t.TempDir()
	chromium.Call(b, browser.SetDownloadBehavior, browser.SetDownloadBehaviorParams{
		Behavior: browser.SetDownloadBehaviorBehaviorAllow, DownloadPath: dir})
	b.Click("#save")
	for deadline := time.Now().Add(5 * time.Minute); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if found, err := filepath.Glob(filepath.Join(dir, "*.safetensors")); err == nil && len(found) == 1 {
			return found[0]
		}
	}
	t.Fatal("nothing was downloaded")
	return ""
}

// A program that does not come, or is none, is told of.
func TestBrokenProgramInChromium(t *testing.T) {
	b := chromium.Start(t, webgpu)
	for content, want := range map[string]string{
		"": "ninvk.wasm.gz: the server answers 404", "no program": "The program can’t be started: ",
	} {
		f := files()
		delete(f, Program)
		f["wasm_exec.js"] = []byte("class Go { importObject = {}; env = {}; }") // which a build leaves
		if content != "" {
			f[Program] = page.Pack([]byte(content))
		}
		b.Open(serve(t, f))
		b.Says("#message-text", want, "#state", "Stopped by an error")
	}
}

// Without WebGPU the page says what to do, and does nothing else.
func TestWithoutWebGPUInChromium(t *testing.T) {
	b := chromium.Start(t)
	address := serve(t, standIn(t))
	b.Open(address)
	b.Until(`!document.querySelector("#unavailable").hidden`)
	b.Says("#unavailable", "WebGPU", "#unavailable", "chrome://flags/#enable-unsafe-webgpu")
	if chromium.Eval[bool](b, `["#tabs", "#classify", "#train", "#loading"]
		.some((s) => document.querySelector(s).checkVisibility())`) {
		t.Error("what can't be used is shown")
	}
	for _, width := range []int64{1280, 375} {
		b.Window(width, "dark")
		if b.Overflow() > 0 || len(b.Faint()) > 0 {
			t.Errorf("%d pixels: overflow %d, hard to read %q", width, b.Overflow(), b.Faint())
		}
	}
	b.Picture(*screenshots, "without-phone")
	sound(t, b, address)
}
