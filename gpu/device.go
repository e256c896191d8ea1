package gpu

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"sync"
	"time"

	"ninvk/gpu/internal/wgpu"
)

// AdapterEnv is the environment variable that chooses the adapter where no flag does.
const AdapterEnv = "NINVK_ADAPTER"

// WaitLimit is how long Wait lets the adapter work without finishing before it gives up.
// Lavapipe may take a quarter of a minute to compile one kernel.
var WaitLimit = 10 * time.Minute

// LostError says that the adapter went away, hung, or ran out of memory.
type LostError struct {
	During string // what was running
	Reason string
}

func (e *LostError) Error() string {
	return fmt.Sprintf("the adapter failed during %s: %s", e.During, e.Reason)
}

// NoMemoryError is a LostError that says the adapter had no memory for a buffer or a texture.
type NoMemoryError struct{ *LostError }

// Unwrap gives the LostError.
func (e *NoMemoryError) Unwrap() error { return e.LostError }

// Device is an open adapter with its queue. Its methods may be called from one goroutine at a time, Pipeline excepted.
type Device struct {
	Adapter Adapter

	// Compiling, where it is set, is told how many kernels are compiled of those that a tape waits for which is played
	// for the first time, from none to all. Its calls come one after the other, from any goroutine.
	Compiling func(done, total int)

	device  *wgpu.Device
	queue   *wgpu.Queue
	release func()
	player  player

	mu        sync.Mutex
	pipelines map[string]*Pipeline

	making turn

	allocated uint64
	live      Counts
	dead      []func() // resources freed once the queue is idle
	last      string   // label of the last submit, for messages
}

// Open opens the adapter that selector names (see Select; "" looks at NINVK_ADAPTER first) with the adapter's own
// limits, as far as NINVK_LIMITS does not lower them.
func Open(selector string) (*Device, error) {
	as, release, err := enumerate()
	if err != nil {
		return nil, err
	}
	a, err := choose(as, selector)
	if err != nil {
		release()
		return nil, err
	}
	// No DeviceLostCallback: with it the binding breaks cgo's pointer rule and panics.
	d, err := a.handle.RequestDevice(&wgpu.DeviceDescriptor{Label: "ninvk",
		RequiredLimits: &wgpu.RequiredLimits{Limits: a.limits}})
	if err != nil {
		release()
		return nil, &LostError{"opening " + a.String(), err.Error()}
	}
	dev := &Device{Adapter: a, device: d, queue: d.GetQueue(), release: release, pipelines: map[string]*Pipeline{}}
	dev.player = newPlayer(dev)
	return dev, nil
}

// Choose finds the adapter that Open would open.
func Choose(selector string) (Adapter, error) {
	as, release, err := enumerate()
	if err != nil {
		return Adapter{}, err
	}
	defer release()
	return choose(as, selector)
}

func choose(as []Adapter, selector string) (Adapter, error) {
	if selector == "" {
		selector = os.Getenv(AdapterEnv)
	}
	if selector == "" {
		warnSoftware(as)
	}
	return Select(as, selector)
}

// Lose takes the device away, as when an eGPU is unplugged: the work that is submitted last is one that the driver
// can't do, and all that is asked of the device afterwards ends in a LostError. It is for trying what happens then.
func (d *Device) Lose() error {
	b, err := d.NewBuffer("a destroyed buffer", 16)
	if err != nil {
		return err
	}
	t := d.NewTape("the loss of the device")
	t.Clear(b, 0, 16)
	if err := t.Finish(); err != nil {
		return err
	}
	d.player.lose(t, b)
	return d.player.err("submitting", t.Label)
}

// Close waits for the queue and releases the device. Buffers and tapes of the device must not be used afterwards.
func (d *Device) Close() {
	if err := d.Wait("closing the device"); d.player.lost() {
		slog.Debug("the device is left as it is", "error", err)
		return
	}
	for _, p := range d.pipelines {
		p.release()
	}
	d.player.free()
	d.queue.Release()
	d.device.Release()
	d.release()
}

// Described is a device of an adapter that need not be there: its buffers and textures have sizes and no memory, and
// what is recorded can be looked at and not run.
func Described(a Adapter) *Device { return &Device{Adapter: a} }

// Allocated is the number of bytes in live buffers and textures.
func (d *Device) Allocated() uint64 { return d.allocated }

// Counts is how many resources are in use.
type Counts struct{ Buffers, Textures, BindGroups, Pipelines int }

// Live counts what was made and is not released.
func (d *Device) Live() Counts {
	d.mu.Lock()
	defer d.mu.Unlock()
	c := d.live
	c.Pipelines = len(d.pipelines)
	return c
}

// Limits are the device's limits.
func (d *Device) Limits() Limits { return d.Adapter.Limits }

// ForShort lowers MaxUnrolledProducts where so few multiply-adds are all that is to come that long kernels would take
// more time to compile, also out of the driver's cache, than they save. Call it before anything is recorded. Measured
// on Lavapipe with nin-bn at 32×32 pixels, warm with the program's start: one image takes 0.25 s by kernels of 1,536
// products in place of 0.34 by those of 2,048; 64 images took 2.7 s by those of 4,096 in place of 3.6, and 200 images
// 7.4 s in place of 6.9.
func (d *Device) ForShort(multiplyAdds float64) {
	for _, c := range []struct {
		least    float64
		products uint32
	}{{25e9, 4096}, {2.5e9, 1536}} {
		if multiplyAdds < c.least {
			d.Adapter.Limits.MaxUnrolledProducts = min(d.Adapter.Limits.MaxUnrolledProducts, c.products)
		}
	}
}

// Wait returns when all submitted work is done, or with a LostError that names what was running after WaitLimit.
//
// It never calls Poll(true): wgpu waits 5 seconds at most, then takes the work for done and frees what the driver still
// uses, and on Lavapipe compiling one kernel can take longer than that.
func (d *Device) Wait(what string) error {
	return d.poll(what, func(idle bool) bool { return idle })
}

// poll drives the queue until done(queue is idle) holds. The pause is a fiftieth of the wait so far, from 20 µs to 1
// ms: short waits stay short, and long ones leave the CPU to a software driver.
func (d *Device) poll(what string, done func(idle bool) bool) error {
	start := time.Now()
	for {
		idle := d.player.poll()
		if d.player.lost() {
			return &LostError{what, d.player.gone()}
		}
		if idle {
			d.free()
		}
		if done(idle) {
			return d.player.err("running", what) // of what was submitted: a browser tells it late
		}
		if time.Since(start) > WaitLimit {
			return &LostError{what, fmt.Sprintf("no progress for %v (last submitted: %s)", WaitLimit, d.last)}
		}
		d.player.pause(max(20*time.Microsecond, min(time.Since(start)/50, time.Millisecond)))
	}
}

// later releases a resource once the queue is idle: the driver may still use it now.
func (d *Device) later(f func()) { d.dead = append(d.dead, f) }

func (d *Device) free() {
	for _, f := range d.dead {
		f()
	}
	d.dead = d.dead[:0]
}

// guard turns a panic of the binding (a failed call without an error return) into an error.
func guard(during string, f func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			if e, ok := r.(runtime.Error); ok {
				panic(e) // a bug of ours, not of the adapter
			}
			err = &LostError{during, fmt.Sprint(r)}
		}
	}()
	return f()
}

// ErrTooLarge marks a resource that the adapter can't hold.
var ErrTooLarge = errors.New("larger than the adapter allows")
