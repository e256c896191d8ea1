//go:build unix

package train

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ninvk/gpu"
)

// TestDeviceLost takes the device away in the midst of a run: the error names the last checkpoint, and a run resumed
// from there on another device ends as one that was left alone. The loss is in a process of its own, for the library
// prints what it thinks of it.
func TestDeviceLost(t *testing.T) {
	const child = "NINVK_TEST_DEVICE_LOST"
	settings := func(out string) func(*Config) {
		return func(c *Config) {
			resumeRecipe(c)
			c.CheckpointEvery, c.Out = 2, out
		}
	}
	if dir := os.Getenv(child); dir != "" {
		d, err := gpu.Open("")
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		was := device
		device = func() (*gpu.Device, error) { return d, nil }
		defer func() { device = was }()
		_, err = runJob(t, context.Background(), subset(t, 20, 10), silent{func(r StepRecord) {
			if r.Step == 5 {
				t.Log(d.Lose())
			}
		}}, settings(dir))
		var lost *gpu.LostError
		var stopped *StoppedError
		if !errors.As(err, &lost) || !errors.As(err, &stopped) || stopped.Path == "" || stopped.Step == 0 ||
			!strings.Contains(err.Error(), stopped.Path) ||
			!strings.Contains(err.Error(), ResumeCommand(dir)) || !strings.Contains(err.Error(),
			fmt.Sprintf("of step %d;", stopped.Step)) {
			t.Fatalf("error %v", err)
		}
		if _, err := os.Stat(stopped.Path); err != nil {
			t.Error(err)
		}
		t.Log("lost as it should be:", err)
		return
	}
	dir := filepath.Join(t.TempDir(), "run")
	c := exec.Command(os.Args[0], "-test.run=^TestDeviceLost$", "-test.v")
	c.Env = append(os.Environ(), child+"="+dir)
	if out, err := c.CombinedOutput(); err != nil || !strings.Contains(string(out), "lost as it should be") {
		t.Fatalf("%v\n%s", err, out)
	}
	if _, err := resume(t, context.Background(), dir, silent{}, nil); err != nil {
		t.Fatal(err)
	}
	whole, err := runJob(t, context.Background(), subset(t, 20, 10), silent{},
		settings(filepath.Join(t.TempDir(), "whole")))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(outcome(t, whole.Dir), outcome(t, dir)); diff != "" {
		t.Errorf("after the loss of the device (-left alone +resumed):\n%s", diff)
	}
}
