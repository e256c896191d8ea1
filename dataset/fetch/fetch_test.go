package fetch

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ninvk/dataset"
)

// content are the files of a small set.
var content = map[string][]byte{"train-x": bytes.Repeat([]byte("train"), 300), "t10k-x": bytes.Repeat([]byte("test"),
	200)}

func describe(name string, b []byte) File {
	sum := sha256.Sum256(b)
	return File{name, int64(len(b)), hex.EncodeToString(sum[:])}
}

func zipped(t testing.TB, b []byte) []byte {
	t.Helper()
	var z bytes.Buffer
	w := gzip.NewWriter(&z)
	_, err := w.Write(b)
	if err := errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	return z.Bytes()
}

type entry struct {
	name string
	data []byte
	kind byte
}

// archived is a .tar.gz of the entries.
func archived(t testing.TB, entries ...entry) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, e := range entries {
		h := &tar.Header{Name: e.name, Mode: 0o644, Size: int64(len(e.data)), Typeflag: e.kind}
		if e.kind == tar.TypeSymlink {
			h.Size, h.Linkname, e.data = 0, "/etc/passwd", nil
		}
		err := w.WriteHeader(h)
		if _, err2 := w.Write(e.data); err != nil || err2 != nil {
			t.Fatal(err, err2)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return zipped(t, b.Bytes())
}

// site serves files, and stops in the middle of one where it is told to.
type site struct {
	files     map[string][]byte
	stopAfter int // bytes; 0 never
	asked     []string
}

func (s *site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.asked = append(s.asked, strings.TrimPrefix(r.URL.Path, "/")+" "+r.Header.Get("Range"))
	b, ok := s.files[strings.TrimPrefix(r.URL.Path, "/")]
	if !ok {
		http.NotFound(w, r)
		return
	}
	if s.stopAfter > 0 && r.Header.Get("Range") == "" {
		w.Header().Set("Content-Length", strconv.Itoa(len(b)))
		_, _ = w.Write(b[:s.stopAfter])
		return
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(b))
}

// mini is a set of two files, which a site has compressed.
func mini(t *testing.T, s *site) Set {
	t.Helper()
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	set := Set{Name: "mini", Title: "Mini", sites: []string{server.URL + "/"}, npm: "mini-data@1.0.0",
		debian: "dataset-mini", folder: filepath.Join(t.TempDir(), "debian")}
	s.files = map[string][]byte{}
	for _, name := range []string{"train-x", "t10k-x"} {
		z := zipped(t, content[name])
		set.Files = append(set.Files, describe(name, content[name]))
		set.remote = append(set.remote, describe(name+".gz", z))
		s.files[name+".gz"] = z
	}
	return set
}

// fetched checks that a folder has all files, and nothing is beside it.
func fetched(t *testing.T, out string) {
	t.Helper()
	for name, want := range content {
		if got, err := os.ReadFile(filepath.Join(out, name)); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	beside(t, out, filepath.Base(out))
}

func beside(t *testing.T, out string, want ...string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(out))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Error("beside the folder:", diff)
	}
}

func TestOfficial(t *testing.T) {
	s := &site{}
	set := mini(t, s)
	out := filepath.Join(t.TempDir(), "set")
	if err := set.Fetch(t.Context(), Options{Out: out}); err != nil {
		t.Fatal(err)
	}
	fetched(t, out)
	s.asked = nil
	if err := set.Fetch(t.Context(), Options{Out: out}); err != nil || len(s.asked) > 0 {
		t.Errorf("again: asked for %q, %v", s.asked, err)
	}
}

// TestResumed: a download that broke off goes on where it stopped, and files that are whole are not asked for again.
func TestResumed(t *testing.T) {
	s := &site{}
	set := mini(t, s)
	out := filepath.Join(t.TempDir(), "set")
	s.stopAfter = 10
	err := set.Fetch(t.Context(), Options{Out: out})
	if err == nil || !strings.Contains(err.Error(), "stopped at 10 of") || !strings.Contains(err.Error(),
		"go on from there") {
		t.Fatal(err)
	}
	beside(t, out, "set.part")
	s.stopAfter, s.asked = 0, nil
	if err := set.Fetch(t.Context(), Options{Out: out}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"train-x.gz bytes=10-", "t10k-x.gz "}, s.asked); diff != "" {
		t.Error(diff)
	}
	fetched(t, out)
}

// TestSites: the next site is tried, and errors tell of all sites and of the other sources.
func TestSites(t *testing.T) {
	s := &site{}
	set := mini(t, s)
	gone := httptest.NewServer(nil)
	gone.Close()
	set.sites = append([]string{gone.URL + "/"}, set.sites...)
	out := filepath.Join(t.TempDir(), "set")
	if err := set.Fetch(t.Context(), Options{Out: out}); err != nil {
		t.Fatal(err)
	}
	fetched(t, out)
	set.sites = []string{gone.URL + "/", set.sites[1] + "none/"}
	err := set.Fetch(t.Context(), Options{Out: filepath.Join(t.TempDir(), "other")})
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{gone.URL, "is the site reachable?", "404", "--source npm",
		"--source debian after `apt-get install dataset-mini`", "--source PATH with a folder"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v lacks %q", err, want)
		}
	}
}

