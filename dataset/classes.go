package dataset

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	maxClassesFile = 1 << 20 // bytes
	maxClassName   = 200     // characters
)

// ReadClasses reads a file that names classes, one a line. What is wrong with it is a *FileError.
func ReadClasses(path string) ([]string, error) {
	fail := func(problem string, err error) ([]string, error) {
		return nil, &FileError{Path: path, Offset: -1, Problem: problem,
			Hint: "the names of the classes are expected, one a line, in the order of the labels", Err: err}
	}
	info, err := os.Stat(path)
	if err != nil {
		return fail("cannot be read: "+Cause(err), err)
	}
	if !info.Mode().IsRegular() {
		return fail("is not a regular file", nil)
	}
	f, err := os.Open(path)
	if err != nil {
		return fail("cannot be read: "+Cause(err), err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxClassesFile+1))
	if err != nil {
		return fail("cannot be read: "+Cause(err), err)
	}
	if len(b) > maxClassesFile {
		return fail(fmt.Sprintf("it has more than %d bytes", maxClassesFile), nil)
	}
	names, err := ParseClasses(string(b))
	if err != nil {
		return fail(err.Error(), err)
	}
	return names, nil
}

// ParseClasses reads names of classes, one a line. Space around them and empty lines at the end do not count. Some may
// be the same, as two kinds of crane among ImageNet's.
func ParseClasses(text string) ([]string, error) {
	text = strings.TrimPrefix(text, "\ufeff")
	if !utf8.ValidString(text) {
		return nil, errors.New("it is not valid UTF-8")
	}
	lines := strings.Split(strings.TrimRightFunc(text, unicode.IsSpace), "\n")
	for i, line := range lines {
		name := strings.TrimSpace(line)
		switch {
		case name == "" && len(lines) == 1:
			return nil, errors.New("it names no class")
		case name == "":
			return nil, fmt.Errorf("class %d has no name", i)
		case strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }):
			return nil, fmt.Errorf("the name of class %d, %.100q, has characters that can't be printed", i, name)
		case utf8.RuneCountInString(name) > maxClassName:
			return nil, fmt.Errorf("the name of class %d is longer than %d characters", i, maxClassName)
		}
		lines[i] = name
	}
	return lines, nil
}
