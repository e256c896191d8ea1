package archive

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ninvk/dataset"
)

// TestMain unpacks into a folder of its own.
func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "archive-test")
	if err != nil {
		panic(err)
	}
	for _, name := range []string{"XDG_CACHE_HOME", "LocalAppData", "HOME"} {
		os.Setenv(name, dir)
	}
	smallest = 1 << 20
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// entry is one of a tar: a file unless kind says otherwise.
type entry struct {
	name, content string
	kind          byte
	link          string
}

func tarred(t testing.TB, entries ...entry) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, e := range entries {
		h := &tar.Header{Name: e.name, Mode: 0o644, Size: int64(len(e.content)), Typeflag: tar.TypeReg, Linkname: e.link}
		if e.kind != 0 {
			h.Typeflag = e.kind
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, e.content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func gzipped(t testing.TB, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	if _, err := z.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func zipped(t testing.TB, entries ...entry) []byte {
	t.Helper()
	var out bytes.Buffer
	z := zip.NewWriter(&out)
	for _, e := range entries {
		h := &zip.FileHeader{Name: e.name, Method: zip.Deflate}
		content := e.content
		switch e.kind {
		case tar.TypeSymlink:
			h.SetMode(fs.ModeSymlink | 0o777)
			content = e.link
		case tar.TypeFifo:
			h.SetMode(fs.ModeNamedPipe | 0o644)
		}
		w, err := z.CreateHeader(h)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, content); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func put(t testing.TB, name string, b []byte) string {
	t.Helper()
	if err := os.WriteFile(name, b, 0o644); err != nil {
		t.Fatal(err)
	}
	return name
}

// files are what a folder has, by names with slashes.
func files(t testing.TB, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		if to, err := os.Stat(p); err != nil || to.IsDir() { // a link to a folder
			return err
		}
		b, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		within, err := filepath.Rel(dir, p)
		all[filepath.ToSlash(within)] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// notes is a format for these tests: a folder that has the file notes.
var notes = dataset.Format{
	Name: "a folder of notes",
	Is: func(dir string) bool {
		_, err := os.Stat(filepath.Join(dir, "notes"))
		return err == nil
	},
	Open: func(dir string, _ dataset.Options) (*dataset.Set, error) {
		b, err := os.ReadFile(filepath.Join(dir, "notes"))
		if err == nil && string(b) == "bad" {
			err = &dataset.FileError{Path: filepath.Join(dir, "notes"), Offset: 3, Problem: "it is bad"}
		}
		return &dataset.Set{Name: dir, Format: "notes: " + string(b)}, err
	},
}

// An archive is unpacked once, opened wherever the data lie in it, and errors name the archive.
func TestOpen(t *testing.T) {
	formats := withArchives([]dataset.Format{notes})
	plain := entry{name: "notes", content: "hello"}
	deep := entry{name: "set/inner/notes", content: "hello"}
	for name, b := range map[string][]byte{"a.tar": tarred(t, plain), "a.tgz": gzipped(t, tarred(t, deep)),
		"a.zip": zipped(t, plain), "no extension": zipped(t, deep), "b.tar.gz": gzipped(t, tarred(t, plain))} {
		path := put(t, filepath.Join(t.TempDir(), name), b)
		for round, note := range []string{"unpacked into ", "it was unpacked before, into "} {
			s, err := dataset.Open(path, formats, dataset.Options{})
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if s.Name != path || s.Format != "notes: hello, in an archive" || !strings.HasPrefix(s.Notes[0], note) {
				t.Errorf("%s, round %d: %+v", name, round, s)
			}
		}
		// What was unpacked and is no longer whole is unpacked anew, and so is another archive of that name.
		dir, _, err := unpacked(path, nil)
		if err != nil {
			t.Fatal(err)
		}
		for within := range files(t, dir) {
			put(t, filepath.Join(dir, filepath.FromSlash(within)), []byte("short"[:3]))
		}
		if s, err := dataset.Open(path, formats, dataset.Options{}); err != nil || s.Format != "notes: hello, in an archive" {
			t.Errorf("%s, changed in the cache: %+v, %v", name, s, err)
		}
		put(t, path, zipped(t, entry{name: "notes", content: "bad"}))
		_, err = dataset.Open(path, formats, dataset.Options{})
		if e := (*dataset.FileError)(nil); !errors.As(err, &e) || e.Path != filepath.Join(path, "notes") || e.Offset != 3 {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

func withArchives(formats []dataset.Format) []dataset.Format { return append(formats, Format(formats)) }

// Entries come out as they are, or are passed over, or end the whole with a sentence; nothing is written outside.
func TestEntries(t *testing.T) {
	ok := entry{name: "d/ok", content: "fine"}
	fine := map[string]string{"d/ok": "fine"}
	with := func(name, content string) map[string]string {
		m := maps.Clone(fine)
		m[name] = content
		return m
	}
	zeros := strings.Repeat("\x00", 3<<20)
	link := func(name, to string) entry { return entry{name: name, kind: tar.TypeSymlink, link: to} }
	for _, c := range []struct {
		name    string
		archive []byte
		want    map[string]string // nil: it is refused
		says    string            // the error, or what is passed over
	}{
		{"an entry that climbs out", tarred(t, ok, entry{name: "../evil", content: "x"}), nil,
			`"../evil" would be written outside`},
		{"an entry that climbs out within", zipped(t, ok, entry{name: "d/../../evil", content: "x"}), nil, "outside"},
		{"of Windows", zipped(t, ok, entry{name: `d\..\..\evil`, content: "x"}), nil, "outside"},
		{"an absolute name", tarred(t, ok, entry{name: "/etc/evil", content: "x"}), nil, "outside"},
		{"an absolute name in a zip", zipped(t, entry{name: "/evil", content: "x"}), nil, "outside"},
		{"folders of Windows", zipped(t, ok, entry{name: `d\e\f`, content: "x"}), with("d/e/f", "x"), ""},
		{"a link out", tarred(t, ok, link("d/out", "../../../../etc")), fine, `"d/out", a link to the outside`},
		{"an absolute link", zipped(t, ok, link("d/out", "/etc/passwd")), fine, `"d/out", a link to the outside`},
		{"a link within", tarred(t, ok, link("l", "d/ok")), with("l", "fine"), ""},
		{"a link to nowhere", tarred(t, ok, link("l", "d/lost")), fine, "nowhere"},
		{"a link through a link", tarred(t, entry{name: "a/b/c/", kind: tar.TypeDir}, ok, link("a/b/c/l", "../../.."),
			link("a/b/c/l/m", "../../../../../tmp")), fine, "outside"},
		{"links that leave together", tarred(t, ok, entry{name: "a/b/c/", kind: tar.TypeDir}, link("a/b/c/l", "../../.."),
			link("a/b/c/k", "l/../../..")), fine, "outside"},
		{"a file behind a link", tarred(t, ok, link("l", "d"), entry{name: "l/x", content: "x"}), nil, "file and a folder"},
		{"a hard link", tarred(t, ok, entry{name: "h", kind: tar.TypeLink, link: "d/ok"}), with("h", "fine"), ""},
		{"a hard link out", tarred(t, ok, entry{name: "h", kind: tar.TypeLink, link: "/etc/passwd"}), fine, "outside"},
		{"a hard link to itself", tarred(t, ok, entry{name: "h", kind: tar.TypeLink, link: "h"}), fine, "not before it"},
		{"a device", tarred(t, ok, entry{name: "d/null", kind: tar.TypeChar}), fine, "a device"},
		{"a pipe", tarred(t, ok, entry{name: "d/pipe", kind: tar.TypeFifo}), fine, "a device, pipe"},
		{"a pipe in a zip", zipped(t, ok, entry{name: "d/pipe", kind: tar.TypeFifo}), fine, "a device, pipe"},
		{"a name twice", tarred(t, ok, ok, entry{name: "./d/ok", content: "last"}), map[string]string{"d/ok": "last"},
			"last of that name"},
		{"names in capitals", tarred(t, ok, entry{name: "D/ok", content: "other"}), with("D/ok", "other"), ""},
		{"a file as a folder", tarred(t, ok, entry{name: "d/ok/x", content: "x"}), nil, "a file and a folder"},
		{"a folder as a file", tarred(t, ok, entry{name: "d", content: "x"}), nil, "a file and a folder"},
		{"much of nothing", gzipped(t, tarred(t, ok, entry{name: "zeros", content: zeros})), nil, "made to fill disks"},
		{"much of nothing in a zip", zipped(t, ok, entry{name: "zeros", content: zeros}), nil, "made to fill disks"},
		{"half a tar", tarred(t, ok, entry{name: "x", content: strings.Repeat("x", 5000)})[:4000], nil, "ends too early"},
		{"half a gzip", gzipped(t, tarred(t, ok, ok, ok))[:100], nil, "ends too early"},
	} {
		t.Run(c.name, func(t *testing.T) {
			folder := t.TempDir()
			path := put(t, filepath.Join(folder, "x"), c.archive)
			dir, notes, err := unpacked(path, func(string, int, int) {})
			if c.want == nil {
				if !errors.As(err, new(*dataset.FileError)) || !strings.Contains(err.Error(), c.says) ||
					!strings.Contains(err.Error(), path) {
					t.Fatalf("error %v, want %q", err, c.says)
				}
			} else {
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(c.want, files(t, dir)); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
				if !strings.Contains(strings.Join(notes, " "), c.says) {
					t.Errorf("notes %q don't say %q", notes, c.says)
				}
			}
			left, err := filepath.Glob(filepath.Join(os.Getenv("XDG_CACHE_HOME"), "ninvk", "archives", "*.part"))
			if err != nil || len(left) > 0 {
				t.Errorf("left: %v, %v", left, err)
			}
			for _, outside := range []string{filepath.Join(folder, "evil"), filepath.Join(os.TempDir(), "evil")} {
				if _, err := os.Lstat(outside); err == nil {
					t.Errorf("%s was written", outside)
				}
			}
		})
	}
}

// A damaged entry of a zip, one locked by a password and one in an unknown compression are told apart.
func TestZip(t *testing.T) {
	whole := zipped(t, entry{name: "notes", content: strings.Repeat("hello ", 100)})
	central := bytes.LastIndex(whole, []byte("PK\x01\x02"))
	for _, c := range []struct {
		change func(b []byte)
		says   string
	}{
		{func(b []byte) { b[40] ^= 0x55 }, "damaged"},
		{func(b []byte) { b[6] |= 1; b[central+8] |= 1 }, "password"},
		{func(b []byte) { b[8], b[central+10] = 9, 9 }, "not supported"},
	} {
		b := bytes.Clone(whole)
		c.change(b)
		path := put(t, filepath.Join(t.TempDir(), "x.zip"), b)
		if _, _, err := unpacked(path, nil); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("error %v, want %q", err, c.says)
		}
	}
}

// What is a zip, but a file of its own to people, is no archive of images; nor is what begins as one.
func TestIsArchive(t *testing.T) {
	for name, c := range map[string]struct {
		b    []byte
		want bool
	}{
		"weights":  {zipped(t, entry{name: "net/data.pkl"}, entry{name: "net/version"}), false},
		"arrays":   {zipped(t, entry{name: "x.npy"}, entry{name: "y.npy"}), false},
		"document": {zipped(t, entry{name: "[Content_Types].xml"}, entry{name: "word/x.png"}), false},
		"zip":      {zipped(t, entry{name: "a/x.png"}), true},
		"tar":      {tarred(t, entry{name: "a/x.png"}), true},
		"gzip":     {gzipped(t, []byte("hello")), false},
		"nothing":  {nil, false},
		"text":     {[]byte("PK is short"), false},
	} {
		if got := isArchive(put(t, filepath.Join(t.TempDir(), "x"), c.b)); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
	if isArchive(t.TempDir()) || isArchive("nowhere") {
		t.Error("a folder is an archive")
	}
}

// FuzzUnpack: whatever an archive holds, nothing is written outside its folder, and an error is one of the file.
func FuzzUnpack(f *testing.F) {
	for _, b := range [][]byte{tarred(f, entry{name: "a", content: "x"}, entry{name: "l", kind: tar.TypeSymlink,
		link: "a"}),
		zipped(f, entry{name: "d/a", content: "x"}, entry{name: "../x", content: "y"}), gzipped(f, tarred(f,
			entry{name: "a"}))} {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		folder := t.TempDir()
		path := put(t, filepath.Join(folder, "archive"), b)
		old := time.Now().Add(-time.Hour)
		if err := os.Chtimes(path, old, old); err != nil {
			t.Fatal(err)
		}
		isArchive(path)
		dir, _, err := unpacked(path, nil)
		if err != nil {
			if !errors.As(err, new(*dataset.FileError)) {
				t.Errorf("error %v", err)
			}
		} else if err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
			if err == nil && d.Type()&fs.ModeSymlink != 0 {
				to, err := filepath.EvalSymlinks(p)
				if within, e := filepath.Rel(dir, to); err != nil || e != nil || !filepath.IsLocal(within) {
					t.Errorf("%s leads to %s", p, to)
				}
			}
			return err
		}); err != nil {
			t.Error(err)
		}
		entries, err := os.ReadDir(folder)
		if names := slices.Collect(func(yield func(string) bool) {
			for _, e := range entries {
				if !yield(e.Name()) {
					return
				}
			}
		}); err != nil || len(names) != 1 {
			t.Errorf("in the folder of the archive there are %v", names)
		}
		os.RemoveAll(filepath.Join(os.Getenv("XDG_CACHE_HOME"), "ninvk"))
	})
}
