package cifar10

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ninvk/cifar10/cifartest"
	"ninvk/dataset"
)

func TestOpen(t *testing.T) {
	one, two := cifartest.Records(3, 0, 1), cifartest.Records(2, 4, 2)
	ten, odd := cifartest.Records(1, 9, 3), cifartest.Records(1, 5, 5)
	test := cifartest.Records(2, 7, 4)
	files := map[string][]byte{
		"data_batch_10.bin":    ten,
		"data_batch_2.bin":     two,
		"data_batch_1.bin":     one,
		"data_batch_extra.bin": odd,
		"test_batch.bin":       test,
		"readme.html":          []byte("passed over"),
	}
	train := bytes.Join([][]byte{one, two, ten, odd}, nil)
	for _, nested := range []string{"", OfficialFolder} {
		dir := t.TempDir()
		cifartest.WriteFiles(t, filepath.Join(dir, nested), files)
		d, err := Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		if d.Name != dir || d.SHA256 != cifartest.HexSum(train, test) {
			t.Errorf("name %q, SHA-256 %s", d.Name, d.SHA256)
		}
		if diff := cmp.Diff([]uint16{0, 1, 2, 4, 5, 9, 5}, d.Train.Labels); diff != "" {
			t.Error("train labels:", diff)
		}
		if diff := cmp.Diff([]uint16{7, 8}, d.Test.Labels); diff != "" {
			t.Error("test labels:", diff)
		}
		if d.Train.Len() != 7 || d.Test.Len() != 2 {
			t.Errorf("%d and %d images", d.Train.Len(), d.Test.Len())
		}
		for i := range d.Train.Len() {
			want := train[i*RecordBytes+1 : (i+1)*RecordBytes]
			if !bytes.Equal(want, pixels(d.Train)[i*ImageBytes:(i+1)*ImageBytes]) {
				t.Errorf("image %d differs", i)
			}
		}
	}
}

// TestOpenBlocks reads files of whole blocks, and of whole blocks and a part of one.
func TestOpenBlocks(t *testing.T) {
	for _, n := range []int{blockRecords - 1, blockRecords, blockRecords + 1, 2 * blockRecords, 2*blockRecords + 3} {
		dir := t.TempDir()
		train, test := cifartest.Records(n, 0, 1), cifartest.Records(n, 1, 2)
		cifartest.WriteFiles(t, dir, map[string][]byte{"data_batch_1.bin": train, TestFile: test})
		d, err := Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		if d.SHA256 != cifartest.HexSum(train, test) || d.Train.Len() != n || d.Test.Len() != n {
			t.Fatalf("%d records: %d and %d images, SHA-256 %s", n, d.Train.Len(), d.Test.Len(), d.SHA256)
		}
		for i := range n {
			if at := i * RecordBytes; d.Train.Labels[i] != uint16(train[at]) ||
				!bytes.Equal(pixels(d.Test)[i*ImageBytes:(i+1)*ImageBytes], test[at+1:at+RecordBytes]) {
				t.Fatalf("%d records: record %d differs", n, i)
			}
		}
		test[(n-1)*RecordBytes] = 11
		cifartest.WriteFiles(t, dir, map[string][]byte{TestFile: test})
		_, err = Open(dir)
		cifartest.CheckFileError(t, err, TestFile, int64((n-1)*RecordBytes), fmt.Sprintf("record %d has label 11", n-1))
	}
}

