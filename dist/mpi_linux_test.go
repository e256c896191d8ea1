//go:build cgo

package dist

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ninvk/dist/mpitest"
)

// What ranks do. They leave the group in the end, but for those that come to another.
func init() {
	roles["sums"] = func() {
		g := join(20 * time.Second)
		sums(g)
		leave(g)
	}
	roles["wait"] = func() {
		g := join(20 * time.Second)
		part := &struct { // what is summed may be part of an object that has addresses in it
			name *string
			v    [1]float32
		}{new(string), [1]float32{1}}
		v := part.v[:]
		must(g, Sum(g, v)) // the first message finds the way
		if g.Rank() == g.Size()-1 {
			time.Sleep(waited)
		}
		before := processor()
		must(g, Sum(g, v))
		if g.Rank() == 0 {
			fmt.Printf("waiting took %v of the processor's time\n", processor()-before)
		}
		leave(g)
	}
	roles["handlers"] = func() { // Go's handlers of faults are still there
		g := join(20 * time.Second)
		func() {
			defer func() { fmt.Println("recovered:", recover()) }()
			var none *int
			*none = 1
		}()
		leave(g)
	}
	roles["line"] = func() {
		g := join(20 * time.Second)
		link, err := Measure(g, []Message{{4 << 20, 300 * time.Millisecond}})
		must(g, err)
		v := make([]float32, 4<<20/4)
		var took []time.Duration
		for range 15 {
			time.Sleep(300 * time.Millisecond)
			_, err := g.Gather(nil)
			must(g, err)
			begun := time.Now()
			must(g, Sum(g, v))
			took = append(took, time.Since(begun))
		}
		slices.Sort(took)
		sums(g)
		name, err := os.Hostname()
		must(g, err)
		fmt.Printf("on %s: rank %d, local %d; latency %v, %.0f MB/s; 4 MiB took %v, forecast %v\n", name, g.Rank(),
			g.Local(), link.Latency, link.Bandwidth/1e6, took[len(took)/2], link.Sum(4<<20, 2))
		leave(g)
	}
	// The last rank comes to an end in the midst of sums.
	for name, end := range map[string]func(g Group){
		"killed":  func(g Group) { syscall.Kill(os.Getpid(), syscall.SIGKILL) },
		"stopped": func(g Group) { syscall.Kill(os.Getpid(), syscall.SIGSTOP) },
		"exits":   func(g Group) { os.Exit(5) },
		"aborts":  func(g Group) { g.Abort(6) },
		"away":    func(g Group) { time.Sleep(time.Hour) },
	} {
		roles[name] = func() {
			g := join(limit)
			v := make([]float32, 1e5)
			for i := 0; ; i++ {
				if i == 20 && g.Rank() == g.Size()-1 {
					fmt.Printf("ends at %d\n", time.Now().UnixMilli())
					end(g)
				}
				must(g, Sum(g, v))
			}
		}
	}
}

const (
	limit  = 10 * time.Second // of groups whose ranks hang, and the time to begin
	waited = 3 * time.Second
)

func join(limit time.Duration) Group {
	g, err := MPI("", limit)
	if err != nil {
		fmt.Println("cannot begin:", err)
		os.Exit(2)
	}
	return g
}

func must(g Group, err error) {
	if err == nil {
		return
	}
	fmt.Printf("rank %d failed: %v\n", g.Rank(), err)
	code := 1
	if f := (*Failure)(nil); errors.As(err, &f) {
		code = f.Code
	}
	g.Abort(code)
}

func leave(g Group) { must(g, g.Close()) }

func processor() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// sums compares sums of many lengths with those of the tree, gathers, and says a checksum of all that came out.
func sums(g Group) {
	all := sha256.New()
	for _, n := range []int{0, 1, 3, 1000, atATime + 1, 974_000, 17*atATime + 5} {
		parts := make([][]float32, g.Size())
		for r := range parts {
			parts[r] = part(r, n)
		}
		v := slices.Clone(parts[g.Rank()])
		w := []float32{float32(g.Rank() + 1)}
		p, err := g.Begin(v)
		must(g, err)
		q, err := g.Begin(w)
		must(g, err)
		must(g, errors.Join(p.Wait(), q.Wait()))
		if !slices.EqualFunc(tree(parts), v, sameBits) || w[0] != float32(g.Size()*(g.Size()+1)/2) {
			must(g, fmt.Errorf("the sum of %d numbers is wrong", n))
		}
		all.Write(asBytes(v))
	}
	got, err := g.Gather(bytes.Repeat([]byte{byte(g.Rank())}, 1000*g.Rank()))
	must(g, err)
	for r, b := range got {
		if !bytes.Equal(b, bytes.Repeat([]byte{byte(r)}, 1000*r)) {
			must(g, fmt.Errorf("rank %d's bytes are wrong", r))
		}
	}
	v := make([]float32, 1e5)
	if n := testing.AllocsPerRun(200, func() { must(g, Sum(g, v)) }); n >= 1 {
		must(g, fmt.Errorf("%v allocations a sum", n))
	}
	fmt.Printf("rank %d of %d, local %d: %x\n", g.Rank(), g.Size(), g.Local(), all.Sum(nil))
}

