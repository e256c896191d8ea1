//go:build unix

package main

import (
	"os"
	"syscall"
)

// stopSignals are those that stop what is under way, besides that of a terminal that is gone. SIGUSR1 is what batch
// systems can be told to send some time before the end of a job, and what mpirun passes on.
var stopSignals = []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGUSR1}

// patient says whether a signal that comes again changes nothing: both a batch system and mpirun may pass it on.
func patient(s os.Signal) bool { return s == syscall.SIGUSR1 }
