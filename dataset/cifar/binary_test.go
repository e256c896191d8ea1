package cifar

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ninvk/dataset"
)

type goldenSplit struct {
	Labels []int
	SHA256 string
}

// golden is what torchvision reads in a folder of testdata, by split.
func golden(t *testing.T, folder string) map[string]goldenSplit {
	t.Helper()
	b, err := os.ReadFile("testdata/golden.json")
	if err != nil {
		t.Fatal(err)
	}
	var all map[string]map[string]goldenSplit
	if err := json.Unmarshal(b, &all); err != nil {
		t.Fatal(err)
	}
	if all[folder] == nil {
		t.Fatalf("%s has no golden values", folder)
	}
	return all[folder]
}

// check compares a set with what torchvision reads.
func check(t *testing.T, d *dataset.Set, want map[string]goldenSplit) {
	t.Helper()
	for name, s := range map[string]dataset.Split{"train": d.Train, "test": d.Test} {
		var labels []int
		for _, l := range s.Labels {
			labels = append(labels, int(l))
		}
		if diff := cmp.Diff(want[name].Labels, labels); diff != "" {
			t.Errorf("%s: labels (-torchvision +got):\n%s", name, diff)
		}
		all, err := s.All()
		if err != nil {
			t.Fatal(err)
		}
		if sum := sha256.Sum256(all); hex.EncodeToString(sum[:]) != want[name].SHA256 || s.Shape != shape {
			t.Errorf("%s: pixels have SHA-256 %x, torchvision's %s", name, sum, want[name].SHA256)
		}
	}
}

// copyOf is a folder of testdata with some files in place of its own; nil leaves one out.
func copyOf(t testing.TB, folder string, change map[string][]byte) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(filepath.Join("testdata", folder))); err != nil {
		t.Fatal(err)
	}
	for name, b := range change {
		path := filepath.Join(dir, name)
		err := os.Remove(path)
		if b != nil {
			err = os.WriteFile(path, b, 0o666)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func file(t testing.TB, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", path))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestBinary(t *testing.T) {
	const folder = "testdata/cifar-100-binary"
	for _, path := range []string{folder, "testdata"} { // as the official archive unpacks
		if !Binary100.Is(path) {
			t.Errorf("%s is not recognised", path)
		}
		d, err := Binary100.Open(path, dataset.Options{})
		if err != nil {
			t.Fatal(err)
		}
		check(t, d, golden(t, "cifar-100-python"))
		if diff := cmp.Diff(strings.Fields("fine_0 fine_1 fine_2 fine_3 fine_4 fine_5"), d.Classes); diff != "" || !d.Named {
			t.Error(diff)
		}
	}
	d, err := Binary100.Open(folder, dataset.Options{Labels: dataset.Coarse, Channels: 1})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]uint16{2, 0, 1}, d.Train.Labels); diff != "" || len(d.Classes) != 3 || d.Train.Shape.C != 1 {
		t.Errorf("%v: %s", d.Classes, diff)
	}
	// Pillow's grey of the first pixel.
	record := file(t, "cifar-100-binary/train.bin")[2:]
	grey := make([]byte, 32*32)
	if err := d.Train.Read(0, grey); err != nil {
		t.Fatal(err)
	}
	want := byte((int(record[0])*19595 + int(record[1024])*38470 + int(record[2048])*7471 + 1<<15) >> 16)
	if grey[0] != want {
		t.Errorf("grey %d, want %d", grey[0], want)
	}
}

// TestBinaryUnnamed: without files of names CIFAR-100's are taken, and without a test file the images are divided.
func TestBinaryUnnamed(t *testing.T) {
	var many []byte
	for i := range 60 {
		many = append(many, byte(i%2), byte(i%3))
		many = append(many, bytes.Repeat([]byte{byte(i)}, shape.Bytes())...)
	}
	dir := copyOf(t, "cifar-100-binary", map[string][]byte{"fine_label_names.txt": nil, "coarse_label_names.txt": nil,
		"test.bin": nil, "train.bin": many})
	if !Binary100.Is(dir) {
		t.Error("not recognised")
	}
	d, err := Binary100.Open(dir, dataset.Options{})
	if err != nil {
		t.Fatal(err)
	}
	notes := strings.Join(d.Notes, "\n")
	if d.Named || len(d.Classes) != 100 || d.Classes[99] != "worm" || d.Train.Len()+d.Test.Len() != 60 ||
		d.Test.Len() == 0 || !strings.Contains(notes, "CIFAR's 100 are assumed") || !strings.Contains(notes,
		"no split of their own") {
		t.Errorf("%d classes, %d and %d images, notes %s", len(d.Classes), d.Train.Len(), d.Test.Len(), notes)
	}
}

