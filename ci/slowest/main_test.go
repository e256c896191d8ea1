package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestReport(t *testing.T) {
	passing := `{"Action":"run","Package":"a","Test":"TestX"}
{"Action":"output","Package":"a","Test":"TestX","Output":"chatter\n"}
{"Action":"pass","Package":"a","Test":"TestX/part","Elapsed":3}
{"Action":"pass","Package":"a","Test":"TestX","Elapsed":3}
{"Action":"pass","Package":"a","Test":"TestY","Elapsed":4.5}
{"Action":"output","Package":"a","Output":"PASS\n"}
{"Action":"output","Package":"a","Output":"ok  \ta\t7.5s\n"}
{"Action":"pass","Package":"a","Elapsed":7.5}
`
	list := "the slowest of 2 tests:\n     4.5 s  a TestY\n     3.0 s  a TestX\n"
	for _, c := range []struct {
		name, in, out string
		ok            bool
	}{
		{"passing", passing, "ok  \ta\t7.5s\n" + list, true},
		{"not JSON", "go: downloading\n" + passing, "go: downloading\nok  \ta\t7.5s\n" + list, true},
		{"nothing", "", "the slowest of 0 tests:\n", false},
		{"not built", `{"Action":"build-output","Output":"syntax error\n"}
{"Action":"build-fail"}
` + passing, "syntax error\nok  \ta\t7.5s\n" + list, false},
		{"failing", strings.ReplaceAll(passing, `"pass","Package":"a","Test":"TestX",`,
			`"fail","Package":"a","Test":"TestX",`) +
			`{"Action":"fail","Package":"b"}` + "\n", "chatter\nok  \ta\t7.5s\n" + list, false},
		{"crashed", `{"Action":"output","Package":"a","Test":"TestX","Output":"panic\n"}
{"Action":"fail","Package":"a","Elapsed":1}
`, "panic\nthe slowest of 0 tests:\n", false},
	} {
		var out strings.Builder
		ok, err := report(strings.NewReader(c.in), &out)
		if err != nil || ok != c.ok {
			t.Errorf("%s: %v, %v; want %v", c.name, ok, err, c.ok)
		}
		if diff := cmp.Diff(c.out, out.String()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
}
