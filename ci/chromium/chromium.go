//go:build !js

// Package chromium has tests look at web pages in a headless Chromium.
package chromium

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/cdp/jsonv2"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/cdproto/tracing"
	"github.com/chromedp/chromedp"
)

// Browser is a Chromium with one page, until the test's end.
type Browser struct {
	t *testing.T
	*heard
	ctx context.Context
}

// heard is what the page's console and its network told.
type heard struct {
	mu       sync.Mutex
	faults   []string // exceptions and errors
	requests []string // addresses that were asked for
	trace    []jsonv2.Value
	traced   chan struct{} // closed at the end of a trace
}

// limit is for all that a test does with a browser.
const limit = 45 * time.Minute

var patience = flag.Duration("patience", 15*time.Minute, "how long tests in Chromium wait for what they expect")

// Start starts the browser; flags such as "--enable-unsafe-webgpu" are added to its own.
func Start(t *testing.T, flags ...string) *Browser {
	t.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.NoSandbox, chromedp.UserDataDir(t.TempDir()))
	for _, f := range flags {
		if name, value, has := strings.Cut(strings.TrimPrefix(f, "--"), "="); has {
			options = append(options, chromedp.Flag(name, value))
		} else {
			options = append(options, chromedp.Flag(name, true))
		}
	}
	all, cancel := context.WithTimeout(context.Background(), limit)
	t.Cleanup(cancel)
	allocator, stop := chromedp.NewExecAllocator(all, options...)
	t.Cleanup(stop)
	ctx, closed := chromedp.NewContext(allocator)
	t.Cleanup(closed)
	b := &Browser{t, &heard{traced: make(chan struct{})}, ctx}
	if err := chromedp.Listen(ctx, b.hear); err != nil {
		t.Fatalf("this test needs Chromium (apt-get install chromium): %v", err)
	}
	return b
}

// In is the browser for a part of its test.
func (b *Browser) In(t *testing.T) *Browser { return &Browser{t, b.heard, b.ctx} }

func (b *heard) hear(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := event.(type) {
	case *runtime.EventExceptionThrown:
		text, _ := json.Marshal(e.ExceptionDetails) // it came as JSON
		b.faults = append(b.faults, string(text))
	case *runtime.EventConsoleAPICalled:
		if e.Type == runtime.ConsoleAPICalledTypeError || e.Type == runtime.ConsoleAPICalledTypeAssert {
			text, _ := json.Marshal(e.Args)
			b.faults = append(b.faults, string(text))
		}
	case *log.EventEntryAdded:
		if e.Entry.Level == log.EntryLevelError {
			b.faults = append(b.faults, e.Entry.Text+" "+e.Entry.URL)
		}
	case *network.EventRequestWillBeSent:
		b.requests = append(b.requests, e.Request.URL)
	case *tracing.EventDataCollected:
		b.trace = append(b.trace, e.Value...)
	case *tracing.EventTracingComplete:
		close(b.traced)
	}
}

// Faults are the errors of the page's console so far.
func (b *heard) Faults() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]string(nil), b.faults...)
}

// Requests are the addresses that the page asked for so far, also those of data within it (data: and blob:).
func (b *heard) Requests() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]string(nil), b.requests...)
}

// Do has the browser do something.
func (b *Browser) Do(actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	if err := chromedp.Do(b.ctx, actions...); err != nil {
		b.t.Fatal(err)
	}
}

// Call sends a command of the DevTools protocol to the page.
func Call[P, R any](b *Browser, c cdp.Command[P, R], params P) R {
	b.t.Helper()
	r, err := chromedp.Run(b.ctx, func(ctx context.Context, t *chromedp.Target) (R, error) {
		return cdp.Call(ctx, t, c, params)
	})
	if err != nil {
		b.t.Fatalf("%s: %v", c.Method, err)
	}
	return r
}

// Open opens a page and waits until it is loaded.
func (b *Browser) Open(url string) {
	b.t.Helper()
	b.Do(chromedp.Navigate(url))
}

// Eval is the value of a JavaScript expression in the page, waited for where it is a promise.
func Eval[T any](b *Browser, expression string) T {
	b.t.Helper()
	v, err := chromedp.Run(b.ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		b.t.Fatalf("%s: %v", expression, err)
	}
	return v
}

// Run evaluates JavaScript statements.
func (b *Browser) Run(statements string) {
	b.t.Helper()
	Eval[bool](b, "(async () => {"+statements+"\n})().then(() => true)")
}

// Text is what an element of the page says.
func (b *Browser) Text(selector string) string {
	b.t.Helper()
	return Eval[string](b, fmt.Sprintf("document.querySelector(%q).textContent", selector))
}

// LongestTask is the longest time that the page's own thread computes in one go, and so answers nothing, while f does
// something. It is the processor's time: other processes that have it meanwhile don't count. It can be asked for once.
func (b *Browser) LongestTask(f func()) time.Duration {
	b.t.Helper()
	Call(b, tracing.Start, tracing.StartParams{
		TraceConfig: &tracing.TraceConfig{IncludedCategories: []string{"toplevel"}}})
	f()
	Call(b, tracing.End, cdp.Empty{})
	<-b.traced
	b.mu.Lock()
	defer b.mu.Unlock()
	type thread struct{ PID, TID int }
	type event struct {
		thread
		Name string
		Args struct{ Name string }
		TDur int // microseconds of the processor
	}
	pages, longest := map[thread]bool{}, map[thread]int{}
	for _, text := range b.trace {
		var e event
		if err := json.Unmarshal(text, &e); err != nil {
			b.t.Fatalf("event %.200s: %v", text, err)
		}
		switch {
		case e.Name == "thread_name" && e.Args.Name == "CrRendererMain":
			pages[e.thread] = true
		case e.Name == "ThreadControllerImpl::RunTask":
			longest[e.thread] = max(longest[e.thread], e.TDur)
		}
	}
	most := 0
	for t, d := range longest {
		if pages[t] {
			most = max(most, d)
		}
	}
	if most == 0 {
		b.t.Fatalf("of %d events none is a task of the page", len(b.trace))
	}
	return time.Duration(most) * time.Microsecond
}

