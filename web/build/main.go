// Command build makes the program that the page runs. That is cmd/web as WebAssembly, packed by gzip, and beside it the
// script of the Go distribution that starts such programs. It is run by go generate ./web, which leaves what is up to
// date.
package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"ninvk/page"
)

// Where things lie, seen from the folder web.
const (
	source  = "../cmd/web"
	built   = "built" // is embedded, all of it
	plain   = "../bin/ninvk.wasm"
	starter = "wasm_exec.js"
)

func main() {
	if err := build(); err != nil {
		fmt.Fprintln(os.Stderr, "building the page's program:", err)
		os.Exit(1)
	}
}

func build() error {
	if err := os.MkdirAll(filepath.Dir(plain), 0o755); err != nil {
		return err
	}
	c := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", plain, source)
	c.Env = append(os.Environ(), "GOOS=js", "GOARCH=wasm")
	c.Stdout, c.Stderr = os.Stderr, os.Stderr
	if err := c.Run(); err != nil {
		return err
	}
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return fmt.Errorf("go env GOROOT: %w", err)
	}
	script, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(root)), "lib", "wasm", starter))
	if err != nil {
		return err
	}
	if err := replace(filepath.Join(built, starter), script); err != nil {
		return err
	}
	b, err := os.ReadFile(plain)
	if err != nil {
		return err
	}
	packed := filepath.Base(plain) + ".gz"
	if err := replace(filepath.Join(built, packed), page.Pack(b)); err != nil {
		return err
	}
	return tidy(".gitignore", starter, packed)
}

// tidy removes what else lies in the folder, as a former version left it: all of it would become a part of the program.
func tidy(keep ...string) error {
	files, err := os.ReadDir(built)
	if err != nil {
		return err
	}
	for _, f := range files {
		if !slices.Contains(keep, f.Name()) {
			if err := os.Remove(filepath.Join(built, f.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

// replace writes a file unless it has that content: the program that holds it is then up to date too.
func replace(path string, content []byte) error {
	if old, err := os.ReadFile(path); err == nil && bytes.Equal(old, content) {
		return nil
	}
	return os.WriteFile(path, content, 0o644)
}
