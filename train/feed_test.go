package train

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ninvk/dataset"
)

// unhurried is a source that takes its time, an uneven one.
type unhurried struct {
	dataset.Source
	most time.Duration
}

func (u unhurried) Read(i int, dst []byte) error {
	time.Sleep(rand.N(u.most))
	return u.Source.Read(i, dst)
}

// A run is the same, bit for bit, whether its images lie on the adapter or are read while steps run, quickly or slowly,
// and when it is interrupted.
func TestFeedsGiveTheSame(t *testing.T) {
	settings := func(stream string) func(*Config) {
		return func(c *Config) {
			size := 16
			c.Model, c.Resize, c.Stream = "lenet5", &size, stream
			c.Batch, c.Epochs, c.EvalEvery, c.EvalTrain, c.Augment = 100, 2, 2, 100, "flip-crop,color"
			c.Sizes, c.EMA, c.Dropout = "", 0, floatPtr(OwnDropout)
		}
	}
	run := func(stream string, data *dataset.Set) string {
		t.Helper()
		s, err := runJob(t, context.Background(), data, silent{}, settings(stream))
		if err != nil {
			t.Fatal(err)
		}
		return s.Dir
	}
	slowly := func(most time.Duration) *dataset.Set {
		d := subset(t, 600, 90)
		d.Train.Source, d.Test.Source = unhurried{d.Train.Source, most}, unhurried{d.Test.Source, most}
		return d
	}
	want := outcome(t, run(StreamNever, subset(t, 600, 90)))
	for _, c := range []struct {
		name, stream string
		data         *dataset.Set
	}{
		{"read from elsewhere at the beginning", StreamNever, slowly(1)},
		{"streamed out of memory", StreamAlways, subset(t, 600, 90)},
		{"streamed slowly", StreamAlways, slowly(500 * time.Microsecond)},
	} {
		if diff := cmp.Diff(want, outcome(t, run(c.stream, c.data))); diff != "" {
			t.Errorf("%s (-resident +so):\n%s", c.name, diff)
		}
	}
	ctx, report := stopAt(8)
	s, err := runJob(t, ctx, slowly(100*time.Microsecond), report, settings(StreamAlways))
	if err != nil || !s.Interrupted {
		t.Fatalf("interrupted: %v, %v", s.Interrupted, err)
	}
	if _, err := resume(t, context.Background(), s.Dir, silent{},
		func(j *Job) { j.Data = slowly(10 * time.Microsecond) }); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, outcome(t, s.Dir)); diff != "" {
		t.Errorf("interrupted (-resident +streamed):\n%s", diff)
	}
}

// vanishing is a source one of whose images can't be read any more.
type vanishing struct{ dataset.Source }

func (v vanishing) Read(i int, dst []byte) error {
	if i == 70 {
		return &dataset.FileError{Path: "photos/7.png", Offset: -1, Problem: "cannot be read: no such file"}
	}
	return v.Source.Read(i, dst)
}

// An image that vanishes while a run reads it ends the run with its name, and the run can go on from its checkpoint.
func TestImageVanishes(t *testing.T) {
	data := subset(t, 128, 20)
	data.Train.Source = vanishing{data.Train.Source}
	for _, stream := range []string{StreamAlways, StreamNever} {
		dir := filepath.Join(t.TempDir(), "run")
		_, err := runJob(t, context.Background(), data, silent{}, func(c *Config) {
			c.Model, c.Batch, c.Stream, c.Shuffle, c.Out, c.Sizes = "lenet5", 64, stream, false, dir, ""
			c.Resize = intPtr(16)
		})
		if !errors.As(err, new(*dataset.FileError)) || !strings.Contains(fmt.Sprint(err), "photos/7.png") {
			t.Errorf("stream %s: error %v", stream, err)
		}
		if stopped := new(*StoppedError); errors.As(err, stopped) != (stream == StreamAlways) {
			t.Errorf("stream %s: error %#v", stream, err)
		}
	}
}
