package promise

import (
	"errors"
	"syscall/js"
)

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
	rejected = js.FuncOf(settle(func(v js.Value) { no(Text(v)) }))
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

// Text is what an error of JavaScript says.
func Text(v js.Value) string {
	if v.Type() != js.TypeObject {
		return v.String()
	}
	if m := v.Get("message"); m.Type() == js.TypeString && m.String() != "" {
		return m.String()
	}
	return v.Call("toString").String()
}

// Try calls into the browser; what it throws is the error.
func Try(f func() js.Value) (v js.Value, err error) {
	defer func() {
		switch r := recover().(type) {
		case nil:
		case js.Error:
			err = errors.New(Text(r.Value))
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
