package main

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"ninvk/bench"
	"ninvk/dist/mpitest"
	"ninvk/train"
)

// How often each fault comes, and the limit within which a rank that hangs is given up.
const (
	faults     = 10
	faultLimit = 10 * time.Second
)

// ranksEnvironment has each rank's driver compute by one thread: ranks that share cores would only wait for each other.
var ranksEnvironment = []string{"LP_NUM_THREADS=1"}

func launchersHere(t *testing.T) []mpitest.Launcher {
	t.Helper()
	return []mpitest.Launcher{mpitest.OpenMPI(t), mpitest.MPICH(t)}
}

// shardedRun is the flags of a run of so many epochs of three steps, the last of an epoch of half a batch.
func shardedRun(data string, epochs int) []string {
	return strings.Fields(fmt.Sprintf("train --data %s --model resnet20 --recipe fast --batch 8 --resize 8 --shards 4 "+
		"--eval-every %d --epochs %d --checkpoint-every 1 --no-tune", data, epochs, epochs))
}

// wholeRun is the folder of a run by one process, which those of several must equal.
func wholeRun(t *testing.T, dir string, epochs int) string {
	t.Helper()
	writeData(t, dir)
	if code, _, stderr := run(t, dir, append(shardedRun("data", epochs), "--out", "whole")...); code != 0 {
		t.Fatalf("exit code %d\n%s", code, stderr)
	}
	return filepath.Join(dir, "whole")
}

// lastStep is that of the newest checkpoint.
func lastStep(t *testing.T, folder string) int {
	t.Helper()
	step := -1
	for n := 0; reached(folder, n)(); n++ {
		step = n
	}
	return step
}

// TestRanks trains by one, two and four processes of either launcher, also in turns: weights and metrics are those of
// one process.
func TestRanks(t *testing.T) {
	const epochs = 7
	dir := t.TempDir()
	whole := wholeRun(t, dir, epochs)
	for _, l := range launchersHere(t) {
		for _, ranks := range []int{1, 2, 4} {
			t.Run(fmt.Sprint(l.Name, ranks), func(t *testing.T) {
				out := filepath.Join(t.TempDir(), "run")
				begun := time.Now()
				code, said := l.Start(t, ranks, dir, ranksEnvironment, binary,
					append(shardedRun("data", epochs), "--out", out)...).End(5 * time.Minute)
				if code != 0 {
					t.Fatalf("exit code %d\n%s", code, said)
				}
				if n := strings.Count(said, "finished "); n != 1 {
					t.Errorf("%d ranks say what the run came to:\n%s", n, said)
				}
				t.Logf("%v with start-up", time.Since(begun).Round(100*time.Millisecond))
				same(t, whole, out)
			})
		}
	}
	t.Run("in turns", func(t *testing.T) {
		l, out := mpitest.OpenMPI(t), filepath.Join(t.TempDir(), "run")
		args := append(shardedRun("data", epochs), "--out", out)
		for i, ranks := range []int{2, 1, 4, 2} {
			j := l.Start(t, ranks, dir, ranksEnvironment, binary, args...)
			want := 0
			if i < 3 {
				j.Until("it got on", reached(out, 4*i+2))
				if err := j.Process.Signal(syscall.SIGUSR1); err != nil {
					t.Fatal(err)
				}
				want = exitInterrupted
			}
			if code, said := j.End(5 * time.Minute); code != want {
				t.Fatalf("%d ranks: exit code %d\n%s", ranks, code, said)
			}
			args = []string{"train", "--resume", out}
		}
		same(t, whole, out)
	})
}

// fault is something that comes upon a run of two ranks.
type fault struct {
	name   string
	do     func(t *testing.T, j *mpitest.Job, n int)
	codes  []int         // of which the launcher gives one
	within time.Duration // until all has ended
	says   []string
	saves  bool     // the step under way is finished and saved
	flags  []string // of the run
}

