//go:build linux

// Package mpitest starts programs by the launchers of MPI, for tests alone. They are those of Open MPI and MPICH, as on
// one machine or two.
package mpitest

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Launcher is one of MPI's.
type Launcher struct {
	Name    string
	Library string // that goes with it, as NINVK_MPI takes it

	command []string // what comes before the number of ranks
	env     []string
	rank    string   // the variable that tells a process its rank
	hosts   []string // flags that start the ranks on two hosts through an agent
	line    []string // variables by which nothing but the line between the hosts is used
}

// OpenMPI is mpirun, of Debian's openmpi-bin.
func OpenMPI(t testing.TB) Launcher {
	t.Helper()
	path, err := exec.LookPath("mpirun.openmpi")
	if err != nil {
		t.Fatalf("%v; ci/setup.sh full installs Open MPI", err)
	}
	return Launcher{
		Name: "Open MPI", Library: "libmpi.so.40", rank: "OMPI_COMM_WORLD_RANK",
		command: []string{path, "--bind-to", "none", "--oversubscribe", "-n"},
		env:     []string{"OMPI_ALLOW_RUN_AS_ROOT=1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1"},
		hosts:   []string{"--host", hostA + "," + hostB, "--mca", "plm_rsh_agent", "AGENT", "--mca", "btl", "tcp,self"},
	}
}

// MPICH is mpiexec, of the packages that ci/setup.sh full unpacks into the user's cache.
func MPICH(t testing.TB) Launcher {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	root := filepath.Join(cache, "ninvk", "mpich", "usr")
	library, err := filepath.Glob(filepath.Join(root, "lib", "*", "libmpich.so.12"))
	if err != nil || len(library) != 1 {
		t.Fatalf("no MPICH in %s; ci/setup.sh full unpacks it there", root)
	}
	return Launcher{
		Name: "MPICH", Library: library[0], rank: "PMI_RANK",
		command: []string{filepath.Join(root, "bin", "mpiexec.hydra"), "-n"},
		env:     []string{"LD_LIBRARY_PATH=" + filepath.Dir(library[0])},
		hosts:   []string{"-hosts", hostA + "," + hostB, "-launcher-exec", "AGENT"},
		line:    []string{"UCX_TLS=tcp,self", "UCX_NET_DEVICES=line"}, // it knows that both are one machine
	}
}

// mark is the environment variable by which the processes of a job are known.
const mark = "NINVK_TEST_JOB"

var jobs struct {
	sync.Mutex
	n int
}

// Job is a program that a launcher started, or was to.
type Job struct {
	*exec.Cmd // the launcher's

	t        testing.TB
	launcher Launcher
	program  string
	id       string
	out      output
	ended    chan struct{}
	seen     map[int]string // processes that were there, by when they began
}

// output is what all ranks and the launcher say.
type output struct {
	sync.Mutex
	bytes.Buffer
}

func (o *output) Write(b []byte) (int, error) {
	o.Lock()
	defer o.Unlock()
	return o.Buffer.Write(b)
}

// Start starts so many ranks of a program in dir, with env beside this process's environment.
func (l Launcher) Start(t testing.TB, ranks int, dir string, env []string, program string, args ...string) *Job {
	t.Helper()
	all := append(append(l.command[1:len(l.command):len(l.command)], strconv.Itoa(ranks), program), args...)
	return l.start(t, dir, env, program, exec.Command(l.command[0], all...))
}

// StartBy starts a program whose arguments are followed by the launcher's, with the number of ranks: a script may
// launch as "$@" PROGRAM.
func (l Launcher) StartBy(t testing.TB, by []string, ranks int, dir string, env []string) *Job {
	t.Helper()
	all := append(append(by[1:len(by):len(by)], l.command...), strconv.Itoa(ranks))
	return l.start(t, dir, env, "", exec.Command(by[0], all...))
}

func (l Launcher) start(t testing.TB, dir string, env []string, program string, c *exec.Cmd) *Job {
	t.Helper()
	jobs.Lock()
	jobs.n++
	j := &Job{Cmd: c, t: t, launcher: l, program: program, id: fmt.Sprintf("%d-%d", os.Getpid(), jobs.n),
		ended: make(chan struct{}), seen: map[int]string{}}
	jobs.Unlock()
	c.Dir, c.Stdout, c.Stderr = dir, &j.out, &j.out
	c.Env = append(append(append(os.Environ(), l.env...), env...), mark+"="+j.id)
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	c.WaitDelay = 10 * time.Second
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		c.Wait() // its exit code is asked for later
		close(j.ended)
	}()
	t.Cleanup(j.kill)
	return j
}

