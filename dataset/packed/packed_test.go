package packed

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ninvk/ci/slow"
	"ninvk/dataset"
	"ninvk/safetensors"
)

func TestMain(m *testing.M) { os.Exit(slow.Run(m, "TestPython")) }

// example is a set of 5 images of 3×4×2 to train and 2 of 3×2×2 to test with.
func example() *dataset.Set {
	split := func(what string, shape dataset.Shape, labels ...uint16) dataset.Split {
		pixels := make([]byte, len(labels)*shape.Bytes())
		for i := range pixels {
			pixels[i] = byte(i*37 + len(what))
		}
		return dataset.Split{Shape: shape, Labels: labels, Source: dataset.Memory{Shape: shape, Pixels: pixels, What: what}}
	}
	d := &dataset.Set{Name: "example", Format: "an example", Classes: []string{"cat", "dög", "owl"}, Named: true,
		Channels: 3,
		Train:    split("cat/ä", dataset.Shape{C: 3, H: 4, W: 2}, 2, 0, 1, 0, 2),
		Test:     split("dog/b", dataset.Shape{C: 3, H: 2, W: 2}, 1, 0), Notes: []string{"a note"},
		Broken: []string{"x: broken"}}
	sum := dataset.NewSum(3)
	_ = errors.Join(sum.Split(d.Train), sum.Split(d.Test)) // in memory
	d.SHA256 = sum.Hex()
	return d
}

func write(t testing.TB, d *dataset.Set) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "set.safetensors")
	if err := Write(context.Background(), path, d, nil); err != nil {
		t.Fatal(err)
	}
	return path
}

// same compares two sets by what is to be seen of them.
func same(t *testing.T, want, got *dataset.Set) {
	t.Helper()
	for i, s := range [][2]dataset.Split{{want.Train, got.Train}, {want.Test, got.Test}} {
		a, err := s[0].All()
		b, err2 := s[1].All()
		if err := errors.Join(err, err2); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(a, b) || s[0].Shape != s[1].Shape {
			t.Errorf("split %d: images differ", i)
		}
		if diff := cmp.Diff(s[0].Labels, s[1].Labels); diff != "" {
			t.Error(diff)
		}
		for k := range s[0].Labels {
			if s[0].Name(k) != s[1].Name(k) {
				t.Errorf("image %q is called %q", s[0].Name(k), s[1].Name(k))
			}
		}
	}
	if diff := cmp.Diff([]any{want.SHA256, want.Classes, want.Notes, want.Broken, want.Channels},
		[]any{got.SHA256, got.Classes, got.Notes, got.Broken, got.Channels}); diff != "" {
		t.Error(diff)
	}
}

func TestWrite(t *testing.T) {
	d := example()
	path := write(t, d)
	if !Format.Is(path) {
		t.Error("not recognised")
	}
	got, err := Format.Open(path, dataset.Options{})
	if err != nil {
		t.Fatal(err)
	}
	same(t, d, got)
	if !got.Named || got.Format != "a packed set of an example" || got.Train.Name(1) != "cat/ä 1" {
		t.Errorf("%+v", got)
	}
	if err := Verify(path); err != nil {
		t.Error(err)
	}
	// As an ordinary file of the format, and the same bytes again.
	if _, err := safetensors.Read(path); err != nil {
		t.Error(err)
	}
	first, _ := os.ReadFile(path)
	second, err := os.ReadFile(write(t, d))
	if err != nil || !bytes.Equal(first, second) {
		t.Errorf("written again it differs (%v)", err)
	}
	grey, err := Format.Open(path, dataset.Options{Channels: 1})
	if err != nil || grey.Channels != 1 || grey.Test.Shape.C != 1 {
		t.Errorf("%+v, %v", grey, err)
	}
}

