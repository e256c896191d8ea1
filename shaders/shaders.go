// Package shaders holds the WGSL sources as templates, one file an operator family. A small generator specialises them.
//
// A source is a text/template: shapes that decide the code (tile sizes, kernel size) are printed into it as literals,
// everything else arrives in a uniform at run time, so that layers of the same tile share a pipeline. What is in that a
// Go struct says (params_*.go), which prints its declaration.
package shaders

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"strings"
	"sync"
	"text/template"
)

//go:embed *.wgsl
var files embed.FS

//go:embed conv*.go linear.go params_*.go uniforms.go
var generators embed.FS // they decide the code as much as the templates do

// Hash is that of all sources, and of the files of other folders that decide how they are used, in hexadecimal: what
// was measured with others no longer holds.
func Hash(users embed.FS) string {
	h := sha256.New()
	for _, f := range []embed.FS{files, generators, users} {
		entries, _ := f.ReadDir(".") // what is embedded can be read
		for _, e := range entries {
			if strings.HasSuffix(e.Name(), "_test.go") {
				continue
			}
			text, _ := f.ReadFile(e.Name())
			fmt.Fprintf(h, "%s %d\n%s", e.Name(), len(text), text)
		}
	}
	return hex.EncodeToString(h.Sum(nil))
}

var templates = template.Must(template.New("").Funcs(template.FuncMap{
	"seq":  seq,
	"add":  func(a, b int) int { return a + b },
	"sub":  func(a, b int) int { return a - b },
	"mul":  func(a, b int) int { return a * b },
	"div":  func(a, b int) int { return a / b },
	"mod":  func(a, b int) int { return a % b },
	"comp": func(i int) string { return string("xyzw"[i%4]) },

	"uniform": declaration,
}).ParseFS(files, "*.wgsl"))

func seq(n int) []int {
	s := make([]int, n)
	for i := range s {
		s[i] = i
	}
	return s
}

// made are the sources specialised so far: layers of a deep network ask for the same few thousands of times.
var made sync.Map

// Source specialises the file name.wgsl. It panics where the template and its data don't agree: a mistake in this
// repository, which the tests over all specialisations find.
func Source(name string, data any) string {
	key := fmt.Sprintf("%s %#v", name, data)
	if source, ok := made.Load(key); ok {
		return source.(string)
	}
	var b strings.Builder
	if err := templates.ExecuteTemplate(&b, name+".wgsl", data); err != nil {
		panic(fmt.Sprintf("shader %s: %v", name, err))
	}
	source, _ := made.LoadOrStore(key, b.String())
	return source.(string)
}