func TestPublishedNames(t *testing.T) {
	for kind, n := range map[string]int{dataset.Fine: 100, dataset.Coarse: 20} {
		if names := published[kind].names; len(names) != n || !slices.IsSorted(names) ||
			len(slices.Compact(slices.Clone(names))) != n {
			t.Errorf("%s: %d names, %q", kind, len(names), names)
		}
	}
}

func TestBinaryRefuses(t *testing.T) {
	train := file(t, "cifar-100-binary/train.bin")
	wrong := slices.Clone(train)
	wrong[recordBytes+1] = 6
	for _, c := range []struct {
		name   string
		change map[string][]byte
		labels string
		in     string
		at     int64
		text   []string
	}{
		{"cut off", map[string][]byte{"train.bin": train[:7000]}, "", "train.bin", 6148,
			[]string{"7000 bytes", "3074-byte records", "852 are left over"}},
		{"empty", map[string][]byte{"test.bin": {}}, "", "test.bin", 0, []string{"the file is empty"}},
		{"a label too large", map[string][]byte{"train.bin": wrong}, "", "train.bin", 3075,
			[]string{"record 1 has label 6, expected 0 to 5", "fine_label_names.txt"}},
		{"too few coarse names", map[string][]byte{"coarse_label_names.txt": []byte("a\nb\n")}, dataset.Coarse, "train.bin",
			0,
			[]string{"record 0 has label 2, expected 0 to 1", "coarse_label_names.txt"}},
		{"one name", map[string][]byte{"fine_label_names.txt": []byte("a\n")}, "", "fine_label_names.txt", -1,
			[]string{"names 1 classes"}},
		{"a name twice", map[string][]byte{"fine_label_names.txt": []byte("a\nb\na\nc\nd\ne\n")}, "", "fine_label_names.txt",
			-1, []string{"classes 0 and 2 are both named"}},
		{"nothing to train on", map[string][]byte{"train.bin": nil}, "", "train.bin", -1, []string{"cannot be read"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := copyOf(t, "cifar-100-binary", c.change)
			if !Binary100.Is(dir) {
				t.Error("not recognised")
			}
			_, err := Binary100.Open(dir, dataset.Options{Labels: c.labels})
			checkError(t, err, c.in, c.at, c.text)
		})
	}
	// With a wrong size and without names it is somebody else's.
	dir := copyOf(t, "cifar-100-binary", map[string][]byte{"train.bin": train[:7000], "fine_label_names.txt": nil,
		"coarse_label_names.txt": nil})
	if Binary100.Is(dir) {
		t.Error("any train.bin is taken for CIFAR-100")
	}
}

func checkError(t *testing.T, err error, in string, at int64, text []string) {
	t.Helper()
	var e *dataset.FileError
	if !errors.As(err, &e) {
		t.Fatalf("%v, want a FileError", err)
	}
	if !strings.HasSuffix(e.Path, in) || at > -2 && e.Offset != at {
		t.Errorf("path %s, byte %d; want %s, byte %d", e.Path, e.Offset, in, at)
	}
	for _, s := range text {
		if !strings.Contains(err.Error(), s) {
			t.Errorf("%v: want %q", err, s)
		}
	}
}

func FuzzBinary(f *testing.F) {
	train := file(f, "cifar-100-binary/train.bin")
	f.Add(train, 6)
	f.Add(train[:100], 6)
	f.Add([]byte{}, 2)
	path := filepath.Join(f.TempDir(), trainFile)
	f.Fuzz(func(t *testing.T, b []byte, classes int) {
		if err := os.WriteFile(path, b, 0o666); err != nil {
			t.Fatal(err)
		}
		r, err := published[dataset.Fine].read(path, classes)
		if err != nil {
			if !errors.As(err, new(*dataset.FileError)) {
				t.Errorf("%v", err)
			}
			return
		}
		if len(r.labels)*recordBytes != len(b) || int(slices.Max(r.labels)) >= classes {
			t.Errorf("%d labels of %d bytes", len(r.labels), len(b))
		}
	})
}