// TestPython has Python read the file with nothing but its own library.
func TestPython(t *testing.T) {
	d := example()
	out, err := exec.Command("python3", "testdata/read.py", write(t, d)).Output()
	if err != nil {
		t.Fatalf("python3: %v", err)
	}
	var got map[string]struct {
		Shape  []int
		Values []int
		Names  []string
	}
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatal(err)
	}
	for name, s := range map[string]dataset.Split{"train": d.Train, "test": d.Test} {
		all, err := s.All()
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]int{s.Len(), s.Shape.C, s.Shape.H, s.Shape.W}, got[name+images].Shape); diff != "" {
			t.Error(diff)
		}
		for i, v := range got[name+images].Values {
			if v != int(all[i]) {
				t.Fatalf("value %d is %d, want %d", i, v, all[i])
			}
		}
		for i, v := range got[name+labels].Values {
			if v != int(s.Labels[i]) {
				t.Fatalf("label %d is %d, want %d", i, v, s.Labels[i])
			}
		}
		for i, v := range got[name+names].Names {
			if v != s.Name(i) {
				t.Errorf("name %d is %q, want %q", i, v, s.Name(i))
			}
		}
		if len(got[name+images].Values) != len(all) || len(got[name+names].Names) != s.Len() ||
			len(got[name+labels].Values) != s.Len() {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// TestInterrupted: an interruption and an image that can't be read leave what was there.
func TestInterrupted(t *testing.T) {
	path := filepath.Join(t.TempDir(), "set.safetensors")
	if err := os.WriteFile(path, []byte("before"), 0o666); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := Write(ctx, path, example(), nil); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	bad := example()
	bad.Train.Source = broken{bad.Train.Source}
	if err := Write(context.Background(), path, bad, nil); err == nil || !strings.Contains(err.Error(), "image 3") {
		t.Error(err)
	}
	entries, err := os.ReadDir(filepath.Dir(path))
	b, _ := os.ReadFile(path)
	if err != nil || len(entries) != 1 || string(b) != "before" {
		t.Errorf("%v lie there, %q, %v", entries, b, err)
	}
}

type broken struct{ dataset.Source }

func (b broken) Read(i int, dst []byte) error {
	if i == 3 {
		return fmt.Errorf("image %d can't be decoded", i)
	}
	return b.Source.Read(i, dst)
}

// TestCutOff: a file that becomes shorter while it is open is an error, not the end of the program.
func TestCutOff(t *testing.T) {
	d := example()
	big := dataset.Shape{C: 3, H: 200, W: 200}
	d.Train = dataset.Split{Shape: big, Labels: d.Train.Labels, Source: dataset.Memory{Shape: big,
		Pixels: make([]byte, 5*big.Bytes()), What: "big"}}
	path := write(t, d)
	got, err := Format.Open(path, dataset.Options{})
	if err != nil {
		t.Fatal(err)
	}
	image := make([]byte, big.Bytes())
	if err := got.Train.Read(4, image); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, 100_000); err != nil {
		t.Fatal(err)
	}
	var e *dataset.FileError
	if err := got.Train.Read(4, image); !errors.As(err, &e) || !strings.Contains(err.Error(), "cut off") {
		t.Error(err)
	}
	if _, err := Format.Open(path, dataset.Options{}); !errors.As(err, &e) || !strings.Contains(err.Error(), "truncated") {
		t.Error(err)
	}
	if !Format.Is(path) {
		t.Error("a file that is cut off is not recognised")
	}
}

func tensor(name, dtype string, data []byte, shape ...int) safetensors.Tensor {
	return safetensors.Tensor{Name: name, DType: dtype, Shape: shape, Data: data}
}

// own is a file as somebody writes it in Python, with the least that must be there.
func own() *safetensors.File {
	return &safetensors.File{Tensors: []safetensors.Tensor{
		tensor("train.images", "U8", make([]byte, 4*2*3), 4, 1, 2, 3), tensor("train.labels", "U8", []byte{0, 1, 1, 0}, 4),
		tensor("test.images", "U8", make([]byte, 6), 1, 1, 2, 3), tensor("test.labels", "I32", []byte{1, 0, 0, 0}, 1)}}
}

func TestOwn(t *testing.T) {
	path := filepath.Join(t.TempDir(), "own.safetensors")
	f := own()
	if err := safetensors.Write(path, f); err != nil {
		t.Fatal(err)
	}
	d, err := Format.Open(path, dataset.Options{})
	if err != nil || d.Named || !slices.Equal(d.Classes, []string{"0", "1"}) || d.Test.Name(0) != "test image 0" ||
		d.SHA256 == "" {
		t.Fatalf("%+v, %v", d, err)
	}
	if err := Verify(path); err == nil || !strings.Contains(err.Error(), "no checksum") {
		t.Error(err)
	}
	// Without images to test with some are taken.
	for i := range f.Tensors[0].Data {
		f.Tensors[0].Data[i] = byte(i * 31)
	}
	f.Tensors = f.Tensors[:2]
	if err := safetensors.Write(path, f); err != nil {
		t.Fatal(err)
	}
	d, err = Format.Open(path, dataset.Options{Validation: 0.5})
	if err != nil || d.Train.Len()+d.Test.Len() != 4 || d.Test.Len() == 0 {
		t.Fatalf("%+v, %v", d, err)
	}
}

