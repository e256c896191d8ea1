package main

import (
	"path/filepath"
	"strings"
	"testing"
)

// Where a variable names drivers that are not there, it is named, whatever the command.
func TestVariableThatNamesNoDriver(t *testing.T) {
	dir := t.TempDir()
	broken := filepath.Join(dir, "broken.json")
	write(t, dir, map[string][]byte{"broken.json": []byte("{")})
	for _, c := range []struct {
		variable, value, problem string
	}{
		{"VK_ICD_FILENAMES", filepath.Join(dir, "nowhere.json"), "does not exist"},
		{"VK_DRIVER_FILES", broken, "no driver's manifest"},
	} {
		t.Run(c.variable, func(t *testing.T) {
			t.Setenv("VK_DRIVER_FILES", "") // of the machine's own
			t.Setenv(c.variable, c.value)
			for _, args := range []string{"adapters", "adapters --json", "train --data sample"} {
				code, _, stderr := run(t, dir, strings.Fields(args)...)
				if want := c.variable + "=" + c.value; code != exitNoAdapter || !strings.Contains(stderr, want) ||
					!strings.Contains(stderr, c.problem) {
					t.Errorf("ninvk %s: exit code %d, %q; want %d, %q and %q", args, code, stderr, exitNoAdapter, want, c.problem)
				}
			}
		})
	}
}
