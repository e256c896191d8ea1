package cifar

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ninvk/dataset"
)

func TestPickles(t *testing.T) {
	var sum string
	for folder, like := range map[string]string{"cifar-10-batches-py": "cifar-10-batches-py", "python3": "latin1",
		"python3-protocol4": "python3-protocol4", "latin1": "latin1"} {
		path := filepath.Join("testdata", folder)
		if !Pickles10.Is(path) || Pickles100.Is(path) {
			t.Errorf("%s is not recognised", folder)
		}
		d, err := Pickles10.Open(path, dataset.Options{})
		if err != nil {
			t.Errorf("%s: %v", folder, err)
			continue
		}
		check(t, d, golden(t, like))
		if !d.Named || d.Classes[9] != "truck" || len(d.Classes) != 10 {
			t.Errorf("%s: classes %q", folder, d.Classes)
		}
		if sum == "" {
			sum = d.SHA256
		}
		if d.SHA256 != sum {
			t.Errorf("%s: the same images have SHA-256 %s and %s", folder, sum, d.SHA256)
		}
	}
	d, err := Pickles100.Open("testdata/cifar-100-python", dataset.Options{})
	if err != nil {
		t.Fatal(err)
	}
	check(t, d, golden(t, "cifar-100-python"))
	b, err := Binary100.Open("testdata/cifar-100-binary", dataset.Options{})
	if err != nil || b.SHA256 != d.SHA256 {
		t.Errorf("SHA-256 %s, of the binary version %s (%v)", d.SHA256, b.SHA256, err)
	}
	d, err = Pickles100.Open("testdata", dataset.Options{Labels: dataset.Coarse})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"coarse_a", "coarse_b", "coarse_c"}, d.Classes); diff != "" || d.Train.Labels[0] != 2 {
		t.Error(diff, d.Train.Labels)
	}
	if Pickles10.Is("testdata/cifar-100-python") || Pickles100.Is("testdata/python3") || Pickles10.Is("testdata/none") {
		t.Error("one set is taken for another")
	}
}

// TestPicklesUnnamed: names are CIFAR's where there is no file of them.
func TestPicklesUnnamed(t *testing.T) {
	d, err := Pickles10.Open(copyOf(t, "python3", map[string][]byte{"batches.meta": nil}), dataset.Options{})
	if err != nil || d.Named || d.Classes[0] != "airplane" || !strings.Contains(d.Notes[0], "10 are assumed") {
		t.Errorf("%+v, %v", d, err)
	}
}

func TestPicklesRefuse(t *testing.T) {
	one := file(t, "python3/data_batch_1")
	code := []byte("\x80\x02cposix\nsystem\nU\x04true\x85R.")
	replaced := func(from, to string) []byte {
		b := bytes.Replace(one, []byte(from), []byte(to), 1)
		if bytes.Equal(b, one) {
			t.Fatalf("%q is not there", from)
		}
		return b
	}
	for _, c := range []struct {
		name   string
		change map[string][]byte
		in     string
		at     int64
		text   []string
	}{
		{"cut off", map[string][]byte{"data_batch_1": one[:3000]}, "data_batch_1", -2, []string{"ends too early"}},
		{"empty", map[string][]byte{"data_batch_1": {}}, "data_batch_1", -2, []string{"ends too early"}},
		{"more behind it", map[string][]byte{"data_batch_1": append(slices.Clone(one), 'x')}, "data_batch_1", int64(len(one)),
			[]string{"1 bytes follow"}},
		{"code", map[string][]byte{"data_batch_1": code}, "data_batch_1", -1, []string{"posix.system", "not run"}},
		{"the oldest protocol", map[string][]byte{"data_batch_1": []byte("(dp0\n.")}, "data_batch_1", -2,
			[]string{"protocol 2 to 5", "protocol=4"}},
		{"no labels", map[string][]byte{"data_batch_1": replaced("labels", "lebels")}, "data_batch_1", -1,
			[]string{`no "labels"`, `"lebels"`, `"data"`}},
		{"another type", map[string][]byte{"data_batch_1": replaced("u1", "i1")}, "data_batch_1", -1, []string{"type i1",
			"u1"}},
		{"objects", map[string][]byte{"data_batch_1": replaced("u1", "O8")}, "data_batch_1", -1, []string{"not numbers"}},
		{"another shape", map[string][]byte{"data_batch_1": replaced("K\x02M\x00\x0c", "K\x04M\x00\x06")}, "data_batch_1", -1,
			[]string{"[4 1536]", "[images 3072]"}},
		{"fewer bytes", map[string][]byte{"data_batch_1": replaced("K\x02M\x00\x0c", "K\x03M\x00\x0c")}, "data_batch_1", -1,
			[]string{"6144 bytes", "9216"}},
		{"a label too large", map[string][]byte{"data_batch_1": replaced("K\x03K\x09e", "K\x03K\x0ae")}, "data_batch_1", -1,
			[]string{"label 1 is 10, expected 0 to 9"}},
		{"nothing to train on", map[string][]byte{"data_batch_1": nil, "data_batch_2": nil}, "", -1,
			[]string{"no file to train on", "data_batch_1"}},
		{"names of another set", map[string][]byte{"batches.meta": file(t, "cifar-100-python/meta")}, "batches.meta", -1,
			[]string{`no "label_names"`, "fine_label_names"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := copyOf(t, "python3", c.change)
			if !Pickles10.Is(dir) {
				t.Error("not recognised")
			}
			_, err := Pickles10.Open(dir, dataset.Options{})
			checkError(t, err, c.in, c.at, c.text)
		})
	}
}

// FuzzPickle feeds batches to the reader, which must read or refuse them.
func FuzzPickle(f *testing.F) {
	for _, name := range []string{"python3/data_batch_2", "python3-protocol4/data_batch_2", "latin1/data_batch_2",
		"cifar-10-batches-py/data_batch_2"} {
		f.Add(file(f, name))
	}
	path := filepath.Join(f.TempDir(), "data_batch_1")
	f.Fuzz(func(t *testing.T, b []byte) {
		if err := os.WriteFile(path, b, 0o666); err != nil {
			t.Fatal(err)
		}
		var r records
		if err := r.readPickle(path, "labels", 10); err != nil {
			if !errors.As(err, new(*dataset.FileError)) {
				t.Error(err)
			}
			return
		}
		if len(r.pixels) != len(r.labels)*shape.Bytes() || slices.Max(r.labels) > 9 {
			t.Errorf("%d bytes, labels %v", len(r.pixels), r.labels)
		}
		if _, err := readNames(path, "label_names"); err == nil {
			t.Error("names out of a batch")
		}
	})
}
