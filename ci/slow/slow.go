// Package slow leaves tests that take long, or need programs that not everybody has, to make test-full.
package slow

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
)

// Wanted says whether the slow tests, and the long forms of others, are to run: make test-full sets NINVK_FULL.
func Wanted() bool { return os.Getenv("NINVK_FULL") != "" }

// Unless sets an environment variable where the slow forms are not wanted and nobody has set it.
func Unless(name, value string) error {
	if Wanted() || os.Getenv(name) != "" {
		return nil
	}
	return os.Setenv(name, value)
}

// Run runs a package's tests for TestMain, and gives the exit code. The named ones run where they are wanted, or are
// named in the flag -run; one that is named as "TestName VARIABLE" only where that variable is set too, which says
// where something is that not everybody has.
func Run(m *testing.M, names ...string) int {
	flag.Parse()
	value := func(name string) string { return flag.Lookup(name).Value.String() }
	left := leftOut(Wanted(), value("test.run"), names)
	if len(left) > 0 {
		if err := flag.Set("test.skip", pattern(value("test.skip"), left)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		if testing.Verbose() {
			fmt.Printf("left to make test-full (NINVK_FULL=1): %s\n", strings.Join(left, ", "))
		}
	}
	return m.Run()
}

// leftOut are the names of tests that do not run.
func leftOut(wanted bool, run string, names []string) []string {
	var left []string
	for _, name := range names {
		name, variable, _ := strings.Cut(name, " ")
		if !wanted && !strings.Contains(run, name) || variable != "" && os.Getenv(variable) == "" {
			left = append(left, name)
		}
	}
	return left
}

// pattern is that of -skip which adds the tests to those that are passed over as it is.
func pattern(skip string, names []string) string {
	var all []string
	if skip != "" {
		all = append(all, skip)
	}
	for _, name := range names {
		all = append(all, "^"+regexp.QuoteMeta(name)+"$")
	}
	return strings.Join(all, "|")
}
