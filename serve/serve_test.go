package serve

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"image/png"
	"io"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ninvk/cifar10"
	"ninvk/ops"
	"ninvk/train"
)

func TestListenRefuses(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for address, want := range map[string]string{
		"":                      "expected :PORT or HOST:PORT",
		"8080":                  "expected :PORT or HOST:PORT",
		"::1:8080":              "expected :PORT or HOST:PORT",
		":":                     `the port is ""`,
		":http":                 `the port is "http"`,
		":65536":                `the port is "65536"`,
		":-1":                   `the port is "-1"`,
		"http://localhost:8080": "expected :PORT or HOST:PORT",
		"a b:8080":              `the host is "a b"`,
		"//x:80":                `the host is "//x"`,
		"host.invalid:0":        "can't serve there",
		"192.0.2.1:0":           "can't serve there", // an address kept for documentation, which no machine has
		taken.Addr().String():   "in use",
	} {
		s, err := Listen(address)
		if err == nil {
			s.Close()
			t.Errorf("%q is served", address)
			continue
		}
		var usage *train.UsageError
		if !errors.As(err, &usage) || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "--serve") {
			t.Errorf("%q: error %v (a %T), want a usage error with %q", address, err, err, want)
		}
	}
}

func TestWhereItListens(t *testing.T) {
	for _, c := range []struct {
		address, url string
		local        bool
	}{
		{":0", "http://127.0.0.1:", true},
		{"127.0.0.1:0", "http://127.0.0.1:", true},
		{"localhost:0", "http://localhost:", true},
		{"0.0.0.0:0", "http://localhost:", false},
	} {
		s, err := Listen(c.address)
		if err != nil {
			t.Fatal(err)
		}
		if s.Local() != c.local || !strings.HasPrefix(s.URL(), c.url) {
			t.Errorf("%s: local %v, at %s; want %v, %s…", c.address, s.Local(), s.URL(), c.local, c.url)
		}
		s.Close()
		s.Close()
		if s, err := http.Get(s.URL()); err == nil {
			s.Body.Close()
			t.Errorf("%s: still answers after Close", c.address)
		}
	}
}

func listen(t *testing.T, address string) *Server {
	t.Helper()
	s, err := Listen(address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func TestAnswers(t *testing.T) {
	local, open := listen(t, "127.0.0.1:0"), listen(t, "0.0.0.0:0")
	for _, c := range []struct {
		server             *Server
		method, path, host string
		code               int
		kind, text         string
	}{
		{local, "GET", "/", "localhost:8080", 200, "text/html; charset=utf-8", "<title>ninvk"},
		{local, "GET", "/page.css", "127.0.0.1", 200, "text/css; charset=utf-8", "prefers-color-scheme: dark"},
		{local, "GET", "/page.js", "127.9.9.9:1", 200, "text/javascript; charset=utf-8", "EventSource"},
		{local, "GET", "/chart.js", "[::1]:80", 200, "text/javascript; charset=utf-8", "class Chart"},
		{local, "GET", "/page/", "localhost", 404, "", ""},
		{local, "GET", "/page.html", "localhost", 404, "", ""},
		{local, "GET", "/../serve.go", "localhost", 404, "", ""},
		{local, "GET", "/", "evil.example", 421, "", "localhost only"},
		{local, "GET", "/events", "evil.example:8080", 421, "", ""},
		{local, "GET", "/", "localhost.evil.example", 421, "", ""},
		{local, "GET", "/", "192.0.2.1", 421, "", ""},
		{local, "GET", "/", "", 421, "", ""},
		{local, "POST", "/", "localhost", 405, "", ""},
		{local, "HEAD", "/events", "localhost", 405, "", ""},
		{local, "DELETE", "/events", "localhost", 405, "", ""},
		{open, "GET", "/", "gpu-box.example:8080", 200, "text/html; charset=utf-8", ""},
		{open, "PUT", "/", "gpu-box.example:8080", 405, "", ""},
	} {
		r := httptest.NewRequest(c.method, "http://x"+c.path, nil)
		r.Host = c.host
		w := httptest.NewRecorder()
		c.server.handler().ServeHTTP(w, r)
		name := fmt.Sprintf("%s %s, Host %s", c.method, c.path, c.host)
		if w.Code != c.code || !strings.Contains(w.Body.String(), c.text) {
			t.Errorf("%s: %d %.60q, want %d with %q", name, w.Code, w.Body, c.code, c.text)
		}
		if kind := w.Header().Get("Content-Type"); c.kind != "" && kind != c.kind {
			t.Errorf("%s: type %q, want %q", name, kind, c.kind)
		}
		if p := w.Header().Get("Content-Security-Policy"); !strings.HasPrefix(p, "default-src 'none'") {
			t.Errorf("%s: security policy %q", name, p)
		}
	}
}

// news is an event as a browser takes it.
type news struct {
	Status status
	Run    *struct {
		Model   string
		Dir     string
		Samples []sample
		Classes []string
		Test    int `json:"test_images"`
	}
	Steps *struct {
		From int
		List [][]*float64
	}
	Epochs *struct {
		From int
		List []epoch
	}
	Verdicts []verdict
	Filters  *struct {
		Epoch, Count, Size int
		Image              string
	}
}

// browser puts the events of a stream together, as page.js does.
type browser struct {
	t       *testing.T
	body    io.ReadCloser
	lines   *bufio.Reader
	events  int
	steps   [][]*float64
	epochs  []epoch
	current news // the last of each thing that is sent as a whole
}

func browse(t *testing.T, s *Server) *browser {
	t.Helper()
	r, err := http.Get(s.URL() + "events")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Body.Close() })
	if r.StatusCode != 200 || r.Header.Get("Content-Type") != "text/event-stream" {
		t.Fatalf("events: %s, type %s", r.Status, r.Header.Get("Content-Type"))
	}
	return &browser{t: t, body: r.Body, lines: bufio.NewReader(r.Body)}
}

