package main

import (
	"fmt"
	"os"
	"time"

	"ninvk/bench"
	"ninvk/gpu"
)

// openDevice opens an adapter, and shows how far its driver has compiled the kernels wherever a person waits for that.
func openDevice(adapter string) (*gpu.Device, error) {
	d, err := gpu.Open(adapter)
	if err == nil {
		d.Compiling = (&kernelReport{bar: benchReport{terminal: onTerminal()}}).progress
	}
	return d, err
}

// kernelReport shows how many kernels are compiled: a bar on a terminal, else a line every few seconds; nothing where
// it is over soon, as with kernels from the driver's cache.
type kernelReport struct {
	bar          benchReport
	begun, shown time.Time
}

// The pauses before anything is shown, and between lines.
const (
	kernelsAfter = time.Second
	kernelsEvery = 4 * time.Second
)

func (r *kernelReport) progress(done, total int) {
	now := time.Now()
	if done == 0 {
		r.begun, r.shown = now, time.Time{}
	}
	switch {
	case r.bar.terminal && done == total:
		r.bar.end()
		r.bar.stage = ""
	case now.Sub(r.begun) < kernelsAfter:
	case r.bar.terminal:
		r.bar.progress("compiling kernels", done, total)
	case now.Sub(r.shown) >= kernelsEvery || done == total && !r.shown.IsZero():
		r.shown = now
		fmt.Fprintf(os.Stderr, bench.CompilingLine, done, total)
	}
}
