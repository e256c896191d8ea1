package cifar10

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// ClassesFile is the file of a data folder that names the classes, one a line, by label.
const ClassesFile = "batches.meta.txt"

const (
	maxClasses     = 256     // labels are bytes
	maxClassesFile = 1 << 20 // bytes
	maxClassName   = 200     // characters
)

// ReadClasses reads a file as ClassesFile. What is wrong with it is a *FileError.
func ReadClasses(path string) ([]string, error) {
	fail := func(problem string, err error) ([]string, error) {
		return nil, &FileError{Path: path, Offset: -1, Problem: problem,
			Hint: "the names of the classes are expected, one a line, in the order of the labels", Err: err}
	}
	info, err := os.Stat(path)
	if err != nil {
		return fail("cannot be read: "+cause(err), err)
	}
	if !info.Mode().IsRegular() {
		return fail("is not a regular file", nil)
	}
	f, err := os.Open(path)
	if err != nil {
		return fail("cannot be read: "+cause(err), err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxClassesFile+1))
	if err != nil {
		return fail("cannot be read: "+cause(err), err)
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

// AssumedClasses are names for n classes that nobody has named: CIFAR-10's if there are as many, else "class 0" and so
// on.
func AssumedClasses(n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("class %d", i)
	}
	if n == Classes {
		copy(names, ClassNames[:])
	}
	return names
}

// classesOf reads the names of a data folder's classes; named is false where it has none, and CIFAR-10's are taken.
func classesOf(dir string) (names []string, named bool, err error) {
	path := filepath.Join(dir, ClassesFile)
	names, err = ReadClasses(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return AssumedClasses(Classes), false, nil
	case err != nil:
		return nil, false, err
	case len(names) < 2 || len(names) > maxClasses:
		return nil, false, &FileError{Path: path, Offset: -1, Problem: fmt.Sprintf("it names %d classes; from 2 to "+
			"%d can be told apart, as a label is a byte", len(names), maxClasses)}
	}
	for i, name := range names {
		if first := slices.Index(names, name); first < i {
			return nil, false, &FileError{Path: path, Offset: -1,
				Problem: fmt.Sprintf("classes %d and %d are both named %q", first, i, name)}
		}
	}
	return names, true, nil
}
