package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"ninvk/dataset"
	"ninvk/gpu"
)

// begun is when the program was loaded.
var begun = time.Now()

// StartUp is how long it takes from the start of the program until the first training step is done.
type StartUp struct {
	Model  string `json:"model"`
	Size   int    `json:"size"` // pixels a side of the images
	Batch  int    `json:"batch"`
	Caches string `json:"caches"` // cold: the driver's shader cache was empty; warm: it held this program's kernels

	Seconds float64 `json:"seconds"`        // until the first training step is done
	Device  float64 `json:"device_seconds"` // of these: finding and opening the adapter
	// decoding the images, as far as the adapter was ready before, and handing them to it
	Data float64 `json:"data_seconds"`
	// recording the step and compiling its kernels, in the driver's first dispatch of each, too
	Compile float64 `json:"compile_seconds"`
	Tune    float64 `json:"tune_seconds"` // choosing kernels
	Step    float64 `json:"step_seconds"` // the step itself, as a second one takes

	Kernels      int    `json:"kernels"`       // of the step, each source once
	PlannedBytes uint64 `json:"planned_bytes"` // of training: what the network asks the adapter for
}

// Report is what a child process measured.
type Report struct {
	Adapter gpu.Adapter
	StartUp StartUp
	Network Network // not where only the start-up was asked for
}

// Child opens the adapter, decodes images to work on, and measures its own start-up and, if asked to, the network. It
// is run in a process of its own, so that neither caches nor memory have seen another measurement.
func Child(ctx context.Context, adapter string, images func() (*dataset.Set, error), o Options, network bool) (Report,
	error) {
	var r Report
	var set *dataset.Set
	decoding := make(chan error, 1)
	go func() { // as train reads its data while the adapter is opened
		var err error
		set, err = images()
		decoding <- err
	}()
	start := time.Now()
	dev, err := gpu.Open(adapter)
	if err != nil {
		return r, err
	}
	defer dev.Close()
	r.Adapter = dev.Adapter
	opened := time.Since(start)
	start = time.Now()
	if err := <-decoding; err != nil {
		return r, err
	}
	decoded := time.Since(start) // what the adapter waited for
	b := New(dev, set, o)
	s, err := b.build(ctx, o.Batch, true)
	if err != nil {
		return r, err
	}
	defer s.release()
	first, err := s.run(ctx, 1)
	if err != nil {
		return r, err
	}
	total := time.Since(begun)
	second, err := s.run(ctx, 1)
	if err != nil {
		return r, err
	}
	s.warm = second
	kernels, err := s.net.Kernels(s.images, o.Batch, true)
	if err != nil {
		return r, err
	}
	r.StartUp = StartUp{
		Model: o.Model, Size: b.Size, Batch: o.Batch, Seconds: total.Seconds(), Device: opened.Seconds(),
		Data: (decoded + s.upload).Seconds(), Tune: s.tune.Seconds(),
		Compile: max(0, first-second).Seconds(), Step: second.Seconds(),
		Kernels: len(kernels), PlannedBytes: s.net.PlannedBytes(),
	}
	if network {
		r.Network, err = b.network(ctx, s)
	}
	return r, err
}

// Isolate runs Child in a process of its own: the program exe with args, which must print a Report as JSON. cache is a
// folder for the driver's shader cache, "" for the usual one; compiling is told of the process's kernels.
func Isolate(ctx context.Context, cache string, compiling func(done, total int), exe string, args ...string) (Report,
	error) {
	var r Report
	var out bytes.Buffer
	messages := messages{compiling: compiling}
	c := exec.CommandContext(ctx, exe, args...)
	c.Cancel = func() error { return c.Process.Signal(os.Interrupt) }
	c.WaitDelay = 10 * time.Second
	c.Stdout, c.Stderr = &out, &messages
	c.Env = os.Environ()
	if cache != "" {
		for _, name := range []string{"MESA_SHADER_CACHE_DIR", "MESA_GLSL_CACHE_DIR", "__GL_SHADER_DISK_CACHE_PATH",
			"XDG_CACHE_HOME"} {
			c.Env = append(c.Env, name+"="+cache)
		}
	}
	err := c.Run()
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return r, ctx.Err()
	case errors.As(err, &exit):
		lines := strings.Split(strings.TrimSpace(string(messages.text)), "\n")
		return r, &ChildError{Code: exit.ExitCode(), Message: strings.TrimPrefix(lines[len(lines)-1], "ninvk: ")}
	case err != nil:
		return r, fmt.Errorf("starting %s: %w", exe, err)
	}
	if err := json.Unmarshal(out.Bytes(), &r); err != nil {
		return r, fmt.Errorf("the measuring process printed no report: %w", err)
	}
	return r, nil
}

// CompilingLine is how a measuring process tells the one that started it, and other commands a person, how many kernels
// are compiled.
const CompilingLine = "compiling kernels: %d of %d\n"

// messages are those of a process, without the lines about its kernels.
type messages struct {
	text      []byte
	compiling func(done, total int)
}

func (m *messages) Write(b []byte) (int, error) {
	m.text = append(m.text, b...)
	for begin := bytes.LastIndexByte(m.text[:len(m.text)-len(b)], '\n') + 1; ; {
		n := bytes.IndexByte(m.text[begin:], '\n')
		if n < 0 {
			return len(b), nil
		}
		end := begin + n + 1
		var done, total int
		if _, err := fmt.Sscanf(string(m.text[begin:end]), CompilingLine, &done, &total); err == nil {
			m.compiling(done, total)
			m.text = append(m.text[:begin], m.text[end:]...)
			continue
		}
		begin = end
	}
}

// ChildError says that a measuring process failed.
type ChildError struct {
	Code    int // its exit code
	Message string
}

func (e *ChildError) Error() string { return e.Message }