// launch runs this program as ranks that do what the role says, with an environment that the launcher doesn't have.
func launch(t *testing.T, l mpitest.Launcher, ranks int, role string, env ...string) (code int, said string) {
	t.Helper()
	args := append(append(env, roleVariable+"="+role), os.Args[0])
	return l.Start(t, ranks, t.TempDir(), nil, "env", args...).End(2 * time.Minute)
}

func launchersHere(t *testing.T) []mpitest.Launcher {
	t.Helper()
	return []mpitest.Launcher{mpitest.OpenMPI(t), mpitest.MPICH(t)}
}

// Sums have the bits of the tree, whichever the library and the number of ranks, and nobody need say which library it
// is.
func TestSumsByMPI(t *testing.T) {
	for _, l := range launchersHere(t) {
		for _, ranks := range []int{1, 2, 4} {
			t.Run(fmt.Sprint(l.Name, ranks), func(t *testing.T) {
				code, said := launch(t, l, ranks, "sums")
				lines := regexp.MustCompile(`(?m)^rank (\d) of (\d), local (\d): ([0-9a-f]{64})$`).FindAllStringSubmatch(said, -1)
				if code != 0 || len(lines) != ranks {
					t.Fatalf("exit code %d:\n%s", code, said)
				}
				for _, m := range lines {
					if m[2] != strconv.Itoa(ranks) || m[1] != m[3] || m[4] != lines[0][4] {
						t.Errorf("%s", said)
					}
				}
			})
		}
		t.Run(l.Name+" waits", func(t *testing.T) {
			code, said := launch(t, l, 2, "wait")
			m := regexp.MustCompile(`waiting took (\S+) of`).FindStringSubmatch(said)
			if code != 0 || m == nil {
				t.Fatalf("exit code %d:\n%s", code, said)
			}
			took, err := time.ParseDuration(m[1])
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("waiting for %v took %v of the processor's time", waited, took)
			if took > waited/8 {
				t.Error("that is more than an eighth")
			}
		})
		t.Run(l.Name+" handlers", func(t *testing.T) {
			code, said := launch(t, l, 2, "handlers")
			if code != 0 || strings.Count(said, "recovered: runtime error: invalid memory address") != 2 {
				t.Errorf("exit code %d:\n%s", code, said)
			}
		})
	}
}

// A rank that dies, hangs or ends all is the end of all, with its exit code where it has one, within the limit, and
// nothing is left running.
func TestRanksEnd(t *testing.T) {
	for _, l := range launchersHere(t) {
		for _, c := range []struct {
			role   string
			codes  []int // of which the launcher gives one
			within time.Duration
			says   string
		}{
			// MPICH gives the signal's own number, and perhaps that of the signal by which it ends the others.
			{"killed", []int{137, 9}, 15 * time.Second, ""},
			{"exits", []int{5, 9}, 15 * time.Second, ""},
			{"aborts", []int{6}, 15 * time.Second, ""},
			{"stopped", []int{LostCode}, limit + 15*time.Second, "has not answered rank"},
			{"away", []int{LostCode}, limit + 15*time.Second, "has not answered rank"},
		} {
			for _, ranks := range []int{2, 4} {
				t.Run(fmt.Sprint(l.Name, c.role, ranks), func(t *testing.T) {
					code, said := launch(t, l, ranks, c.role)
					ended := time.Now()
					m := regexp.MustCompile(`ends at (\d+)`).FindStringSubmatch(said)
					if m == nil || !slices.Contains(c.codes, code) || !strings.Contains(said, c.says) {
						t.Fatalf("exit code %d:\n%s", code, said)
					}
					at, err := strconv.ParseInt(m[1], 10, 64)
					if err != nil {
						t.Fatal(err)
					}
					took := ended.Sub(time.UnixMilli(at))
					t.Logf("over %v after the end of a rank, exit code %d", took.Round(time.Millisecond), code)
					if took > c.within {
						t.Errorf("it took %v until all had ended, more than %v", took, c.within)
					}
				})
			}
		}
	}
}

