// Package proof shows that the page's program computes what the native one does. It runs it natively, in Node with Dawn
// and in Chromium, each on SwiftShader, and compares what comes out bit by bit. It is for make test-full, which gets
// what that takes.
package proof

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ninvk/check"
	"ninvk/ci/slow"
	"ninvk/models"
	"ninvk/safetensors"
	"ninvk/web/assets"
)

func TestMain(m *testing.M) {
	code := slow.Run(m, "TestWeights", "TestGoesOnNatively", "TestChecks", "TestStorage", "TestSeam")
	if built != "" {
		_ = os.RemoveAll(built) // no test's fault
	}
	os.Exit(code)
}

// built is the folder of what prepare builds.
var built string

// limit is the time for one run of the program.
const limit = 30 * time.Minute

// places run the program with arguments; files are those that it leaves, by path, in the folder /tmp.
var places = []struct {
	name string
	run  func(t *testing.T, p programs, files []string, args ...string) (stdout []byte, left map[string][]byte)
}{{"native", native}, {"Node with Dawn", node}, {"Chromium", chromium}}

// programs is where everything lies that the places need.
type programs struct{ native, wasm, wasmExec, modules, assets, driver string }

// prepare builds the program twice, and finds what it runs on.
var prepare = sync.OnceValues(func() (p programs, err error) {
	dir, err := os.MkdirTemp("", "ninvk-proof-")
	if err != nil {
		return p, err
	}
	built = dir
	cache, err := os.UserCacheDir()
	if err != nil {
		return p, err
	}
	p = programs{native: filepath.Join(dir, "ninvk"), wasm: filepath.Join(dir, "ninvk.wasm"),
		assets: filepath.Join(dir, "assets"), driver: filepath.Join(cache, "ninvk", "adapters", "swiftshader", "icd.json")}
	if p.modules, err = filepath.Abs(filepath.Join("..", "..", "bench", "testdata", "node_modules")); err != nil {
		return p, err
	}
	for path, how := range map[string]string{
		p.driver: "make swiftshader", filepath.Join(p.modules, "webgpu"): "make tint",
	} {
		if _, err := os.Stat(path); err != nil {
			return p, fmt.Errorf("%w: `%s` gets it", err, how)
		}
	}
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return p, err
	}
	p.wasmExec = filepath.Join(strings.TrimSpace(string(root)), "lib", "wasm", "wasm_exec.js")
	for out, env := range map[string][]string{p.native: nil, p.wasm: {"GOOS=js", "GOARCH=wasm"}} {
		c := exec.Command("go", "build", "-o", out, "../../cmd/ninvk")
		c.Env = append(os.Environ(), env...)
		if said, err := c.CombinedOutput(); err != nil {
			return p, fmt.Errorf("go build: %w\n%s", err, said)
		}
	}
	files, err := assets.Files()
	for name, content := range files {
		path := filepath.Join(p.assets, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return p, err
		}
		if err := os.WriteFile(path, content, 0o644); err != nil {
			return p, err
		}
	}
	return p, err
})

// environment is this process's, with SwiftShader as the only driver.
func environment(p programs) []string {
	return append(os.Environ(), "VK_DRIVER_FILES="+p.driver, "VK_ICD_FILENAMES=", "NINVK_ADAPTER=", "NINVK_FULL=",
		"NINVK_LIMITS=", "NINVK_VARIANT=")
}

func command(t *testing.T, p programs, files []string, dir, name string, args []string) ([]byte, map[string][]byte) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	c := exec.CommandContext(ctx, name, args...)
	c.Env = environment(p)
	var stdout, stderr bytes.Buffer
	c.Stdout, c.Stderr = &stdout, &stderr
	if err := c.Run(); err != nil {
		t.Fatalf("%s: %v\n%s", name, err, stderr.String())
	}
	left := map[string][]byte{}
	for _, f := range files {
		b, err := os.ReadFile(filepath.Join(dir, f))
		if err != nil {
			t.Fatal(err)
		}
		left[f] = b
	}
	return stdout.Bytes(), left
}

// in replaces the folder /tmp in arguments.
func in(dir string, args []string) []string {
	out := make([]string, len(args))
	for i, a := range args {
		out[i] = strings.ReplaceAll(a, "/tmp", dir)
	}
	return out
}

func native(t *testing.T, p programs, files []string, args ...string) ([]byte, map[string][]byte) {
	dir := t.TempDir()
	return command(t, p, files, dir, p.native, in(dir, args))
}

