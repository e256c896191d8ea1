package folder

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ninvk/dataset"
	"ninvk/picture"
)

// TestMain keeps what these tests find out about their files out of the user's cache.
func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "folder-test")
	if err != nil {
		panic(err)
	}
	for _, name := range []string{"XDG_CACHE_HOME", "LocalAppData"} {
		os.Setenv(name, dir)
	}
	if os.Getenv("HOME") != "" { // of macOS
		os.Setenv("HOME", dir)
	}
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// drawing is a PNG of w×h pixels whose colours depend on seed.
func drawing(t testing.TB, w, h, seed int) []byte {
	t.Helper()
	img := image.NewNRGBA(image.Rect(0, 0, w, h))
	for i := range img.Pix {
		img.Pix[i] = byte(i*i/7 + seed*31)
		if i%4 == 3 {
			img.Pix[i] = 0xff
		}
	}
	return encoded(t, img)
}

// greyscale is a PNG without colour.
func greyscale(t testing.TB, seed int) []byte {
	t.Helper()
	img := image.NewGray(image.Rect(0, 0, 6, 6))
	for i := range img.Pix {
		img.Pix[i] = byte(i + seed*31)
	}
	return encoded(t, img)
}

func encoded(t testing.TB, img image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// tree writes files into a new folder.
func tree(t testing.TB, files map[string][]byte) string {
	t.Helper()
	dir := t.TempDir()
	for name, b := range files {
		put(t, filepath.Join(dir, filepath.FromSlash(name)), b)
	}
	return dir
}

func put(t testing.TB, name string, b []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if b == nil { // a folder
		if err := os.MkdirAll(name, 0o755); err != nil {
			t.Fatal(err)
		}
		return
	}
	if err := os.WriteFile(name, b, 0o644); err != nil {
		t.Fatal(err)
	}
}

// images are n drawings in a folder.
func images(t testing.TB, files map[string][]byte, folder string, n int) {
	t.Helper()
	for i := range n {
		files[fmt.Sprintf("%s/%02d.png", folder, i)] = drawing(t, 8, 6, len(files))
	}
}

func names(s dataset.Split) (all []string) {
	for i := range s.Len() {
		all = append(all, s.Name(i))
	}
	return all
}

// opened is a set that must open.
func opened(t *testing.T, dir string, o dataset.Options) *dataset.Set {
	t.Helper()
	o.Size = max(o.Size, 8)
	s, err := dataset.Open(dir, []dataset.Format{Table, Format}, o)
	if err != nil {
		t.Fatal(err)
	}
	for _, split := range []dataset.Split{s.Train, s.Test} {
		if split.Shape != (dataset.Shape{C: s.Channels, H: o.Size, W: o.Size}) || split.Len() == 0 {
			t.Fatalf("a split of %d images of %v", split.Len(), split.Shape)
		}
		b := make([]byte, split.Shape.Bytes())
		for i, label := range split.Labels {
			if err := split.Read(i, b); err != nil || int(label) >= len(s.Classes) {
				t.Fatalf("%s of class %d: %v", split.Name(i), label, err)
			}
		}
	}
	return s
}

// Classes and files come in the order of torchvision's ImageFolder: by code point, a folder's own files before those of
// the folders in it. A set that has its split keeps it, val before test.
func TestOrder(t *testing.T) {
	files := map[string][]byte{}
	for _, name := range []string{"train/b/10.png", "train/b/9.png", "train/b/sub/1.png", "train/b/z.png",
		"train/b/sub-1/x.png",
		"train/Z/a.PNG", "train/é/1.png", "train/10/1.png", "train/2/1.png", "val/b/1.png", "val/2/1.png", "val/10/1.png",
		"val/Z/1.png", "val/é/1.png", "test/b/1.png", "extra/readme.txt"} {
		files[name] = drawing(t, 8, 8, len(files))
	}
	s := opened(t, tree(t, files), dataset.Options{})
	if diff := cmp.Diff([]string{"10", "2", "Z", "b", "é"}, s.Classes); diff != "" {
		t.Error(diff)
	}
	want := []string{"train/10/1.png", "train/2/1.png", "train/Z/a.PNG", "train/b/10.png", "train/b/9.png",
		"train/b/z.png",
		"train/b/sub/1.png", "train/b/sub-1/x.png", "train/é/1.png"}
	if diff := cmp.Diff(want, names(s.Train)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]uint16{0, 1, 2, 3, 3, 3, 3, 3, 4}, s.Train.Labels); diff != "" {
		t.Error(diff)
	}
	if s.Test.Len() != 5 || s.Test.Name(3) != "val/b/1.png" {
		t.Errorf("tested with %v", names(s.Test))
	}
	says(t, s.Notes, "val is evaluated on, test is left alone")
	says(t, s.Notes, "extra: a folder beside those of splits")
}

