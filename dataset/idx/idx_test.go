package idx

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ninvk/dataset"
)

// file makes a file in the format.
func file(kind byte, values []byte, size ...uint32) []byte {
	b := []byte{0, 0, kind, byte(len(size))}
	for _, s := range size {
		b = binary.BigEndian.AppendUint32(b, s)
	}
	return append(b, values...)
}

func images(n uint32) []byte {
	values := make([]byte, n*6)
	for i := range values {
		values[i] = byte(i * 37)
	}
	return file(unsigned, values, n, 2, 3)
}

func labels(l ...byte) []byte { return file(unsigned, l, uint32(len(l))) }

func zipped(b []byte) []byte {
	var z bytes.Buffer
	w := gzip.NewWriter(&z)
	w.Write(b)
	w.Close()
	return z.Bytes()
}

// good is a whole set.
func good() map[string][]byte {
	return map[string][]byte{
		"train-images-idx3-ubyte": images(4), "train-labels-idx1-ubyte": labels(0, 1, 2, 1),
		"t10k-images-idx3-ubyte": images(2), "t10k-labels-idx1-ubyte": labels(2, 0),
	}
}

func write(t testing.TB, dir string, files map[string][]byte) string {
	t.Helper()
	for name, b := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, b, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestGolden compares with what torchvision reads.
func TestGolden(t *testing.T) {
	var golden map[string]map[string]struct {
		Shape, Labels []int
		Pixels        []int
	}
	b, err := os.ReadFile("testdata/golden.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &golden); err != nil {
		t.Fatal(err)
	}
	for folder, path := range map[string]string{
		"MNIST/raw": "testdata/MNIST", // as torchvision's root has it below
		"letters":   "testdata/letters/emnist-letters-train-images-idx3-ubyte.gz",
	} {
		if !Format.Is(path) {
			t.Errorf("%s is not recognised", path)
		}
		d, err := Format.Open(path, dataset.Options{})
		if err != nil {
			t.Fatal(err)
		}
		for name, split := range map[string]dataset.Split{"train": d.Train, "test": d.Test} {
			want := golden[folder][name]
			if got := []int{split.Len(), split.Shape.H, split.Shape.W}; !slices.Equal(got, want.Shape) || split.Shape.C != 1 {
				t.Errorf("%s, %s: shape %v, want %v", folder, name, split.Shape, want.Shape)
			}
			for i, l := range split.Labels {
				if int(l) != want.Labels[i] {
					t.Errorf("%s, %s: label %d is %d, want %d", folder, name, i, l, want.Labels[i])
				}
			}
			all, err := split.All()
			if err != nil || len(all) != len(want.Pixels) {
				t.Fatalf("%d values, want %d; %v", len(all), len(want.Pixels), err)
			}
			for i, v := range all {
				if int(v) != want.Pixels[i] {
					t.Fatalf("%s, %s: value %d is %d, want %d", folder, name, i, v, want.Pixels[i])
				}
			}
		}
		if folder == "letters" {
			if diff := cmp.Diff([]string{"label 0", "Aa", "Bb", "Cc", "Dd"}, d.Classes); diff != "" || !d.Named {
				t.Error(diff)
			}
			if !slices.Contains(d.Notes, "no training image has label 0 (label 0)") {
				t.Errorf("notes %q", d.Notes)
			}
		}
	}
}

// TestNames: files under all the names that sets are published with, compressed or not whatever they are called.
func TestNames(t *testing.T) {
	var sum string
	for _, form := range []string{
		"%-images-idx3-ubyte", "%-images.idx3-ubyte", "%-images-idx3-ubyte.gz", "raw/%-images-idx3-ubyte",
		"MNIST/raw/%-images-idx3-ubyte.gz", "emnist-balanced-%-images-idx3-ubyte.gz", "kmnist-%-images-idx3-ubyte",
		"%_images.idx",
	} {
		for _, test := range []string{"t10k", "test", "val"} {
			for _, compress := range []bool{false, true} {
				files := map[string][]byte{}
				for name, b := range good() {
					if compress {
						b = zipped(b)
					}
					split, rest, _ := strings.Cut(name, "-")
					if split == "t10k" {
						split = test
					}
					as := strings.Replace(form, "%", split, 1)
					if strings.HasPrefix(rest, "labels") {
						as = strings.NewReplacer("images", "labels", "idx3", "idx1").Replace(as)
					}
					files[as] = b
				}
				dir := write(t, t.TempDir(), files)
				d, err := Format.Open(dir, dataset.Options{})
				if err != nil || !Format.Is(dir) {
					t.Errorf("%s, %s: %v", form, test, err)
					continue
				}
				if sum == "" {
					sum = d.SHA256
				}
				if d.Train.Len() != 4 || d.Test.Len() != 2 || d.SHA256 != sum {
					t.Errorf("%s, %s: %d and %d images, SHA-256 %s", form, test, d.Train.Len(), d.Test.Len(), d.SHA256)
				}
			}
		}
	}
}

func TestChannels(t *testing.T) {
	d, err := Format.Open(write(t, t.TempDir(), good()), dataset.Options{Channels: 3})
	if err != nil || d.Channels != 3 || d.Test.Shape != (dataset.Shape{C: 3, H: 2, W: 3}) {
		t.Fatalf("%+v, %v", d, err)
	}
	got := make([]byte, 18)
	if err := d.Train.Read(1, got); err != nil || !bytes.Equal(got, bytes.Repeat(images(4)[16+6:][:6], 3)) {
		t.Errorf("%v, %v", got, err)
	}
	if name := d.Test.Name(1); name != "test image 1" {
		t.Error(name)
	}
}

// TestDivided: without files to test with, some of the training images are.
func TestDivided(t *testing.T) {
	files := map[string][]byte{"train-images-idx3-ubyte": images(40),
		"train-labels-idx1-ubyte": labels(bytes.Repeat([]byte{0, 1}, 20)...)}
	d, err := Format.Open(write(t, t.TempDir(), files), dataset.Options{Validation: 0.25})
	if err != nil {
		t.Fatal(err)
	}
	if d.Train.Len()+d.Test.Len() != 40 || d.Test.Len() < 2 || d.Test.Len() > 20 {
		t.Errorf("%d and %d images", d.Train.Len(), d.Test.Len())
	}
	if len(d.Notes) == 0 || !strings.Contains(strings.Join(d.Notes, "\n"), "25 % of each class") {
		t.Errorf("notes %q", d.Notes)
	}
	all := images(40)[16:]
	seen := map[string]bool{}
	for _, s := range []dataset.Split{d.Train, d.Test} {
		for i := range s.Labels {
			image := make([]byte, 6)
			if err := s.Read(i, image); err != nil {
				t.Fatal(err)
			}
			var at int
			if _, err := fmt.Sscanf(s.Name(i), "training image %d", &at); err != nil || !bytes.Equal(image,
				all[at*6:][:6]) || int(s.Labels[i]) != at%2 {
				t.Errorf("%s, label %d: %v (%v)", s.Name(i), s.Labels[i], image, err)
			}
			seen[s.Name(i)] = true
		}
	}
	if len(seen) != 40 {
		t.Errorf("%d different images", len(seen))
	}
}

func TestClasses(t *testing.T) {
	files := good()
	files["classes.txt"] = []byte("cat\ndog\nowl\n")
	d, err := Format.Open(write(t, t.TempDir(), files), dataset.Options{})
	if err != nil || !d.Named {
		t.Fatal(d, err)
	}
	if diff := cmp.Diff([]string{"cat", "dog", "owl"}, d.Classes); diff != "" {
		t.Error(diff)
	}
	d, err = Format.Open(write(t, t.TempDir(), good()), dataset.Options{})
	if err != nil || d.Named || !strings.Contains(strings.Join(d.Notes, "\n"), "classes.txt") {
		t.Fatal(d, err)
	}
	if diff := cmp.Diff([]string{"0", "1", "2"}, d.Classes); diff != "" {
		t.Error(diff)
	}
}

// TestBeside: torchvision leaves the compressed files beside those it reads.
func TestBeside(t *testing.T) {
	files := good()
	for name, b := range good() {
		files[name+".gz"] = zipped(b)
	}
	d, err := Format.Open(write(t, t.TempDir(), files), dataset.Options{})
	if err != nil || len(d.Notes) < 4 || !strings.Contains(d.Notes[0], "compressed beside it is not") {
		t.Fatal(d, err)
	}
}

func TestRefuses(t *testing.T) {
	const trainImages, trainLabels = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"
	four := zipped(images(4))
	badSum := slices.Clone(four)
	badSum[len(badSum)-6] ^= 1
	huge := file(unsigned, make([]byte, 100), 1<<31, 1<<31, 1<<31)
	for _, c := range []struct {
		name   string
		change map[string][]byte // nil: no such file
		in     string            // the end of the path in the error
		at     int64
		text   []string
	}{
		{"cut off", map[string][]byte{trainImages: images(4)[:30]}, trainImages, 30,
			[]string{"ends too early", "4×2×3", "obtain it again"}},
		{"cut off in the header", map[string][]byte{trainImages: images(4)[:9]}, trainImages, 9,
			[]string{"within its header"}},
		{"empty file", map[string][]byte{trainImages: {}}, trainImages, 0, []string{"within its header"}},
		{"left over", map[string][]byte{trainLabels: append(labels(0, 1, 2, 1), 7)}, trainLabels, 12,
			[]string{"something follows the 4 values"}},
		{"compressed and cut off", map[string][]byte{trainImages: four[:len(four)-20]}, trainImages, -2,
			[]string{"ends too early"}},
		{"bad checksum", map[string][]byte{trainImages: badSum}, trainImages, -1,
			[]string{"gzip is damaged", "checksum"}},
		{"cut off before the checksum", map[string][]byte{trainImages: four[:len(four)-4]}, trainImages, -1,
			[]string{"gzip is damaged"}},
		{"bad gzip header", map[string][]byte{trainImages: []byte("\x1f\x8b\x07\xff")}, trainImages, -1,
			[]string{"gzip is damaged"}},
		{"no header", map[string][]byte{trainImages: []byte("<!DOCTYPE html>")}, trainImages, 0,
			[]string{"3c 21 44 4f", "no header", "IDX"}},
		{"too large", map[string][]byte{trainImages: huge}, trainImages, 4, []string{"2147483648×2147483648×2147483648"}},
		{"a bomb", map[string][]byte{trainImages: zipped(file(unsigned, nil, 8000, 1000, 1000))}, trainImages, -2,
			[]string{"ends too early", "8000×1000×1000"}},
		{"no images", map[string][]byte{trainImages: file(unsigned, nil, 0, 2, 3)}, trainImages, 4,
			[]string{"it is empty", "0×2×3"}},
		{"no pixels", map[string][]byte{trainImages: file(unsigned, nil, 4, 0, 3)}, trainImages, 8, []string{"4×0×3"}},
		{"other numbers", map[string][]byte{trainLabels: labels(0, 1, 2)}, trainLabels, 4,
			[]string{"3 labels", trainImages + " has 4 images"}},
		{"float32", map[string][]byte{trainImages: file(13, make([]byte, 96), 4, 2, 3)}, trainImages, 2,
			[]string{"float32", "not supported", "convert"}},
		{"colour", map[string][]byte{trainImages: file(unsigned, make([]byte, 72), 4, 2, 3, 3)}, trainImages, 3,
			[]string{"4×2×3×3", "not supported", "PNG"}},
		{"labels as QMNIST has them", map[string][]byte{trainLabels: file(12, make([]byte, 4*4*8), 4, 8)}, trainLabels, 2,
			[]string{"int32", "not supported as labels"}},
		{"images for labels", map[string][]byte{trainLabels: images(4)}, trainLabels, 3,
			[]string{"4×2×3", "one dimension"}},
		{"labels missing", map[string][]byte{trainLabels: nil}, "", -1,
			[]string{"the file " + trainLabels + " is missing", trainImages + " is there"}},
		{"test images missing", map[string][]byte{"t10k-images-idx3-ubyte": nil}, "", -1,
			[]string{"the file t10k-images-idx3-ubyte is missing", "t10k-labels-idx1-ubyte is there"}},
		{"no training images", map[string][]byte{trainImages: nil, trainLabels: nil}, "", -1,
			[]string{"none to train on", trainImages}},
		{"one class", map[string][]byte{trainLabels: labels(0, 0, 0, 0), "t10k-labels-idx1-ubyte": labels(0, 0)}, trainLabels,
			-1, []string{"one class only"}},
		{"too few names", map[string][]byte{"classes.txt": []byte("cat\ndog\n")}, "classes.txt", -1,
			[]string{"names 2 classes", "largest label is 2"}},
		{"a bad mapping", map[string][]byte{"mapping.txt": []byte("0 65\n1 x\n")}, "mapping.txt", -1,
			[]string{"line 2", `"x"`, "EMNIST"}},
		{"a mapping with a label twice", map[string][]byte{"mapping.txt": []byte("0 65\n0 66\n")}, "mapping.txt", -1,
			[]string{"label 0 again"}},
		{"two that could be one", map[string][]byte{"train-images.idx3-ubyte": images(4)}, "", -1,
			[]string{"both train-images-idx3-ubyte and train-images.idx3-ubyte", "leave one"}},
		{"two sets", map[string][]byte{"emnist-digits-train-images-idx3-ubyte": images(4)}, "", -1,
			[]string{"2 sets", "emnist-digits-train-images-idx3-ubyte", "--data"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			files := good()
			for name, b := range c.change {
				if files[name] = b; b == nil {
					delete(files, name)
				}
			}
			dir := write(t, t.TempDir(), files)
			if !Format.Is(dir) {
				t.Error("it is not recognised")
			}
			_, err := Format.Open(dir, dataset.Options{})
			var e *dataset.FileError
			if !errors.As(err, &e) {
				t.Fatalf("%v, want a FileError", err)
			}
			if !strings.HasSuffix(e.Path, c.in) || c.at > -2 && e.Offset != c.at {
				t.Errorf("path %s, byte %d; want %s, byte %d", e.Path, e.Offset, c.in, c.at)
			}
			for _, s := range c.text {
				if !strings.Contains(err.Error(), s) {
					t.Errorf("%v: want %q", err, s)
				}
			}
			if strings.Contains(err.Error(), dir+string(filepath.Separator)+dir) {
				t.Error(err)
			}
		})
	}
}

// TestOthers: what is near to the format, and isn't of it, is left to others.
func TestOthers(t *testing.T) {
	for name, files := range map[string]map[string][]byte{
		"empty":           {},
		"other names":     {"a": images(4), "b": labels(1)},
		"pictures":        {"train/cat/test-image.png": []byte("\x89PNG\r\n"), "test/cat/1.png": []byte("\x89PNG\r\n")},
		"text":            {"train-images.txt": []byte("a list"), "train-labels.csv": []byte("path,label")},
		"hidden":          {".train-images-idx3-ubyte": images(4)},
		"binary of CIFAR": {"data_batch_1.bin": make([]byte, 3073), "test_batch.bin": make([]byte, 3073)},
	} {
		if dir := write(t, t.TempDir(), files); Format.Is(dir) {
			t.Errorf("%s is taken for IDX", name)
		}
	}
	if path := filepath.Join(t.TempDir(), "none"); Format.Is(path) {
		t.Error("what is not there is taken for IDX")
	} else if _, err := Format.Open(path, dataset.Options{}); !errors.As(err, new(*dataset.FileError)) {
		t.Error(err)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(images(4), true)
	f.Add(zipped(images(2)), true)
	f.Add(labels(0, 1, 2), false)
	f.Add(zipped(labels(1)), false)
	f.Add(file(13, make([]byte, 12), 3), false)
	f.Add(file(unsigned, nil, 1<<31, 1<<31, 4), true)
	f.Fuzz(func(t *testing.T, b []byte, asImages bool) {
		dimensions := 1
		if asImages {
			dimensions = 3
		}
		a, p := decode(bytes.NewReader(b), int64(len(b)), dimensions, "values")
		if p != nil {
			if p.text == "" || p.at < -1 {
				t.Errorf("%+v", p)
			}
			return
		}
		n := 1
		for _, s := range a.size {
			n *= s
		}
		if len(a.size) != dimensions || n != len(a.values) || n == 0 {
			t.Errorf("sizes %v, %d values", a.size, len(a.values))
		}
	})
}

func FuzzMapping(f *testing.F) {
	f.Add("1 65 97\n2 66 98\n")
	f.Add("0 48")
	f.Add("300 65")
	f.Fuzz(func(t *testing.T, text string) {
		names, err := mapping(text)
		if err == nil && len(names) == 0 || len(names) > 256 || slices.Contains(names, "") {
			t.Errorf("%q, %v", names, err)
		}
	})
}
