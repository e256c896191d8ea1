//go:build !js

package main

import (
	"os"
	"os/signal"
	"syscall"
)

// stopOn has sent to signals what asks the program to end.
func stopOn(signals chan os.Signal) {
	signal.Notify(signals, stopSignals...)
	if !signal.Ignored(syscall.SIGHUP) { // as nohup has it
		signal.Notify(signals, syscall.SIGHUP) // the terminal is gone
	}
}

// outliveReaders keeps a reader that leaves, as head does, from ending the program.
func outliveReaders() { signal.Ignore(syscall.SIGPIPE) }