// next takes an event; false at the stream's end.
func (b *browser) next() bool {
	b.t.Helper()
	line, err := b.lines.ReadString('\n')
	if errors.Is(err, io.EOF) {
		return false
	}
	empty, err2 := b.lines.ReadString('\n')
	data, ok := strings.CutPrefix(line, "data: ")
	if err != nil || err2 != nil || !ok || empty != "\n" {
		b.t.Fatalf("not an event: %.80q, %.80q (%v, %v)", line, empty, err, err2)
	}
	var n news
	if err := json.Unmarshal([]byte(data), &n); err != nil {
		b.t.Fatalf("event %.200s: %v", data, err)
	}
	b.events++
	b.current.Status = n.Status
	if n.Run != nil {
		b.current.Run = n.Run
	}
	if n.Steps != nil {
		b.steps = append(b.steps[:n.Steps.From], n.Steps.List...)
	}
	if n.Epochs != nil {
		b.epochs = append(b.epochs[:n.Epochs.From], n.Epochs.List...)
	}
	if n.Verdicts != nil {
		b.current.Verdicts = n.Verdicts
	}
	if n.Filters != nil {
		b.current.Filters = n.Filters
	}
	return true
}

// until takes events until something is so.
func (b *browser) until(what string, so func() bool) {
	b.t.Helper()
	for !so() {
		if !b.next() {
			b.t.Fatalf("the stream ended before %s; status %+v, %d steps, %d epochs", what, b.current.Status, len(b.steps),
				len(b.epochs))
		}
	}
}

func (b *browser) lastStep() int {
	if len(b.steps) == 0 {
		return 0
	}
	return int(*b.steps[len(b.steps)-1][0])
}

