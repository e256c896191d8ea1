// Command slowest prints go test -json as go test itself would, with the ten slowest tests below. It reads from stdin,
// and exits with 1 where anything failed.
package main

import (
	"bufio"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

const listed = 10

// event is a line of go test -json; see `go doc test2json`.
type event struct {
	Action, Package, Test, Output string
	Elapsed                       float64 // seconds
}

func main() {
	ok, err := report(os.Stdin, os.Stdout)
	if err != nil {
		fmt.Fprintln(os.Stderr, "slowest:", err)
	}
	if err != nil || !ok {
		os.Exit(1)
	}
}

// report copies results from in to out. ok is false where a package failed, was not built, or none was tested.
func report(in io.Reader, out io.Writer) (ok bool, err error) {
	var slow []event
	output := map[string][]string{} // of tests that have not ended, by package and test
	packages, failed := 0, 0
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var e event
		if json.Unmarshal(lines.Bytes(), &e) != nil { // what the go command says itself
			fmt.Fprintln(out, lines.Text())
			continue
		}
		name := e.Package + " " + e.Test
		switch {
		case e.Action == "build-output", e.Action == "output" && e.Test == "":
			if e.Output != "PASS\n" {
				fmt.Fprint(out, e.Output)
			}
		case e.Action == "output":
			output[name] = append(output[name], e.Output)
		case e.Test == "" && (e.Action == "pass" || e.Action == "fail" || e.Action == "skip"):
			packages++
			if e.Action == "fail" {
				failed++
				for _, cut := range output { // of tests that a crash or the time limit ended
					fmt.Fprint(out, strings.Join(cut, ""))
				}
			}
			clear(output)
		case e.Action == "build-fail":
			failed++
		case e.Action == "pass", e.Action == "fail", e.Action == "skip":
			if e.Action == "fail" {
				fmt.Fprint(out, strings.Join(output[name], ""))
			}
			delete(output, name)
			if !strings.Contains(e.Test, "/") {
				slow = append(slow, e)
			}
		}
	}
	slices.SortStableFunc(slow, func(a, b event) int { return cmp.Compare(b.Elapsed, a.Elapsed) })
	fmt.Fprintf(out, "the slowest of %d tests:\n", len(slow))
	for _, e := range slow[:min(listed, len(slow))] {
		fmt.Fprintf(out, "%8.1f s  %s %s\n", e.Elapsed, e.Package, e.Test)
	}
	return failed == 0 && packages > 0, lines.Err()
}
