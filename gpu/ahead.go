package gpu

import (
	"bufio"
	"cmp"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
)

const (
	leastAhead  = 6                   // kernels not in the cache for which helpers are worth their own start
	mostHelpers = 4                   // a compiler takes up to 200 MB
	listName    = "ninvk-kernels.txt" // what was compiled into the driver's folder of kernels, in which it lies
)

// compileAhead has a tape's kernels compiled on all cores. Llvmpipe compiles a kernel at its first dispatch, on the one
// thread of the device's queue, so that a network would keep the other cores idle for most of a minute. Helpers, each a
// device with a queue of its own, dispatch the kernels over no workgroups; the device that runs them then finds them in
// the driver's cache on disk. It is done before the tape's memory is touched, as compilers take much themselves.
//
// Nothing but time depends on it: what a helper can't do is done at the kernel's first dispatch. It says whether there
// was anything to do.
func (t *Tape) compileAhead() bool {
	if t.d.Adapter.ShaderCache == "" || runtime.NumCPU() < 2 {
		return false
	}
	list := filepath.Join(t.d.Adapter.ShaderCache, listName)
	commands := t.uncompiled(readList(list))
	if len(commands) < leastAhead {
		return false
	}
	compiled := t.d.counted(len(commands))
	compile := func(h *helper, c *command, wait bool) (done bool, err error) {
		if done, err = h.once(c, list, wait); err != nil {
			slog.Debug("kernels are not compiled ahead", "kernel", c.label, "error", err)
		} else if done {
			compiled()
		}
		return done, err
	}
	var next atomic.Int64
	var helpers sync.WaitGroup
	for range min(runtime.NumCPU(), mostHelpers, len(commands)) {
		helpers.Go(func() {
			h, err := newHelper(t.d)
			if err != nil {
				slog.Debug("kernels are not compiled ahead", "error", err)
				return
			}
			defer h.d.Close()
			var elsewhere []*command // kernels that other processes compile
			for i := next.Add(1) - 1; i < int64(len(commands)); i = next.Add(1) - 1 {
				done, err := compile(h, commands[i], false)
				if err != nil {
					return
				}
				if !done {
					elsewhere = append(elsewhere, commands[i])
				}
			}
			for _, c := range elsewhere {
				if _, err := compile(h, c, true); err != nil {
					return
				}
			}
		})
	}
	helpers.Wait()
	return true
}

// uncompiled are the first commands of all kernels that are compiled neither here nor, as known tells, in the cache:
// those with the longest source first, so that helpers end together.
func (t *Tape) uncompiled(known map[string]bool) []*command {
	var commands []*command
	for i := range t.commands {
		c := &t.commands[i]
		if c.kernel == nil || t.d.compiled(*c.kernel) != nil || known[fingerprint(c.kernel)] {
			continue
		}
		known[fingerprint(c.kernel)] = true
		commands = append(commands, c)
	}
	slices.SortStableFunc(commands, func(a, b *command) int {
		return cmp.Compare(len(b.kernel.Source), len(a.kernel.Source))
	})
	return commands
}

// counted tells Compiling that none of total kernels is compiled, and returns what tells it that another one is.
func (d *Device) counted(total int) func() {
	if d.Compiling == nil || total == 0 {
		return func() {}
	}
	var mu sync.Mutex
	done := 0
	d.Compiling(0, total)
	return func() {
		mu.Lock()
		defer mu.Unlock()
		done++
		d.Compiling(done, total)
	}
}

// helper is a device that compiles kernels and never runs one. It has an instance of its own, as the library frees a
// device no sooner than its instance.
type helper struct{ d *Device }

func newHelper(of *Device) (*helper, error) {
	d, err := Open(strconv.Itoa(of.Adapter.Index))
	if err != nil {
		return nil, err
	}
	d.Adapter.ShaderCache = "" // a helper needs no helpers
	return &helper{d}, nil
}

// once compiles a command's kernel, unless another process has done so since the list was read, or is about to and it
// is not to be waited for.
func (h *helper) once(c *command, list string, wait bool) (done bool, err error) {
	kernel := fingerprint(c.kernel)
	release, ok := claim(filepath.Dir(list), kernel, wait)
	if !ok {
		return false, nil
	}
	defer release()
	if readList(list)[kernel] {
		return true, nil
	}
	if err := h.compile(c); err != nil {
		return false, err
	}
	appendList(list, kernel)
	return true, nil
}

// compile dispatches a command's kernel over no workgroups. Its resources are small ones for which the driver compiles
// the same code: of a texture it asks whether width and height are powers of two.
func (h *helper) compile(c *command) error {
	t := h.d.NewTape("compiling " + c.label)
	defer t.Release()
	empty := command{label: c.label, kernel: c.kernel}
	if c.offset != nil {
		empty.offset, t.params = []uint32{0}, make([]byte, slot)
	}
	for _, r := range c.resources {
		switch r := r.(type) {
		case Slice:
			b, err := h.d.NewBuffer(r.Buffer.Label, min(r.size(), 64<<10))
			if err != nil {
				return err
			}
			defer b.Release()
			empty.resources = append(empty.resources, All(b))
		case *Texture:
			x, err := h.alike(r)
			if err != nil {
				return err
			}
			defer x.Release()
			empty.resources = append(empty.resources, x)
		}
	}
	t.commands = []command{empty}
	if err := h.d.Submit(t); err != nil {
		return err
	}
	return h.d.Wait(t.Label)
}

// alike is a small texture of the same kind.
func (h *helper) alike(t *Texture) (*Texture, error) {
	if t.Layers > 0 {
		return h.d.NewTextureArray(t.Label, alike(t.Width), alike(t.Height), 1)
	}
	return h.d.NewTexture(t.Label, alike(t.Width), alike(t.Height))
}

// alike is a small number that is a power of two where n is one.
func alike(n int) int {
	if n&(n-1) == 0 {
		return 4
	}
	return 3
}

// fingerprint names a kernel in the list.
func fingerprint(k *Kernel) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%v %s", k.Bindings, k.Source))
	return fmt.Sprintf("%x", sum[:16])
}

// readList reads the fingerprints of the kernels that were compiled into a folder. A list that is gone or damaged costs
// a helper's visit to a cache that has the kernel.
func readList(file string) map[string]bool {
	kernels := map[string]bool{}
	f, err := os.Open(file)
	if err != nil {
		return kernels
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		kernels[strings.TrimSpace(s.Text())] = true
	}
	return kernels
}

// appendList adds a fingerprint, in one write: other processes add to the list as well.
func appendList(file, kernel string) {
	f, err := os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err == nil {
		_, err = f.WriteString(kernel + "\n")
		err = cmp.Or(err, f.Close())
	}
	if err != nil {
		slog.Debug("the list of compiled kernels stays as it is", "error", err)
	}
}
