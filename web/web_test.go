package web

import (
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ninvk/ci/slow"
	"ninvk/docs/images"
	"ninvk/page"
)

func TestMain(m *testing.M) {
	os.Exit(slow.Run(m, "TestPageInChromium", "TestLostDeviceInChromium", "TestStatesInChromium",
		"TestWithoutWebGPUInChromium", "TestBrokenProgramInChromium", "TestBesideTensorFlowInChromium NINVK_TFJS"))
}

// scripts are the page's own scripts by name.
func scripts() map[string]string {
	s := map[string]string{}
	for name, content := range files() {
		if path.Ext(name) == ".js" && name != "wasm_exec.js" {
			s[name] = string(content)
		}
	}
	return s
}

// Whatever a file of the page asks for is a file of the page, or made by the build.
func TestFilesAreThere(t *testing.T) {
	f := files()
	asks := regexp.MustCompile(
		`(?:from |importScripts\(|import |Worker\(|fetch\(|(?:src|href)=|const file = )["']([^"']+)["']`)
	n := 0
	for name, content := range f {
		if !slices.Contains([]string{".js", ".html"}, path.Ext(name)) || name == "wasm_exec.js" {
			continue
		}
		for _, m := range asks.FindAllSubmatch(content, -1) {
			asked := strings.TrimPrefix(string(m[1]), "./")
			if n++; f[asked] == nil && !slices.Contains([]string{Program, "wasm_exec.js", "data:,"}, asked) {
				t.Errorf("%s asks for %s, which is no file of the page", name, asked)
			}
		}
	}
	if n < 20 {
		t.Errorf("only %d files are asked for: does this test look right?", n)
	}
}

// The page needs nothing from elsewhere, and its policy lets it have nothing else.
func TestPolicy(t *testing.T) {
	html := string(files()["index.html"])
	oneLine := strings.Join(strings.Fields(html), " ")
	if !strings.Contains(oneLine, `<meta http-equiv="Content-Security-Policy" content="`+policy+`">`) {
		t.Errorf("index.html does not say the policy %q", policy)
	}
	for _, d := range strings.Split(policy, "; ") {
		for _, source := range strings.Fields(d)[1:] {
			if !slices.Contains([]string{"'none'", "'self'", "'wasm-unsafe-eval'", "blob:", "data:"}, source) {
				t.Errorf("the policy's %q lets something in from %s", d, source)
			}
		}
	}
	// What the policy forbids the page must not have, or it would not work.
	inline := regexp.MustCompile(`<script>|<script [^>]*>[^<]|<style|\sstyle=|\son\w+=|javascript:`)
	if m := inline.FindString(html); m != "" {
		t.Errorf("index.html has %q, which the policy forbids", m)
	}
	elsewhere := regexp.MustCompile(`(?:url\(|@import|(?:src|href)=["']|from ["'])(?:https?:)?//`)
	for name, content := range files() {
		if !slices.Contains([]string{".html", ".css", ".js"}, path.Ext(name)) {
			continue
		}
		if m := elsewhere.Find(content); m != nil {
			t.Errorf("%s has %q", name, m)
		}
	}
}

func TestExamplesAreAll(t *testing.T) {
	entries, err := images.Files.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	var want, got []string
	for _, e := range entries {
		name := strings.TrimSuffix(e.Name(), ".png")
		want = append(want, name+" "+name)
	}
	for _, m := range regexp.MustCompile(`<img src="examples/(\w+)\.png"[^>]* alt="(\w+)">`).FindAllStringSubmatch(
		string(files()["index.html"]), -1) {
		got = append(got, m[1]+" "+m[2])
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("examples (-docs/images +index.html):\n%s", diff)
	}
}