func says(t *testing.T, notes []string, part string) {
	t.Helper()
	if !slices.ContainsFunc(notes, func(n string) bool { return strings.Contains(n, part) }) {
		t.Errorf("no note says %q: %q", part, notes)
	}
}

// A PNG of the size of the run reaches it byte for byte.
func TestUnchanged(t *testing.T) {
	files := map[string][]byte{}
	for i := range 4 {
		files[fmt.Sprintf("train/c%d/x.png", i%2)] = drawing(t, 9, 9, i)
		files[fmt.Sprintf("val/c%d/x.png", i%2)] = drawing(t, 9, 9, i+9)
	}
	dir := tree(t, files)
	s := opened(t, dir, dataset.Options{Size: 9})
	got := make([]byte, s.Train.Shape.Bytes())
	for i := range s.Train.Len() {
		if err := s.Train.Read(i, got); err != nil {
			t.Fatal(err)
		}
		img, err := png.Decode(bytes.NewReader(files[s.Train.Name(i)]))
		if err != nil {
			t.Fatal(err)
		}
		for k := range 81 {
			c := img.(*image.RGBA).RGBAAt(k%9, k/9)
			if got[k] != c.R || got[81+k] != c.G || got[162+k] != c.B {
				t.Fatalf("%s: pixel %d is %v, want %v", s.Train.Name(i), k, []byte{got[k], got[81+k], got[162+k]}, c)
			}
		}
	}
}

// Sets of grey images have one channel, those with a single coloured one three; a setting wins.
func TestChannels(t *testing.T) {
	files := map[string][]byte{}
	for i := range 10 {
		files[fmt.Sprintf("a/%d.png", i)] = greyscale(t, i)
		files[fmt.Sprintf("b/%d.png", i)] = greyscale(t, i+10)
	}
	dir := tree(t, files)
	for given, want := range map[int]int{0: 1, 1: 1, 3: 3} {
		if s := opened(t, dir, dataset.Options{Channels: given}); s.Channels != want {
			t.Errorf("--channels %d: %d", given, s.Channels)
		}
	}
	put(t, filepath.Join(dir, "a", "new.png"), drawing(t, 7, 7, 1))
	if s := opened(t, dir, dataset.Options{}); s.Channels != 3 {
		t.Errorf("with a coloured image: %d channels", s.Channels)
	}
}

// A set without a split is divided, and said how; it is the same set wherever it lies.
func TestDivided(t *testing.T) {
	files := map[string][]byte{}
	images(t, files, "cat", 30)
	images(t, files, "dog", 30)
	files["dog/copy.png"] = files["cat/03.png"]
	a, b := opened(t, tree(t, files), dataset.Options{Validation: 0.3}), opened(t, tree(t, files),
		dataset.Options{Validation: 0.3})
	if diff := cmp.Diff(names(a.Test), names(b.Test)); diff != "" || a.SHA256 != b.SHA256 || a.SHA256 == "" {
		t.Errorf("two copies are divided differently: %s", diff)
	}
	says(t, a.Notes, fmt.Sprintf("no split of their own: %d of 61 images, chosen by their contents, are the test split",
		a.Test.Len()))
	if a.Test.Len() < 9 || a.Test.Len() > 30 {
		t.Errorf("%d of 61 images are tested with", a.Test.Len())
	}
	here := slices.Contains(names(a.Test), "cat/03.png")
	if there := slices.Contains(names(a.Test), "dog/copy.png"); here != there {
		t.Error("two copies are on different sides")
	}
	if c := opened(t, tree(t, files), dataset.Options{Validation: 0.3, Fit: dataset.Pad}); c.SHA256 == a.SHA256 {
		t.Error("another fit has the same SHA-256")
	}
}

