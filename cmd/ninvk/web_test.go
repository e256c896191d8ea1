package main

import (
	"bufio"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"ninvk/web"
)

// Where the build made no program for the page, ninvk web says how it is made, and all else works.
func TestWeb(t *testing.T) {
	if code, _, stderr := run(t, ".", "web", "--listen", "8081"); code != exitUsage ||
		!strings.Contains(stderr, "--listen") || !strings.Contains(stderr, "such as :8080") {
		t.Errorf("an address without a colon: exit code %d, %s", code, stderr)
	}
	dir := t.TempDir()
	code, _, stderr := run(t, dir, "web", "--out", "page")
	if _, err := web.Files(); err != nil {
		if code != exitOther || !strings.Contains(stderr, "make build") {
			t.Errorf("without the page's program: exit code %d, %s", code, stderr)
		}
		return
	}
	if code != 0 {
		t.Fatalf("exit code %d, %s", code, stderr)
	}
	written, err := os.ReadFile(filepath.Join(dir, "page", web.Program))
	if err != nil {
		t.Fatal(err)
	}

	c := exec.Command(binary, "web", "--listen", ":0")
	says, err := c.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	defer c.Process.Kill()
	line, err := bufio.NewReader(says).ReadString('\n')
	url, _, _ := strings.Cut(strings.TrimPrefix(line, "the page is at "), " ")
	if err != nil || !strings.HasPrefix(url, "http://127.0.0.1:") {
		t.Fatalf("the first line is %q (%v)", line, err)
	}
	r, err := http.Get(url + web.Program)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	if b, err := io.ReadAll(r.Body); err != nil || r.StatusCode != http.StatusOK || string(b) != string(written) {
		t.Errorf("%s: %s, %d bytes (%v), %d were written by --out", web.Program, r.Status, len(b), err, len(written))
	}
	if err := c.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := c.Wait(); err != nil {
		t.Errorf("interrupted: %v", err)
	}
}