func TestRefuses(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(f *safetensors.File)
		text   []string
	}{
		{"no labels", func(f *safetensors.File) { f.Tensors = slices.Delete(f.Tensors, 1, 2) }, []string{"no train.labels"}},
		{"float images", func(f *safetensors.File) {
			f.Tensors[0] = tensor("train.images", "F32", make([]byte, 96), 4, 1, 2,
				3)
		},
			[]string{"train.images is F32", "U8"}},
		{"two channels", func(f *safetensors.File) {
			f.Tensors[0] = tensor("train.images", "U8", make([]byte, 48), 4, 2, 2,
				3)
		},
			[]string{"[4 2 2 3]", "1 or 3 channels"}},
		{"three dimensions", func(f *safetensors.File) {
			f.Tensors[0] = tensor("train.images", "U8", make([]byte, 24), 4, 2,
				3)
		},
			[]string{"[4 2 3]"}},
		{"no images", func(f *safetensors.File) { f.Tensors[0] = tensor("train.images", "U8", nil, 0, 1, 2, 3) },
			[]string{"[0 1 2 3]"}},
		{"other numbers", func(f *safetensors.File) { f.Tensors[1] = tensor("train.labels", "U8", []byte{0, 1}, 2) },
			[]string{"train.labels has shape [2]", "4 images"}},
		{"float labels", func(f *safetensors.File) { f.Tensors[1] = tensor("train.labels", "F32", make([]byte, 16), 4) },
			[]string{"dtype F32", "whole numbers"}},
		{"a label below 0", func(f *safetensors.File) {
			f.Tensors[1] = tensor("train.labels", "I8", []byte{0, 255, 0, 1},
				4)
		},
			[]string{"label 1", "is -1"}},
		{"one class", func(f *safetensors.File) {
			f.Tensors[1].Data = make([]byte, 4)
			f.Tensors[3].Data = make([]byte, 4)
		}, []string{"1 classes"}},
		{"more labels than classes", func(f *safetensors.File) { f.Metadata = map[string]string{classesKey: `["cat"]`} },
			[]string{"label 1", "1 classes"}},
		{"names that are no list", func(f *safetensors.File) { f.Metadata = map[string]string{classesKey: `"cat"`} },
			[]string{classesKey, "JSON"}},
		{"too few names", func(f *safetensors.File) {
			f.Tensors = append(f.Tensors, tensor("train.names", "U8", []byte("a\x00b\x00"), 4))
		}, []string{"train.names has 2 names", "4 images"}},
		{"a short checksum", func(f *safetensors.File) { f.Tensors = append(f.Tensors, tensor(sum, "U8", []byte{1}, 1)) },
			[]string{"sha256", "32 bytes"}},
		{"other channels", func(f *safetensors.File) {
			f.Tensors[2] = tensor("test.images", "U8", make([]byte, 18), 1, 3, 2,
				3)
		},
			[]string{"1 channels", "with 3"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := own()
			c.change(f)
			path := filepath.Join(t.TempDir(), "own.safetensors")
			if err := safetensors.Write(path, f); err != nil {
				t.Fatal(err)
			}
			if !Format.Is(path) {
				t.Error("not recognised")
			}
			_, err := Format.Open(path, dataset.Options{})
			var e *dataset.FileError
			if !errors.As(err, &e) {
				t.Fatalf("%v, want a FileError", err)
			}
			for _, s := range c.text {
				if !strings.Contains(err.Error(), s) {
					t.Errorf("%v: want %q", err, s)
				}
			}
		})
	}
	t.Run("weights", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "w.safetensors")
		if err := safetensors.Write(path, &safetensors.File{Tensors: own().Tensors[1:]}); err != nil {
			t.Fatal(err)
		}
		if Format.Is(path) || Format.Is(t.TempDir()) || Format.Is(path+"x") {
			t.Error("taken for a packed set")
		}
	})
	t.Run("another pixel", func(t *testing.T) {
		path := write(t, example())
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		b[8+binary.LittleEndian.Uint64(b)+8*7+3] ^= 1 // behind the labels
		if err := os.WriteFile(path, b, 0o666); err != nil {
			t.Fatal(err)
		}
		if err := Verify(path); !errors.As(err, new(*dataset.FileError)) || !strings.Contains(err.Error(), "SHA-256") {
			t.Error(err)
		}
	})
}

func FuzzOpen(f *testing.F) {
	b, err := os.ReadFile(write(f, example()))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	small, err := safetensors.Encode(own())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(small)
	path := filepath.Join(f.TempDir(), "set.safetensors")
	f.Fuzz(func(t *testing.T, b []byte) {
		if err := os.WriteFile(path, b, 0o666); err != nil {
			t.Fatal(err)
		}
		d, err := Format.Open(path, dataset.Options{})
		if err != nil {
			if !errors.As(err, new(*dataset.FileError)) {
				t.Error(err)
			}
			return
		}
		for _, s := range []dataset.Split{d.Train, d.Test} {
			if _, err := s.All(); err != nil || s.Len() == 0 || int(slices.Max(s.Labels)) >= len(d.Classes) {
				t.Errorf("%d images, labels %v, %v", s.Len(), s.Labels, err)
			}
		}
	})
}
