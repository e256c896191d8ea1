package worker

import (
	"bytes"
	"context"
	"fmt"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"time"

	"ninvk/cifar10"
	"ninvk/dataset"
	"ninvk/dataset/folder"
	"ninvk/gpu"
	"ninvk/nn"
	"ninvk/picture"
	"ninvk/train"
)

// A run is handed to the page unasked, which goes on with it after a loss of the device: after its first step, and then
// as often as takes a twentieth of the time, but once a second at most.
const (
	keepShare = 20
	keepEvery = time.Second
)

// run is a training run.
type run struct {
	w        *Worker
	dir      string
	config   train.Config
	data     *dataset.Set
	samples  []any
	controls train.Controls
	stop     context.CancelFunc
	ended    chan struct{}
	keepNext atomic.Int64 // when the page is to get it again, in ns
	step     int          // the last one
	steps    int          // all
}

// train begins a run.
func (w *Worker) train(m Message) error {
	settings, _ := m["settings"].(Message)
	c, err := config(text(m, "model"), settings)
	if err != nil {
		return err
	}
	return w.begin(m, func(dir string) (train.Config, *train.Saved, error) {
		c.Out = dir
		if c.Data = sample; m["data"] != nil && m["data"] != sample {
			c.Data = "the images given to the page"
		}
		return c, nil, nil
	})
}

// sample is what the embedded data are called, here and by the command line.
const sample = "sample"

// config is the settings of a message, and else those of the recipe that the network learns by.
func config(model string, settings Message) (train.Config, error) {
	recipe := text(settings, "recipe")
	c, err := train.LoadConfig(recipe, "", model)
	if err != nil {
		return c, err
	}
	c.Model = model
	for _, x := range []struct {
		key string
		set func(v float64)
	}{
		{"lr", func(v float64) { c.LR = v }},
		{"batch", func(v float64) { c.Batch = int(v) }},
		{"epochs", func(v float64) { c.Epochs = int(v) }},
		{"seed", func(v float64) { c.Seed = uint64(v) }},
		{"size", func(v float64) { size := int(v); c.Resize = &size }},
		{"steps", func(v float64) { steps := int(v); c.MaxSteps = &steps }},
		{"dropout", func(v float64) { c.Dropout = &v }},
		{"evaluated", func(v float64) { c.EvalTrain = int(v) }},
	} {
		if settings[x.key] == nil {
			continue
		}
		v, err := number(settings, x.key)
		if err == nil && x.key != "lr" && x.key != "dropout" {
			_, err = whole(settings, x.key)
		}
		if err == nil && v < 0 {
			err = &inputError{fmt.Sprintf("%s is %v, it can't be below 0", x.key, v)}
		}
		if err != nil {
			return c, err
		}
		x.set(v)
	}
	if a := text(settings, "augment"); a != "" {
		c.Augment = a
	}
	c.Resolve()
	if err := c.Validate(); err != nil {
		return c, err
	}
	return c, c.CheckModel()
}

// resume goes on with a packed run.
func (w *Worker) resume(m Message) error {
	b, _ := m["checkpoint"].([]byte)
	return w.begin(m, func(dir string) (c train.Config, s *train.Saved, err error) {
		file := dir + ".safetensors"
		if err = os.WriteFile(file, b, 0o644); err != nil {
			return c, nil, err
		}
		defer os.Remove(file)
		if err = train.Unpack(file, dir); err != nil {
			return c, nil, err
		}
		if s, err = train.OpenSaved(dir); err != nil {
			return c, nil, err
		}
		return s.Config, s, nil
	})
}