// What the test has in place of a folder is opened or refused, and every case has its sentence.
func TestSentences(t *testing.T) {
	damaged := drawing(t, 8, 8, 1)[:40]
	for _, c := range []struct {
		name    string
		change  func(files map[string][]byte)
		skip    bool
		problem string   // of the error; "" where there is none
		notes   []string // what they say
	}{
		{"two classes", func(map[string][]byte) {}, false, "", []string{"no split of their own"}},
		{"hidden files and others", func(f map[string][]byte) {
			f["cat/.ipynb_checkpoints/1.png"], f[".DS_Store"], f["cat/Thumbs.db"] = f["cat/01.png"], []byte("x"), []byte("x")
			f["__MACOSX/cat/._1.png"], f["cat/notes.txt"], f["labels.txt"] = []byte("x"), []byte("BM text"), []byte("x")
		}, false, "", []string{"6 items are passed over"}},
		{"a damaged image", func(f map[string][]byte) { f["cat/bad.png"] = damaged }, false,
			"1 image can't be read; mend or remove it, or leave it out by --skip-broken:\n" +
				"  cat/bad.png: a damaged PNG image: it ends too early", nil},
		{"a damaged image, left out", func(f map[string][]byte) { f["cat/bad.png"] = damaged }, true, "",
			[]string{"1 image is left out, as it can't be read: cat/bad.png: a damaged"}},
		{"many damaged images", func(f map[string][]byte) {
			for i := range 1030 {
				f[fmt.Sprintf("cat/bad%04d.jpg", i)] = []byte{}
			}
		}, false,
			"1,030 images can't be read; mend or remove them, or leave them out by --skip-broken:\n" +
				"  cat/bad0000.jpg: the file is empty\n", nil},
		{"a page saved as an image", func(f map[string][]byte) { f["dog/x.jpg"] = []byte("<!DOCTYPE html><html>") }, false,
			"dog/x.jpg: a page of HTML", nil},
		{"an image of a kind that is not read", func(f map[string][]byte) { f["dog/x.tif"] = []byte("II*\x00\x08") }, false,
			"dog/x.tif: a TIFF image", nil},
		{"an image by its content alone", func(f map[string][]byte) { f["dog/x"] = damaged }, false, "dog/x: a damaged", nil},
		{"an empty class", func(f map[string][]byte) { f["bird"] = nil }, false, "",
			[]string{"1 class is without images and left out: bird"}},
		{"one class", func(f map[string][]byte) {
			for name := range f {
				if strings.HasPrefix(name, "dog/") {
					delete(f, name)
				}
			}
		}, false, "it has one class alone, cat", nil},
		{"capital letters", func(f map[string][]byte) { images(t, f, "Cat", 9) }, false, "",
			[]string{"the classes Cat and cat differ in capital letters alone; they are two classes"}},
		{"accents", func(f map[string][]byte) { images(t, f, "caf\u00e9", 2); images(t, f, "cafe\u0301", 2) }, false,
			"look the same, and are written differently", nil},
		{"a name that can't be printed", func(f map[string][]byte) { images(t, f, "b\x07ird", 2) }, false,
			`the class "b\aird" has characters that can't be printed`, nil},
		{"a split of one part", func(f map[string][]byte) {
			for name, b := range maps.Clone(f) {
				f["train/"+name] = b
				delete(f, name)
			}
		}, false, "", []string{"no split of their own"}},
		{"a class in val alone", func(f map[string][]byte) {
			splits(f)
			f["val/bird/1.png"] = f["val/cat/01.png"]
		}, false, "1 class has no images in train, so that nothing can be learned of them: bird", nil},
		{"a class in train alone", func(f map[string][]byte) {
			splits(f)
			f["train/bird/1.png"] = f["val/cat/01.png"]
		}, false, "", []string{"1 class has no images in val, and so no accuracy: bird"}},
		{"an empty split", func(f map[string][]byte) {
			splits(f)
			for name := range f {
				if strings.HasPrefix(name, "val/") {
					f[name] = damaged
				}
			}
		}, true, "val has no image that can be read", nil},
		{"a test split without classes", func(f map[string][]byte) {
			splits(f)
			for name := range f {
				if strings.HasPrefix(name, "val/") {
					delete(f, name)
				}
			}
			f["test/1.png"], f["test/2.png"] = f["train/cat/01.png"], f["train/cat/01.png"]
		}, false, "", []string{"test has no folders of classes with images, and is left alone", "no split of their own"}},
		{"classes called train and plane", func(f map[string][]byte) { images(t, f, "train", 5); images(t, f, "plane", 5) },
			false, "", []string{"no split of their own"}},
		{"two folders for one split", func(f map[string][]byte) {
			splits(f)
			f["training/cat/1.png"] = f["val/cat/01.png"]
		}, false, "the folders train and training are both for one split", nil},
		{"images without classes", func(f map[string][]byte) {
			for name := range f {
				delete(f, name)
			}
			f["1.png"] = drawing(t, 2, 2, 2)
		}, false, "this is images without classes", nil},
		{"a folder above", func(f map[string][]byte) {
			for name, b := range maps.Clone(f) {
				f["photos/"+name] = b
				delete(f, name)
			}
		}, false, "it has one class alone, photos", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			files := map[string][]byte{}
			images(t, files, "cat", 10)
			images(t, files, "dog", 10)
			c.change(files)
			dir := tree(t, files)
			s, err := dataset.Open(dir, []dataset.Format{Table, Format}, dataset.Options{Size: 8, SkipBroken: c.skip})
			if c.problem == "" && err != nil {
				t.Fatal(err)
			}
			if c.problem != "" && (!errors.As(err, new(*dataset.FileError)) || !strings.Contains(err.Error(), c.problem)) {
				t.Fatalf("error %v, want %q", err, c.problem)
			}
			for _, n := range c.notes {
				says(t, s.Notes, n)
			}
			if c.skip && c.problem == "" && len(s.Broken) == 0 {
				t.Error("no list of what is broken")
			}
		})
	}
}