func TestPaths(t *testing.T) {
	set := mini(t, &site{})
	set.beside = []string{"names.txt"}
	dir := t.TempDir()
	put := func(name string, b []byte) string {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o777), os.WriteFile(path, b, 0o666)); err != nil {
			t.Fatal(err)
		}
		return path
	}
	put("plain/train-x", content["train-x"])
	put("plain/t10k-x.gz", zipped(t, content["t10k-x"]))
	all := []entry{{"mini/train-x", content["train-x"], tar.TypeReg}, {"mini/t10k-x", content["t10k-x"], tar.TypeReg},
		{"mini/readme", []byte("passed over"), tar.TypeReg}, {"../../names.txt", []byte("a\n"), tar.TypeReg}}
	archive := put("all.tar.gz", archived(t, all...))
	for _, c := range []struct {
		name, source string
		text         []string // of the error; nil for none
	}{
		{"a folder", filepath.Join(dir, "plain"), nil},
		{"an archive", archive, nil},
		{"nothing", filepath.Join(dir, "none"), []string{"cannot be read", "official, debian, npm"}},
		{"an empty folder", t.TempDir(), []string{"does not hold Mini as published", "train-x"}},
		{"debian, not installed", SourceDebian, []string{"apt-get install dataset-mini", "--source official"}},
		{"an archive without one", put("one.tar.gz", archived(t, all[0])), []string{"t10k-x", "no such file"}},
		{"a file twice", put("twice.tar.gz", archived(t, all[0], all[0])), []string{"train-x comes twice"}},
		{"another content", put("other.tar.gz", archived(t, entry{"train-x", []byte("other"), tar.TypeReg}, all[1])),
			[]string{"train-x: found 5 bytes", set.Files[0].SHA256}},
		{"too long", put("long.tar.gz", archived(t, entry{"train-x", make([]byte, 1<<20), tar.TypeReg}, all[1])),
			[]string{"train-x: found 1501 bytes"}},
		{"a link", put("link.tar.gz", archived(t, entry{name: "train-x", kind: tar.TypeSymlink}, all[1])),
			[]string{"train-x", "no such file"}},
		{"cut off", put("cut.tar.gz", archived(t, all...)[:60]), []string{"can't be unpacked", "obtain it again"}},
		{"a page", put("page.html", []byte("<html>")), []string{"does not hold Mini"}},
		{"bad gzip", put("bad.gz", []byte("\x1f\x8b\x00\x00")), []string{"can't be unpacked"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			out := filepath.Join(t.TempDir(), "set")
			err := set.Fetch(t.Context(), Options{Out: out, Source: c.source})
			if c.text == nil {
				if err != nil {
					t.Fatal(err)
				}
				fetched(t, out)
				return
			}
			if !errors.As(err, new(*dataset.FileError)) {
				t.Fatalf("%v, want a FileError", err)
			}
			for _, s := range c.text {
				if !strings.Contains(err.Error(), s) {
					t.Errorf("%v lacks %q", err, s)
				}
			}
			beside(t, out)
		})
	}
	t.Run("debian", func(t *testing.T) {
		set.folder = filepath.Join(dir, "plain")
		out := filepath.Join(t.TempDir(), "set")
		if err := set.Fetch(t.Context(), Options{Out: out, Source: SourceDebian}); err != nil {
			t.Fatal(err)
		}
		fetched(t, out)
	})
	t.Run("a source of others", func(t *testing.T) {
		set.npm = ""
		err := set.Fetch(t.Context(), Options{Out: filepath.Join(t.TempDir(), "set"), Source: SourceNpm})
		if err == nil || !strings.Contains(err.Error(), "not to be had there") {
			t.Error(err)
		}
	})
}

func TestNpm(t *testing.T) {
	if runtime.GOOS == "windows" {
		return // the command below is a script
	}
	set := mini(t, &site{})
	dir := t.TempDir()
	tarball := filepath.Join(dir, "made.tgz")
	script := filepath.Join(dir, "npm")
	b := archived(t, entry{"package/data/train-x", content["train-x"], tar.TypeReg},
		entry{"package/data/t10k-x", content["t10k-x"], tar.TypeReg})
	err := errors.Join(os.WriteFile(tarball, b, 0o666), os.WriteFile(script,
		[]byte("#!/bin/sh\n[ \"$*\" = 'pack mini-data@1.0.0' ] && cp '"+tarball+"' mini-data-1.0.0.tgz\n"), 0o777))
	if err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(dir, "out", "set")
	if err := set.Fetch(t.Context(), Options{Out: out, Source: SourceNpm, Npm: script}); err != nil {
		t.Fatal(err)
	}
	fetched(t, out)
	err = set.Fetch(t.Context(), Options{Out: filepath.Join(dir, "out", "b"), Source: SourceNpm, Npm: "no-such-npm"})
	if err == nil || !strings.Contains(err.Error(), "install npm") || !strings.Contains(err.Error(), "--source official") {
		t.Error(err)
	}
}

func TestRefusesOtherFolder(t *testing.T) {
	set := mini(t, &site{})
	out := t.TempDir()
	if err := os.WriteFile(filepath.Join(out, "mine"), []byte("mine"), 0o666); err != nil {
		t.Fatal(err)
	}
	err := set.Fetch(t.Context(), Options{Out: out})
	if !errors.As(err, new(*dataset.FileError)) || !strings.Contains(err.Error(), "not empty") {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	out = filepath.Join(t.TempDir(), "set")
	if err := set.Fetch(ctx, Options{Out: out}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	beside(t, out)
}

// TestSets: the table is whole.
func TestSets(t *testing.T) {
	var names []string
	for _, s := range Sets {
		names = append(names, s.Name)
		for _, f := range append(slices.Clone(s.Files), s.remote...) {
			if b, err := hex.DecodeString(f.SHA256); err != nil || len(b) != 32 || f.Size <= 0 {
				t.Errorf("%s: %+v", s.Name, f)
			}
		}
		for _, site := range s.sites {
			if !strings.HasPrefix(site, "http") || !strings.HasSuffix(site, "/") {
				t.Errorf("%s: %s", s.Name, site)
			}
		}
	}
	if diff := cmp.Diff([]string{"cifar100", "mnist", "fashion-mnist"}, names); diff != "" {
		t.Error(diff)
	}
}
