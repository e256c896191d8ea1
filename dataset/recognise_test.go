package dataset

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"hash/crc32"
	"image"
	"image/png"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// tree are files by name.
type tree map[string][]byte

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

func zipped(t testing.TB, files tree) []byte {
	t.Helper()
	var out bytes.Buffer
	z := zip.NewWriter(&out)
	fill(t, files, z, func(name string) (io.Writer, error) { return z.Create(name) })
	return out.Bytes()
}

func tarred(t testing.TB, files tree) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	fill(t, files, w, func(name string) (io.Writer, error) {
		h := &tar.Header{Name: name, Mode: 0o644, Size: int64(len(files[name])), Format: tar.FormatUSTAR}
		return w, w.WriteHeader(h)
	})
	return out.Bytes()
}

// fill writes files into an archive, each to where begin says, and ends it.
func fill(t testing.TB, files tree, archive io.Closer, begin func(name string) (io.Writer, error)) {
	t.Helper()
	for _, name := range slices.Sorted(maps.Keys(files)) {
		w, err := begin(name)
		if err == nil {
			_, err = w.Write(files[name])
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := archive.Close(); err != nil {
		t.Fatal(err)
	}
}

// neighbours are small files of every kind.
func neighbours(t testing.TB) tree {
	t.Helper()
	var picture bytes.Buffer
	if err := png.Encode(&picture, image.NewGray(image.Rect(0, 0, 2, 2))); err != nil {
		t.Fatal(err)
	}
	length := binary.LittleEndian.AppendUint64(nil, 5)
	sum := crc32.Checksum(length, crc32.MakeTable(crc32.Castagnoli))
	padding := bytes.Repeat([]byte("U\x05image"), 400_000) // beyond what is read at a time
	return tree{
		"python": slices.Concat([]byte("\x80\x02}q\x01(U\x0bbatch_labelq\x02U\x15training batch 1 of "+
			"5q\x03U\x06labelsq\x04]q\x05"), padding, []byte("U\x04dataq\x06.")),
		"python3": []byte("\x80\x04\x95\x10\x00\x00\x00\x00\x00\x00\x00}\x94(\x8c\x04data\x94\x8c\x06labels\x94u."),
		"python0": []byte("(dp1\nS'data'\np2\nS'labels'\n."),
		"hundred": slices.Concat([]byte("\x80\x02}q\x01(U\tfilenamesq\x02]q\x03"), padding,
			[]byte("U\x0bfine_labelsq\x04U\rcoarse_labelsU\x04data.")),
		"pickle":    []byte("\x80\x03]q\x00K\x01a."),
		"hundredb":  slices.Concat([]byte{19, 99}, make([]byte, cifarImage), []byte{3, 42}, make([]byte, cifarImage)),
		"records":   make([]byte, 2*3073),
		"idx":       slices.Concat([]byte{0, 0, 8, 3, 0, 0, 0, 1, 0, 0, 0, 28, 0, 0, 0, 28}, make([]byte, 784)),
		"idxlabels": {0, 0, 8, 1, 0, 0, 0, 2, 7, 2},
		"csv":       []byte("label,pixel0,pixel1\n5,0,255\n"),
		"tfrecord": slices.Concat(length, binary.LittleEndian.AppendUint32(nil, (sum>>15|sum<<17)+0xa282ead8),
			[]byte("hello"), make([]byte, 4)),
		"npz":     zipped(t, tree{"x_train.npy": []byte("\x93NUMPY\x01\x00"), "y_train.npy": []byte("\x93NUMPY\x01\x00")}),
		"npy":     []byte("\x93NUMPY\x01\x00v\x00{'descr'"),
		"parquet": []byte("PAR1\x15\x04\x15PAR1"),
		"hdf5":    []byte("\x89HDF\r\n\x1a\n\x00\x00"),
		"mat":     []byte("MATLAB 5.0 MAT-file, Platform: GLNXA64"),
		"pth":     zipped(t, tree{"net/data.pkl": []byte("\x80\x02}."), "net/version": []byte("3\n")}),
		"png":     picture.Bytes(),
		"heic":    []byte("\x00\x00\x00\x18ftypheic\x00\x00\x00\x00"),
		"xz":      []byte("\xfd7zXZ\x00\x00"),
	}
}

// TestNeighbours: data that are not read are named, and what helps is a command where there is one; whatever name the
// files have.
func TestNeighbours(t *testing.T) {
	n := neighbours(t)
	binaryVersion := tree{"data_batch_1.bin": make([]byte, 2*3073), cifarTest: make([]byte, 2*3073)}
	in := func(folder string, files tree) tree {
		out := tree{}
		for name, b := range files {
			out[folder+"/"+name] = b
		}
		return out
	}
	one := func(name string) tree { return tree{"x": n[name]} }
	const hint = "what is taken"
	for _, c := range []struct {
		name   string
		files  tree
		folder string   // given to --data; "" is the folder of all
		says   []string // of the error
	}{
		{"CIFAR-10 in Python, a file", one("python"), "x", []string{"CIFAR-10's Python version", "data fetch"}},
		{"CIFAR-10 in Python, a folder", tree{"data_batch_1": n["python"], "test_batch": n["python"]}, "",
			[]string{"CIFAR-10's Python version", "same images"}},
		{"written by Python 3", one("python3"), "", []string{"CIFAR-10's Python version"}},
		{"the oldest protocol", one("python0"), "", []string{"CIFAR-10's Python version"}},
		{"CIFAR-10 in Python, the published " +
			"archive",
			tree{"cifar-10-python.tar.gz": gzipped(t, tarred(t, tree{"cifar-10-batches-py/data_batch_1": n["python"]}))},
			"cifar-10-python.tar.gz",
			[]string{"CIFAR-10's Python version (pickles), within a tar archive", "data fetch"}},
		{"CIFAR-100 in Python", tree{"train": n["hundred"], "meta": n["pickle"]}, "",
			[]string{"CIFAR-100's Python version", hint}},
		{"CIFAR-100's binary version", tree{"train.bin": n["hundredb"], "test.bin": n["hundredb"],
			"fine_label_names.txt": []byte("apple\n")}, "", []string{"CIFAR-100's binary version", hint}},
		{"CIFAR-100's binary version, a file", one("hundredb"), "x", []string{"CIFAR-100's binary version"}},
		{"records under another name", tree{"train.bin": n["records"]}, "",
			[]string{"under another name", "data_batch_1.bin"}},
		{"MNIST", tree{"train-images-idx3-ubyte": n["idx"], "train-labels-idx1-ubyte": n["idxlabels"]}, "",
			[]string{"MNIST", "IDX", hint}},
		{"MNIST's labels alone", one("idxlabels"), "x", []string{"MNIST"}},
		{"MNIST gzipped", tree{"a.gz": gzipped(t, n["idx"])}, "", []string{"MNIST", hint}},
		{"MNIST gzipped, a file", tree{"a": gzipped(t, n["idx"])}, "a", []string{"MNIST", "within a gzip archive"}},
		{"a folder of classes", tree{"cat/1.png": n["png"], "dog/1.png": n["png"]}, "",
			[]string{"a folder of classes", "(cat, dog)", hint}},
		{"a folder of classes with splits", tree{"train/cat/1.png": n["png"], "train/dog/1.png": n["png"],
			"test/cat/a": n["png"]}, "", []string{"a folder of classes", "(cat, dog)"}},
		{"classes in a zip", tree{"p.zip": zipped(t, tree{"p/cat/1": n["png"], "p/dog/2": n["heic"]})}, "p.zip",
			[]string{"a folder of classes", "within a zip archive"}},
		{"images", tree{"1.png": n["png"], "2.heic": n["heic"]}, "", []string{"images without classes", "ninvk predict "}},
		{"a single image", one("png"), "x", []string{"a single image", "ninvk predict "}},
		{"a phone's image", one("heic"), "x", []string{"a single image"}},
		{"CSV", one("csv"), "x", []string{"CSV", hint}},
		{"CSV in a folder", tree{"train.csv": n["csv"]}, "", []string{"CSV"}},
		{"TFRecord", one("tfrecord"), "", []string{"TFRecord", hint}},
		{"npz", one("npz"), "x", []string{".npz", hint}},
		{"npy", one("npy"), "", []string{".npy"}},
		{"Parquet", tree{"data/train-00000-of-00001.parquet": n["parquet"]}, "", []string{"Parquet", hint}},
		{"HDF5", one("hdf5"), "x", []string{"HDF5"}},
		{"MATLAB", one("mat"), "x", []string{"MATLAB"}},
		{"weights", one("pth"), "x", []string{"weights", "--init"}},
		{"another archive", one("xz"), "x", []string{"an xz archive", "unpack"}},
		{"an archive of nothing known", tree{"x": gzipped(t, []byte("text"))}, "x", []string{"a gzip archive", "unpack"}},
		{"CIFAR-10's files in a tar", tree{"x": tarred(t, in("cifar-10-batches-bin", binaryVersion))}, "x",
			[]string{"CIFAR-10's binary version, within a tar archive", hint}},
		{"nothing known", tree{"notes": []byte("hello")}, "", []string{"holds no data", hint}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			for name, b := range c.files {
				path := filepath.Join(dir, name)
				if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, b, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			err := Unread(filepath.Join(dir, c.folder), "holds no data", hint, nil)
			for _, part := range c.says {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%q does not say %q", err, part)
				}
			}
		})
	}
}

// A folder that a link leads back into ends, and what can't be opened is passed over.
func TestRecogniseEnds(t *testing.T) {
	dir := t.TempDir()
	if err := os.Symlink(dir, filepath.Join(dir, "loop")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(dir, "nowhere"), filepath.Join(dir, "dangling")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "train.csv"), neighbours(t)["csv"], 0o644); err != nil {
		t.Fatal(err)
	}
	if got := recognise(dir); got != csvTable {
		t.Errorf("%+v, want CSV", got)
	}
}

// FuzzRecognise: whatever a file holds, an answer comes.
func FuzzRecognise(f *testing.F) {
	for _, b := range neighbours(f) {
		f.Add(b[:min(len(b), 5000)])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		recogniseStream(bytes.NewReader(b), int64(len(b)), 0)
		recogniseZip(bytes.NewReader(b), int64(len(b)))
		recogniseTar(io.LimitReader(bytes.NewReader(b), 1<<20))
	})
}