// begin begins a run in a new folder, which fill may make, with the settings that fill gives.
func (w *Worker) begin(m Message, fill func(dir string) (train.Config, *train.Saved, error)) error {
	if w.run != nil && w.run.goesOn() {
		return &inputError{"a run goes on; stop it before another begins"}
	}
	w.run = nil
	dir := filepath.Join(w.dir, "run")
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	c, saved, err := fill(dir)
	if err != nil {
		return err
	}
	free := func() {
		if saved != nil {
			saved.Close()
		}
	}
	r := &run{w: w, dir: dir, config: c, ended: make(chan struct{})}
	if r.data, err = w.data(m, c); err != nil {
		free()
		return err
	}
	if r.samples, err = samples(r.data.Test); err != nil {
		free()
		return err
	}
	dev, err := gpu.Open("")
	if err != nil {
		free()
		return err
	}
	w.watch(dev)
	ctx, stop := context.WithCancel(context.Background())
	r.stop = stop
	r.controls.Told = func(paused bool, step int) {
		r.state(map[bool]string{false: "running", true: "paused"}[paused], step)
	}
	job := train.Job{Config: c, Data: r.data, Device: dev, Version: train.Version(), Report: r, Resume: saved,
		Controls: &r.controls, Observe: r.observe}
	job.Kernels = func(g *nn.Graph) (map[string]string, error) {
		if saved != nil && saved.Run.Adapter == dev.Adapter.Name {
			return saved.Run.Variants, nil // others round differently
		}
		return w.tuned(dev, g, c.MicroBatch(), true)
	}
	w.run = r
	go func() {
		defer close(r.ended)
		defer free()
		defer dev.Close()
		s, err := job.Run(ctx)
		if err != nil {
			w.fail(err, "")
		}
		r.state("ended", max(s.Steps, r.step))
	}()
	return nil
}

func (r *run) goesOn() bool {
	select {
	case <-r.ended:
		return false
	default:
		return true
	}
}

func (r *run) state(state string, step int) {
	r.w.post(Message{"is": "state", "state": state, "step": step})
}

// data is what a message has a run train on.
func (w *Worker) data(m Message, c train.Config) (*dataset.Set, error) {
	if m["data"] == nil || m["data"] == sample {
		return cifar10.Sample()
	}
	own, ok := m["data"].(Message)
	if !ok {
		return nil, &inputError{fmt.Sprintf("data is %v, which are no images", m["data"])}
	}
	dir := filepath.Join(w.dir, "images")
	if err := os.RemoveAll(dir); err != nil {
		return nil, err
	}
	if err := writeImages(dir, own); err != nil {
		return nil, err
	}
	return dataset.Open(dir, []dataset.Format{folder.Format}, c.DataOptions())
}