// protocol.md tells each message that the page sends or hears, and no other.
func TestProtocolIsTold(t *testing.T) {
	text, err := os.ReadFile("protocol.md")
	if err != nil {
		t.Fatal(err)
	}
	find := func(in, pattern string) map[string]bool {
		found := map[string]bool{}
		for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(in, -1) {
			found[m[1]] = true
		}
		return found
	}
	all := ""
	for _, content := range scripts() {
		all += content
	}
	// Of tables only the first column tells messages.
	told := ""
	for _, row := range regexp.MustCompile("(?m)^\\| (`[^|]*) \\|").FindAllStringSubmatch(string(text), -1) {
		told += row[1] + "\n"
	}
	sent := find(all, `\bdo: '(\w+)'`)
	if diff := cmp.Diff(find(told, `\{do: "(\w+)"`), sent); diff != "" {
		t.Errorf("sent by the page (-protocol.md +scripts):\n%s", diff)
	}
	heard := find(all, `\bbackend\.(?:on|addEventListener)\('(\w+)'`)
	delete(heard, "problem")
	heard["error"] = true // under the name of problem, as error is an event of its own
	if diff := cmp.Diff(find(told, `\{is: "(\w+)"`), heard); diff != "" {
		t.Errorf("heard by the page (-protocol.md +scripts):\n%s", diff)
	}
}

func TestAnswers(t *testing.T) {
	l, err := page.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	f := files()
	f[Program] = []byte("\x1f\x8bprogram")
	h := Handler(l, f)
	ask := func(path, host string, header http.Header) *httptest.ResponseRecorder {
		r := httptest.NewRequest(http.MethodGet, "http://x"+path, nil)
		r.Host = host
		maps.Copy(r.Header, header)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w
	}
	for path, want := range map[string]string{
		"/": "text/html; charset=utf-8", "/page.css": "text/css; charset=utf-8",
		"/site.js": "text/javascript; charset=utf-8", "/chart.js": "text/javascript; charset=utf-8",
		"/examples/cat.png": "image/png", "/ninvk.wasm.gz": "application/gzip",
	} {
		w := ask(path, "localhost:8081", nil)
		if w.Code != http.StatusOK || w.Header().Get("Content-Type") != want || w.Body.Len() == 0 {
			t.Errorf("%s: %d, %s, %d bytes", path, w.Code, w.Header().Get("Content-Type"), w.Body.Len())
		}
		p := w.Header().Get("Content-Security-Policy")
		if !strings.HasPrefix(p, policy) || !strings.Contains(p, "frame-ancestors") {
			t.Errorf("%s: policy %q", path, p)
		}
		if e := w.Header().Get("Content-Encoding"); e != "" {
			t.Errorf("%s is sent in the encoding %s", path, e)
		}
		has := http.Header{"If-None-Match": {w.Header().Get("ETag")}}
		if w := ask(path, "localhost", has); w.Code != http.StatusNotModified {
			t.Errorf("%s: %d for what the browser has already", path, w.Code)
		}
	}
	for _, path := range []string{"/web.go", "/site/site.js", "/built/ninvk.wasm.gz", "/.gitignore", "/index.html",
		"/examples/", "/images.go"} {
		if w := ask(path, "localhost", nil); w.Code != http.StatusNotFound {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
	if w := ask("/", "evil.example", nil); w.Code != http.StatusMisdirectedRequest {
		t.Errorf("another name for this machine: %d", w.Code)
	}
}

func TestWrite(t *testing.T) {
	f := files()
	f[Program] = []byte("program")
	dir := filepath.Join(t.TempDir(), "a", "dist")
	if err := Write(dir, f); err != nil {
		t.Fatal(err)
	}
	for name, want := range f {
		got, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(name)))
		if err != nil || string(got) != string(want) {
			t.Errorf("%s: %v, or another content", name, err)
		}
	}
	err := Write(filepath.Join(dir, "index.html"), f)
	if err == nil || !strings.Contains(err.Error(), "writing the page") {
		t.Errorf("a file in the folder's place: %v", err)
	}
}

func TestNotBuilt(t *testing.T) {
	_, err := Files()
	if there := files()[Program] != nil; errors.Is(err, ErrNotBuilt) == there {
		t.Errorf("the program is there: %v, error: %v", there, err)
	}
	if !strings.Contains(ErrNotBuilt.Error(), "make build") {
		t.Error(ErrNotBuilt)
	}
}