// begin makes a run of two epochs of three steps in a folder, whose metrics are given.
func begin(t *testing.T, s *Server, metrics string, done int) {
	t.Helper()
	data, err := cifar10.Sample()
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := train.LoadRecipe("fast")
	if err != nil {
		t.Fatal(err)
	}
	cfg.Resolve()
	s.Describe(cfg, data)
	dir := filepath.Join(t.TempDir(), "run")
	run, err := train.NewRun(dir, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { run.Close() })
	if metrics != "" {
		if err := os.WriteFile(filepath.Join(dir, train.MetricsFile), []byte(metrics), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	s.Begin(run, train.RunInfo{Model: "nin-bn", Variants: map[string]string{"long": "list"}}, 2, 3, 6, done)
}

func step(epoch, n int, loss float64) train.StepRecord {
	return train.StepRecord{Epoch: epoch, Step: n, Loss: loss, LearningRate: 0.1 * float64(n), ImagesPerSecond: 50}
}

func observation(epoch int) train.Observation {
	conv := ops.Conv{C: 3, M: 20, K: 2}
	return train.Observation{
		Epoch: epoch, Layer: "classifier.0", Conv: conv, Filters: make([]float32, conv.M*conv.C*conv.K*conv.K),
		Verdicts: []train.Verdict{{Image: 0, True: 3, Predicted: 3, Probability: 0.75},
			{Image: 1, True: 8, Predicted: 1, Probability: 0.5}, {Image: 2, True: 8, Probability: math.NaN()}},
	}
}

func TestStream(t *testing.T) {
	s := listen(t, "127.0.0.1:0")
	early := browse(t, s)
	early.next()
	if early.current.Status.State != preparing {
		t.Errorf("before the run the state is %q", early.current.Status.State)
	}
	begin(t, s, "", 0)
	s.Step(step(1, 1, 2.5))
	s.Step(step(1, 2, math.NaN()))
	early.until("step 2", func() bool { return early.lastStep() == 2 })
	s.Step(step(1, 3, 2))
	s.Evaluating("test", 64, 200)
	early.until("the evaluation", func() bool { return early.current.Status.State == evaluating })
	if st := early.current.Status; st.Split != "test" || st.Done != 64 || st.Total != 200 || st.Step != 3 ||
		st.Steps != 6 || st.SecondsLeft == nil {
		t.Errorf("status in an evaluation: %+v", st)
	}
	s.Observe(observation(1))
	s.Epoch(train.EpochRecord{Epoch: 1, Steps: 3, TrainLoss: 2.2, TrainAccuracy: math.NaN(), TestAccuracy: 0.25,
		TestLoss: 2, Size: 32, TrainTop5: math.NaN(), TestTop5: 0.5})
	early.until("the epoch", func() bool { return len(early.epochs) == 1 })

	reloaded := browse(t, s)
	reloaded.next() // all in one event
	for name, b := range map[string]*browser{"open from the beginning": early, "reloaded": reloaded} {
		f := func(v float64) *float64 { return &v }
		if diff := cmp.Diff([][]*float64{{f(1), f(2.5), f(0.1), f(50)}, {f(2), nil, f(0.2), f(50)},
			{f(3), f(2), f(0.3), f(50)}}, b.steps); diff != "" {
			t.Errorf("%s, steps (-want +got):\n%s", name, diff)
		}
		if diff := cmp.Diff([]epoch{{train.EpochRecord{Epoch: 1, Steps: 3, TrainLoss: 2.2, TestLoss: 2, TestAccuracy: 0.25,
			Size: 32, TestTop5: 0.5}, 3}}, b.epochs); diff != "" {
			t.Errorf("%s, epochs (-want +got):\n%s", name, diff)
		}
		if diff := cmp.Diff([]verdict{{1, 3, f(0.75)}, {1, 1, f(0.5)}, {1, 0, nil}}, b.current.Verdicts); diff != "" {
			t.Errorf("%s, verdicts (-want +got):\n%s", name, diff)
		}
		r := b.current.Run
		if r == nil || r.Model != "nin-bn" || !strings.HasSuffix(r.Dir, "run") || len(r.Classes) != 10 ||
			len(r.Samples) != train.ObservedImages || r.Test != 200 {
			t.Errorf("%s, run: %+v", name, r)
		} else if w, h := pictureSize(t, r.Samples[19].Image); w != 32 || h != 32 {
			t.Errorf("%s: a sample has %d×%d pixels", name, w, h)
		}
		if x := b.current.Filters; x == nil || x.Epoch != 1 || x.Count != 20 || x.Size != 2 {
			t.Errorf("%s, filters: %+v", name, x)
		} else if w, h := pictureSize(t, x.Image); w != 5*33-3 || h != 4*33-3 { // four rows of 5, 30 pixels each and 3 apart
			t.Errorf("%s: the filters are drawn on %d×%d pixels", name, w, h)
		}
	}

	// A rollback to before the first epoch's end.
	s.Step(step(2, 4, 1))
	s.Step(step(1, 2, 1.5))
	for _, b := range []*browser{early, reloaded} {
		b.until("the rollback", func() bool { return b.lastStep() == 2 })
		if len(b.epochs) != 0 || len(b.steps) != 2 || *b.steps[1][1] != 1.5 {
			t.Errorf("after a rollback there are %d epochs, %d steps", len(b.epochs), len(b.steps))
		}
	}
}

// pictureSize is the size of a picture in a data URL.
func pictureSize(t *testing.T, url string) (w, h int) {
	t.Helper()
	text, ok := strings.CutPrefix(url, "data:image/png;base64,")
	b, err := base64.StdEncoding.DecodeString(text)
	if !ok || err != nil {
		t.Fatalf("not a PNG in a URL: %.60q (%v)", url, err)
	}
	img, err := png.Decode(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	return img.Bounds().Dx(), img.Bounds().Dy()
}

// What was not measured of an epoch is null for the page.
func TestEpochInJSON(t *testing.T) {
	e := train.EpochRecord{Epoch: 1, Steps: 3, TrainAccuracy: math.NaN(), TestLoss: math.Inf(1)}
	b, err := json.Marshal(epoch{e, 3})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"epoch":1`, `"step":3`, `"train_accuracy":null`, `"test_loss":null`, `"train_loss":0`} {
		if !strings.Contains(string(b), want) {
			t.Errorf("%s is not in %s", want, b)
		}
	}
}

func TestResumedRunShowsStepsBefore(t *testing.T) {
	s := listen(t, "127.0.0.1:0")
	begin(t, s, `{"type":"run","model":"nin-bn"}
{"type":"step","epoch":1,"step":1,"loss":2.5,"learning_rate":0.1,"images_per_second":10}
{"type":"step","epoch":1,"step":2,"loss":2.4,"learning_rate":0.1,"images_per_second":10}
{"type":"step","epoch":1,"step":3,"loss":2.3,"learning_rate":0.1,"images_per_second":10}
{"type":"epoch","epoch":1,"steps":3,"learning_rate":0.1,`+
		`"train_loss":2.4,"train_accuracy":null,"test_loss":null,"test_accuracy":null,"seconds":3,"images_per_second":10,`+
		`"size":32}
{"type":"step","epoch":2,"step":4,"loss":2.2,"learning_rate":0.1,"images_per_second":10}
`, 4)
	s.Step(step(2, 5, 2.1))
	b := browse(t, s)
	b.next()
	if len(b.steps) != 5 || len(b.epochs) != 1 || b.epochs[0].Step != 3 || b.current.Status.Step != 5 {
		t.Errorf("the page has %d steps, epochs %+v, status %+v", len(b.steps), b.epochs, b.current.Status)
	}
}

// slowResponse is the way to a browser that takes nothing until it is read from.
type slowResponse struct {
	header http.Header
	*io.PipeWriter
}

func (r slowResponse) Header() http.Header              { return r.header }
func (r slowResponse) WriteHeader(int)                  {}
func (r slowResponse) Flush()                           {}
func (r slowResponse) SetWriteDeadline(time.Time) error { return nil }

// A browser that takes nothing holds up neither the run nor other browsers, and catches up when it reads again.
func TestSlowBrowser(t *testing.T) {
	s := listen(t, "127.0.0.1:0")
	begin(t, s, "", 0)
	from, to := io.Pipe()
	request := httptest.NewRequest("GET", "http://localhost/events", nil).WithContext(t.Context())
	go s.handler().ServeHTTP(slowResponse{http.Header{}, to}, request)
	fast := browse(t, s)
	fast.next()
	const steps = 20000
	for i := range steps {
		s.Step(step(1+i/3, i+1, 2))
		if i%3 == 2 {
			s.Observe(observation(1 + i/3))
			s.Epoch(train.EpochRecord{Epoch: 1 + i/3})
		}
	}
	fast.until("the last step", func() bool { return fast.lastStep() == steps })
	if len(fast.steps) > mostPoints || len(fast.epochs) > mostEpochs+1 {
		t.Errorf("the history has %d points and %d epochs", len(fast.steps), len(fast.epochs))
	}
	late := &browser{t: t, body: from, lines: bufio.NewReader(from)}
	late.until("the last step", func() bool { return late.lastStep() == steps })
	from.Close()
	if diff := cmp.Diff(fast.steps, late.steps); diff != "" {
		t.Errorf("the slow browser has another curve (-fast +slow):\n%s", diff)
	}
	if diff := cmp.Diff(fast.epochs, late.epochs); diff != "" {
		t.Errorf("the slow browser has other epochs (-fast +slow):\n%s", diff)
	}
	if late.events > 2 { // that which it did not take, and all else at once
		t.Errorf("the slow browser was sent %d events", late.events)
	}
}

func TestEnd(t *testing.T) {
	for name, c := range map[string]struct {
		summary     train.Summary
		err         error
		state, text string
	}{
		"finished":         {train.Summary{Best: 0.5, BestEpoch: 3}, nil, finished, "50.00 % (epoch 3)"},
		"nothing measured": {train.Summary{Best: math.NaN()}, nil, finished, "The run is complete."},
		"interrupted": {train.Summary{Dir: "runs/x", Steps: 7, Interrupted: true}, nil, interrupted,
			"ninvk train --resume runs/x"},
		"failed": {train.Summary{}, errors.New("the adapter was lost"), failed, "the adapter was lost"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := listen(t, "127.0.0.1:0")
			begin(t, s, "", 0)
			a, b := browse(t, s), browse(t, s)
			a.next()
			b.next()
			// One that takes nothing does not keep the server.
			idle, err := net.Dial("tcp", s.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer idle.Close()
			s.Step(step(1, 1, 2))
			s.End(c.summary, c.err)
			for _, x := range []*browser{a, b} {
				for x.next() {
				}
				if st := x.current.Status; st.State != c.state || !strings.Contains(st.Message, c.text) || x.lastStep() != 1 {
					t.Errorf("at the end: %+v, step %d; want %s with %q", st, x.lastStep(), c.state, c.text)
				}
			}
			if r, err := http.Get(s.URL()); err == nil {
				r.Body.Close()
				t.Error("the server still answers")
			}
		})
	}
}

func TestTooManyBrowsers(t *testing.T) {
	s := listen(t, "127.0.0.1:0")
	var first *browser
	for range mostClients {
		b := browse(t, s)
		if first == nil {
			first = b
		}
	}
	r, err := http.Get(s.URL() + "events")
	if err != nil {
		t.Fatal(err)
	}
	r.Body.Close()
	if r.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("browser %d is answered %s", mostClients+1, r.Status)
	}
	first.body.Close()
	// until the server knows that one has left
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		r, err := http.Get(s.URL() + "events")
		if err != nil {
			t.Fatal(err)
		}
		r.Body.Close()
		if r.StatusCode == http.StatusOK {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the place of a browser that left stays taken")
		}
	}
}

func TestThinning(t *testing.T) {
	var s steps
	var loss, pace float64
	const n = 3*mostPoints*8 + 5
	for i := 1; i <= n; i++ {
		r := step(1, i, float64(i%7))
		loss, pace = loss+r.Loss, pace+1/r.ImagesPerSecond
		before := len(s.points)
		if from := s.add(r); from > before || from < len(s.points)-1 && from != 0 {
			t.Fatalf("step %d: changed from %d on, there are %d points", i, from, len(s.points))
		}
	}
	var sum, seconds, count float64
	next := 1
	for _, p := range s.points {
		if p.first != next || int(p.n) != p.last-p.first+1 {
			t.Fatalf("point %+v, expected from step %d on", p, next)
		}
		next = p.last + 1
		sum, seconds, count = sum+p.loss, seconds+p.pace, count+p.n
	}
	if len(s.points) > mostPoints || len(s.points) < mostPoints/2 || count != n || sum != loss ||
		math.Abs(seconds-pace) > 1e-9*pace {
		t.Errorf("%d points for %v steps, losses %v, seconds %v; want %d, %v, %v", len(s.points), count, sum, seconds, n,
			loss, pace)
	}
	if from := s.add(step(1, 100, 9)); from != len(s.points)-1 || s.points[from].last != 100 || s.points[from].loss != 9 {
		t.Errorf("a step done again is at %d of %d: %+v", from, len(s.points), s.points[from])
	}

	var e epochs
	for i := 1; i <= 5*mostEpochs; i++ {
		e.add(epoch{train.EpochRecord{Epoch: i}, i})
		if last := e.list[len(e.list)-1].Epoch; last != i || len(e.list) > mostEpochs+1 {
			t.Fatalf("after epoch %d there are %d, the last of them %d", i, len(e.list), last)
		}
	}
	for _, x := range e.list[:len(e.list)-1] {
		if x.Epoch%e.every != 0 {
			t.Errorf("epoch %d is kept among multiples of %d", x.Epoch, e.every)
		}
	}
}
