package main

import "os"

// A page has no signals.
func stopOn(chan os.Signal) {}
func outliveReaders()       {}
