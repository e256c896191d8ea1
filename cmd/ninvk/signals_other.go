//go:build !unix

package main

import (
	"os"
	"syscall"
)

// stopSignals are those that stop what is under way, besides that of a terminal that is gone.
var stopSignals = []os.Signal{os.Interrupt, syscall.SIGTERM}

// patient says whether a signal that comes again changes nothing.
func patient(os.Signal) bool { return false }
