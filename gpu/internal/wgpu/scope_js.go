package wgpu

import (
	"errors"
	"fmt"
	"strings"
	"syscall/js"

	"ninvk/promise"
)

// object is an argument in JavaScript's form.
type object = map[string]any

// Kinds of errors that scopes are for.
var (
	invalid = []string{"validation"}
	anyKind = []string{"validation", "out-of-memory", "internal"}
)

// Scoped calls into the browser within an error scope of the device. What f throws, and what the device says of it once
// it knows, becomes the device's problem, which Problem tells. f must not wait: others' scopes would lie within its
// own.
func (d *Device) Scoped(f func() js.Value) (js.Value, error) {
	v, ends, err := d.scopes(invalid, f)
	for _, end := range ends {
		d.pending++
		promise.Then(end, d.settle, func(string) { d.settle(js.Null()) }) // rejected: the device is lost
	}
	if err != nil {
		d.fail(err.Error())
	}
	return v, err
}

// made is Scoped for what the caller must know has succeeded: it waits until the device has said so, and the problem is
// the error.
func (d *Device) made(f func() js.Value) (js.Value, error) {
	v, ends, err := d.scopes(anyKind, f)
	for _, end := range ends {
		if e, rejected := promise.Await(end); err == nil && rejected == nil && e.Truthy() {
			err = errors.New(promise.Text(e))
		}
	}
	return v, err
}

func (d *Device) scopes(filters []string, f func() js.Value) (v js.Value, ends []js.Value, err error) {
	for _, filter := range filters {
		d.V.Call("pushErrorScope", filter)
	}
	v, err = promise.Try(f)
	for range filters { // the innermost first
		ends = append(ends, d.V.Call("popErrorScope"))
	}
	return v, ends, err
}

func (d *Device) settle(problem js.Value) {
	d.pending--
	if problem.Truthy() {
		d.fail(promise.Text(problem))
	}
	d.Wake()
}

func (d *Device) fail(problem string) {
	if d.problem == "" {
		d.problem = problem
	}
}

// Problem is the first thing that went wrong since the last call, "" for nothing.
func (d *Device) Problem() string {
	p := d.problem
	d.problem = ""
	return p
}

// Pending says whether the device has still to say of some calls what became of them.
func (d *Device) Pending() bool { return d.pending > 0 }

// Lost is why the device is gone, "" while it is there.
func (d *Device) Lost() string { return d.lost }

// Wake ends the wait of who waits for the device.
func (d *Device) Wake() {
	select {
	case d.Woken <- struct{}{}:
	default:
	}
}

// watch notes the device's loss, and errors that no scope caught.
func (d *Device) watch() {
	d.uncaught = js.FuncOf(func(_ js.Value, a []js.Value) any {
		a[0].Call("preventDefault")
		d.fail(promise.Text(a[0].Get("error")))
		return nil
	})
	d.V.Call("addEventListener", "uncapturederror", d.uncaught)
	promise.Then(d.V.Get("lost"), func(info js.Value) {
		d.lost = fmt.Sprintf("%s (%s)", strings.TrimSuffix(promise.Text(info), "."), info.Get("reason").String())
		d.V.Call("removeEventListener", "uncapturederror", d.uncaught)
		d.uncaught.Release()
		d.Wake()
	}, func(string) {})
}
