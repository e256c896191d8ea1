package cifar10

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ninvk/dataset"
)

func TestClassesOfFolder(t *testing.T) {
	record := func(label byte) []byte { return append([]byte{label}, make([]byte, ImageBytes)...) }
	folder := func(meta string, label byte) string {
		dir := t.TempDir()
		for name, content := range map[string][]byte{"data_batch_1.bin": record(label), "test_batch.bin": record(0),
			ClassesFile: []byte(meta)} {
			if name == ClassesFile && meta == "-" {
				continue
			}
			if err := os.WriteFile(filepath.Join(dir, name), content, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		return dir
	}
	var many []string
	for i := range 256 {
		many = append(many, fmt.Sprint("class ", i))
	}
	for _, c := range []struct {
		meta  string
		label byte
		want  []string
		named bool
	}{
		{"cat\ndog\n", 1, []string{"cat", "dog"}, true},
		{"\ufeffcat\r\n two words \r\n\r\n\n", 1, []string{"cat", "two words"}, true},
		{strings.Join(many, "\n"), 255, many, true},
		{"-", 9, ClassNames[:], false},
		{strings.Join(ClassNames[:], "\n") + "\n\n", 9, ClassNames[:], true},
	} {
		d, err := Open(folder(c.meta, c.label))
		if err != nil {
			t.Errorf("%.30q: %v", c.meta, err)
			continue
		}
		if diff := cmp.Diff(c.want, d.Classes); diff != "" || d.Named != c.named {
			t.Errorf("%.30q: named %v; -want +got:\n%s", c.meta, d.Named, diff)
		}
	}
	for _, c := range []struct {
		meta  string
		label byte
		want  string
	}{
		{"cat\ndog\n", 2, "label 2, expected 0 to 1; as many classes as batches.meta.txt"},
		{"-", 10, "label 10, expected 0 to 9"},
		{"cat\n", 0, "names 1 classes; from 2 to 256"},
		{strings.Join(many, "\n") + "\none more", 0, "names 257 classes"},
		{"", 0, "names no class"},
		{"cat\n\ndog\n", 0, "class 1 has no name"},
		{"cat\ndog\ncat", 0, `0 and 2 are both named "cat"`},
		{"cat\ndog\x1b[2J", 0, "can't be printed"},
		{"cat\n\xff", 0, "UTF-8"},
		{strings.Repeat("x", 1<<20+1), 0, "more than 1048576 bytes"},
		{"a\n" + strings.Repeat("x", 201), 0, "longer than 200"},
	} {
		_, err := Open(folder(c.meta, c.label))
		if !errors.As(err, new(*dataset.FileError)) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%.30q: %v, want %q", c.meta, err, c.want)
		}
	}
}