// Says waits until elements of the page say something: selectors, each with a text that must be in its element's.
func (b *Browser) Says(selectorsAndTexts ...string) {
	b.t.Helper()
	for i := 0; i < len(selectorsAndTexts); i += 2 {
		b.Until(fmt.Sprintf("document.querySelector(%q)?.textContent.includes(%q)", selectorsAndTexts[i],
			selectorsAndTexts[i+1]))
	}
}

// Click clicks an element of the page.
func (b *Browser) Click(selector string) {
	b.t.Helper()
	b.Run(fmt.Sprintf("document.querySelector(%q).click()", selector))
}

// Key presses a key on an element of the page, which gets the focus.
func (b *Browser) Key(selector, key string) {
	b.t.Helper()
	b.Run(fmt.Sprintf(`const e = document.querySelector(%q); e.focus();
		e.dispatchEvent(new KeyboardEvent("keydown", {key: %q, bubbles: true}))`, selector, key))
}

// Until waits for a JavaScript expression to be true.
func (b *Browser) Until(expression string) {
	b.t.Helper()
	for deadline := time.Now().Add(*patience); !Eval[bool](b, expression); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			b.t.Fatalf("in vain waited for %s; the page says\n%s\nits console %q", expression,
				Eval[string](b, `document.body.textContent.replace(/\s+/g, " ")`), b.Faults())
		}
	}
}

// LoseGPU kills the browser's process that computes for pages; the browser starts another.
func (b *Browser) LoseGPU() {
	b.t.Helper()
	if _, err := chromedp.CallBrowser(b.ctx, browser.CrashGPUProcess, cdp.Empty{}); err != nil {
		b.t.Fatal(err)
	}
}

// Window makes the window as wide as that, and colours light or dark.
func (b *Browser) Window(width int64, scheme string) {
	b.t.Helper()
	Call(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}})
	Call(b, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{
		Width: width, Height: 900, DeviceScaleFactor: 1, Mobile: width < 500})
	b.Until(fmt.Sprintf(`innerWidth === %d && matchMedia("(prefers-color-scheme: %s)").matches && `+
		`[...document.querySelectorAll("svg")].every((s) => !s.clientWidth || `+
		`Math.abs(s.viewBox.baseVal.width - s.clientWidth) <= 1)`, width, scheme))
}

// Looks looks at the page on a desk, in the dark and on a phone: all must fit the window and be easy to read. Pictures
// go into a folder ("": none), under names that begin so.
func (b *Browser) Looks(folder, names string) {
	b.t.Helper()
	for _, look := range []struct {
		name   string
		width  int64
		scheme string
	}{{"light", 1280, "light"}, {"dark", 1280, "dark"}, {"phone", 375, "light"}} {
		b.Window(look.width, look.scheme)
		if n := b.Overflow(); n > 0 {
			b.t.Errorf("%s%s: the page is %d pixels wider than the window", names, look.name, n)
		}
		if list := b.Faint(); len(list) > 0 {
			b.t.Errorf("%s%s: hard to read are %q", names, look.name, list)
		}
		b.Picture(folder, names+look.name)
	}
}

// Overflow says by how many pixels the page is wider than its window.
func (b *Browser) Overflow() int {
	b.t.Helper()
	return Eval[int](b, "Math.max(0, document.documentElement.scrollWidth - innerWidth)")
}

// Faint lists the texts that do not stand out from what is behind them, as WCAG's level AA asks for: 4.5 to 1. Those of
// controls that are out of use, and those not shown, don't count.
func (b *Browser) Faint() []string {
	b.t.Helper()
	return Eval[[]string](b, `(() => {
		const parts = (c) => c.match(/[\d.]+/g).map(Number);
		const light = (c) => parts(c).slice(0, 3).map((v) => v / 255)
			.map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
			.reduce((s, v, i) => s + v * [0.2126, 0.7152, 0.0722][i], 0);
		const behind = (e) => {
			const c = getComputedStyle(e).backgroundColor;
			return parts(c)[3] !== 0 || !e.parentElement ? c : behind(e.parentElement);
		};
		const own = (e) => [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
		const all = [...document.querySelectorAll("body *")];
		const counts = (e) => own(e) && e.checkVisibility() && !e.closest("script, noscript, [disabled]");
		return all.filter(counts).filter((e) => {
			const s = getComputedStyle(e);
			const [a, b] = [light(e instanceof SVGElement ? s.fill : s.color), light(behind(e))].sort((x, y) => y - x);
			return (a + 0.05) / (b + 0.05) < 4.5;
		}).map((e) => e.outerHTML.slice(0, 100));
	})()`)
}

// Picture takes a picture of the whole page, which must have many colours, and writes it into a folder as NAME.png
// unless the folder is "".
func (b *Browser) Picture(folder, name string) {
	b.t.Helper()
	beyond := true
	raw := Call(b, page.CaptureScreenshot, page.CaptureScreenshotParams{
		Format: page.CaptureScreenshotFormatPng, CaptureBeyondViewport: &beyond}).Data
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
	if len(colours) < 500 { // photos alone have more
		b.t.Errorf("%s: the picture of the page has only %d colours", name, len(colours))
	}
	if folder == "" {
		return
	}
	if err := os.WriteFile(filepath.Join(folder, name+".png"), raw, 0o644); err != nil {
		b.t.Fatal(err)
	}
}
