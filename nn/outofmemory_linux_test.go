package nn_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"ninvk/gpu"
	"ninvk/nn"
)

// TestOutOfMemory has a software adapter run out of memory while a network is allocated, in a process that may not have
// more than 400 MB beyond what it had at the start: the batch that is suggested must fit in there.
func TestOutOfMemory(t *testing.T) {
	const child, more = "NINVK_TEST_MEMORY", 400 << 20
	if os.Getenv(child) == "" {
		allocate := func(batch string) string {
			c := exec.Command(os.Args[0], "-test.run=^TestOutOfMemory$", "-test.v")
			// A thread's first allocation reserves 64 to 128 MB of addresses, its own arena: the limit would count it where a
			// thread of the driver starts late.
			c.Env = append(os.Environ(), child+"="+batch, "MALLOC_ARENA_MAX=1")
			out, err := c.CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			return string(out)
		}
		const batch = "4000" // 262 MB an activation
		out := allocate(batch)
		switch {
		case strings.Contains(out, "no software adapter"):
			t.Log("only the memory of a software adapter can be limited")
			return
		case strings.Contains(out, "it fits"):
			t.Log("this driver promises memory that it has not got, as Lavapipe 25.0.7 does")
			return
		}
		suggested := regexp.MustCompile(
			`batch of 4000 images does not fit .*Not enough memory .*; ` +
				`the largest that fits is --batch (\d+)`).FindStringSubmatch(out)
		if suggested == nil {
			t.Fatalf("no batch is suggested:\n%s", out)
		}
		if out := allocate(suggested[1]); !strings.Contains(out, "it fits") {
			t.Errorf("%s\n%s", suggested[0], out)
		}
		return
	}
	batch, err := strconv.Atoi(os.Getenv(child))
	if err != nil {
		t.Fatal(err)
	}
	d, err := gpu.Open("")
	if err != nil {
		t.Fatal(err)
	}
	if !d.Adapter.CPU() {
		fmt.Println("no software adapter")
		return
	}
	status, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Fatal(err)
	}
	pages, err := strconv.ParseUint(strings.Fields(string(status))[0], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	limit := pages*uint64(os.Getpagesize()) + more
	if err := syscall.Setrlimit(syscall.RLIMIT_AS, &syscall.Rlimit{Cur: limit, Max: limit}); err != nil {
		t.Fatal(err)
	}
	var memory *nn.MemoryError
	switch err := build(d, batch); {
	case err == nil:
		fmt.Println("it fits")
	case errors.As(err, &memory):
		fmt.Println(strings.Join(strings.Fields(err.Error()), " "))
	default:
		t.Fatal(err)
	}
}
