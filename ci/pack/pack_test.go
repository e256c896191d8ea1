package main

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestMain(m *testing.M) {
	if err := os.Chdir("../.."); err != nil { // as the command is run
		panic(err)
	}
	os.Exit(m.Run())
}

// tared and zipped are the contents of archives by name, with their modes, times and owners.
func tared(t *testing.T, b []byte) map[string]string {
	t.Helper()
	z, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	r := tar.NewReader(z)
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		out[h.Name] = fmt.Sprintf("%o %s %d%s %s", h.Mode, h.ModTime.UTC().Format(time.RFC3339), h.Uid, h.Uname, content)
	}
}

func zipped(t *testing.T, b []byte) map[string]string {
	t.Helper()
	z, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, f := range z.File {
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		out[f.Name] = fmt.Sprintf("%o %s 0 %s", f.Mode(), f.Modified.UTC().Format(time.RFC3339), content)
	}
	return out
}

func TestArchives(t *testing.T) {
	one := filepath.Join(t.TempDir(), "one")
	if err := os.WriteFile(one, []byte("content"), 0o600); err != nil {
		t.Fatal(err)
	}
	when := time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC)
	want := map[string]string{
		"f/a/one": "644 2026-02-03T04:05:06Z 0 content",
		"f/two":   "755 2026-02-03T04:05:06Z 0 content",
	}
	for _, c := range []struct {
		write func(io.Writer, string, time.Time, []file) error
		read  func(*testing.T, []byte) map[string]string
	}{{writeTar, tared}, {writeZip, zipped}} {
		var b, again bytes.Buffer
		for _, to := range []*bytes.Buffer{&b, &again} {
			if err := c.write(to, "f", when, []file{{"a/one", one, false}, {"two", one, true}}); err != nil {
				t.Fatal(err)
			}
		}
		if !bytes.Equal(b.Bytes(), again.Bytes()) {
			t.Error("the same files made two different archives")
		}
		if diff := cmp.Diff(want, c.read(t, b.Bytes())); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
	}
}

// This test is a program itself.
func TestPack(t *testing.T) {
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	out := t.TempDir()
	name, err := pack("1.2", out, "go.mod", program, nil)
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	read := tared
	if strings.HasSuffix(name, ".zip") {
		read = zipped
	}
	var names []string
	for n := range maps.Keys(read(t, b)) {
		if _, n, _ = strings.Cut(n, "/"); path.Dir(n) != "codec/wasm" {
			names = append(names, strings.TrimSuffix(n, ".exe"))
		}
	}
	slices.Sort(names)
	want := []string{"LICENSE", "NOTICE", "README.md", wgpuLicence, "licences/go/LICENSE", "licences/toolchain", "ninvk"}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	sums, err := os.ReadFile(filepath.Join(out, "SHA256SUMS"))
	if want := fmt.Sprintf("%x  %s\n", sha256.Sum256(b), filepath.Base(name)); err != nil || string(sums) != want {
		t.Errorf("SHA256SUMS (%v): %q, want %q", err, sums, want)
	}
}

func TestKnowsCrates(t *testing.T) {
	program := filepath.Join(t.TempDir(), "program")
	for text, want := range map[string]string{ // not spelt out, as TestPack packs this test
		"nothing of Rust's": "",
		"\x00/cargo/SRC/index.crates.io-6f17/ash-0.37.3+1.3.251/src/x.rs\x00": "",
		`D:\cargo\REG\src\github.com-1ecc\gpu-alloc-0.6.0\src`:                "",
		"/SRC/a/unheard-of-1.0.0/src /SRC/a/new_one-0.1.0/src":                "new_one, unheard-of",
	} {
		text = strings.NewReplacer("SRC", "registry/src", "REG", "registry").Replace(text)
		if err := os.WriteFile(program, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		err := knowsCrates(program, wgpuLicence)
		if (err == nil) != (want == "") || err != nil && !strings.HasSuffix(err.Error(), "does not name: "+want) {
			t.Errorf("%q: error %v, want %q", text, err, want)
		}
	}
}

func TestLicencesOfModules(t *testing.T) {
	const other = "github.com/google/go-cmp"
	version, err := command("go", "list", "-m", "-f", "{{.Version}}", other)
	if err != nil {
		t.Fatal(err)
	}
	files, err := licences([]*debug.Module{{Path: other, Version: version}})
	if !slices.ContainsFunc(files, func(f file) bool { return f.name == "licences/"+other+"/LICENSE" }) {
		t.Errorf("no licence of %s (%v): %v", other, err, files)
	}
	if _, err := licences([]*debug.Module{{Path: other, Version: "v0.0.1"}}); err == nil ||
		!strings.Contains(err.Error(), "build it anew") {
		t.Errorf("a program with another version of a module: error %v", err)
	}
}

// NOTICE names every licence that lies in the repository, so that a reader of it finds them in the archive.
func TestNoticeNamesLicences(t *testing.T) {
	notice, err := os.ReadFile("NOTICE")
	if err != nil {
		t.Fatal(err)
	}
	files, err := licences(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if f.name == f.from && !bytes.Contains(notice, []byte(" "+f.name+"\n")) {
			t.Errorf("NOTICE does not name %s", f.name)
		}
	}
}
