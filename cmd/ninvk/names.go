package main

import (
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// shown is the name of a file as it is written for people: what a terminal would not show as it is, such as line ends,
// escape sequences and bytes that are not UTF-8, is quoted as Go does it.
func shown(name string) string {
	odd := func(r rune) bool { return !unicode.IsPrint(r) }
	if name == "" || !utf8.ValidString(name) || strings.IndexFunc(name, odd) >= 0 || strings.TrimSpace(name) != name ||
		strings.HasPrefix(name, `"`) {
		return strconv.Quote(name)
	}
	return name
}

const fileScheme = "file://"

// fileURL is a name from which a program finds a file whose name is not UTF-8, and so can't be in JSON; "" where the
// name itself will do.
func fileURL(name string) string {
	if utf8.ValidString(name) {
		return ""
	}
	path, err := filepath.Abs(name)
	if err != nil {
		return ""
	}
	path = filepath.ToSlash(path)
	if !strings.HasPrefix(path, "/") { // a drive
		path = "/" + path
	}
	return fileScheme + (&url.URL{Path: path}).EscapedPath()
}

// fromURL is the name of a file that is given as fileURL tells it; others are names already.
func fromURL(name string) string {
	if !strings.HasPrefix(name, fileScheme+"/") {
		return name
	}
	path, err := url.PathUnescape(strings.TrimPrefix(name, fileScheme))
	if err != nil {
		return name
	}
	if _, err := os.Lstat(name); err == nil { // there is such a file
		return name
	}
	if filepath.Separator != '/' { // a drive
		path = strings.TrimPrefix(path, "/")
	}
	return filepath.FromSlash(path)
}
