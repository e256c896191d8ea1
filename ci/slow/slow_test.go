package slow

import (
	"os"
	"os/exec"
	"regexp"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestMain(m *testing.M) { os.Exit(Run(m, "TestTried")) }

// TestTried is what TestRun looks for.
func TestTried(t *testing.T) { t.Log("it ran") }

// The tests of this package run once more, with and without what asks for the slow one.
func TestRun(t *testing.T) {
	const child = "NINVK_TEST_SLOW"
	if os.Getenv(child) != "" { // as a part of itself it need not run again
		return
	}
	for _, c := range []struct {
		full string
		args []string
		ran  []string
	}{
		{"", nil, []string{"TestRun", "TestPattern"}},
		{"1", nil, []string{"TestTried", "TestRun", "TestPattern"}},
		{"", []string{"-test.run=^TestTried$"}, []string{"TestTried"}},
		{"", []string{"-test.run=^Test"}, []string{"TestRun", "TestPattern"}},
		{"", []string{"-test.skip=Run"}, []string{"TestPattern"}},
		{"1", []string{"-test.skip=Run"}, []string{"TestTried", "TestPattern"}},
	} {
		cmd := exec.Command(os.Args[0], append(c.args, "-test.v")...)
		cmd.Env = append(os.Environ(), "NINVK_FULL="+c.full, child+"=1")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		var ran []string
		for _, m := range regexp.MustCompile(`(?m)^--- PASS: (\w+) `).FindAllSubmatch(out, -1) {
			ran = append(ran, string(m[1]))
		}
		if diff := cmp.Diff(c.ran, ran); diff != "" {
			t.Errorf("NINVK_FULL=%q %q ran (-want +got):\n%s", c.full, c.args, diff)
		}
		said := regexp.MustCompile(`left to make test-full.*: TestTried\n`).Match(out)
		if said == slices.Contains(ran, "TestTried") {
			t.Errorf("NINVK_FULL=%q %q: %s", c.full, c.args, out)
		}
	}
}

func TestPattern(t *testing.T) {
	if got, want := pattern("A/b", []string{"TestC", "TestD"}), "A/b|^TestC$|^TestD$"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got, want := pattern("", []string{"TestC"}), "^TestC$"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
