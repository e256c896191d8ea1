package check

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"ninvk/gpu"
)

// cacheOff are the variables that turn off the shader caches of Mesa, of Mesa before version 22, and of NVIDIA's
// driver. Drivers read them when they are loaded, so each turn has a process of its own.
var cacheOff = []string{"MESA_SHADER_CACHE_DISABLE=true", "MESA_GLSL_CACHE_DISABLE=true", "__GL_SHADER_DISK_CACHE=0"}

// Message is a line that a child process prints: what it does next, or at the end what it found.
type Message struct {
	Doing string `json:"doing,omitempty"`
	Done  int    `json:"done,omitempty"`
	Total int    `json:"total,omitempty"`
	Turn  *Turn  `json:"turn,omitempty"`
}

// ChildError says that a child process could not check, because it lost the adapter or for another reason that is no
// crash.
type ChildError struct {
	Code    int // its exit code
	Message string
}

func (e *ChildError) Error() string { return e.Message }

// Section is a part of the check that has a process of its own.
type Section struct {
	Name string   // for Options.Section
	Env  []string // variables of its process, as NAME=VALUE
	Note string   // what a reader must know of it
}

// Sections of the check of an adapter: one, but two for llvmpipe with vectors of more than 256 bits. It takes ten
// seconds and more to compile one of the kernels for GPUs then, which are not chosen there, and a tenth of that at 256
// bits. The folder for its compiled kernels is named by the width, so that it must choose that anew.
func Sections(a gpu.Adapter) []Section {
	if a.VectorWidth <= narrow {
		return []Section{{}}
	}
	note := fmt.Sprintf("variants %s, which are for GPUs, were checked with vectors of %d bits: llvmpipe takes too long "+
		"to compile them for %d", forGPUs, narrow, a.VectorWidth)
	return []Section{{Name: sectionOwn},
		{Name: sectionGPU, Env: []string{fmt.Sprintf("LP_NATIVE_VECTOR_WIDTH=%d", narrow), "MESA_SHADER_CACHE_DIR="},
			Note: note}}
}

const narrow = 256 // bits

// crashed are the exit codes of a process that the driver brought down: by a signal, or, as Go's runtime tells of a
// signal in the driver's code, with 2.
var crashed = []int{-1, 2}

// Isolate runs Child in a process of its own, the program exe with args, with the driver's shader cache off or on. A
// crash is the turn's failure; every other end before the last message is an error.
func Isolate(ctx context.Context, cache bool, env []string, progress func(doing string, done, total int), exe string,
	args ...string) (Turn, error) {
	t := Turn{Cache: "on"}
	c := exec.CommandContext(ctx, exe, args...)
	c.Cancel = func() error { return c.Process.Signal(os.Interrupt) }
	c.WaitDelay = 10 * time.Second
	c.Env = slices.DeleteFunc(os.Environ(), func(set string) bool {
		return slices.ContainsFunc(cacheOff, func(off string) bool {
			name, _, _ := strings.Cut(off, "=")
			return strings.HasPrefix(set, name+"=")
		})
	})
	c.Env = append(c.Env, env...)
	if !cache {
		t.Cache, c.Env = "off", append(c.Env, cacheOff...)
	}
	var said bytes.Buffer
	c.Stderr = &said
	out, err := c.StdoutPipe()
	if err != nil {
		return t, err
	}
	start := time.Now()
	if err := c.Start(); err != nil {
		return t, fmt.Errorf("starting %s: %w", exe, err)
	}
	found, during, reading := follow(out, progress)
	err = c.Wait()
	if ctx.Err() != nil {
		return t, ctx.Err()
	}
	message := strings.TrimSpace(said.String())
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit) && !slices.Contains(crashed, exit.ExitCode()):
		if at := strings.LastIndex("\n"+message, "\nninvk: "); at >= 0 { // after what else it said
			message = message[at+len("ninvk: "):]
		}
		return t, &ChildError{exit.ExitCode(), message}
	case exit == nil && err != nil:
		return t, fmt.Errorf("the checking process: %w", err)
	case err != nil:
		t.Failure, t.During = err.Error(), during
		if first, _, _ := strings.Cut(message, "\n"); first != "" {
			t.Failure += ": " + first
		}
	case found == nil:
		return t, fmt.Errorf("the checking process printed no result: %w", reading)
	default:
		t.Results = found.Results
	}
	t.Seconds = time.Since(start).Seconds()
	return t, nil
}

// follow reads the messages of a child to their end: what it found, nil where it did not come so far, and what it did
// last.
func follow(out io.Reader, progress func(doing string, done, total int)) (found *Turn, during string, err error) {
	for d := json.NewDecoder(out); ; {
		var m Message
		if err := d.Decode(&m); err != nil {
			_, _ = io.Copy(io.Discard, out) // so that the child is not stopped by a full pipe
			return found, during, err
		}
		if m.Turn != nil {
			found = m.Turn
			continue
		}
		during = m.Doing
		progress(m.Doing, m.Done, m.Total)
	}
}
