// Package archive opens data sets that lie in an archive. One of .tar, .tar.gz, .tar.bz2 or .zip is unpacked once into
// the user's cache directory, and nowhere else.
package archive

import (
	"archive/zip"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"ninvk/dataset"
)

// Format is an archive of data of one of the formats given.
func Format(formats []dataset.Format) dataset.Format {
	return dataset.Format{
		Name:   "an archive of these (.tar, .tar.gz, .zip)",
		Coarse: true, // where what is in it has both
		Is:     isArchive,
		Open:   func(path string, o dataset.Options) (*dataset.Set, error) { return open(path, formats, o) },
	}
}

// isArchive says whether a file is a zip or a tar archive, but none of those that are files of their own to people, as
// PyTorch's weights and NumPy's arrays.
func isArchive(name string) bool {
	info, err := os.Stat(name)
	if err != nil || !info.Mode().IsRegular() {
		return false
	}
	if z, err := zip.OpenReader(name); err == nil {
		defer z.Close()
		has := func(is func(name string) bool) bool {
			return slices.ContainsFunc(z.File, func(f *zip.File) bool { return is(f.Name) })
		}
		return !has(func(n string) bool { return path.Base(n) == "data.pkl" || n == "[Content_Types].xml" }) &&
			has(func(n string) bool { return path.Ext(n) != ".npy" })
	}
	t, err := openTar(name, nil)
	if err != nil {
		return false
	}
	defer t.close()
	_, err = t.Next()
	return err == nil
}

// open unpacks an archive, unless that was done before, and opens what is in it: the folder as a whole, or the only one
// within it that is of a format.
func open(name string, formats []dataset.Format, o dataset.Options) (*dataset.Set, error) {
	dir, notes, err := unpacked(name, o.Progress)
	if err != nil {
		return nil, err
	}
	inner := dir
	if !slices.ContainsFunc(formats, func(f dataset.Format) bool { return f.Is(dir) }) {
		if inner = dataset.Inside(dir, formats); inner == "" {
			inner = dir
		}
	}
	set, err := dataset.Open(inner, formats, o)
	if e := (*dataset.FileError)(nil); errors.As(err, &e) { // places in the archive, as people know it
		own := *e
		if within, ok := strings.CutPrefix(own.Path, dir); ok {
			own.Path = name + within
		}
		own.Hint = strings.ReplaceAll(own.Hint, dir, name)
		return nil, &own
	}
	if err != nil {
		return nil, err
	}
	set.Name = filepath.Clean(name)
	set.Format += ", in an archive"
	set.Notes = append(notes, set.Notes...)
	return set, nil
}

// refused is what is wrong with an archive.
func refused(name, hint, format string, a ...any) error {
	return &dataset.FileError{Path: name, Offset: -1, Problem: fmt.Sprintf(format, a...), Hint: hint}
}