// A library that doesn't go with the launcher would leave each rank alone; it is an error that says so.
func TestWrongLibrary(t *testing.T) {
	open, other := mpitest.OpenMPI(t), mpitest.MPICH(t)
	for _, c := range []struct {
		name  string
		l     mpitest.Launcher
		ranks int
		env   []string
		says  []string
	}{
		{"MPICH's by mpirun", open, 2, []string{LibraryVariable + "=" + other.Library},
			[]string{other.Library, "it is MPICH's kind, which does not go with Open MPI's mpirun"}},
		{"Open MPI's by mpiexec", other, 2, []string{LibraryVariable + "=" + open.Library},
			[]string{open.Library, "it is Open MPI, which does not go with MPICH's mpiexec"}},
		{"none for mpiexec", other, 2, []string{"LD_LIBRARY_PATH=" + filepath.Dir(other.Library) + "/none", "PATH=/nowhere"},
			[]string{"MPICH's mpiexec started this process as one of 2, but no library of MPI is here that goes with it",
				"libmpich12"}},
		{"three ranks", open, 3, nil, []string{"Open MPI's mpirun started 3 ranks; a power of two is needed (2 or 4)"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			code, said := launch(t, c.l, c.ranks, "sums", c.env...)
			if code != 2 {
				t.Errorf("exit code %d", code)
			}
			for _, s := range c.says {
				if !strings.Contains(said, s) {
					t.Errorf("%q is missing in:\n%s", s, said)
				}
			}
		})
	}
}

// A library with the ABI of the standard, which is made of each of the others, as none is in Debian 12.
func TestStandardABI(t *testing.T) {
	dir := t.TempDir()
	library := filepath.Join(dir, "libmpi_abi.so.0")
	if out, err := exec.Command("gcc", "-shared", "-fPIC", "-Wall", "-Werror", "-o", library, "testdata/abi.c",
		"-ldl").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, l := range launchersHere(t) {
		code, said := launch(t, l, 2, "sums", LibraryVariable+"="+library, "NINVK_ABI_OVER="+l.Library)
		if code != 0 || strings.Count(said, "the standard's ABI is used") != 2 ||
			!regexp.MustCompile(`(?m)^rank 1 of 2, local 1: `).MatchString(said) {
			t.Errorf("%s: exit code %d:\n%s", l.Name, code, said)
		}
	}
}

// Two machines with a line between them that is slow, or is far: same bits, and a forecast that holds.
func TestTwoMachines(t *testing.T) {
	for _, l := range launchersHere(t) {
		for _, line := range []mpitest.Line{{}, {Rate: 1000, Delay: 10}} {
			t.Run(fmt.Sprint(l.Name, line.Rate), func(t *testing.T) {
				job := l.StartOnTwo(t, line, t.TempDir(), []string{roleVariable + "=line"}, os.Args[0])
				code, said := job.End(3 * time.Minute)
				if code != 0 {
					t.Fatalf("exit code %d:\n%s", code, said)
				}
				var sums []string
				for _, m := range regexp.MustCompile(`(?m)^rank \d of 2, local 0: (\S+)$`).FindAllStringSubmatch(said, -1) {
					sums = append(sums, m[1])
				}
				if len(sums) != 2 || sums[0] != sums[1] {
					t.Errorf("sums %q", sums)
				}
				var on []string
				for _, m := range regexp.MustCompile(`(?m)^on (\w): rank (\d).*took (\S+), forecast (\S+)$`).
					FindAllStringSubmatch(said, -1) {
					on = append(on, m[1]+m[2])
					took, err1 := time.ParseDuration(m[3])
					forecast, err2 := time.ParseDuration(m[4])
					if err := errors.Join(err1, err2); err != nil {
						t.Fatal(err)
					}
					off := float64(took)/float64(forecast) - 1
					if line.Rate > 0 && (off > 0.3 || off < -0.3) { // else it is the machine that limits, and others use it too
						t.Errorf("a sum took %v, forecast were %v: off by %.0f %%", took, forecast, 100*off)
					}
				}
				slices.Sort(on)
				if diff := cmp.Diff([]string{"a0", "b1"}, on); diff != "" {
					t.Errorf("machines and ranks (-want +got):\n%s", diff)
				}
				t.Log(said)
			})
		}
	}
}
