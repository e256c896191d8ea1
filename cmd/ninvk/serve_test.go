package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ninvk/cifar10"
	"ninvk/train"
)

// served starts a training with a page, and returns the page's address.
func served(t *testing.T, dir string, args ...string) (*exec.Cmd, string) {
	t.Helper()
	c := exec.Command(binary, append([]string{"train", "--serve", ":0"}, args...)...)
	c.Dir = dir
	stderr, err := c.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Process.Kill() })
	lines := bufio.NewReader(stderr)
	line, err := lines.ReadString('\n')
	url, ok := strings.CutPrefix(strings.TrimSpace(line), "the run is shown at ")
	if !ok || !strings.HasPrefix(url, "http://127.0.0.1:") {
		t.Fatalf("the first line is %q (%v)", line, err)
	}
	go io.Copy(io.Discard, lines) // until the process ends
	return c, url
}

// few are the first images of the sample as files of a data set.
func few(t *testing.T, train, test int) map[string][]byte {
	t.Helper()
	d, err := cifar10.Sample()
	if err != nil {
		t.Fatal(err)
	}
	return map[string][]byte{"few/data_batch_1.bin": recordsOf(t, d.Train.First(train)),
		"few/test_batch.bin": recordsOf(t, d.Test.First(test))}
}

// A run that is watched comes to the same as one that isn't, and the watcher sees all of it.
func TestServe(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, few(t, 20, 24))
	args := []string{"--data", "few", "--model", "resnet20", "--recipe", "fast", "--sizes", "", "--resize", "8", "--batch",
		"8", "--epochs", "2", "--no-tune"}
	if code, _, stderr := run(t, dir, append([]string{"train", "--out", "alone"}, args...)...); code != 0 {
		t.Fatalf("exit code %d\n%s", code, stderr)
	}
	c, url := served(t, dir, append(args, "--out", "watched")...)
	r, err := http.Get(url + "events")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	var last struct {
		Status struct {
			State, Message string
			Step, Steps    int
		}
		Steps, Epochs struct {
			From int
			List []any
		}
		Verdicts []struct{ Epoch, Predicted int }
		Filters  struct{ Epoch, Count int }
	}
	steps, epochs := 0, 0
	events := bufio.NewScanner(r.Body)
	events.Buffer(nil, 1<<24)
	for events.Scan() {
		data, ok := strings.CutPrefix(events.Text(), "data: ")
		if !ok {
			continue
		}
		if err := json.Unmarshal([]byte(data), &last); err != nil {
			t.Fatalf("%.100q: %v", data, err)
		}
		steps, epochs = max(steps, last.Steps.From+len(last.Steps.List)), max(epochs, last.Epochs.From+len(last.Epochs.List))
		last.Steps.List, last.Epochs.List = nil, nil
	}
	if err := events.Err(); err != nil {
		t.Error(err)
	}
	if err := c.Wait(); err != nil {
		t.Errorf("ninvk train --serve: %v", err)
	}
	if s := last.Status; s.State != "finished" || s.Step != 6 || s.Steps != 6 || !strings.Contains(s.Message,
		"complete") || steps != 6 || epochs != 2 {
		t.Errorf("the page was told %d steps, %d epochs, at last %+v", steps, epochs, s)
	}
	if f := last.Filters; f.Count != 16 || f.Epoch != 2 || len(last.Verdicts) != train.ObservedImages ||
		last.Verdicts[0].Epoch != 2 {
		t.Errorf("filters %+v; verdicts %+v", f, last.Verdicts)
	}

	for _, name := range []string{train.ModelFile, train.BestFile} {
		a, err := os.ReadFile(filepath.Join(dir, "alone", name))
		if err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(filepath.Join(dir, "watched", name))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(a, b) {
			t.Errorf("%s differs where the run was watched", name)
		}
	}
	read := func(run string) *train.Metrics {
		m, err := train.ReadMetrics(filepath.Join(dir, run, train.MetricsFile))
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	alone, watched := read("alone"), read("watched")
	if !slices.EqualFunc(alone.Steps, watched.Steps,
		func(a, b train.StepRecord) bool { return a.Loss == b.Loss && a.GradientNorm == b.GradientNorm }) {
		t.Errorf("the steps differ where the run was watched:\n%v\n%v", alone.Steps, watched.Steps)
	}
	if !slices.EqualFunc(alone.Epochs, watched.Epochs, func(a, b train.EpochRecord) bool {
		return a.TestLoss == b.TestLoss && a.TestAccuracy == b.TestAccuracy && a.TrainAccuracy == b.TrainAccuracy
	}) {
		t.Errorf("the epochs differ where the run was watched:\n%v\n%v", alone.Epochs, watched.Epochs)
	}
}
