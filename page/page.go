// Package page is what the program's web pages share. That is an address to listen on, who is answered and how, and the
// parts that pages are made of (colours, curves, what a run shows).
package page

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log"
	"net"
	"net/http"
	"path"
	"strconv"
	"strings"
	"syscall"
	"time"
)

//go:embed parts
var parts embed.FS

// Files are those of a page, by their paths below its address; index.html is the page itself.
type Files map[string][]byte

// Parts are the files that all pages share, and those of a page's own folder, embedded under its name.
func Parts(own embed.FS, folder string) Files {
	f := Files{}
	f.Add("", parts, "parts")
	f.Add("", own, folder)
	return f
}

// types are those of the files that pages have, by their names' ends.
var types = map[string]string{
	".html": "text/html; charset=utf-8",
	".css":  "text/css; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
	".png":  "image/png",
	".gz":   "application/gzip", // without Content-Encoding, see Pack
}

// Pack packs a file by gzip, so that any host can have it: pages unpack such files themselves.
func Pack(content []byte) []byte {
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err == nil {
		_, err = z.Write(content)
	}
	if err == nil {
		err = z.Close()
	}
	if err != nil {
		panic(err) // memory takes everything
	}
	return b.Bytes()
}

// Add adds the files of an embedded folder below a path; files of other types than pages have are passed over.
func (f Files) Add(below string, from embed.FS, folder string) {
	if err := fs.WalkDir(from, folder, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || types[path.Ext(name)] == "" {
			return err
		}
		f[path.Join(below, strings.TrimPrefix(name, folder+"/"))], err = from.ReadFile(name)
		return err
	}); err != nil {
		panic(err) // of files that are part of the program
	}
}

// Listener is an address on which a page is served.
type Listener struct {
	net.Listener
	host string // as given
}

// parseAddress takes :PORT or HOST:PORT apart; the error says what is wrong.
func parseAddress(address string) (host, port string, err error) {
	if host, port, err = net.SplitHostPort(address); err != nil {
		return "", "", errors.New("expected :PORT or HOST:PORT, such as :8080")
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return "", "", fmt.Errorf("the port is %q, expected a number from 0 to 65535, such as in :8080", port)
	}
	if strings.ContainsFunc(host, func(r rune) bool { return r <= ' ' || strings.ContainsRune(`/\?#@%"<>`, r) }) {
		return "", "", fmt.Errorf("the host is %q, expected a name or address of this machine", host)
	}
	return host, port, nil
}

// Listen listens on an address, :PORT or HOST:PORT; without a host on the loopback interface alone, and on any free
// port where PORT is 0. The error says what is wrong with the address.
func Listen(address string) (*Listener, error) {
	host, port, err := parseAddress(address)
	if err != nil {
		return nil, err
	}
	bound := host
	if bound == "" {
		bound = "127.0.0.1"
	}
	l, err := net.Listen("tcp", net.JoinHostPort(bound, port))
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, errors.New("the port is in use by another program; choose another, or 0 for any that is free")
	case errors.Is(err, fs.ErrPermission):
		return nil, errors.New("the system does not let you use this port; choose one above 1023, such as 8080")
	case err != nil:
		return nil, fmt.Errorf("can't serve there: %w", err)
	}
	return &Listener{l, host}, nil
}

// Local says whether only this machine can reach the page.
func (l *Listener) Local() bool { return l.Addr().(*net.TCPAddr).IP.IsLoopback() }

// URL is the page's address.
func (l *Listener) URL() string {
	a := l.Addr().(*net.TCPAddr)
	host := l.host
	switch {
	case a.IP.IsUnspecified():
		host = "localhost"
	case host == "":
		host = a.IP.String()
	}
	return "http://" + net.JoinHostPort(host, strconv.Itoa(a.Port)) + "/"
}

// knows says whether a request's Host is one that the page goes by. A page for this machine alone must not answer to
// other names: one from elsewhere whose name is made to lead here (DNS rebinding) could read it.
func (l *Listener) knows(host string) bool {
	if !l.Local() {
		return true
	}
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	if ip := net.ParseIP(strings.Trim(host, "[]")); ip != nil {
		return ip.IsLoopback()
	}
	return strings.EqualFold(host, "localhost") || strings.EqualFold(host, l.host)
}

// Handler answers GET for the files, and for what is given beside them, by paths. Browsers keep the files, and ask
// whether they are still the same. The policy is for Content-Security-Policy.
func (l *Listener) Handler(policy string, files Files, also map[string]http.HandlerFunc) http.Handler {
	tags := map[string]string{}
	for name, content := range files {
		tags[name] = fmt.Sprintf(`"%x"`, sha256.Sum256(content))
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Cache-Control", "no-store")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Content-Security-Policy", policy+"; frame-ancestors 'none'")
		name := strings.TrimPrefix(r.URL.Path, "/")
		if name == "" {
			name = index
		} else if name == index {
			name = "" // it has one address
		}
		content, known := files[name]
		switch {
		case !l.knows(r.Host):
			http.Error(w, "this server answers to localhost only", http.StatusMisdirectedRequest)
		case r.Method != http.MethodGet:
			h.Set("Allow", http.MethodGet)
			http.Error(w, "only GET is answered", http.StatusMethodNotAllowed)
		case also[r.URL.Path] != nil:
			also[r.URL.Path](w, r)
		case !known:
			http.NotFound(w, r)
		default:
			h.Set("Cache-Control", "no-cache")
			h.Set("Content-Type", types[path.Ext(name)])
			h.Set("ETag", tags[name])
			http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
		}
	})
}

// index is the file that is the page itself.
const index = "index.html"

// Server is an HTTP server with limits fit for a page; it says nothing of broken connections, which are the browsers'
// matter.
func Server(h http.Handler) http.Server {
	return http.Server{
		Handler: h, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 1 << 14,
		ErrorLog: log.New(io.Discard, "", 0),
	}
}
