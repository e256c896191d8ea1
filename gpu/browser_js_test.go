package gpu

import (
	"errors"
	"runtime"
	"strings"
	"syscall/js"
	"testing"
	"time"
)

// A device that is lost says why, whatever is asked of it, and lets go of what it holds.
func TestLossInBrowser(t *testing.T) {
	d, err := Open("")
	check(t, err)
	b, err := d.NewBuffer("b", 16)
	check(t, err)
	tape := d.NewTape("clearing")
	tape.Clear(b, 0, 16)
	r, err := d.NewReadback("read", 16)
	check(t, err)
	check(t, d.SubmitRead(tape, b, r))
	r.Start()
	lost := map[string]error{"losing it": d.Lose()}
	_, lost["a buffer"] = d.NewBuffer("b", 16)
	_, lost["a texture"] = d.NewTexture("t", 4, 4)
	lost["a write"] = d.Write(b, 0, make([]byte, 16))
	lost["a submit"] = d.Submit(tape)
	lost["a wait"] = d.Wait("the end")
	lost["a read"] = r.Wait(make([]byte, 16))
	for what, err := range lost {
		var e *LostError
		if !errors.As(err, &e) || !strings.Contains(e.Reason, "destroyed") {
			t.Errorf("%s: error %v, expected a LostError with the browser's reason", what, err)
		}
	}
	d.Close()
	again, err := Open("")
	check(t, err)
	again.Close()
}

// What a browser tells late is told by the next wait, once.
func TestLateErrors(t *testing.T) {
	d, err := Open("")
	check(t, err)
	defer d.Close()
	b, err := d.NewBuffer("short", 16)
	check(t, err)
	for _, c := range []struct {
		what string
		ask  func() error
	}{
		{"a copy beyond the end", func() error {
			tape := d.NewTape("too long")
			tape.Copy(b, 0, b, 0, 1<<20)
			return d.Submit(tape)
		}},
		{"a write to what is destroyed", func() error {
			gone, err := d.NewBuffer("gone", 16)
			check(t, err)
			gone.b.Destroy()
			tape := d.NewTape("into nothing")
			tape.Clear(gone, 0, 16)
			return d.Submit(tape)
		}},
	} {
		err := c.ask()
		if err == nil {
			err = d.Wait(c.what)
		}
		var lost *LostError
		if !errors.As(err, &lost) || len(lost.Reason) < 20 {
			t.Errorf("%s: error %v, expected one that says what the browser says", c.what, err)
		}
		check(t, d.Wait("what comes after"))
	}
}

// held is how many values of JavaScript the program holds.
func held() int {
	for range 3 { // finalizers let go
		runtime.GC()
		time.Sleep(10 * time.Millisecond)
	}
	program := js.Global().Get("running")
	return program.Get("_values").Length() - program.Get("_idPool").Length()
}

// Functions that JavaScript calls back are released: a long run holds no more than a short one.
func TestFunctionsAreReleased(t *testing.T) {
	d, err := Open("")
	check(t, err)
	defer d.Close()
	b, err := d.NewBuffer("b", 4096)
	check(t, err)
	twice, err := d.NewBuffer("twice", 4096)
	check(t, err)
	tape := d.NewTape("double")
	tape.Dispatch(double, []uint32{1, 0}, 1, 1, 1, All(b), All(twice))
	r, err := d.NewReadback("read", 4096)
	check(t, err)
	steps := func(n int) {
		for range n {
			check(t, d.Write(b, 0, make([]byte, 4096)))
			check(t, d.SubmitRead(tape, b, r))
			r.Start()
			check(t, r.Wait(make([]byte, 4096)))
			short, err := d.NewBuffer("short", 64)
			check(t, err)
			short.Release()
		}
		check(t, d.Wait("the steps"))
	}
	steps(20)
	before := held()
	steps(300)
	if after := held(); after > before+100 {
		t.Errorf("%d values were held after 20 steps, %d after 320", before, after)
	}
}
