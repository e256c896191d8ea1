// Command web is what the page runs in a worker: package web/worker behind the worker's messages.
package main

import (
	"math"
	"os"
	"syscall/js"

	"ninvk/web/worker"
)

func main() {
	messages := make(chan worker.Message, 1024)
	w := worker.New(os.TempDir(), func(m worker.Message) {
		var give []any
		js.Global().Call("postMessage", toJS(m, &give), give)
	})
	if w.Start() != nil {
		select {} // the page has been told and ends the worker
	}
	js.Global().Set("onmessage", js.FuncOf(func(_ js.Value, a []js.Value) any {
		m, ok := fromJS(a[0].Get("data")).(worker.Message)
		if !ok {
			m = worker.Message{}
		}
		if w.Steers(m) {
			go w.Do(m)
		} else {
			messages <- m
		}
		return nil
	}))
	for m := range messages {
		w.Do(m)
	}
}

// toJS is a message's value in JavaScript's form. Memory that is handed over rather than copied comes to give.
func toJS(v any, give *[]any) js.Value {
	bytes := func(b []byte) js.Value {
		a := js.Global().Get("Uint8Array").New(len(b))
		js.CopyBytesToJS(a, b)
		*give = append(*give, a.Get("buffer"))
		return a.Get("buffer")
	}
	switch v := v.(type) {
	case worker.Message:
		o := js.Global().Get("Object").New()
		for key, x := range v {
			o.Set(key, toJS(x, give))
		}
		return o
	case []any:
		a := js.Global().Get("Array").New(len(v))
		for i, x := range v {
			a.SetIndex(i, toJS(x, give))
		}
		return a
	case []byte:
		return bytes(v)
	case []float32:
		b := make([]byte, 4*len(v))
		for i, x := range v {
			u := math.Float32bits(x)
			b[4*i], b[4*i+1], b[4*i+2], b[4*i+3] = byte(u), byte(u>>8), byte(u>>16), byte(u>>24)
		}
		return js.Global().Get("Float32Array").New(bytes(b))
	}
	return js.ValueOf(v)
}

// fromJS is the opposite.
func fromJS(v js.Value) any {
	global := js.Global()
	switch v.Type() {
	case js.TypeString:
		return v.String()
	case js.TypeBoolean:
		return v.Bool()
	case js.TypeNumber:
		return v.Float()
	case js.TypeObject:
	default:
		return nil
	}
	switch {
	case v.InstanceOf(global.Get("ArrayBuffer")):
		v = global.Get("Uint8Array").New(v)
		fallthrough
	case v.InstanceOf(global.Get("Uint8Array")), v.InstanceOf(global.Get("Uint8ClampedArray")):
		b := make([]byte, v.Length())
		js.CopyBytesToGo(b, v)
		return b
	case v.InstanceOf(global.Get("Array")):
		list := make([]any, v.Length())
		for i := range list {
			list[i] = fromJS(v.Index(i))
		}
		return list
	}
	m := worker.Message{}
	keys := global.Get("Object").Call("keys", v)
	for i := range keys.Length() {
		key := keys.Index(i).String()
		m[key] = fromJS(v.Get(key))
	}
	return m
}