// splits makes a train of the files, and a val with the first two of each class.
func splits(files map[string][]byte) {
	for name, b := range maps.Clone(files) {
		if strings.HasSuffix(name, "/00.png") || strings.HasSuffix(name, "/01.png") {
			files["val/"+name] = b
		} else {
			files["train/"+name] = b
		}
		delete(files, name)
	}
}

// Links are followed, and end where they lead back.
func TestLinks(t *testing.T) {
	files := map[string][]byte{}
	images(t, files, "cat", 3)
	images(t, files, "all/dogs", 3)
	images(t, files, "all/dogs/more", 2)
	dir := tree(t, files)
	set := t.TempDir()
	for to, from := range map[string]string{filepath.Join(dir, "cat"): "cat", filepath.Join(dir, "all/dogs"): "dog",
		"..": filepath.Join(dir, "all/dogs/more/loop"), filepath.Join(dir, "cat/00.png"): filepath.Join(dir,
			"all/dogs/x.png"),
		"nowhere": filepath.Join(dir, "all/dogs/lost")} {
		if !filepath.IsAbs(from) {
			from = filepath.Join(set, from)
		}
		if err := os.Symlink(to, from); err != nil {
			t.Fatal(err)
		}
	}
	s := opened(t, set, dataset.Options{})
	if n := s.Train.Len() + s.Test.Len(); n != 9 {
		t.Errorf("%d images, want 9: %v %v", n, names(s.Train), names(s.Test))
	}
	says(t, s.Notes, "a link back to a folder that is read already")
	says(t, s.Notes, "dog/lost: cannot be read: no such file or directory")
}