func TestOpenErrors(t *testing.T) {
	good := cifartest.Records(3, 0, 1)
	bad := bytes.Clone(good)
	bad[2*RecordBytes] = 10
	for _, c := range []struct {
		name   string
		files  map[string][]byte
		path   string // end of the error's path
		offset int64
		text   []string
	}{
		{"empty folder", nil, "data", -1, []string{"the folder is empty", "data fetch"}},
		{"no training file", map[string][]byte{TestFile: good}, "data", -1,
			[]string{"no data_batch_*.bin"}},
		{"no test file", map[string][]byte{"data_batch_1.bin": good}, "data", -1,
			[]string{"no test_batch.bin"}},
		{"empty file", map[string][]byte{"data_batch_1.bin": good, "data_batch_2.bin": nil, TestFile: good},
			"data_batch_2.bin", 0,
			[]string{"the file is empty"}},
		{"empty test file", map[string][]byte{"data_batch_1.bin": good, TestFile: nil}, TestFile, 0,
			[]string{"the file is empty"}},
		{"cut off", map[string][]byte{"data_batch_1.bin": good[:len(good)-1], TestFile: good}, "data_batch_1.bin",
			2 * RecordBytes,
			[]string{"9218 bytes", "3073", "3072 are left over after record 2"}},
		{"a byte too many", map[string][]byte{"data_batch_1.bin": good, TestFile: append(bytes.Clone(good), 0)}, TestFile,
			3 * RecordBytes,
			[]string{"1 are left over"}},
		{"label", map[string][]byte{"data_batch_1.bin": bad, TestFile: good}, "data_batch_1.bin", 2 * RecordBytes,
			[]string{"record 2 has label 10, expected 0 to 9", "byte 6146"}},
		{"test label", map[string][]byte{"data_batch_1.bin": good, TestFile: bad}, TestFile, 2 * RecordBytes,
			[]string{"label 10"}},
		{"folder for a file", map[string][]byte{"data_batch_1.bin/x": good, TestFile: good}, "data_batch_1.bin", -1,
			[]string{"not a regular file"}},
		{"empty inner folder", map[string][]byte{OfficialFolder + "/x": nil}, OfficialFolder, -1,
			[]string{"no data_batch_*.bin"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "data")
			if err := os.Mkdir(dir, 0o777); err != nil {
				t.Fatal(err)
			}
			cifartest.WriteFiles(t, dir, c.files)
			_, err := Open(dir)
			cifartest.CheckFileError(t, err, c.path, c.offset, c.text...)
		})
	}
	t.Run("missing folder", func(t *testing.T) {
		_, err := Open(filepath.Join(t.TempDir(), "nowhere"))
		cifartest.CheckFileError(t, err, "nowhere", -1, "no such data folder", "data fetch")
		if !errors.Is(err, fs.ErrNotExist) {
			t.Error("not fs.ErrNotExist")
		}
	})
	t.Run("file for a folder", func(t *testing.T) {
		dir := t.TempDir()
		cifartest.WriteFiles(t, dir, map[string][]byte{"f": nil})
		_, err := Open(filepath.Join(dir, "f"))
		cifartest.CheckFileError(t, err, "f", -1, "is a file, expected a folder")
	})
}

func TestSample(t *testing.T) {
	d, err := Sample()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name  string
		split dataset.Split
		n     int
		first []uint16 // labels
	}{
		// The first labels of the official files; no class is full so early.
		{"train", d.Train, SampleTrain, []uint16{6, 9, 9, 4, 1, 1, 2, 7, 8, 3}},
		{"test", d.Test, SampleTest, []uint16{3, 8, 8, 0, 6, 6, 1, 6, 3, 1}},
	} {
		if c.split.Len() != c.n || len(pixels(c.split)) != c.n*ImageBytes {
			t.Errorf("%s: %d labels, %d bytes of images, expected %d images", c.name, c.split.Len(), len(pixels(c.split)), c.n)
		}
		var count [Classes]int
		for _, l := range c.split.Labels {
			count[l]++
		}
		for l, n := range count {
			if n != c.n/Classes {
				t.Errorf("%s: %d images of class %s, expected %d", c.name, n, ClassNames[l], c.n/Classes)
			}
		}
		if diff := cmp.Diff(c.first, c.split.Labels[:10]); diff != "" {
			t.Errorf("%s: first labels: %s", c.name, diff)
		}
	}
	if diff := cmp.Diff([]byte{0x3b, 0x2b, 0x32, 0x44, 0x62, 0x77, 0x8b}, pixels(d.Train)[:7]); diff != "" {
		t.Error("first bytes:", diff)
	}
	// Made independently from the official files.
	if want := "df89640d2f30dae58098973d1d4ae0790963175494f84536f164263244a9d309"; d.SHA256 != want {
		t.Errorf("SHA-256 %s, expected %s", d.SHA256, want)
	}
}

func FuzzRecords(f *testing.F) {
	good := cifartest.Records(2, 8, 1)
	f.Add(good)
	f.Add(good[:len(good)-5])
	f.Add([]byte{})
	f.Add(bytes.Repeat([]byte{10}, RecordBytes))
	f.Fuzz(func(t *testing.T, in []byte) {
		if len(in) > 4*RecordBytes {
			return
		}
		var s batches
		if err := s.parse("file", 0, in, Classes); err != nil {
			cifartest.CheckFileError(t, err, "file", err.(*dataset.FileError).Offset)
			return
		}
		if len(s.labels) != len(in)/RecordBytes || len(s.images) != len(s.labels)*ImageBytes {
			t.Fatalf("%d labels and %d bytes of images out of %d bytes", len(s.labels), len(s.images), len(in))
		}
		for i, l := range s.labels {
			if l >= Classes || l != uint16(in[i*RecordBytes]) {
				t.Fatalf("label %d is %d", i, l)
			}
		}
	})
}

// pixels are those of a split that is in memory.
func pixels(s dataset.Split) []byte { return s.Source.(dataset.Memory).Pixels }
