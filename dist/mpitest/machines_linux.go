package mpitest

import (
	_ "embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// The addresses of the two machines that StartOnTwo makes.
const (
	hostA = "10.77.0.1"
	hostB = "10.77.0.2"
)

//go:embed machines.sh
var machines []byte

// Line is what joins the two machines.
type Line struct {
	Rate  int // Mbit/s each way; 0 for no limit
	Delay int // ms each way
}

// StartOnTwo starts two ranks of a program as on two machines: network namespaces with names of their own, joined by a
// line. The machines are there as long as the job. What the line is really like is a line "line: ..." that the job
// says.
func (l Launcher) StartOnTwo(t testing.TB, line Line, dir string, env []string, program string, args ...string) *Job {
	t.Helper()
	if out, err := exec.Command("unshare", "-Urnm", "true").CombinedOutput(); err != nil {
		t.Fatalf("this test makes network namespaces; allow user namespaces (sysctl kernel.unprivileged_userns_clone=1), "+
			"or run make test-full as root: %v: %s", err, out)
	}
	script := filepath.Join(t.TempDir(), "machines.sh")
	if err := os.WriteFile(script, machines, 0o755); err != nil {
		t.Fatal(err)
	}
	test, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	relay := filepath.Join(filepath.Dir(script), "relay")
	if err := os.WriteFile(relay, fmt.Appendf(nil, "#!/bin/sh\nexec env %s=1 %s \"$@\"\n", relayVariable, test),
		0o755); err != nil {
		t.Fatal(err)
	}
	all := []string{"-Urnm", "--uts", script, hostA, hostB, strconv.Itoa(line.Rate), strconv.Itoa(line.Delay),
		l.command[0]}
	for _, f := range l.hosts {
		all = append(all, strings.ReplaceAll(f, "AGENT", script+".agent"))
	}
	all = append(all, append(append(l.command[1:len(l.command):len(l.command)], "2", program), args...)...)
	env = append(append(l.line[:len(l.line):len(l.line)], "RELAY="+relay), env...)
	return l.start(t, dir, env, program, exec.Command("unshare", all...))
}