// What is known of files is taken the next time, where they have not changed; a damaged index is as none.
func TestIndex(t *testing.T) {
	files := map[string][]byte{}
	images(t, files, "cat", 5)
	images(t, files, "dog", 5)
	dir := tree(t, files)
	age := func(name string, ago time.Duration) {
		at := time.Now().Add(-ago)
		if err := os.Chtimes(filepath.Join(dir, name), at, at); err != nil {
			t.Fatal(err)
		}
	}
	for name := range files {
		age(name, time.Hour)
	}
	looked := func() (n int) {
		s := opened(t, dir, dataset.Options{Progress: func(string, int, int) { n++ }})
		if s.Train.Len()+s.Test.Len() != 10 {
			t.Fatal("not all images")
		}
		return n
	}
	first := looked()
	second := looked()
	put(t, filepath.Join(dir, "cat/00.png"), drawing(t, 8, 8, 99))
	changed, again := looked(), looked() // what is new is not trusted to stay
	age("cat/00.png", time.Minute)
	older, last := looked(), looked()
	if got := []int{first, second, changed, again, older, last}; !slices.Equal(got, []int{10, 0, 1, 1, 1, 0}) {
		t.Errorf("files looked at: %v", got)
	}
	x := openIndex(dir)
	if len(x.rows) != 10 {
		t.Fatalf("%d rows are known", len(x.rows))
	}
	b, err := os.ReadFile(x.file)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)/2] ^= 1
	put(t, x.file, b)
	if n := looked(); n != 10 {
		t.Errorf("after damage to the index %d files are looked at", n)
	}
}

// A file that changes after it was checked ends the run with its name.
func TestChanged(t *testing.T) {
	files := map[string][]byte{}
	images(t, files, "cat", 5)
	images(t, files, "dog", 5)
	dir := tree(t, files)
	s := opened(t, dir, dataset.Options{})
	name := s.Train.Name(2)
	b := make([]byte, s.Train.Shape.Bytes())
	for change, want := range map[string]string{"has changed since": "other", "no such file": ""} {
		if want == "" {
			if err := os.Remove(filepath.Join(dir, name)); err != nil {
				t.Fatal(err)
			}
		} else {
			put(t, filepath.Join(dir, name), []byte(want))
		}
		err := s.Train.Read(2, b)
		if !errors.As(err, new(*dataset.FileError)) || !strings.Contains(err.Error(), change) ||
			!strings.Contains(err.Error(), filepath.FromSlash(name)) {
			t.Errorf("error %v, want %q", err, change)
		}
	}
}

// Reading an image in memory again and again takes little more than what its decoder takes.
func BenchmarkRead(b *testing.B) {
	files := map[string][]byte{}
	img := image.NewRGBA(image.Rect(0, 0, 500, 375))
	for i := range img.Pix {
		img.Pix[i] = byte(i / 500)
	}
	for i := range 8 {
		img.SetRGBA(i, i, color.RGBA{255, 0, 0, 255})
		var out bytes.Buffer
		if err := jpeg.Encode(&out, img, nil); err != nil {
			b.Fatal(err)
		}
		files[fmt.Sprintf("%d/%d.jpg", i%2, i)] = out.Bytes()
	}
	s, err := openFolder(tree(b, files), dataset.Options{Size: 224})
	if err != nil {
		b.Fatal(err)
	}
	// What decoders give on all cores, with and without the fitting, and what a reader of batches does.
	one := files["0/0.jpg"]
	for name, work := range map[string]func(image.Image){
		"decode": func(image.Image) {},
		"decode and fit": func(img image.Image) {
			picture.FitCrop.Planes(img, 224, 3, make([]byte, s.Train.Shape.Bytes()))
		},
	} {
		b.Run(name, func(b *testing.B) {
			b.RunParallel(func(p *testing.PB) {
				for p.Next() {
					img, err := picture.DecodeBytes(one)
					if err != nil {
						b.Error(err)
						return
					}
					work(img)
				}
			})
		})
	}
	b.Run("read", func(b *testing.B) {
		const batch = 8
		r := dataset.NewReader(s.Train, batch)
		defer r.Close()
		r.Start(make([]uint32, (b.N+batch-1)/batch*batch), batch)
		for range (b.N + batch - 1) / batch {
			if _, err := r.Next(); err != nil {
				b.Fatal(err)
			}
		}
	})
}
