package main

import (
	"encoding/json"
	"image"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The runs in docs/results are real ones.
func TestRunsAndPlot(t *testing.T) {
	dir := t.TempDir()
	results := filepath.Join("..", "..", "docs", "results", "nin-bn-cifar10")
	if err := os.CopyFS(filepath.Join(dir, "runs"), os.DirFS(results)); err != nil {
		t.Fatal(err)
	}
	write(t, dir, map[string][]byte{"runs/torn/config.toml": []byte("epochs = 'many'\n"), "runs/photos/readme": {}})

	code, stdout, stderr := run(t, dir, "runs")
	if code != exitOther || !strings.Contains(stderr, filepath.Join("runs", "torn", "config.toml")) || !strings.Contains(stderr, "1 of 4 run folders") {
		t.Errorf("exit code %d, %s", code, stderr)
	}
	lines := strings.Split(strings.TrimSpace(stdout), "\n")
	if len(lines) != 4 {
		t.Fatalf("the table is\n%s", stdout)
	}
	for i, words := range []string{"run model recipe data epochs steps best test accuracy time state",
		"runs nin-bn fast data 1/1 560/560 75.39 % (epoch 1) 15m31s finished",
		"runs/first nin-bn fast data 1/2 782/782 67.54 % (epoch 1) 1h14m finished",
		"runs/second nin-bn fast data 1/1 440/440 68.73 % (epoch 1) 15m05s finished"} {
		if diff := cmp.Diff(words, filepath.ToSlash(strings.Join(strings.Fields(lines[i]), " "))); diff != "" {
			t.Errorf("line %d (-want +got):\n%s", i+1, diff)
		}
	}

	code, stdout, _ = run(t, dir, "runs", "--json")
	var list []pastRun
	if err := json.Unmarshal([]byte(stdout), &list); err != nil || code != exitOther || len(list) != 4 {
		t.Fatalf("exit code %d, %v\n%s", code, err, stdout)
	}
	if r := list[0]; r.State != "finished" || *r.BestTestAccuracy != 0.7539 || *r.TotalSteps != 560 || r.Resume != nil {
		t.Errorf("the first run: %+v", r)
	}
	if r := list[3]; filepath.ToSlash(r.Dir) != "runs/torn" || !strings.Contains(r.Error, "epochs") {
		t.Errorf("the damaged run: %+v", r)
	}

	code, stdout, stderr = run(t, dir, "plot", "runs", "runs/first", "runs/second", "--out", "all.png")
	if code != 0 || !strings.Contains(stdout, "all.png: 3 runs") {
		t.Fatalf("exit code %d\n%s%s", code, stdout, stderr)
	}
	if size := imageSize(t, filepath.Join(dir, "all.png")); size.X != 1200 || size == (image.Point{}) {
		t.Errorf("the picture is %v", size)
	}
}

// Where nobody has trained yet there is nothing to list, which is no error.
func TestNoRuns(t *testing.T) {
	dir := t.TempDir()
	for _, args := range []string{"runs", "runs ."} {
		code, stdout, stderr := run(t, dir, strings.Fields(args)...)
		if code != 0 || stdout != "" || !strings.Contains(stderr, "no runs in") {
			t.Errorf("%s: exit code %d, %q, %q", args, code, stdout, stderr)
		}
	}
	if code, stdout, _ := run(t, dir, "runs", "--json"); code != 0 || strings.TrimSpace(stdout) != "[]" {
		t.Errorf("exit code %d, %q", code, stdout)
	}
}

func TestRunName(t *testing.T) {
	runs := []string{"runs/a", "runs/b/", "other/b", "c", "runs/a"}
	var got []string
	for i := range runs {
		got = append(got, runName(runs, i))
	}
	if diff := cmp.Diff([]string{"runs/a", "runs/b", "other/b", "c", "runs/a"}, got); diff != "" {
		t.Errorf("names (-want +got):\n%s", diff)
	}
}

func TestDuration(t *testing.T) {
	for seconds, want := range map[float64]string{0: "0s", 59.4: "59s", 59.6: "1m00s", 760: "12m40s", 11220: "3h07m", 190800: "2d05h"} {
		if got := duration(seconds); got != want {
			t.Errorf("%v seconds are %s, want %s", seconds, got, want)
		}
	}
}
