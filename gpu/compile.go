package gpu

import (
	"slices"
	"sync"
	"sync/atomic"

	"ninvk/gpu/internal/wgpu"
)

// compilations are kernels on their way to pipelines.
type compilations struct {
	of      map[string]*compilation // by source
	stopped atomic.Bool
	ended   chan struct{}
}

type compilation struct {
	kernel   Kernel
	module   *wgpu.ShaderModule
	done     chan struct{} // closed once there is a pipeline or an error
	pipeline *Pipeline
	err      error
}

// compile begins to make the pipelines of all kernels, in the order in which they are used, as many at a time as the
// library can; meanwhile it reads the sources of the next.
func (t *Tape) compile() *compilations {
	ahead := t.compileAhead()
	kernels := t.Kernels()
	c := &compilations{of: map[string]*compilation{}, ended: make(chan struct{})}
	modules := make(chan *compilation, len(kernels))
	for _, k := range kernels {
		c.of[k.Source] = &compilation{kernel: k, done: make(chan struct{})}
	}
	compiled := func() {}
	if !ahead { // else the driver finds them in its cache
		made := func(k Kernel) bool { return t.d.compiled(k) != nil }
		compiled = t.d.counted(len(slices.DeleteFunc(slices.Clone(kernels), made)))
	}
	go func() {
		defer close(modules)
		for _, k := range kernels {
			if c.stopped.Load() {
				return
			}
			to := c.of[k.Source]
			if to.pipeline = t.d.compiled(k); to.pipeline == nil {
				to.module, to.err = t.d.module(k)
			}
			modules <- to
		}
	}()
	var working sync.WaitGroup
	for range compilers {
		working.Go(func() {
			for k := range modules {
				switch {
				case k.module == nil: // made before, or not to be made
				case c.stopped.Load():
					k.module.Release()
				default:
					k.pipeline, k.err = t.d.pipeline(k.kernel, k.module)
					compiled()
				}
				close(k.done)
			}
		})
	}
	go func() {
		working.Wait()
		close(c.ended)
	}()
	return c
}

// stop begins no other kernel, and waits for the one that is being compiled.
func (c *compilations) stop() {
	c.stopped.Store(true)
	<-c.ended
}

// wait waits for the pipeline of a kernel; a command that is a copy has none.
func (c *compilations) wait(k *Kernel) error {
	if k == nil {
		return nil
	}
	<-c.of[k.Source].done
	return c.of[k.Source].err
}

// ready says whether a kernel has its pipeline, or will never have it.
func (c *compilations) ready(k *Kernel) bool {
	if k == nil {
		return true
	}
	select {
	case <-c.of[k.Source].done:
		return true
	default:
		return false
	}
}
