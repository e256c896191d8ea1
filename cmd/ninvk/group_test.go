package main

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"ninvk/dist"
	"ninvk/gpu"
	"ninvk/train"
)

// local is a rank of a machine.
type local struct {
	dist.Group
	number int
}

func (l local) Local() int { return l.number }
func (local) Size() int    { return 4 }

func TestAdapterOfARank(t *testing.T) {
	t.Setenv(gpu.AdapterEnv, "")
	for _, c := range []struct {
		selector string
		local    int
		want     string
	}{{"2", 3, "2"}, {"nvidia", 1, "nvidia"}, {"0,1", 0, "0"}, {"0, 1", 1, "1"}, {"0,1", 2, "0"}, {"a,b,", 2, ""}} {
		got, err := adapterOf(c.selector, local{dist.Alone, c.local})
		if err != nil || got != c.want {
			t.Errorf("%q, process %d of its machine: adapter %q, error %v, want %q", c.selector, c.local, got, err, c.want)
		}
	}
	t.Setenv(gpu.AdapterEnv, "5,6")
	if got, err := adapterOf("", local{dist.Alone, 1}); err != nil || got != "6" {
		t.Errorf("by the environment: adapter %q, error %v", got, err)
	}
}

func TestAlike(t *testing.T) {
	card := gpu.Adapter{Type: "discrete", Backend: "Vulkan"}
	a := []gpu.Adapter{{Type: "integrated", Backend: "Vulkan"}, card, {Type: "discrete", Backend: "DX12"}, card,
		{Type: "cpu", Backend: "Vulkan"}}
	for i := range a {
		a[i].Index = i
	}
	a[1].Default = true
	for number, want := range []string{"1", "3", "1", "3"} {
		if got := alike(a, number); got != want {
			t.Errorf("process %d: adapter %q, want %q", number, got, want)
		}
	}
	a[4].Default, a[1].Default = true, false
	if got := alike(a, 1); got != "" { // the only one of its kind is the default
		t.Errorf("of software adapters there is one; adapter %q", got)
	}
}

// What one rank has met all say, with its exit code; what all have met is said once.
func TestTogether(t *testing.T) {
	usage := &train.UsageError{Flag: "--batch", Value: "0", Problem: "must be at least 1"}
	for name, c := range map[string]struct {
		errs []error
		want string
		code int
	}{
		"none": {[]error{nil, nil}, "", 0},
		"one": {[]error{nil, &gpu.NoAdapterError{Selector: "x", Available: []gpu.Adapter{{}}}},
			"rank 1: no adapter matches", exitNoAdapter},
		"all":     {[]error{usage, usage}, usage.Error(), exitUsage},
		"several": {[]error{usage, errors.New("what else")}, usage.Error() + "\nninvk: rank 1: what else", exitUsage},
	} {
		t.Run(name, func(t *testing.T) {
			var all sync.WaitGroup
			for rank, g := range dist.Local(2) {
				all.Go(func() {
					defer g.Close()
					err := together(g, c.errs[rank])
					if c.want == "" {
						if err != nil {
							t.Error(err)
						}
						return
					}
					if err == nil || !strings.HasPrefix(err.Error(), c.want) || exitCode(err) != c.code || !isShared(err) {
						t.Errorf("rank %d: error %v, exit code %d", rank, err, exitCode(err))
					}
				})
			}
			all.Wait()
		})
	}
}

func TestGroupFlags(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct {
		arguments string
		code      int
		stderr    string
	}{
		{"train --shards 3", exitUsage, "--shards 3: must be a power of two"},
		{"train --shards 128 --batch 64", exitUsage, "--shards 128: a batch of 64 images can't be cut into so many"},
		{"train --distributed-timeout 0s", exitUsage, "--distributed-timeout 0s: must be above 0"},
		{"train --distributed sometimes", exitUsage, "--distributed must be one of"},
		{"bench --distributed", exitUsage, "this one is alone: start two by mpirun -n 2"},
		{"bench --distributed --latency 1ms", exitUsage, "must be given together"},
		{"bench --bandwidth 5", exitUsage, "go with --distributed"},
		{"bench --distributed --operators", exitUsage, "alone"},
	} {
		code, _, stderr := run(t, dir, strings.Fields(c.arguments)...)
		if code != c.code || !strings.Contains(stderr, c.stderr) {
			t.Errorf("%s: exit code %d\n%s", c.arguments, code, stderr)
		}
	}
}

func TestExitCodesOfGroups(t *testing.T) {
	lost := &dist.Failure{Code: 137, Reason: "rank 1 was killed"}
	for _, c := range []struct {
		err  error
		want int
	}{
		{&train.StoppedError{Err: lost, Dir: "run", Rank: 1}, 137},
		{&dist.Failure{Code: 0, Reason: "rank 1 has left"}, exitLost},
		{fmt.Errorf("x: %w", &train.MismatchError{Rank: 1}), exitUsage},
		{&dist.LaunchError{Reason: "no library"}, exitUsage},
		{reported{shared{&interrupted{"interrupted"}}}, exitInterrupted},
	} {
		if got := exitCode(c.err); got != c.want {
			t.Errorf("%v: exit code %d, want %d", c.err, got, c.want)
		}
	}
}