// writeImages makes a folder of classes of the images of a message.
func writeImages(dir string, m Message) error {
	names, _ := m["classes"].([]any)
	images, _ := m["images"].([]any)
	folders := make([]string, len(names))
	for i, n := range names {
		name, _ := n.(string)
		if one, err := dataset.ParseClasses(name); err != nil || len(one) != 1 || name != filepath.Base(name) ||
			name == "." || name == ".." {
			return &inputError{fmt.Sprintf("class %d has the name %q, which no folder can have", i, name)}
		}
		folders[i] = filepath.Join(dir, name)
		if err := os.MkdirAll(folders[i], 0o755); err != nil {
			return err
		}
	}
	digits := len(strconv.Itoa(len(images)))
	encoder := png.Encoder{CompressionLevel: png.BestSpeed}
	for i, x := range images {
		one, _ := x.(Message)
		class, err := whole(one, "class")
		if err != nil {
			return err
		}
		if class < 0 || class >= len(folders) {
			return &inputError{fmt.Sprintf("image %d is of class %d, there are %d classes", i, class, len(folders))}
		}
		img, err := pixels(one)
		if err != nil {
			return err
		}
		var b bytes.Buffer
		if err := encoder.Encode(&b, img); err != nil {
			return err
		}
		path := filepath.Join(folders[class], fmt.Sprintf("%0*d.png", digits, i))
		if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// steer hands on what is asked of the run.
func (w *Worker) steer(m Message) error {
	r, what := w.run, text(m, "do")
	if r == nil {
		return &inputError{fmt.Sprintf("there is no run to %s", what)}
	}
	if !r.goesOn() && what != "save" {
		return &inputError{fmt.Sprintf("the run has ended; there is nothing to %s", what)}
	}
	switch what {
	case "pause":
		r.controls.Pause()
	case "continue":
		r.controls.Continue()
	case "stop":
		r.stop()
	case "settings":
		rate, err := number(m, "lr")
		if err != nil {
			return err
		}
		if err := r.controls.Change(rate, text(m, "augment")); err != nil {
			return err
		}
		r.keep() // with the new settings
	case "save":
		if r.goesOn() {
			r.controls.Save(func(p train.Snapshot, err error) { r.saved(p, err, false) })
		} else {
			b, err := train.Pack(r.dir)
			r.saved(train.Snapshot{File: b, Step: r.step}, err, false)
		}
	}
	return nil
}

// keep has the run handed to the page unasked.
func (r *run) keep() {
	r.keepNext.Store(math.MaxInt64) // not while this one is under way
	r.controls.Save(func(p train.Snapshot, err error) {
		r.keepNext.Store(time.Now().Add(max(keepEvery, keepShare*p.Took)).UnixNano())
		r.saved(p, err, true)
	})
}

func (r *run) saved(p train.Snapshot, err error, unasked bool) {
	if err != nil {
		r.w.fail(err, "save")
		return
	}
	m := Message{"is": "saved", "safetensors": p.File, "step": p.Step, "name": "ninvk-" + r.config.Model + ".safetensors"}
	if unasked {
		m["kept"] = true
	}
	r.w.post(m)
}

// Begin tells of the run.
func (r *run) Begin(_ *train.Run, info train.RunInfo, epochs, stepsPerEpoch, totalSteps, doneSteps int) {
	c := r.config
	r.w.post(Message{"is": "begun", "model": c.Model, "step": doneSteps, "steps": totalSteps, "epochs": epochs,
		"steps_per_epoch": stepsPerEpoch, "train_images": r.data.Train.Len(), "test_images": r.data.Test.Len(),
		"classes": list(r.data.Classes), "parameters": info.Parameters,
		"settings": Message{"lr": c.LR, "augment": c.Augment, "batch": c.Batch, "epochs": c.Epochs, "seed": float64(c.Seed),
			"size": *c.Resize}})
	r.step, r.steps = doneSteps, totalSteps
	r.state("running", doneSteps)
}

// Step tells of a step.
func (r *run) Step(s train.StepRecord) {
	r.step = s.Step
	r.w.post(Message{"is": "step", "step": s.Step, "epoch": s.Epoch, "loss": measured(s.Loss),
		"images_s": measured(s.ImagesPerSecond), "lr": s.LearningRate, "left": r.config.Work(s.Step, r.steps, r.steps)})
	if time.Now().UnixNano() > r.keepNext.Load() {
		r.keep()
	}
}

// Evaluating tells how far an evaluation is.
func (r *run) Evaluating(split string, done, total int) {
	r.w.post(Message{"is": "evaluating", "split": split, "done": done, "of": total})
}

// Reading tells how far the reading of images is.
func (r *run) Reading(split string, done, total int) {
	r.w.post(Message{"is": "reading", "split": split, "done": done, "of": total})
}

// Epoch tells of an epoch.
func (r *run) Epoch(e train.EpochRecord) {
	m := e.Fields()
	m["is"], m["step"] = "epoch", r.step
	r.w.post(m)
	r.keep()
}

// observe shows what the network says of the first test images, and its filters.
func (r *run) observe(o train.Observation) {
	var verdicts []any
	for _, v := range o.Verdicts {
		verdicts = append(verdicts, Message{"predicted": v.Predicted, "probability": measured(v.Probability)})
	}
	c := o.Conv
	r.w.post(Message{"is": "pictures", "epoch": o.Epoch, "samples": r.samples, "verdicts": list(verdicts),
		"filters": Message{"layer": o.Layer, "count": c.M, "size": c.K,
			"image": picture.DataURL(picture.FilterRows(c.M, c.C, c.K, o.Filters))}})
}

// samples are the first test images as the page shows them.
func samples(s dataset.Split) ([]any, error) {
	out := []any{}
	for i := range min(train.ObservedImages, s.Len()) {
		img, err := s.Image(i)
		if err != nil {
			return nil, err
		}
		out = append(out, Message{"image": picture.SampleURL(img), "true": int(s.Labels[i])})
	}
	return out, nil
}
