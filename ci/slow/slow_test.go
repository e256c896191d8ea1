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
		{"", nil, []string{"TestRun", "TestLeftOut", "TestPattern"}},
		{"1", nil, []string{"TestTried", "TestRun", "TestLeftOut", "TestPattern"}},
		{"", []string{"-test.run=^TestTried$"}, []string{"TestTried"}},
		{"", []string{"-test.run=^Test"}, []string{"TestRun", "TestLeftOut", "TestPattern"}},
		{"", []string{"-test.skip=Run"}, []string{"TestLeftOut", "TestPattern"}},
		{"1", []string{"-test.skip=Run"}, []string{"TestTried", "TestLeftOut", "TestPattern"}},
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

func TestLeftOut(t *testing.T) {
	t.Setenv("NINVK_TEST_HAVE", "it")
	names := []string{"TestA", "TestB NINVK_TEST_HAVE", "TestC NINVK_TEST_LACK"}
	for _, c := range []struct {
		wanted bool
		run    string
		want   []string
	}{
		{false, "", []string{"TestA", "TestB", "TestC"}},
		{true, "", []string{"TestC"}},
		{false, "^TestB$", []string{"TestA", "TestC"}},
		{false, "^TestC$", []string{"TestA", "TestB", "TestC"}},
	} {
		if diff := cmp.Diff(c.want, leftOut(c.wanted, c.run, names)); diff != "" {
			t.Errorf("%v, -run %q (-want +got):\n%s", c.wanted, c.run, diff)
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
