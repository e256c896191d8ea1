//go:build unix

package main

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ninvk/ci/slow"
	"ninvk/cifar10"
	"ninvk/dataset"
	"ninvk/train"
)

// process is ninvk running.
type process struct {
	*exec.Cmd
	stderr bytes.Buffer
	ended  chan struct{}
}

func start(t *testing.T, dir string, args ...string) *process {
	t.Helper()
	p := &process{Cmd: exec.Command(binary, args...), ended: make(chan struct{})}
	p.Dir, p.Stderr = dir, &p.stderr
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = p.Wait() // ProcessState says how it ended
		close(p.ended)
	}()
	t.Cleanup(func() { _ = p.Process.Kill(); <-p.ended })
	return p
}

// until waits for a condition or the end of the process, whichever is first.
func (p *process) until(done func() bool) {
	for !done() {
		select {
		case <-p.ended:
			return
		case <-time.After(200 * time.Microsecond):
		}
	}
}

// reached says whether a run folder has a checkpoint of at least that step.
func reached(dir string, step int) func() bool {
	return func() bool {
		entries, _ := os.ReadDir(filepath.Join(dir, train.CheckpointDir))
		for _, e := range entries {
			var n int
			if _, err := fmt.Sscanf(e.Name(), "step-%d.safetensors", &n); err == nil && n >= step {
				return true
			}
		}
		return false
	}
}

// writing says whether a checkpoint is just being written.
func writing(dir string) func() bool {
	return func() bool {
		found, _ := filepath.Glob(filepath.Join(dir, train.CheckpointDir, "*.tmp"))
		return len(found) > 0
	}
}

var times = regexp.MustCompile(`"(seconds|images_per_second)":[^,}]+`)

// same compares weights and metrics, but for times, of two runs.
func same(t *testing.T, want, got string) {
	t.Helper()
	for _, name := range []string{train.ModelFile, train.BestFile, train.MetricsFile} {
		var b [2][]byte
		for i, dir := range []string{want, got} {
			var err error
			if b[i], err = os.ReadFile(filepath.Join(dir, name)); err != nil {
				t.Fatal(err)
			}
		}
		switch {
		case name != train.MetricsFile:
			if !bytes.Equal(b[0], b[1]) {
				t.Errorf("%s differs from that of the run that was not interrupted", name)
			}
		default:
			if diff := cmp.Diff(string(times.ReplaceAll(b[0], nil)), string(times.ReplaceAll(b[1], nil))); diff != "" {
				t.Errorf("%s (-not interrupted +resumed):\n%s", name, diff)
			}
		}
	}
}

// writeData makes a folder data in dir, of 20 training and 8 test images.
func writeData(t *testing.T, dir string) {
	t.Helper()
	sample, err := cifar10.Sample()
	if err != nil {
		t.Fatal(err)
	}
	pack := func(s dataset.Split, n int) []byte { return recordsOf(t, s.First(n)) }
	write(t, dir, map[string][]byte{"data/data_batch_1.bin": pack(sample.Train, 20),
		"data/test_batch.bin": pack(sample.Test, 8)})
}

