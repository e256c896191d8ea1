package main

import (
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ninvk/cifar10"
	"ninvk/dataset"
)

func split(labels ...uint16) dataset.Split {
	var images []byte
	for i := range labels {
		images = append(images, bytes.Repeat([]byte{byte(i)}, cifar10.ImageBytes)...)
	}
	shape := dataset.Shape{C: cifar10.Channels, H: cifar10.Height, W: cifar10.Width}
	return dataset.Split{Shape: shape, Labels: labels, Source: dataset.Memory{Shape: shape, Pixels: images}}
}

func TestPick(t *testing.T) {
	records, err := pick(split(3, 3, 0, 3, 1, 2, 4, 5, 6, 7, 8, 9, 9), 1)
	if err != nil {
		t.Fatal(err)
	}
	var got [][2]byte // label, which image
	for at := 0; at < len(records); at += cifar10.RecordBytes {
		got = append(got, [2]byte{records[at], records[at+1]})
	}
	want := [][2]byte{{3, 0}, {0, 2}, {1, 4}, {2, 5}, {4, 6}, {5, 7}, {6, 8}, {7, 9}, {8, 10}, {9, 11}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if _, err := pick(split(0, 1, 2), 1); err == nil {
		t.Error("a class is missing, but no error")
	}
}

func TestPackIsReproducible(t *testing.T) {
	records, err := pick(split(9, 8, 7, 6, 5, 4, 3, 2, 1, 0), 1)
	if err != nil {
		t.Fatal(err)
	}
	a, err := pack(records)
	if err != nil {
		t.Fatal(err)
	}
	b, err := pack(records)
	if err != nil || !bytes.Equal(a, b) {
		t.Errorf("packed differently the second time (%v)", err)
	}
	z, err := gzip.NewReader(bytes.NewReader(a))
	if err != nil {
		t.Fatal(err)
	}
	if back, err := io.ReadAll(z); err != nil || !bytes.Equal(back, records) {
		t.Errorf("unpacks to something else (%v)", err)
	}
}

// Picked again, the embedded sample gives the committed files' records.
func TestSampleIsAFixedPoint(t *testing.T) {
	d, err := cifar10.Sample()
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []struct {
		name     string
		split    dataset.Split
		perClass int
	}{
		{"train.bin.gz", d.Train, cifar10.SampleTrain / cifar10.Classes},
		{"test.bin.gz", d.Test, cifar10.SampleTest / cifar10.Classes},
	} {
		records, err := pick(part.split, part.perClass)
		if err != nil {
			t.Fatal(err)
		}
		packed, err := os.ReadFile(filepath.Join("..", "..", "sample", part.name))
		if err != nil {
			t.Fatal(err)
		}
		z, err := gzip.NewReader(bytes.NewReader(packed))
		if err != nil {
			t.Fatal(err)
		}
		if want, err := io.ReadAll(z); err != nil || !bytes.Equal(records, want) {
			t.Errorf("%s: other records (%v)", part.name, err)
		}
	}
}

func TestWrongDataWritesNothing(t *testing.T) {
	in, out := t.TempDir(), t.TempDir()
	if err := os.WriteFile(filepath.Join(in, "data_batch_1.bin"), make([]byte, cifar10.RecordBytes), 0o666); err != nil {
		t.Fatal(err)
	}
	if err := run(in, out); err == nil {
		t.Error("accepted a folder that isn't CIFAR-10")
	}
	if left, err := os.ReadDir(out); err != nil || len(left) != 0 {
		t.Errorf("left %v (%v)", left, err)
	}
}
