package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"ninvk/ci/slow"
	"ninvk/gpu"
)

// newGroup makes a control group that may have so many bytes of memory, where the machine lets this process make one:
// in the file system of version 1, or in version 2's where memory is that one's.
func newGroup(t *testing.T, bytes int) (group string, ok bool) {
	t.Helper()
	for top, file := range map[string]string{"/sys/fs/cgroup/memory": "memory.limit_in_bytes",
		"/sys/fs/cgroup": "memory.max"} {
		group := filepath.Join(top, fmt.Sprintf("ninvk-test-%d", os.Getpid()))
		if os.Mkdir(group, 0o755) != nil {
			continue
		}
		// which is there where this is a group, and not a mere folder
		limit, err := os.OpenFile(filepath.Join(group, file), os.O_WRONLY, 0)
		if err == nil {
			_, err = fmt.Fprint(limit, bytes)
			limit.Close()
		}
		if err == nil {
			t.Cleanup(func() {
				for range 50 { // the kernel may still be tidying up after the last process
					if os.Remove(group) == nil {
						return
					}
					time.Sleep(100 * time.Millisecond)
				}
				t.Errorf("%s is still in use", group)
			})
			return group, true
		}
		os.Remove(group)
	}
	return "", false
}

// TestMemoryOfControlGroup: where a control group has not the memory for a batch, training ends before it begins and
// says which batch fits, in place of being killed; in make test-full that batch is tried. Package memory reads groups
// made of files, so that a machine without groups tries that, too.
func TestMemoryOfControlGroup(t *testing.T) {
	group, ok := newGroup(t, 900<<20)
	if !ok {
		t.Log("no control group can be made here")
		return
	}
	a, err := gpu.Choose("")
	if err != nil {
		t.Fatal(err)
	}
	if !a.CPU() {
		t.Log("a GPU has memory of its own")
		return
	}
	train := func(batch string) (int, string) {
		t.Helper()
		script := fmt.Sprintf(`echo $$ > %s/cgroup.procs && exec "$@"`, group)
		c := exec.Command("sh", "-c", script, "sh", binary, "train", "--data", "sample", "--model", "nin", "--no-tune",
			"--max-steps", "1", "--batch", batch, "--out", "run-"+batch)
		c.Dir = t.TempDir()
		text, err := c.CombinedOutput()
		if c.ProcessState == nil {
			t.Fatal(err)
		}
		return c.ProcessState.ExitCode(), string(text)
	}
	code, text := train("200")
	found := regexp.MustCompile(
		`a batch of 200 images does not fit .* this process may have 900 MB \(.*ninvk-test.*\); ` +
			`the largest that fits is --batch (\d+)`).FindStringSubmatch(text)
	if code != exitLost || found == nil {
		t.Fatalf("exit code %d, want %d and the largest batch:\n%s", code, exitLost, text)
	}
	if !slow.Wanted() {
		return
	}
	if code, text := train(found[1]); code != 0 {
		t.Errorf("the batch that is said to fit, %s: exit code %d\n%s", found[1], code, strings.TrimSpace(text))
	}
}
