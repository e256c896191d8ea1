package cifar10

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"

	"ninvk/dataset"
)

// ClassesFile is the file of a data folder that names the classes, one a line, by label.
const ClassesFile = "batches.meta.txt"

const maxClasses = 256 // labels are bytes

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
	names, err = dataset.ReadClasses(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return AssumedClasses(Classes), false, nil
	case err != nil:
		return nil, false, err
	case len(names) < 2 || len(names) > maxClasses:
		return nil, false, &dataset.FileError{Path: path, Offset: -1, Problem: fmt.Sprintf("it names %d classes; from 2 to "+
			"%d can be told apart, as a label is a byte", len(names), maxClasses)}
	}
	for i, name := range names {
		if first := slices.Index(names, name); first < i {
			return nil, false, &dataset.FileError{Path: path, Offset: -1,
				Problem: fmt.Sprintf("classes %d and %d are both named %q", first, i, name)}
		}
	}
	return names, true, nil
}