// Said is what was said so far.
func (j *Job) Said() string {
	j.out.Lock()
	defer j.out.Unlock()
	return j.out.String()
}

// Ended is closed when the launcher has ended.
func (j *Job) Ended() <-chan struct{} { return j.ended }

// End waits until the launcher has ended, and then that nothing it started goes on; it gives the exit code and what was
// said. What takes longer than the limit fails the test.
func (j *Job) End(limit time.Duration) (code int, said string) {
	j.t.Helper()
	select {
	case <-j.ended:
	case <-time.After(limit):
		left := j.processes()
		j.kill()
		j.t.Fatalf("%s did not end within %v; there were still %v; it said:\n%s", j.launcher.Name, limit, left, j.Said())
	}
	// The launcher ends when its ranks have, or have been sent a signal that ends them.
	const moment = 5 * time.Second
	for begun := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		left := j.processes()
		if len(left) == 0 && !j.ending() {
			break
		}
		if time.Since(begun) > moment {
			j.kill()
			j.t.Fatalf("%v after %s ended there are still %v; it said:\n%s", moment, j.launcher.Name, left, j.Said())
		}
	}
	return j.ProcessState.ExitCode(), j.Said()
}

// Rank is the process of a rank, once it runs the program.
func (j *Job) Rank(rank int) int {
	j.t.Helper()
	for begun := time.Now(); time.Since(begun) < time.Minute; time.Sleep(5 * time.Millisecond) {
		for pid, p := range j.processes() {
			if p.rank == strconv.Itoa(rank) && p.program == j.program {
				return pid
			}
		}
		select {
		case <-j.ended:
			j.t.Fatalf("%s ended before there was a rank %d:\n%s", j.launcher.Name, rank, j.Said())
		default:
		}
	}
	j.t.Fatalf("there is no rank %d:\n%s", rank, j.Said())
	return 0
}

// Until waits until something is so.
func (j *Job) Until(what string, so func() bool) {
	j.t.Helper()
	for begun := time.Now(); !so(); time.Sleep(2 * time.Millisecond) {
		select {
		case <-j.ended:
			j.t.Fatalf("%s ended before %s:\n%s", j.launcher.Name, what, j.Said())
		default:
		}
		if time.Since(begun) > 2*time.Minute {
			j.t.Fatalf("not after two minutes: %s:\n%s", what, j.Said())
		}
	}
	j.processes() // so that End waits for all of them
}

// process is one of a job's.
type process struct{ program, rank string }

// processes are those of the job that are there, zombies apart.
func (j *Job) processes() map[int]process {
	out := map[int]process{}
	folders, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		j.t.Fatal(err)
	}
	for _, f := range folders {
		env, err := os.ReadFile(filepath.Join(f, "environ"))
		if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ESRCH) && // gone, or
			!errors.Is(err, fs.ErrPermission) { // somebody else's
			j.t.Fatal(err)
		}
		var p process
		ours := false
		for _, v := range strings.Split(string(env), "\x00") {
			name, value, _ := strings.Cut(v, "=")
			switch name {
			case mark:
				ours = value == j.id
			case j.launcher.rank:
				p.rank = value
			}
		}
		if !ours {
			continue
		}
		if p.program, err = os.Readlink(filepath.Join(f, "exe")); err != nil {
			continue // gone
		}
		pid, err := strconv.Atoi(filepath.Base(f))
		if err != nil {
			j.t.Fatal(err)
		}
		out[pid] = p
		if _, began := stat(pid); began != "" {
			j.seen[pid] = began
		}
	}
	return out
}

// ending says whether a process that was there has not gone yet: one that ends gives its memory back first, with which
// its environment is gone, and its locks on files later.
func (j *Job) ending() bool {
	for pid, began := range j.seen {
		state, now := stat(pid)
		if now != began {
			continue
		}
		// A zombie may have threads that still end.
		if threads, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid)); state != "Z" || err == nil && len(threads) > 1 {
			return true
		}
	}
	return false
}

// stat is the state of a process, and when it began; empty if there is none.
func stat(pid int) (state, began string) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "", ""
	}
	// what is behind the program's name, which may have anything in it: see proc(5)
	f := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	if len(f) < 20 {
		return "", ""
	}
	return f[0], f[19]
}

// kill ends what is left.
func (j *Job) kill() {
	for pid := range j.processes() {
		syscall.Kill(pid, syscall.SIGKILL)
	}
	<-j.ended
}
