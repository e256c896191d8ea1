package page

import (
	"strings"
	"testing"
)

func FuzzAddress(f *testing.F) {
	for _, a := range []string{":8080", "localhost:0", "[::1]:80", "a b:1", "http://x:1", "::", "[::1%lo]:1", "\x00:1"} {
		f.Add(a)
	}
	f.Fuzz(func(t *testing.T, address string) {
		host, port, err := parseAddress(address)
		if err == nil && (port == "" || strings.ContainsAny(host, " \n/%<")) {
			t.Errorf("%q is taken as host %q, port %q", address, host, port)
		}
	})
}
