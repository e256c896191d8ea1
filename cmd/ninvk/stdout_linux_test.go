package main

import (
	"bytes"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// A command whose results can't be written says so and fails.
func TestFullStdout(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	for _, args := range []string{"version", "adapters", "adapters --json", "recipes list", "recipes show fast"} {
		var stderr bytes.Buffer
		c := exec.Command(binary, strings.Fields(args)...)
		c.Stdout, c.Stderr = full, &stderr
		if err := c.Run(); c.ProcessState == nil || c.ProcessState.ExitCode() != exitOther ||
			!strings.Contains(stderr.String(), "no space left") {
			t.Errorf("ninvk %s: %v, %q; want exit code %d and the reason", args, err, stderr.String(), exitOther)
		}
	}
}
