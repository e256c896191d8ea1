// Package web is the page that computes in the browser, on the visitor's own GPU. It classifies images and trains
// networks: plain files, which are part of the program, and a WebAssembly program that a build puts among them (see the
// folder build).
package web

import (
	"embed"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path"
	"path/filepath"

	"ninvk/docs/images"
	"ninvk/page"
	"ninvk/web/assets"
)

//go:generate go run ./build

//go:embed site
var site embed.FS

// What the build makes, beside a file that git keeps the folder by.
//
//go:embed all:built
var built embed.FS

// Program is the file of the WebAssembly program, packed by gzip; the page unpacks it.
const Program = "ninvk.wasm.gz"

// policy is the page's Content-Security-Policy, as index.html says it too for hosts that send none. Beside the page's
// own files it may run the WebAssembly program, and show images that the visitor gave it (blob:) or that it drew
// (data:); nothing may come from elsewhere, or go there.
const policy = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; style-src 'self'; " +
	"img-src 'self' blob: data:; connect-src 'self'; base-uri 'none'; form-action 'none'"

// ErrNotBuilt tells that the program was built without the page's WebAssembly.
var ErrNotBuilt = errors.New("this ninvk was built without the program that the page runs; build it by `make build`, " +
	"or by `go generate ./web` and then `go build -o bin/ninvk ./cmd/ninvk`")

// Files are all files of the page, by their paths below its address. What the program loads is packed by gzip.
func Files() (page.Files, error) {
	f := files()
	if f[Program] == nil {
		return nil, ErrNotBuilt
	}
	more, err := assets.Files()
	if err != nil {
		return nil, fmt.Errorf("the page's weights and images: %w", err)
	}
	for name, content := range more {
		if path.Ext(name) != ".gz" {
			name, content = name+".gz", page.Pack(content)
		}
		f[name] = content
	}
	return f, nil
}

// files are those that are embedded as they are.
func files() page.Files {
	f := page.Parts(site, "site")
	f.Add("", built, "built")
	f.Add("examples", images.Files, ".")
	return f
}

// Write puts the page into a folder as plain files, for a host of static files; an address may have it in any place.
func Write(dir string, f page.Files) error {
	for name, content := range f {
		to := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return fmt.Errorf("writing the page: %w", err)
		}
		if err := os.WriteFile(to, content, 0o644); err != nil {
			return fmt.Errorf("writing the page: %w", err)
		}
	}
	return nil
}

// Handler answers for the page on an address.
func Handler(l *page.Listener, f page.Files) http.Handler { return l.Handler(policy, f, nil) }