// TestFaultsOfRanks has each fault come upon a run, again and again: all ranks end in time, no step that was said to be
// saved is lost, nothing goes on, and in the end the run equals that of one process that was left alone.
func TestFaultsOfRanks(t *testing.T) {
	const epochs = 4 * faults // each goes on for a few steps, on a fast machine for ten
	dir := t.TempDir()
	whole := wholeRun(t, dir, epochs)
	signal := func(pid func(j *mpitest.Job, n int) int, s syscall.Signal) func(*testing.T, *mpitest.Job, int) {
		return func(t *testing.T, j *mpitest.Job, n int) {
			if err := syscall.Kill(pid(j, n), s); err != nil {
				t.Fatal(err)
			}
		}
	}
	rank := func(j *mpitest.Job, n int) int { return j.Rank(n % 2) }
	launcher := func(j *mpitest.Job, n int) int { return j.Process.Pid }
	const resume = "train --resume"
	for _, l := range launchersHere(t) {
		for _, f := range []fault{
			{"rank killed", signal(rank, syscall.SIGKILL), []int{137, 9}, 10 * time.Second, []string{resume}, false, nil},
			{"rank stopped", signal(rank, syscall.SIGSTOP), []int{exitLost}, faultLimit + 10*time.Second,
				[]string{"has not answered rank", resume}, false, []string{"--distributed-timeout", faultLimit.String()}},
			// MPICH's launcher, having passed on a signal, gives its ranks' code or 0.
			{"SIGUSR1 to the launcher", signal(launcher, syscall.SIGUSR1), []int{exitInterrupted, 0}, 30 * time.Second,
				[]string{"interrupted after step", resume}, true, nil},
			{"SIGTERM to the launcher", signal(launcher, syscall.SIGTERM), []int{exitInterrupted, 1, 143, 0},
				30 * time.Second, []string{resume}, false, nil},
			{"SIGTERM to a rank", signal(rank, syscall.SIGTERM), []int{exitInterrupted}, 30 * time.Second,
				[]string{"interrupted after step", resume}, true, nil},
		} {
			t.Run(l.Name+" "+f.name, func(t *testing.T) {
				out := filepath.Join(t.TempDir(), "run")
				args := append(append(shardedRun("data", epochs), "--out", out), f.flags...)
				var took []time.Duration
				for n := range faults {
					j := l.Start(t, 2, dir, ranksEnvironment, binary, args...)
					target := max(lastStep(t, out)+1, 1)
					j.Until("it got on", reached(out, target))
					saved := lastStep(t, out)
					begun := time.Now()
					f.do(t, j, n)
					code, said := j.End(f.within)
					took = append(took, time.Since(begun).Round(time.Millisecond))
					if !slices.Contains(f.codes, code) || code == 0 && !strings.Contains(said, "interrupted after step") {
						t.Fatalf("exit code %d\n%s", code, said)
					}
					for _, s := range f.says {
						if !strings.Contains(said, s) {
							t.Fatalf("%q is missing in:\n%s", s, said)
						}
					}
					now := lastStep(t, out)
					if now < saved {
						t.Fatalf("step %d was saved, the newest checkpoint is of step %d", saved, now)
					}
					if m := regexp.MustCompile(`interrupted after step (\d+)`).FindStringSubmatch(said); f.saves &&
						(m == nil || m[1] != fmt.Sprint(now)) {
						t.Fatalf("the newest checkpoint is of step %d:\n%s", now, said)
					}
					args = append([]string{"train", "--resume", out}, f.flags...)
				}
				code, said := l.Start(t, 2, dir, ranksEnvironment, binary, args...).End(5 * time.Minute)
				if code != 0 {
					t.Fatalf("the last resume: exit code %d\n%s", code, said)
				}
				same(t, whole, out)
				slices.Sort(took)
				t.Logf("%d times; over after %v to %v, median %v", faults, took[0], took[faults-1], took[faults/2])
			})
		}
	}
}

// TestFullDiskOfRanks fills the disk of rank 0 at ten moments of a run. It needs mounts of its own.
func TestFullDiskOfRanks(t *testing.T) {
	if out, err := exec.Command("unshare", "-Urm", "sh", "-c", "mount -t tmpfs -o size=1m none /mnt").
		CombinedOutput(); err != nil {
		t.Fatalf("this test mounts file systems of its own; allow user namespaces (sysctl "+
			"kernel.unprivileged_userns_clone=1), or run make test-full as root: %v: %s", err, out)
	}
	const epochs = 4
	dir := t.TempDir()
	whole := wholeRun(t, dir, epochs)
	for _, name := range []string{"small", "resumed"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	l := mpitest.OpenMPI(t)
	flags := strings.Join(shardedRun("data", epochs), " ")
	for n := range faults {
		// What the run may take grows from less than two checkpoints and a plot on.
		script := fmt.Sprintf(`mount -t tmpfs -o size=%dk none small || exit 90
"$@" %s %s --out small/run
test $? = 1 || exit 91
mount -o remount,size=200m small || exit 92
"$@" %s train --resume small/run || exit 93
rm -rf resumed && cp -r small/run resumed`, 4600+350*n, binary, flags, binary)
		j := l.StartBy(t, []string{"unshare", "-Urm", "sh", "-c", script, "sh"}, 2, dir, ranksEnvironment)
		code, said := j.End(5 * time.Minute)
		if code != 0 || !strings.Contains(said, "no space left on device; the last checkpoint is ") {
			t.Fatalf("run %d: exit code %d\n%s", n, code, said)
		}
		same(t, whole, filepath.Join(dir, "resumed"))
	}
}

// TestOtherDataOfARank gives rank 1 other data, as a machine may have whose copy is old.
func TestOtherDataOfARank(t *testing.T) {
	dir := t.TempDir()
	writeData(t, dir)
	if err := os.CopyFS(filepath.Join(dir, "data1"), os.DirFS(filepath.Join(dir, "data"))); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(dir, "data"), filepath.Join(dir, "data0")); err != nil {
		t.Fatal(err)
	}
	batch := filepath.Join(dir, "data1", "data_batch_1.bin")
	b, err := os.ReadFile(batch)
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range launchersHere(t) {
		for n := range faults {
			b[100+n]++ // of the first image
			if err := os.WriteFile(batch, b, 0o644); err != nil {
				t.Fatal(err)
			}
			args := []string{"-c", `exec "$0" "$@" --data data${OMPI_COMM_WORLD_RANK-$PMI_RANK}`, binary}
			code, said := l.Start(t, 2, dir, ranksEnvironment, "sh", append(append(args, shardedRun("none", 2)...),
				"--out", "run")...).End(time.Minute)
			if code != exitUsage || !strings.Contains(said, "rank 1 has another data (SHA-256) than rank 0") {
				t.Fatalf("%s: exit code %d\n%s", l.Name, code, said)
			}
			if _, err := os.Stat(filepath.Join(dir, "run", train.MetricsFile)); err == nil {
				t.Fatalf("%s: the run has begun", l.Name)
			}
		}
	}
}

