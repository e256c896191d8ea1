//go:build unix

package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// What a search passes over is counted by why; links are followed, without end or repetition, and what could block is
// not opened.
func TestFindImagesSays(t *testing.T) {
	dir := gallery(t)
	t.Chdir(dir)
	write(t, dir, map[string][]byte{
		"set/cat/1.jfif": {}, "set/a.tif": {}, "set/b.TIF": {}, "set/c.txt": {}, "set/LICENSE": {}, "set/.hidden": {},
		"set/odd.\x1b[31m":     {},
		"elsewhere/dog/2.heic": {},
	})
	for from, to := range map[string]string{
		"set/dog": "../elsewhere/dog", "set/up": "..", "set/lost.txt": "nowhere", "set/lost.png": "nowhere",
		"set/cat/again": "../dog",
	} {
		if err := os.Symlink(to, from); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Mkfifo("set/pipe.png", 0o600); err != nil {
		t.Fatal(err)
	}
	var said, got []string
	for _, in := range findImages([]string{"set"}, func(line string) { said = append(said, line) }) {
		name := in.path
		if in.err != nil {
			name += "!"
		}
		got = append(got, name)
	}
	want := []string{
		"set/cat/1.jfif", "set/cat/again/2.heic", "set/lost.png!", "set/up/all/a/ship.PNG", "set/up/all/b.png",
		"set/up/all/c.jpg", "set/up/one.png",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	line := `set: 11 files passed over: links to folders that were seen already 3, .tif 2, .txt 2, ".\x1b[31m" 1, ` +
		`links that lead nowhere 1, pipes 1, ` +
		`without extension 1; 3 hidden files and folders passed over`
	if diff := cmp.Diff([]string{line}, said); diff != "" {
		t.Errorf("said (-want +got):\n%s", diff)
	}
}

// A pipe that is named is not opened, and names are written so that they can be read and found again.
func TestPredictOddNames(t *testing.T) {
	dir := t.TempDir()
	cat := documented(t, "cat.png")
	bytes, lines := "caf\xe9.png", "a\n\x1b[31mb.png"
	write(t, dir, map[string][]byte{"set/" + bytes: cat, "set/" + lines: []byte("no image")})
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe.png"), 0o600); err != nil {
		t.Fatal(err)
	}
	code, stdout, stderr := run(t, dir, "predict", "set", "pipe.png", "--json", "--top", "1")
	var got []prediction
	if err := json.Unmarshal([]byte(stdout), &got); code != exitOther || err != nil || len(got) != 3 {
		t.Fatalf("exit code %d, %v\n%s%s", code, err, stdout, stderr)
	}
	if got[0].File != filepath.Join("set", lines) || got[0].URL != "" || !strings.Contains(stderr,
		`"set/a\n\x1b[31mb.png": not an image`) {
		t.Errorf("%+v\n%s", got[0], stderr)
	}
	if !strings.HasPrefix(got[2].Error, "is a pipe") {
		t.Errorf("%+v", got[2])
	}
	if len(got[1].Predictions) != 1 || got[1].URL == "" {
		t.Fatalf("%+v", got[1])
	}
	code, stdout, stderr = run(t, t.TempDir(), "predict", got[1].URL, "--top", "1")
	if code != 0 || !strings.Contains(stdout, `caf\xe9.png"  `+got[1].Predictions[0].Class) {
		t.Errorf("exit code %d\n%s%s", code, stdout, stderr)
	}
}

// The first signal ends what waits for ever.
func TestSignalEndsWaiting(t *testing.T) {
	dir := t.TempDir()
	for _, arguments := range []string{"predict -", "activations - --layer classifier.0 --out a.png"} {
		c := exec.Command(binary, strings.Fields(arguments)...)
		var errs bytes.Buffer
		c.Dir, c.Stderr = dir, &errs
		in, err := c.StdinPipe() // nothing comes
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(time.Second, func() { _ = c.Process.Signal(syscall.SIGTERM) })
		late := time.AfterFunc(30*time.Second, func() { _ = c.Process.Kill() })
		_ = c.Wait()
		late.Stop()
		in.Close()
		if code := c.ProcessState.ExitCode(); code != exitInterrupted {
			t.Errorf("%s: exit code %d, want %d\n%s", arguments, code, exitInterrupted, errs.String())
		}
	}
}
