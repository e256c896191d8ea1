package dataset

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// FuzzParseClasses: names are what can be printed, none empty.
func FuzzParseClasses(f *testing.F) {
	for _, s := range []string{"cat\ndog\n", "\ufeffcat\r\n\r\n", "a\n\nb", "", "\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		names, err := ParseClasses(s)
		if err != nil {
			return
		}
		for _, n := range names {
			if n == "" || n != strings.TrimSpace(n) {
				t.Errorf("%q in %q", n, names)
			}
		}
		again, err := ParseClasses(strings.Join(names, "\n"))
		if diff := cmp.Diff(names, again); err != nil || diff != "" {
			t.Errorf("written and read again: %v\n%s", err, diff)
		}
	})
}
