// Package worker is the program behind the page of package web, which does what messages ask for. It classifies images
// and trains networks; ../protocol.md tells the messages.
package worker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"image"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"ninvk/gpu"
	"ninvk/models"
	"ninvk/nn"
	"ninvk/tune"
)

// Message is what page and worker say to each other. Values are of the types string, bool, int, float64, []byte,
// []float32, []any and Message; numbers that come in are float64.
type Message = map[string]any

// Worker does what messages ask for. It works in a folder of its own, where the files are that pass through it.
type Worker struct {
	post func(Message)
	dir  string

	dev        *gpu.Device // to classify with; a run has one of its own
	classifier *models.Classifier
	shown      *shown
	run        *run // that goes on, or was the last; nil where there was none
}

// shown is the image that was classified last.
type shown struct {
	id            any
	input         models.Input
	width, height int // of the image as it came
}

// New makes a worker that says what it has to say by post, and keeps its files below a folder.
func New(dir string, post func(Message)) *Worker { return &Worker{post: post, dir: dir} }

// Start opens the adapter and says which it is. The error has been told.
func (w *Worker) Start() error {
	d, err := gpu.Open("")
	if err != nil {
		w.fail(err, "")
		return err
	}
	w.dev = d
	w.watch(d)
	a := d.Adapter
	w.post(Message{"is": "adapter", "name": a.Name, "type": a.Type, "software": a.CPU(), "limits": limits(a.Limits)})
	return nil
}

// limits are those that matter, under WebGPU's names.
func limits(l gpu.Limits) Message {
	return Message{
		"maxBufferSize":                     float64(l.MaxBufferSize),
		"maxStorageBufferBindingSize":       float64(l.MaxStorageBufferBindingSize),
		"maxStorageBuffersPerShaderStage":   int(l.MaxStorageBuffersPerShaderStage),
		"maxTextureDimension2D":             int(l.MaxTextureDimension2D),
		"maxComputeInvocationsPerWorkgroup": int(l.MaxComputeInvocationsPerWorkgroup),
		"maxComputeWorkgroupStorageSize":    int(l.MaxComputeWorkgroupStorageSize),
	}
}

// watch tells how far kernels are compiled.
func (w *Worker) watch(d *gpu.Device) {
	d.Compiling = func(done, total int) { w.post(Message{"is": "compiling", "done": done, "of": total}) }
}

// Do does what a message asks for; training goes on after it. What goes wrong is told.
func (w *Worker) Do(m Message) {
	what := text(m, "do")
	do := map[string]func(Message) error{
		"open": w.open, "classify": w.classify, "map": w.classMap,
		"train": w.train, "resume": w.resume,
		"pause": w.steer, "continue": w.steer, "stop": w.steer, "settings": w.steer, "save": w.steer,
	}[what]
	err := fmt.Errorf("nothing is known of %q", what)
	if do != nil {
		err = do(m)
	}
	if err != nil {
		w.fail(err, what)
	}
}

// Steers says whether a message is for a run that goes on, and so need not wait until those before it are worked off.
// It takes no time to do what it asks.
func (w *Worker) Steers(m Message) bool {
	switch text(m, "do") {
	case "pause", "continue", "stop", "settings", "save":
		return w.run != nil && w.run.goesOn()
	}
	return false
}

// Wait waits for the end of a run that goes on.
func (w *Worker) Wait() {
	if w.run != nil {
		<-w.run.ended
	}
}

