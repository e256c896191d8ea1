package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ninvk/dataset"
	"ninvk/picture"
)

// TestInspect: data inspect tells what is in a folder, draws it, and ends as training would where an image is broken.
func TestInspect(t *testing.T) {
	dir := t.TempDir()
	frog, err := os.ReadFile("../../docs/images/frog.png")
	if err != nil {
		t.Fatal(err)
	}
	write := func(name string, b []byte) {
		t.Helper()
		full := filepath.Join(dir, "photos", filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(full, b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 6 { // the same pixels in different files, but for two
		write(fmt.Sprintf("train/frog/%d.png", i), append(frog[:len(frog):len(frog)], byte(max(i, 1))))
		write(fmt.Sprintf("val/toad/%d.png", i), append(frog[:len(frog):len(frog)], byte(10+i)))
	}
	write("train/toad/a.png", append(frog[:len(frog):len(frog)], 12))
	write("train/toad/notes.txt", []byte("x"))
	inspect := func(args ...string) (code int, stdout, stderr string) {
		t.Helper()
		return run(t, dir, append([]string{"data", "inspect", "photos", "--size", "16"}, args...)...)
	}
	code, stdout, stderr := inspect("--json", "--out", "sheet.png")
	if code != 0 {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	var got dataset.Inspection
	if err := json.Unmarshal([]byte(stdout), &got); err != nil {
		t.Fatal(err)
	}
	d := got.Duplicates
	if got.Train != 7 || got.Test != 6 || got.Classes[0] != (dataset.ClassCount{Class: "frog", Train: 6}) ||
		got.Imbalance != 6 || got.Channels != 3 || len(got.Mean) != 3 || got.Mean[0] <= 0 || got.Widths.Min < 16 ||
		len(d.Train) != 1 || len(d.Splits) != 1 || len(d.Test) != 0 || len(d.Labels) != 0 {
		t.Errorf("%+v", got)
	}
	sheet, err := picture.ReadFile(filepath.Join(dir, "sheet.png"))
	if err != nil || sheet.Bounds().Dx() < 500 {
		t.Errorf("the picture: %v", err)
	}
	write("train/toad/b.jpg", []byte("\xff\xd8\xff"))
	if code, stdout, stderr = inspect(); code != exitBadFile || !strings.Contains(stdout,
		"toad/b.jpg: a damaged JPEG image") ||
		!strings.Contains(stderr, "--skip-broken") {
		t.Errorf("a broken image: exit code %d, %s %s", code, stdout, stderr)
	}
	if code, stdout, stderr = inspect("--skip-broken"); code != 0 || !strings.Contains(stdout, "notes.txt") {
		t.Errorf("a broken image left out: exit code %d, %s %s", code, stdout, stderr)
	}
}
