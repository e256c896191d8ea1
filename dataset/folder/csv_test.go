package folder

import (
	"errors"
	"maps"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ninvk/dataset"
)

// Tables of every form that people write are read; what is wrong with one is said with its line.
func TestTables(t *testing.T) {
	files := map[string][]byte{}
	images(t, files, "img", 6)
	const plain = "img/00.png,cat\nimg/01.png,dog\nimg/02.png,cat\nimg/03.png,dog\nimg/04.png,dog\nimg/05.png,cat\n"
	all := []string{"img/00.png", "img/01.png", "img/02.png", "img/03.png", "img/04.png", "img/05.png"}
	withSplit := func(splits ...string) string {
		var b strings.Builder
		for i, line := range strings.Split(strings.TrimSpace(plain), "\n") {
			b.WriteString(line + "," + splits[i] + "\n")
		}
		return b.String()
	}
	for _, c := range []struct {
		name, text string
		classes    []string
		test       []string // nil: divided
		note       string
		problem    string // of the error
	}{
		{name: "plain", text: plain, classes: []string{"cat", "dog"}, note: "no split of their own"},
		{name: "without an end", text: strings.TrimSpace(plain), classes: []string{"cat", "dog"}},
		{name: "of Windows, with a mark", text: "\ufeff" + strings.ReplaceAll(strings.ReplaceAll(plain, "\n", "\r\n"), "/",
			`\`),
			classes: []string{"cat", "dog"}},
		{name: "semicolons", text: strings.ReplaceAll(plain, ",", ";"), classes: []string{"cat", "dog"}},
		{name: "tabs", text: strings.ReplaceAll(plain, ",", "\t"), classes: []string{"cat", "dog"}},
		{name: "quotes", text: strings.ReplaceAll(plain, "cat", `"cat, ""big"""`), classes: []string{`cat, "big"`, "dog"}},
		{name: "numbers", text: strings.NewReplacer("cat", "10", "dog", "9").Replace(plain), classes: []string{"9", "10"}},
		{name: "a heading", text: "path,label\n" + plain, classes: []string{"cat", "dog"}},
		{name: "a heading in another order",
			text: "Label;Size;Filename\ncat;1;img/00.png\ndog;2;img/01.png\ncat;3;img/02.png\n" +
				"dog;4;img/03.png\n", classes: []string{"cat", "dog"}},
		{name: "an unknown heading", text: "photo,kind\n" + plain, classes: []string{"cat", "dog"},
			note: "line 1 of list.csv is taken for a heading"},
		{name: "splits", text: withSplit("train", "train", "Train", "training", "val", "valid"), classes: []string{"cat",
			"dog"},
			test: all[4:]},
		{name: "three splits", text: withSplit("train", "train", "test", "test", "val", "val"), classes: []string{"cat",
			"dog"},
			test: all[4:], note: "val is evaluated on, test (2 images) is left alone"},
		{name: "an unknown heading with splits", text: "photo,kind,part\n" + withSplit("train", "train", "test", "test",
			"test",
			"test"), classes: []string{"cat", "dog"}, test: all[2:], note: "is taken for a heading"},
		{name: "one split", text: withSplit("train", "train", "train", "train", "train", "train"), classes: []string{"cat",
			"dog"},
			note: "the table has the split train alone"},
		{name: "a line twice", text: plain + "img/00.png,cat\n./img/01.png,dog\n", classes: []string{"cat", "dog"},
			note: "2 items are passed over: line 7: img/00.png, as line 1 has it"},
		{name: "two labels", text: plain + "img/00.png,dog\n", problem: "line 7: img/00.png has the label dog"},
		{name: "a file that is not there", text: plain + "img/06.png,dog\n",
			problem: "1 image can't be read; mend or remove it, or leave it out by --skip-broken:\n" +
				"  img/06.png: cannot be read: no such file"},
		{name: "a file that is no image", text: plain + "list.csv,dog\n", problem: "list.csv: is no image"},
		{name: "a field more", text: plain + "img/00.png,cat,train\n",
			problem: "line 7: it has 3 fields, the lines before 2"},
		{name: "no label", text: plain + "img/00.png,\n", problem: "line 7: it has no label"},
		{name: "no path", text: plain + ",cat\n", problem: "line 7: it names no file"},
		{name: "an unknown split", text: withSplit("train", "val", "x", "val", "val", "val"),
			problem: `line 3: its split is "x"`},
		{name: "no training", text: withSplit("val", "val", "test", "val", "val", "val"),
			problem: "no line has the split train"},
		{name: "a lone quote", text: plain + "img/00.png,\"cat\n", problem: "line "},
		{name: "not UTF-8", text: plain + "img/00.png,c\xe4t\n", problem: "line 7: it is not valid UTF-8"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := maps.Clone(files)
			f["list.csv"] = []byte(c.text)
			dir := tree(t, f)
			for _, given := range []string{filepath.Join(dir, "list.csv"), dir} {
				if !isTable(given) {
					if c.problem != "" {
						continue // with so few lines it is none, and named as what it is
					}
					t.Fatalf("%s is not recognised", given)
				}
				s, err := openTable(given, dataset.Options{Size: 8})
				if c.problem != "" {
					if !errors.As(err, new(*dataset.FileError)) || !strings.Contains(err.Error(), c.problem) {
						t.Fatalf("error %v, want %q", err, c.problem)
					}
					continue
				}
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(c.classes, s.Classes); diff != "" {
					t.Error(diff)
				}
				if c.test != nil {
					if diff := cmp.Diff(c.test, names(s.Test)); diff != "" {
						t.Error(diff)
					}
				}
				if c.note != "" {
					says(t, s.Notes, c.note)
				}
			}
			if _, err := openTable(filepath.Join(dir, "list.csv"),
				dataset.Options{Size: 8}); (err != nil) != (c.problem != "") ||
				err != nil && !strings.Contains(err.Error(), c.problem) {
				t.Errorf("error %v, want %q", err, c.problem)
			}
		})
	}
}

// Paths of a table may lie beside it, above it or anywhere.
func TestTableElsewhere(t *testing.T) {
	files := map[string][]byte{}
	images(t, files, "img", 4)
	dir := tree(t, files)
	put(t, filepath.Join(dir, "tables", "t.csv"), []byte("../img/00.png,a\n../img/01.png,b\n"+
		filepath.Join(dir, "img", "02.png")+",a\n"+filepath.Join(dir, "img", "03.png")+",b\n"))
	s := opened(t, filepath.Join(dir, "tables", "t.csv"), dataset.Options{})
	if n := s.Train.Len() + s.Test.Len(); n != 4 {
		t.Errorf("%d images", n)
	}
}

// Tables of other things are none of images.
func TestNoTables(t *testing.T) {
	for name, text := range map[string]string{"pixels": "label,pixel0,pixel1\n5,0,255\n", "numbers": "1,2\n3,4\n",
		"empty":  "",
		"a text": "hello, world\nthis is, a text\n", "zeros": "a.png,\x00\n"} {
		dir := tree(t, map[string][]byte{"x.csv": []byte(text)})
		if isTable(dir) || isTable(filepath.Join(dir, "x.csv")) {
			t.Errorf("%s is taken for a table of images", name)
		}
	}
}

// FuzzTable: a table that is read has whole rows, and one that is not is wrong in a line.
func FuzzTable(f *testing.F) {
	for _, s := range []string{"a.png,b\n", "path;label;split\nx;y;train\n", "\ufeff\"a\",\"b\"\r\n", "a,b,c,d",
		"a\tb\tval\n\n", "\"", ",\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := parseTable(strings.NewReader(s))
		if err != nil {
			if e := (*lineError)(nil); !errors.As(err, &e) || e.line < 1 {
				t.Errorf("error %v", err)
			}
			return
		}
		classes := got.order()
		seen := map[string]bool{}
		for _, c := range classes {
			if seen[c] {
				t.Errorf("class %q twice", c)
			}
			seen[c] = true
		}
		for _, r := range got.rows {
			if r.path == "" || r.label == "" || r.line < 1 || !seen[r.label] || got.split != (r.split != "") {
				t.Errorf("row %+v", r)
			}
		}
	})
}

// FuzzIndex: whatever the index holds, it is read or it is as none.
func FuzzIndex(f *testing.F) {
	f.Add([]byte("short"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if parseIndex(b) == nil {
			t.Error("no map")
		}
	})
}