func node(t *testing.T, p programs, files []string, args ...string) ([]byte, map[string][]byte) {
	dir := t.TempDir()
	args = append([]string{filepath.Join("testdata", "node.cjs"), p.wasmExec, p.modules, p.assets, p.wasm},
		in(dir, args)...)
	return command(t, p, files, dir, "node", args)
}

// browser is the Chromium that is here.
func browser(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Fatal("there is no Chromium: make setup-full installs it")
	return ""
}

func chromium(t *testing.T, p programs, files []string, args ...string) ([]byte, map[string][]byte) {
	return newSite(t, p).run(files, args...)
}

// site is a server of pages that run the program, and a browser's profile.
type site struct {
	t       *testing.T
	address string
	profile string

	// of the page that is open
	stdout, stderr []byte
	left           map[string][]byte
	ended          chan error
}

func newSite(t *testing.T, p programs) *site {
	t.Helper()
	s := &site{t: t, profile: t.TempDir()}
	mux := http.NewServeMux()
	mux.Handle("GET /", http.FileServer(http.Dir("testdata")))
	mux.Handle("GET /sample/", http.FileServer(http.Dir(p.assets)))
	weights := models.EmbeddedFile(models.EmbeddedNames[0])
	for name, path := range map[string]string{"ninvk.wasm": p.wasm, "wasm_exec.js": p.wasmExec, "fs.js": "../site/fs.js",
		weights: filepath.Join(p.assets, weights)} {
		mux.HandleFunc("GET /"+name, func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, path) })
	}
	mux.HandleFunc("POST /{what}", func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		switch r.PathValue("what") {
		case "stdout":
			s.stdout = b
		case "stderr":
			s.stderr = b
		case "file":
			s.left[strings.TrimPrefix(r.FormValue("name"), "/tmp/")] = b
		case "exit":
			if code := r.FormValue("code"); code != "0" {
				s.ended <- fmt.Errorf("exit code %s: %s\n%s", code, b, s.stderr)
			} else {
				s.ended <- nil
			}
		}
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	s.address = server.URL
	return s
}

// run opens a page that runs the program with arguments, and waits for its end.
func (s *site) run(files []string, args ...string) ([]byte, map[string][]byte) {
	s.t.Helper()
	s.stdout, s.stderr, s.left, s.ended = nil, nil, map[string][]byte{}, make(chan error, 1)
	query := url.Values{"arg": args}
	for _, f := range files {
		query.Add("file", "/tmp/"+f)
	}
	ctx, cancel := context.WithTimeout(s.t.Context(), limit)
	defer cancel()
	c := exec.CommandContext(ctx, browser(s.t), "--headless", "--no-sandbox", "--enable-unsafe-webgpu",
		"--use-webgpu-adapter=swiftshader", "--no-first-run", "--disable-background-networking", "--disable-component-update",
		"--disable-sync", "--disable-quic", "--user-data-dir="+s.profile, s.address+"/index.html?"+query.Encode())
	c.Cancel = func() error { return c.Process.Signal(syscall.SIGTERM) }
	c.WaitDelay = 10 * time.Second
	var said bytes.Buffer
	c.Stderr = &said
	if err := c.Start(); err != nil {
		s.t.Fatal(err)
	}
	gone := make(chan error, 1)
	go func() { gone <- c.Wait() }()
	var err error
	select {
	case err = <-s.ended:
		cancel()
		<-gone
	case err = <-gone:
		err = errors.Join(errors.New("the browser has ended"), err)
	}
	if err != nil {
		s.t.Fatalf("%v\n%.2000s", err, said.String())
	}
	return s.stdout, s.left
}

// Twenty steps of training end in the same weights everywhere, byte for byte.
func TestWeights(t *testing.T) {
	p, err := prepare()
	if err != nil {
		t.Fatal(err)
	}
	for _, model := range []string{"nin-bn", "resnet20"} {
		t.Run(model, func(t *testing.T) {
			var first []byte
			for i, place := range places {
				begun := time.Now()
				_, left := place.run(t, p, []string{weights}, training(model, 20)...)
				b := left[weights]
				t.Logf("%s: %d bytes in %.0f s", place.name, len(b), time.Since(begun).Seconds())
				if i == 0 {
					first = b
					f, err := safetensors.Decode(b)
					if err != nil {
						t.Fatal(err)
					}
					if n := len(f.Tensors); n < 20 {
						t.Fatalf("the weights are %d tensors", n)
					}
				} else if !bytes.Equal(b, first) {
					t.Errorf("%s: other weights than native ones", place.name)
				}
			}
		})
	}
}

