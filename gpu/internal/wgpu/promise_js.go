package wgpu

import (
	"errors"
	"fmt"
	"strings"
	"syscall/js"
)

// object is an argument in JavaScript's form.
type object = map[string]any

// Then calls ok with what a promise gives, or no with the reason why it gives nothing, once. Both are called by the
// event loop and must not wait.
func Then(promise js.Value, ok func(js.Value), no func(reason string)) {
	var resolved, rejected js.Func
	settle := func(f func(js.Value)) func(js.Value, []js.Value) any {
		return func(_ js.Value, a []js.Value) any {
			resolved.Release()
			rejected.Release()
			if len(a) == 0 {
				a = []js.Value{js.Undefined()}
			}
			f(a[0])
			return nil
		}
	}
	resolved = js.FuncOf(settle(ok))
	rejected = js.FuncOf(settle(func(v js.Value) { no(text(v)) }))
	promise.Call("then", resolved, rejected)
}

// Await waits for a promise. It must not be called by the event loop, which would wait for itself.
func Await(promise js.Value) (js.Value, error) {
	type settled struct {
		value js.Value
		err   error
	}
	done := make(chan settled, 1)
	Then(promise, func(v js.Value) { done <- settled{v, nil} },
		func(reason string) { done <- settled{js.Undefined(), errors.New(reason)} })
	s := <-done
	return s.value, s.err
}

// text is what an error of JavaScript says.
func text(v js.Value) string {
	if v.Type() != js.TypeObject {
		return v.String()
	}
	if m := v.Get("message"); m.Type() == js.TypeString && m.String() != "" {
		return m.String()
	}
	return v.Call("toString").String()
}

// try calls into the browser; what it throws is the error.
func try(f func() js.Value) (v js.Value, err error) {
	defer func() {
		switch r := recover().(type) {
		case nil:
		case js.Error:
			err = errors.New(text(r.Value))
		default:
			panic(r) // a bug of ours
		}
	}()
	return f(), nil
}

// Bytes copies bytes into a new array of JavaScript's.
func Bytes(data []byte) js.Value {
	a := js.Global().Get("Uint8Array").New(len(data))
	js.CopyBytesToJS(a, data)
	return a
}

// Kinds of errors that scopes are for.
var (
	invalid = []string{"validation"}
	anyKind = []string{"validation", "out-of-memory", "internal"}
)

// Scoped calls into the browser within an error scope of the device. What f throws, and what the device says of it once
// it knows, becomes the device's problem, which Problem tells. f must not wait: others' scopes would lie within its own.
func (d *Device) Scoped(f func() js.Value) (js.Value, error) {
	v, ends, err := d.scopes(invalid, f)
	for _, end := range ends {
		d.pending++
		Then(end, d.settle, func(string) { d.settle(js.Null()) }) // rejected: the device is lost
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
		if e, rejected := Await(end); err == nil && rejected == nil && e.Truthy() {
			err = errors.New(text(e))
		}
	}
	return v, err
}

func (d *Device) scopes(filters []string, f func() js.Value) (v js.Value, ends []js.Value, err error) {
	for _, filter := range filters {
		d.V.Call("pushErrorScope", filter)
	}
	v, err = try(f)
	for range filters { // the innermost first
		ends = append(ends, d.V.Call("popErrorScope"))
	}
	return v, ends, err
}

func (d *Device) settle(problem js.Value) {
	d.pending--
	if problem.Truthy() {
		d.fail(text(problem))
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
		d.fail(text(a[0].Get("error")))
		return nil
	})
	d.V.Call("addEventListener", "uncapturederror", d.uncaught)
	Then(d.V.Get("lost"), func(info js.Value) {
		d.lost = fmt.Sprintf("%s (%s)", strings.TrimSuffix(text(info), "."), info.Get("reason").String())
		d.V.Call("removeEventListener", "uncapturederror", d.uncaught)
		d.uncaught.Release()
		d.Wake()
	}, func(string) {})
}
