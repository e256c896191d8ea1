package main

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"ninvk/train"
)

func plain(_, text string) string { return text }

// The line of progress fits every terminal, and says as much as it can.
func TestProgressLine(t *testing.T) {
	p := progress{Epoch: 2, Epochs: 30, Step: 1234, Total: 23460, Loss: 1.77619, Speed: 43.61, Left: "2h07m"}
	for width, want := range map[int]string{
		100: "epoch 2/30 █░░░░░░░░░░░░░░░░░░░░░   5 %  loss 1.7762   2h07m left  step  1234/23460    43.6 images/s",
		79:  "epoch 2/30 ░░░░░░░░░░░░░░░░░░   5 %  loss 1.7762   2h07m left  step  1234/23460",
		59:  "epoch 2/30 ░░░░░░░░░░░░░░░░   5 %  loss 1.7762   2h07m left",
		39:  "epoch 2/30 ░░░░░░░░░   5 %  loss 1.7762",
		20:  "epoch 2/30 5 %",
		10:  "5 %",
		0:   "",
	} {
		got := p.line(width, plain)
		if utf8.RuneCountInString(got) > width {
			t.Errorf("%d columns: %d characters: %s", width, utf8.RuneCountInString(got), got)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%d columns (-want +got):\n%s", width, diff)
		}
	}
	for width := range 120 {
		for _, p := range []progress{p, {What: "evaluating the train split", Step: 640, Total: 50000}, {Step: 1, Total: 1},
			{}} {
			if got := p.line(width, plain); utf8.RuneCountInString(got) > width {
				t.Errorf("%d columns: %q", width, got)
			}
		}
	}
}

// Time left goes by the work that the steps are.
func TestTimeLeftGoesByWork(t *testing.T) {
	r := newTrainReport()
	r.total, r.first, r.counting = 10, 1, time.Now().Add(-100*time.Second)
	size := 32
	for _, c := range []struct {
		sizes string
		step  int
		want  string
	}{
		{"", 6, "1m20s"},       // four of nine
		{"16:0.6", 5, "7m05s"}, // a quarter of the work each for four steps, then for one, and then four whole ones
	} {
		cfg := train.Config{Sizes: c.sizes, Resize: &size}
		r.work = func(from, to int) float64 { return cfg.Work(from, to, r.total) }
		if got := r.left(c.step); got != c.want {
			t.Errorf("sizes %q: %s, want %s", c.sizes, got, c.want)
		}
	}
}

// The table of epochs fits, and its columns stand below each other.
func TestEpochTable(t *testing.T) {
	e := train.EpochRecord{Epoch: 7, LearningRate: 0.0598535, TrainLoss: 2.1391, TrainAccuracy: 0.21718,
		TestAccuracy: math.NaN(), ImagesPerSecond: 43.61,
		TestTop5: 0.875}
	r := newTrainReport()
	r.epochs, r.total, r.first, r.counting = 30, 100, 1, time.Now().Add(-760*time.Second)
	r.last = train.StepRecord{Step: 51}
	for width, want := range map[int][2]string{
		80: {"  epoch  learning rate     loss  train acc.  test acc.  images/s  time left",
			"   7/30      0.0598535   2.1391     21.72 %          -      43.6     12m25s"},
		60: {"epoch     rate    loss    train     test  img/s    left",
			"    7     0.06  2.1391  21.72 %        -   43.6  12m25s"},
		40: {"epoch    loss    train     test    left", "    7  2.1391  21.72 %        -  12m25s"},
	} {
		table := columnsFor(width, false)
		got := [2]string{row(table, func(c column) string { return c.title }),
			row(table, func(c column) string { return c.cell(r, e) })}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%d columns (-want +got):\n%s", width, diff)
		}
		if len(got[0]) >= width {
			t.Errorf("%d columns: the table has %d", width, len(got[0]))
		}
	}
	for width, want := range map[int][2]string{
		100: {"  epoch  learning rate     loss  train acc.  test acc.     top 5  images/s  time left",
			"   7/30      0.0598535   2.1391     21.72 %          -   87.50 %      43.6     12m25s"},
		80: {"epoch     rate    loss    train     test    top 5  img/s    left",
			"    7     0.06  2.1391  21.72 %        -  87.50 %   43.6  12m25s"},
		50: {"epoch    loss    train     test    left", "    7  2.1391  21.72 %        -  12m25s"},
	} {
		table := columnsFor(width, true)
		got := [2]string{row(table, func(c column) string { return c.title }),
			row(table, func(c column) string { return c.cell(r, e) })}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("with top-5 accuracy, %d columns (-want +got):\n%s", width, diff)
		}
	}
}

func TestWrap(t *testing.T) {
	for _, c := range []struct {
		width int
		want  []string
	}{{80, []string{"nin-bn, 969822 parameters, recipe fast"}},
		{20, []string{"nin-bn, 969822", "parameters, recipe", "fast"}},
		{3, []string{"nin-bn,", "969822", "parameters,", "recipe", "fast"}}} {
		if diff := cmp.Diff(c.want, wrap("nin-bn, 969822 parameters, recipe fast", c.width)); diff != "" {
			t.Errorf("%d columns (-want +got):\n%s", c.width, diff)
		}
	}
}

// A file is no terminal: it gets neither colours nor cleared lines.
func TestScreenOfAFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "out")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	s := openScreen(f)
	if s.terminal || s.color || s.width() != math.MaxInt {
		t.Errorf("%+v", s)
	}
	if _, err := (clearing{s}).Write([]byte(s.paint(green, "fine\n"))); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != "fine\n" {
		t.Errorf("%q was written (%v)", got, err)
	}
	s.color = true
	if got := s.paint(green, "fine"); got != "\x1b[32mfine\x1b[0m" || s.paint(green, "") != "" {
		t.Errorf("painted: %q", got)
	}
}

// Into pipes the program writes plain lines: what was trained, a line an epoch, and what it came to.
func TestTrainInPipes(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, map[string][]byte{"data/data_batch_1.bin": records(24, 3), "data/test_batch.bin": records(8, 7)})
	code, stdout, stderr := run(t, dir,
		strings.Fields("train --data data --model resnet20 --recipe fast --sizes= --batch 8 --resize 8 --epochs 2 --no-tune "+
			"--out run")...)
	if code != 0 {
		t.Fatalf("exit code %d\n%s", code, stderr)
	}
	if strings.ContainsAny(stdout+stderr, "\r\x1b█") {
		t.Errorf("there are codes for terminals in\n%q\n%q", stdout, stderr)
	}
	for _, part := range []string{"network     resnet20, 269722 parameters, recipe fast\n", "data        data\n",
		"steps       6, 3 an epoch\n", "\n    1/2", "\n    2/2", "finished    step 6 of 6 in ", "best        test accuracy ",
		"run folder  run\n"} {
		if !strings.Contains(stdout, part) {
			t.Errorf("stdout lacks %q:\n%s", part, stdout)
		}
	}
	if !strings.Contains(stderr, "epoch 1  step 1/6  loss ") {
		t.Errorf("stderr is\n%s", stderr)
	}
}