// TestKilledAndInterruptedProcess kills the program in the midst of a run, again and again, interrupts it by Ctrl-C,
// and goes on each time. The run must end as one that was left alone. In the full suite it is killed 50 times.
func TestKilledAndInterruptedProcess(t *testing.T) {
	kills, epochs := 1, 4
	if slow.Wanted() {
		kills, epochs = 50, 60
	}
	dir := t.TempDir()
	writeData(t, dir)
	begin := func(out string) []string {
		return strings.Fields(
			fmt.Sprintf("train --data data --model resnet20 --recipe fast --batch 8 --resize 8 --eval-every "+
				"%d --epochs %d --checkpoint-every 1 --no-tune --out %s", epochs/2, epochs, out))
	}
	if code, _, stderr := run(t, dir, begin("whole")...); code != 0 {
		t.Fatalf("exit code %d\n%s", code, stderr)
	}

	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	folder := filepath.Join(dir, "run")
	args := begin("run")
	killed, within := 0, 0
	for steps := 3 * epochs; killed < kills; {
		p := start(t, dir, args...)
		target := 1 + killed*(steps-4)/kills + random.IntN(2)
		switch random.IntN(4) {
		case 0: // at any time, most likely while kernels are compiled
			p.until(reached(folder, target))
			time.Sleep(time.Duration(random.IntN(100)) * time.Millisecond)
		case 1: // between two checkpoints
			p.until(reached(folder, target))
		default: // within a checkpoint
			p.until(reached(folder, target))
			p.until(writing(folder))
			time.Sleep(time.Duration(random.IntN(5000)) * time.Microsecond)
		}
		if killed == 0 { // a second process is refused as long as the first one lives
			code, _, stderr := run(t, dir, "train", "--resume", "run")
			select {
			case <-p.ended:
			default:
				if code != exitOther || !strings.Contains(stderr, fmt.Sprintf("pid %d", p.Process.Pid)) {
					t.Errorf("a second process: exit code %d, %s", code, stderr)
				}
			}
		}
		if err := p.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
			t.Fatal(err)
		}
		<-p.ended
		switch status := p.ProcessState.Sys().(syscall.WaitStatus); {
		case status.Signaled():
			killed++
			if writing(folder)() {
				within++
			}
		case status.ExitStatus() != 0:
			t.Fatalf("exit code %d\n%s", status.ExitStatus(), p.stderr.String())
		default:
			t.Fatalf("the run was over after %d of %d kills", killed, kills)
		}
		args = []string{"train", "--resume", "run"}
	}
	t.Logf("killed %d times, %d of them within a checkpoint", killed, within)

	// Ctrl-C, or a terminal that goes away: the current step, a checkpoint, and the command that goes on. A signal that
	// the tests were told to ignore, as by nohup, a process begun by them would ignore as well, but not one that they
	// receive.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP)
	defer signal.Reset(syscall.SIGHUP)
	for _, stop := range []os.Signal{os.Interrupt, syscall.SIGHUP} {
		p := start(t, dir, args...)
		p.until(func() bool {
			return strings.Contains(fileText(filepath.Join(folder, train.LockFile)), fmt.Sprint(p.Process.Pid))
		})
		if err := p.Process.Signal(stop); err != nil {
			t.Fatal(err)
		}
		<-p.ended
		command := regexp.MustCompile(`ninvk (train --resume \S+)`).FindStringSubmatch(p.stderr.String())
		if p.ProcessState.ExitCode() != exitInterrupted || command == nil {
			t.Fatalf("%v: exit code %d\n%s", stop, p.ProcessState.ExitCode(), p.stderr.String())
		}
		args = strings.Fields(command[1])
	}
	if code, _, stderr := run(t, dir, args...); code != 0 {
		t.Fatalf("exit code %d\n%s", code, stderr)
	}
	same(t, filepath.Join(dir, "whole"), folder)

	// Settings that would make another run are refused, before an adapter is opened.
	for flags, want := range map[string][]string{
		"--batch 16":  {"16", "8"},
		"--seed 5":    {"5", "1"},
		"--model nin": {"nin", "resnet20"},
		"--epochs 1":  {"1", fmt.Sprint(epochs)},
		"--out other": {"other", "run"},
	} {
		code, _, stderr := run(t, dir, append([]string{"train", "--resume", "run"}, strings.Fields(flags)...)...)
		if code != exitUsage {
			t.Errorf("%s: exit code %d, want %d", flags, code, exitUsage)
		}
		for _, w := range want {
			if !strings.Contains(stderr, w) {
				t.Errorf("%s: %q does not name %s", flags, stderr, w)
			}
		}
	}
}

// TestFullFileSystem trains on a file system of memory that is too small, gives it room, and goes on. It needs a mount
// of its own.
func TestFullFileSystem(t *testing.T) {
	if out, err := exec.Command("unshare", "-Urm", "sh", "-c",
		"mount -t tmpfs -o size=1m none /mnt").CombinedOutput(); err != nil {
		t.Fatalf("this test mounts a file system of its own; allow user namespaces (sysctl "+
			"kernel.unprivileged_userns_clone=1), or run make test-full as root: %v: %s", err, out)
	}
	dir := t.TempDir()
	writeData(t, dir)
	if err := os.Mkdir(filepath.Join(dir, "small"), 0o755); err != nil {
		t.Fatal(err)
	}
	const settings = " train --data data --model nin-bn --recipe fast --batch 8 --resize 8 --dropout 0.5 --epochs 3 " +
		"--checkpoint-every 2 --out "
	if code, _, stderr := run(t, dir, strings.Fields(settings+"whole")...); code != 0 {
		t.Fatalf("exit code %d\n%s", code, stderr)
	}
	script := `mount -t tmpfs -o size=20m none small || exit 90
` + binary + settings + `small/run
test $? = 1 || exit 91
mount -o remount,size=200m small || exit 92
` + binary + ` train --resume small/run || exit 93
cp -r small/run resumed`
	c := exec.Command("unshare", "-Urm", "sh", "-c", script)
	c.Dir = dir
	out, err := c.CombinedOutput()
	if err != nil || !bytes.Contains(out, []byte("no space left on device; the last checkpoint is ")) {
		t.Fatalf("%v\n%s", err, out)
	}
	same(t, filepath.Join(dir, "whole"), filepath.Join(dir, "resumed"))
}