// weights is the file that training leaves.
const weights = "run/model.safetensors"

func training(model string, steps int) []string {
	return []string{"train", "--data", "sample", "--model", model, "--batch", "8", "--resize", "8", "--augment",
		"flip-crop,color", "--eval-train", "8", "--out", "/tmp/run", "--max-steps", fmt.Sprint(steps)}
}

// A run that was begun in the browser goes on natively, bit for bit as if it had been native from its first step on.
func TestGoesOnNatively(t *testing.T) {
	p, err := prepare()
	if err != nil {
		t.Fatal(err)
	}
	const begun, all = 10, 20
	_, want := native(t, p, []string{weights}, training("resnet20", all)...)
	_, left := chromium(t, p, []string{"run/config.toml", "run/metrics.jsonl",
		fmt.Sprintf("run/checkpoint/step-%012d.safetensors", begun)}, training("resnet20", begun)...)
	dir := t.TempDir()
	for name, content := range left {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	_, got := command(t, p, []string{weights}, dir, p.native, in(dir, []string{"train", "--resume", "/tmp/run",
		"--max-steps", fmt.Sprint(all)}))
	if !bytes.Equal(got[weights], want[weights]) {
		t.Errorf("after %d steps in the browser and %d natively the weights are not those of %d native ones", begun,
			all-begun, all)
	}
}

// What ninvk check compares is right everywhere, and the same.
func TestChecks(t *testing.T) {
	p, err := prepare()
	if err != nil {
		t.Fatal(err)
	}
	var first []check.Result
	for i, place := range places {
		begun := time.Now()
		stdout, _ := place.run(t, p, nil, "check", "--child")
		var results []check.Result
		for d := json.NewDecoder(bytes.NewReader(stdout)); d.More(); {
			var m check.Message
			if err := d.Decode(&m); err != nil {
				t.Fatalf("%s: %v", place.name, err)
			}
			if m.Turn != nil {
				results = m.Turn.Results
			}
		}
		if len(results) < 50 {
			t.Fatalf("%s: only %d results", place.name, len(results))
		}
		t.Logf("%s: %d results in %.0f s", place.name, len(results), time.Since(begun).Seconds())
		for _, r := range results {
			if r.Problem != "" {
				t.Errorf("%s: %s %s %s %s: %s", place.name, r.Operator, r.Pass, r.Variant, r.Shape, r.Problem)
			}
		}
		if i == 0 {
			first = results
		} else if diff := cmp.Diff(first, results); diff != "" {
			t.Errorf("%s (-native +%[1]s):\n%s", place.name, diff)
		}
	}
}

// What is written below the folder that is kept is there when the page is opened again, and all else is not.
func TestStorage(t *testing.T) {
	p, err := prepare()
	if err != nil {
		t.Fatal(err)
	}
	s := newSite(t, p)
	for _, dir := range []string{"/kept", "/tmp"} {
		s.run(nil, "train", "--data", "sample", "--model", "lenet5", "--batch", "8", "--max-steps", "1", "--eval-every", "9",
			"--out", dir+"/run")
	}
	stdout, _ := s.run(nil, "runs", "/kept", "--json")
	var runs []struct{ Dir string }
	if err := json.Unmarshal(stdout, &runs); err != nil || len(runs) != 1 {
		t.Errorf("runs that were kept: %s (%v)", stdout, err)
	}
	if stdout, _ = s.run(nil, "runs", "/tmp", "--json"); bytes.Contains(stdout, []byte("lenet5")) {
		t.Errorf("runs that were not to be kept: %s", stdout)
	}
}

// The tests of package gpu hold in Node as well: error scopes, loss of the device, mapping, textures, limits, and that
// functions which JavaScript calls back are released.
func TestSeam(t *testing.T) {
	p, err := prepare()
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(t.TempDir(), "gpu.wasm")
	build := exec.Command("go", "test", "-c", "-o", program, "../../gpu")
	build.Env = append(os.Environ(), "GOOS=js", "GOARCH=wasm")
	if said, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go test -c: %v\n%s", err, said)
	}
	runner, err := filepath.Abs(filepath.Join("testdata", "node.cjs"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	c := exec.CommandContext(ctx, "node", runner, p.wasmExec, p.modules, p.assets, program, "-test.v")
	c.Dir, c.Env = filepath.Join("..", "..", "gpu"), environment(p)
	said, err := c.CombinedOutput()
	if passed := strings.Count(string(said), "\n--- PASS"); err != nil || passed < 20 {
		t.Errorf("%v; %d tests passed\n%s", err, passed, said)
	}
}
