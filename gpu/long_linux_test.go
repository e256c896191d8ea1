package gpu

import (
	"fmt"
	"math"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// long is what a wait of the library's own would give up on and free what the driver still uses.
const long = 5 * time.Second

// TestLongerThanFiveSeconds compiles a kernel and runs another, each for more than five seconds, on one core with the
// driver's cache off, and compares the results. Adapters that are too fast for that do the same for a shorter time.
func TestLongerThanFiveSeconds(t *testing.T) {
	const child = "NINVK_TEST_LONG"
	switch os.Getenv(child) {
	case "":
		c := exec.Command(os.Args[0], "-test.run=^TestLongerThanFiveSeconds$", "-test.v")
		c.Env = append(os.Environ(), child+"=bind", "MESA_SHADER_CACHE_DISABLE=true", "LP_NUM_THREADS=1", "GOMAXPROCS=1")
		out, err := c.CombinedOutput()
		if err != nil || !strings.Contains(string(out), "both were right") {
			t.Errorf("%v\n%s", err, out)
		}
		t.Logf("%s", out)
		return
	case "bind": // to the first core; a thread's cores are those of what it executes
		runtime.LockOSThread()
		var all, one unix.CPUSet
		check(t, unix.SchedGetaffinity(0, &all))
		for i := 0; one.Count() == 0; i++ {
			if all.IsSet(i) {
				one.Set(i)
			}
		}
		check(t, unix.SchedSetaffinity(0, &one))
		os.Setenv(child, "run") //nolint:usetesting // for the program that takes the place of this one
		check(t, syscall.Exec("/proc/self/exe", os.Args, os.Environ()))
	}
	d := device(t)
	must := d.Adapter.VectorWidth > 0 // llvmpipe
	x := make([]float32, 64)
	for i := range x {
		x[i] = 1 + float32(i)/64
	}
	in := newBuffer(t, "x", 256)
	check(t, d.Write(in, 0, Bytes(x)))
	// compute runs a kernel of n invocations, and compares all results with want.
	compute := func(k Kernel, n int, want float64) time.Duration {
		out := newBuffer(t, "y", uint64(4*n))
		tape := d.NewTape(k.Name)
		defer tape.Release()
		tape.Dispatch(k, nil, min(n/64, 32768), (n/64+32767)/32768, 1, All(in), All(out))
		r, err := d.NewReadback(k.Name, out.Size)
		check(t, err)
		defer r.Release()
		y := make([]float32, n)
		start := time.Now()
		check(t, d.SubmitRead(tape, out, r))
		r.Start()
		check(t, d.Wait(k.Name))
		if !r.Ready() {
			t.Errorf("%s: the wait ended before the work, after %v", k.Name, time.Since(start))
		}
		check(t, r.Wait(Bytes(y)))
		took := time.Since(start)
		for i, v := range y {
			if math.Abs(float64(v)-want) > 1e-5*want {
				t.Fatalf("%s: value %d is %g, want %g", k.Name, i, v, want)
			}
		}
		return took
	}

	var compiled time.Duration
	for statements := 4000; compiled < long && statements < 1_000_000; statements *= 2 {
		var code strings.Builder
		want := 0.0
		for i := range statements {
			fmt.Fprintf(&code, "  v = v * %.4f + x[%d];\n", 0.5+float64(i%100)/1000, i%64)
			want = want*(0.5+float64(i%100)/1000) + float64(x[i%64])
		}
		compiled = compute(longKernel(fmt.Sprintf("%d statements", statements), "var v = 0.0;\n"+code.String()), 64, want)
		t.Logf("%d statements: %v", statements, compiled)
		if !must && compiled > time.Second {
			break
		}
	}
	want := 0.0
	for i := range 16000 {
		want = want*0.5 + float64(x[i%64])
	}
	loop := longKernel("loop", "var v = 0.0; for (var i = 0u; i < 16000u; i = i + 1u) { v = v * 0.5 + x[i % 64u]; }")
	var ran time.Duration
	for n := 1 << 12; ran < long && n < 1<<26; n *= 2 {
		ran = compute(loop, n, want)
		t.Logf("%d invocations: %v", n, ran)
		if !must && ran > time.Second {
			break
		}
	}
	if must && (compiled < long || ran < long) {
		t.Errorf("compiling took %v and running %v, both must take more than %v", compiled, ran, long)
	}
	if !t.Failed() {
		t.Log("both were right")
	}
}