// TestRanksOnTwoMachines trains by two ranks, each with a machine's name and address of its own, over a line of 1
// Gbit/s and 10 ms: weights and metrics are those of one process.
func TestRanksOnTwoMachines(t *testing.T) {
	dir := t.TempDir()
	writeData(t, dir)
	flags := strings.Fields("train --data data --model nin-bn --recipe fast --batch 8 --resize 8 --shards 2 --epochs 2 " +
		"--no-tune --out")
	if code, _, stderr := run(t, dir, append(slices.Clone(flags), "whole")...); code != 0 {
		t.Fatalf("exit code %d\n%s", code, stderr)
	}
	for _, l := range launchersHere(t) {
		out := filepath.Join(t.TempDir(), "run")
		code, said := l.StartOnTwo(t, mpitest.Line{Rate: 1000, Delay: 10}, dir, ranksEnvironment, binary,
			append(slices.Clone(flags), out)...).End(5 * time.Minute)
		if code != 0 {
			t.Fatalf("%s: exit code %d\n%s", l.Name, code, said)
		}
		same(t, filepath.Join(dir, "whole"), out)
	}
}

// TestForecast compares what bench forecasts of two ranks, each on a machine of its own, with what they take: the step,
// and over a line that slows it down what the exchange adds to it. The machine below both is one, and others use it:
// one of three tries has to be right.
func TestForecast(t *testing.T) {
	for _, l := range launchersHere(t) {
		for _, line := range []mpitest.Line{{}, {Rate: 1000, Delay: 10}} {
			t.Run(fmt.Sprint(l.Name, line.Rate), func(t *testing.T) {
				const tries, allowed = 3, 0.3
				for range tries {
					code, said := l.StartOnTwo(t, line, t.TempDir(), ranksEnvironment, binary, "bench", "--distributed",
						"--model", "nin-bn", "--size", "8", "--batch", "8", "--json").End(5 * time.Minute)
					begin, end := strings.Index(said, "{"), strings.LastIndex(said, "}")
					if code != 0 || begin < 0 {
						t.Fatalf("exit code %d\n%s", code, said)
					}
					var got bench.Exchanged
					if err := json.Unmarshal([]byte(said[begin:end+1]), &got); err != nil {
						t.Fatalf("%v\n%s", err, said)
					}
					if got.Ranks != 2 || len(got.Forecasts) == 0 || got.Forecasts[0].Ranks != 2 {
						t.Fatalf("%+v", got)
					}
					two := got.Forecasts[0]
					off := two.Step/got.Step - 1
					t.Logf("%s computing %.1f ms, waiting %.1f, exchange %.1f (forecast %.1f), step %.1f (forecast %.1f: %+.0f %%), "+
						"%.1f images/s; latency %.2f ms, %.0f MB/s", said[:max(strings.Index(said, "\n"), 0)], got.Computing,
						got.Waiting, got.Exchange, two.Exchange, got.Step, two.Step, 100*off, got.Images, got.Latency,
						got.Bandwidth/1e6)
					added := two.Exchange/got.Exchange - 1
					if math.Abs(off) <= allowed && (line.Rate == 0 || math.Abs(added) <= allowed) {
						return
					}
				}
				t.Errorf("%d forecasts are off by more than %.0f %%", tries, 100*allowed)
			})
		}
	}
}
