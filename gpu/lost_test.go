//go:build unix

package gpu

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// TestLost takes a device away and asks it for all kinds of things. It runs this binary again, for the library prints
// what it thinks of that.
func TestLost(t *testing.T) {
	const child = "NINVK_TEST_LOST"
	if os.Getenv(child) == "" {
		c := exec.Command(os.Args[0], "-test.run=^TestLost$", "-test.v")
		c.Env = append(os.Environ(), child+"=1")
		out, err := c.CombinedOutput()
		if err != nil || !strings.Contains(string(out), "destroyed") || !strings.Contains(string(out), "all asked") {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	d, err := Open("")
	check(t, err)
	x, err := d.NewBuffer("x", 1024)
	check(t, err)
	y, err := d.NewBuffer("y", 1024)
	check(t, err)
	r, err := d.NewReadback("r", 16)
	check(t, err)
	tape := d.NewTape("a step")
	tape.Dispatch(double, []uint32{200, two}, 4, 1, 1, All(x), All(y))
	check(t, d.SubmitRead(tape, y, r))
	r.Start()
	for what, err := range map[string]error{
		"the loss of the device": d.Lose(), "a step": d.Submit(tape), "r": r.Wait(make([]byte, 16)),
		"waiting": d.Wait("waiting"), "writing to x": d.Write(x, 0, make([]byte, 16)),
		"read y": second(d.Read(y, 0, 16)), "allocating z": second(d.NewBuffer("z", 16)), "uploading": d.Flush("uploading"),
		"sending": d.Send("sending"), "again": d.NewTape("again").Finish(),
	} {
		var lost *LostError
		if !errors.As(err, &lost) || !strings.Contains(lost.During, what) {
			t.Errorf("%s: error %v", what, err)
		}
	}
	r.Release()
	tape.Release()
	x.Release()
	d.Close()

	other, err := Open("") // on another device life goes on
	check(t, err)
	b, err := other.NewBuffer("b", 16)
	check(t, err)
	check(t, other.Write(b, 0, Bytes([]float32{1, 2, 3, 4})))
	if v, err := other.ReadFloats(b, 4); err != nil || v[3] != 4 {
		t.Errorf("another device reads %v, error %v", v, err)
	}
	other.Close()
	t.Log("all asked")
}

func second[T any](_ T, err error) error { return err }
