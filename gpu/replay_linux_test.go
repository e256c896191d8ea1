package gpu

import (
	"runtime"
	"syscall"
	"testing"
	"time"
)

// threadTime is the processor time of the calling thread, which counts no waiting for a core that others use.
func threadTime(b *testing.B) time.Duration {
	const thread = 1 // RUSAGE_THREAD
	var u syscall.Rusage
	if err := syscall.Getrusage(thread, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkPlay plays a finished tape of 5,000 dispatches with little work, and reports the host's time for each: what
// encoding and handing over take.
func BenchmarkPlay(b *testing.B) {
	const dispatches = 5000
	d, err := openDevice()
	if err != nil {
		b.Fatal(err)
	}
	y, err := d.NewBuffer("y", 1024)
	if err != nil {
		b.Fatal(err)
	}
	defer y.Release()
	k := Kernel{
		Name: "little",
		Source: `struct Q { n: u32 }
@group(0) @binding(0) var<uniform> q: Q;
@group(0) @binding(1) var<storage, read_write> y: array<u32>;
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) { y[id.x] = q.n; }`,
		Bindings: []Kind{Params, Write},
	}
	tape := d.NewTape("little dispatches")
	defer tape.Release()
	for i := range dispatches {
		tape.Dispatch(k, []uint32{uint32(i)}, 1, 1, 1, All(y))
	}
	play := func() (host time.Duration) {
		start := threadTime(b)
		if err := d.Submit(tape); err != nil {
			b.Fatal(err)
		}
		host = threadTime(b) - start
		if err := d.Wait("little dispatches"); err != nil {
			b.Fatal(err)
		}
		return host
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	play() // finishes it
	b.ReportAllocs()
	var host time.Duration
	for b.Loop() {
		host += play()
	}
	b.ReportMetric(float64(host.Nanoseconds())/float64(b.N)/dispatches, "host-ns/dispatch")
}
