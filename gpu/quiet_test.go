//go:build !js

package gpu

import (
	"bytes"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// TestQuiet runs this binary again, as a user without a desktop session would, and looks for driver chatter.
func TestQuiet(t *testing.T) {
	const child = "NINVK_TEST_CHILD"
	if os.Getenv(child) != "" {
		d := device(t)
		_, err := d.Pipeline(Kernel{Name: "broken", Source: "fn main( {"})
		fails(t, err, "broken")
		return
	}
	c := exec.Command(os.Args[0], "-test.run=^TestQuiet$")
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "XDG_RUNTIME_DIR=") && !strings.HasPrefix(v, "DISPLAY=") {
			c.Env = append(c.Env, v)
		}
	}
	c.Env = append(c.Env, child+"=1")
	var out, errs bytes.Buffer
	c.Stdout, c.Stderr = &out, &errs
	if err := c.Run(); err != nil {
		t.Errorf("%v\n%s", err, out.String())
	}
	if errs.Len() > 0 {
		t.Errorf("printed to the terminal: %q", errs.String())
	}
	if s := strings.TrimSpace(out.String()); strings.Count(s, "\n") > 1 || !strings.HasPrefix(s, "PASS") {
		t.Errorf("printed to the terminal: %q", s)
	}
}
