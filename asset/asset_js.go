package asset

import (
	"errors"
	"fmt"
	"syscall/js"

	"ninvk/promise"
)

// Read is a file that lies beside the page. Where JavaScript has a function readAsset, it is asked for a promise of the
// file's ArrayBuffer; else the file is fetched.
func Read(name string) ([]byte, error) {
	b, err := read(name)
	if err != nil {
		return nil, fmt.Errorf("%s, a part of the page, can't be loaded: %w", name, err)
	}
	return b, nil
}

func read(name string) ([]byte, error) {
	loading := js.Global().Get("readAsset")
	if loading.Type() == js.TypeFunction {
		loading = loading.Invoke(name)
	} else {
		answer, err := promise.Await(js.Global().Call("fetch", name))
		if err != nil {
			return nil, err
		}
		if !answer.Get("ok").Bool() {
			return nil, errors.New("the server answers " + answer.Get("status").Call("toString").String())
		}
		loading = answer.Call("arrayBuffer")
	}
	buffer, err := promise.Await(loading)
	if err != nil {
		return nil, err
	}
	view := js.Global().Get("Uint8Array").New(buffer)
	b := make([]byte, view.Length())
	js.CopyBytesToGo(b, view)
	return b, nil
}
