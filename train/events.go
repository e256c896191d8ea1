package train

import (
	"fmt"
	"image"
	"math"
	"os"
	"path/filepath"
	"slices"
	"time"

	"ninvk/dataset"
	"ninvk/picture"
	"ninvk/tensorboard"
)

// Tags of pictures in the event files; those of figures are said with the records. All are at the run's steps; epochs
// stand at their last step.
const (
	tagFilters     = "pictures/filters"
	tagPredictions = "pictures/predictions"
)

const (
	// maxStepEvents is the number of steps of a run in its event files; of a longer run every second, third… step is
	// there. Each takes about 150 bytes.
	maxStepEvents = 50_000
	// maxPictures is the number of epochs, besides the first and the last, with pictures, which take about 100 kB.
	maxPictures = 20
	// eventPause is how long an event stays in memory at most, as long as steps go on: people watch.
	eventPause = 20 * time.Second
)

// events writes TensorBoard's event files into a run folder. Each process begins one with its first event. What a loss
// of power takes from it is missing from TensorBoard alone, so it is not synced before its end.
type events struct {
	appended
	dir     string
	disk    disk
	every   int    // steps from one recorded to the next
	step    int    // the last one, recorded or not
	name    string // of the newest file, "" if there is none
	flushed time.Time
}

// eventFiles are the names of the event files in a run folder, the oldest first.
func eventFiles(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	var names []string
	for _, e := range entries { // sorted, and the numbers have as many digits
		if _, ok := tensorboard.Begun(e.Name()); ok {
			names = append(names, e.Name())
		}
	}
	return names, err
}

// add adds what f appends, and begins a file before that where there is none.
func (e *events) add(f func(b []byte, now time.Time) []byte) error {
	now := time.Now()
	if e.path == "" {
		begun := now
		if last, ok := tensorboard.Begun(e.name); ok && begun.Unix() <= last.Unix() {
			begun = last.Add(time.Second) // names tell the order
		}
		e.name = tensorboard.Name(begun)
		e.path, e.size, e.flushed = filepath.Join(e.dir, e.name), 0, now
		e.pending = tensorboard.AppendStart(nil, now, e.step)
	}
	e.pending = f(e.pending, now)
	if len(e.pending) < flushBytes && now.Sub(e.flushed) < eventPause {
		return nil
	}
	return e.flush()
}

func (e *events) flush() (err error) {
	if e.file == nil && len(e.pending) > 0 {
		if e.file, err = e.disk.Create(e.path); err != nil {
			e.file = nil
			return e.wrap(err)
		}
	}
	e.flushed = time.Now()
	return e.appended.flush()
}

// addStep adds a step, unless it is one of those left out of a long run.
func (e *events) addStep(s StepRecord) error {
	e.step = s.Step
	if s.Step%e.every != 0 && s.Step != 1 {
		return nil
	}
	return e.add(func(b []byte, now time.Time) []byte {
		return tensorboard.AppendScalars(b, now, e.step, scalars(s))
	})
}

// addEpoch adds what was measured of an epoch.
func (e *events) addEpoch(r EpochRecord) error {
	measured := slices.DeleteFunc(scalars(r), func(s tensorboard.Scalar) bool { return math.IsNaN(s.Value) })
	return e.add(func(b []byte, now time.Time) []byte { return tensorboard.AppendScalars(b, now, e.step, measured) })
}

func (e *events) addPicture(tag string, img image.Image) error {
	var problem error
	err := e.add(func(b []byte, now time.Time) []byte {
		b, problem = tensorboard.AppendImage(b, now, e.step, tag, img)
		return b
	})
	if problem != nil {
		return problem
	}
	return err
}

// mark notes in a position where the newest file ends.
func (e *events) mark(p *Position) { p.EventFile, p.EventBytes = e.name, e.end() }

// restore takes back what was written after a position; what comes next goes into a new file.
func (e *events) restore(p Position) error {
	if e.file != nil {
		if err := e.close(); err != nil {
			return err
		}
	}
	names, err := eventFiles(e.dir)
	if err != nil {
		return fmt.Errorf("looking for event files: %w", err)
	}
	for _, name := range names {
		path := filepath.Join(e.dir, name)
		switch {
		case name > p.EventFile:
			err = e.disk.Remove(path)
		case name == p.EventFile:
			err = e.cut(path, p.EventBytes)
		}
		if err != nil {
			return fmt.Errorf("taking back what %s has beyond step %d: %w", path, p.Step, err)
		}
	}
	e.name, e.step = p.EventFile, p.Step
	e.path, e.size, e.pending = "", p.EventBytes, nil
	return nil
}

// cut shortens a file to size bytes if it is longer.
func (e *events) cut(path string, size int64) error {
	if info, err := os.Stat(path); err != nil || info.Size() <= size {
		return err
	}
	f, err := e.disk.Append(path, size)
	if err != nil {
		return err
	}
	return f.Close()
}

// sampleSize is the longer side of a test image in the pictures, in pixels.
const sampleSize = 128

// samples are the test images that verdicts are shown of.
func samples(split dataset.Split) ([]image.Image, error) {
	out := make([]image.Image, min(ObservedImages, split.Len()))
	for i := range out {
		img, err := split.Image(i)
		if err != nil {
			return nil, err
		}
		out[i] = picture.Thumbnail(img, sampleSize)
	}
	return out, nil
}

// picturesDue says whether an epoch gets pictures.
func picturesDue(epoch, epochs int, last bool) bool {
	every := max(1, (epochs+maxPictures-1)/maxPictures)
	return epoch == 1 || last || epoch%every == 0
}
