package main

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// pastRunFiles are the files of a run of two steps an epoch and some epochs, of which it has done some.
func pastRunFiles(dir string, epochs, done int, checkpoint bool) map[string][]byte {
	metrics := `{"type":"run","version":"1","model":"nin-bn","parameters":1,"recipe":"fast",` +
		`"adapter":"a","driver":"d","data_set":"sample","data_sha256":"ab"}` + "\n"
	for e := 1; e <= done; e++ {
		for s := 2*e - 1; s <= 2*e; s++ {
			metrics += fmt.Sprintf(
				`{"type":"step","epoch":%d,"step":%d,"loss":%v,"learning_rate":0.1,"images_per_second":64,"gradient_norm":1}`+"\n",
				e, s, 2/float64(s))
		}
		metrics += fmt.Sprintf(
			`{"type":"epoch","epoch":%d,"steps":2,"learning_rate":0.1,"train_loss":1,`+
				`"train_accuracy":0.5,"test_loss":1,"test_accuracy":%v,`+
				`"seconds":380,"images_per_second":64,"size":32}`+"\n", e, 0.25*float64(e))
	}
	files := map[string][]byte{
		dir + "/config.toml": fmt.Appendf(nil,
			"data = 'sample'\nmodel = 'nin-bn'\nrecipe = 'fast'\nepochs = %d\nbatch = 64\nlr = 0.1\nschedule = "+
				"'constant'\naugment = 'none'\n", epochs),
		dir + "/metrics.jsonl": []byte(metrics),
	}
	if checkpoint {
		files[dir+"/checkpoint/step-000000000004.safetensors"] = nil
	}
	return files
}

func TestRunsAndPlot(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, pastRunFiles("runs/whole", 2, 2, true))
	write(t, dir, pastRunFiles("runs/whole/within", 3, 2, true))
	write(t, dir, pastRunFiles("runs/begun", 3, 0, false))
	write(t, dir, map[string][]byte{"runs/torn/config.toml": []byte("epochs = 'many'\n"), "runs/photos/readme": {}})

	code, stdout, stderr := run(t, dir, "runs")
	if code != exitOther || !strings.Contains(stderr, filepath.Join("runs", "torn", "config.toml")) ||
		!strings.Contains(stderr, "1 of 4 run folders") {
		t.Errorf("exit code %d, %s", code, stderr)
	}
	lines := strings.Split(strings.TrimSpace(stdout), "\n")
	if len(lines) != 4 {
		t.Fatalf("the table is\n%s", stdout)
	}
	for i, words := range []string{"run model recipe data epochs steps best test accuracy time state",
		"runs/begun nin-bn fast sample 0/3 0 - 0s stopped before its first checkpoint, starts over when resumed",
		"runs/whole nin-bn fast sample 2/2 4/4 50.00 % (epoch 2) 12m40s finished",
		"runs/whole/within nin-bn fast sample 2/3 4/6 50.00 % (epoch 2) 12m40s stopped, can be resumed"} {
		if diff := cmp.Diff(words, filepath.ToSlash(strings.Join(strings.Fields(lines[i]), " "))); diff != "" {
			t.Errorf("line %d (-want +got):\n%s", i+1, diff)
		}
	}

	code, stdout, _ = run(t, dir, "runs", "--json")
	var list []pastRun
	if err := json.Unmarshal([]byte(stdout), &list); err != nil || code != exitOther || len(list) != 4 {
		t.Fatalf("exit code %d, %v\n%s", code, err, stdout)
	}
	if r := list[1]; filepath.ToSlash(r.Dir) != "runs/torn" || !strings.Contains(r.Error, "epochs") {
		t.Errorf("the damaged run: %+v", r)
	}
	if r := list[2]; r.State != "finished" || *r.BestTestAccuracy != 0.5 || *r.BestEpoch != 2 || *r.TotalSteps != 4 ||
		r.Seconds != 760 || r.Resume != nil {
		t.Errorf("the finished run: %+v", r)
	}
	if r := list[3]; r.State != "stopped" || filepath.ToSlash(*r.Resume) != "ninvk train --resume runs/whole/within" {
		t.Errorf("the stopped run: %+v", r)
	}

	code, stdout, stderr = run(t, dir, "plot", "runs/begun", "runs/whole", "runs/whole/within", "--out", "all.png")
	if code != 0 || !strings.Contains(stdout, "all.png: 3 runs") {
		t.Fatalf("exit code %d\n%s%s", code, stdout, stderr)
	}
	if size := imageSize(t, filepath.Join(dir, "all.png")); size.X != 1200 || size.Y < 1200 {
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
	for seconds, want := range map[float64]string{0: "0s", 59.4: "59s", 59.6: "1m00s", 760: "12m40s", 11220: "3h07m",
		190800: "2d05h"} {
		if got := duration(seconds); got != want {
			t.Errorf("%v seconds are %s, want %s", seconds, got, want)
		}
	}
}