// open brings a network to the adapter.
func (w *Worker) open(m Message) error {
	path := cmp.Or(text(m, "name"), models.Embedded)
	if b, ok := m["weights"].([]byte); ok {
		name := filepath.Base(filepath.ToSlash("/" + text(m, "name")))
		if name == "/" {
			name = "weights"
		}
		folder := filepath.Join(w.dir, "weights")
		if err := os.MkdirAll(folder, 0o755); err != nil {
			return err
		}
		path = filepath.Join(folder, name)
		if err := os.WriteFile(path, b, 0o644); err != nil {
			return err
		}
		defer os.Remove(path)
	} else if path != models.Embedded && !slices.Contains(models.EmbeddedNames, path) {
		return &inputError{fmt.Sprintf("there are no weights called %q, but %s", path,
			strings.Join(models.EmbeddedNames, ", "))}
	}
	n, err := models.OpenNetwork(path, models.Given{})
	if err != nil {
		return err
	}
	tuned, err := w.tuned(w.dev, n.Graph, 1, false)
	if err != nil {
		return err
	}
	if w.classifier != nil {
		w.classifier.Close()
		w.classifier, w.shown = nil, nil
	}
	if w.classifier, err = models.NewClassifier(w.dev, n, models.Options{Batch: 1, Tuned: tuned}); err != nil {
		return err
	}
	opened := Message{"is": "opened", "model": n.Model, "classes": list(n.Classes), "size": n.Size,
		"channels": n.Channels, "notes": list(n.Notes())}
	w.post(opened)
	return nil
}

// tuneBudget is how long kernels are tried before the first answer or step of a network, as people wait for it. Next
// time the choice is known.
const tuneBudget = time.Second

// tuned are the fastest kernels of a network, as far as they are known.
func (w *Worker) tuned(d *gpu.Device, g *nn.Graph, batch int, training bool) (map[string]string, error) {
	return tune.Choose(context.Background(), d, tune.Calls(g, batch, training), tune.Options{
		Budget: tuneBudget, AnyBatch: !training, Warn: func(string) {}, // what was not measured has the usual kernels
		Progress: func(done, total int) { w.post(Message{"is": "compiling", "done": done, "of": total}) },
	})
}

var errClosed = errors.New("no network is open; open comes before classify")

func (w *Worker) classify(m Message) error {
	if w.classifier == nil {
		return errClosed
	}
	img, err := pixels(m)
	if err != nil {
		return err
	}
	start := time.Now()
	n := w.classifier.Network
	s := shown{m["id"], n.Input(img), img.Bounds().Dx(), img.Bounds().Dy()}
	found, err := w.classifier.Classify([]image.Image{s.input})
	if err != nil {
		return err
	}
	w.shown = &s
	var classes []any
	for _, p := range found[0] {
		classes = append(classes, Message{"index": p.Index, "name": p.Class, "p": p.Probability})
	}
	w.post(Message{"is": "answer", "id": s.id, "classes": classes, "ms": time.Since(start).Seconds() * 1000})
	return nil
}

func (w *Worker) classMap(m Message) error {
	s := w.shown
	switch {
	case w.classifier == nil:
		return errClosed
	case s == nil || s.id != m["id"]:
		return fmt.Errorf("the image %v was not classified last", m["id"])
	}
	class, err := whole(m, "class")
	if err != nil {
		return err
	}
	found, err := w.classifier.Explain([]image.Image{s.input}, class)
	if err != nil {
		return err
	}
	c := found[0].Map
	n := w.classifier.Network
	left, top, right, bottom := n.Fit.Region(s.width, s.height, n.Size)
	w.post(Message{"is": "map", "id": s.id, "class": class, "width": c.W, "height": c.H, "values": c.Values,
		"region": []any{left, top, right, bottom}})
	return nil
}

// pixels is the image of a message: RGBA, not multiplied by alpha.
func pixels(m Message) (*image.NRGBA, error) {
	width, err := whole(m, "width")
	if err != nil {
		return nil, err
	}
	height, err := whole(m, "height")
	if err != nil {
		return nil, err
	}
	values, _ := m["rgba"].([]byte)
	const most = 1 << 28 // pixels
	if width < 1 || height < 1 || width > most/height || len(values) != 4*width*height {
		return nil, &inputError{fmt.Sprintf("%d bytes are no image of %d×%d pixels", len(values), width, height)}
	}
	return &image.NRGBA{Pix: values, Stride: 4 * width, Rect: image.Rect(0, 0, width, height)}, nil
}
