package dataset

import (
	"archive/tar"
	"archive/zip"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// pickled says whether a file was searched to its end, which is not done for every one of an archive.
func (n neighbour) pickled() bool {
	return n == cifar10Python || n == cifar100Python || n == otherPickle
}

// content is what names and first bytes tell of a folder or an archive.
type content struct {
	kinds    []neighbour
	pictures map[string]int // by the folder they are in
}

func newContent() *content { return &content{pictures: map[string]int{}} }

// add tells of a file by its name, with slashes, and what kind it is.
func (c *content) add(name string, kind neighbour) {
	dir, base := path.Split(path.Clean(name))
	switch {
	case isBatch(base):
		c.kinds = append(c.kinds, cifar10Binary)
	case kind == onePicture:
		c.pictures[dir]++
	case kind != (neighbour{}):
		c.kinds = append(c.kinds, kind)
	}
}

// kind is what the files are together.
func (c *content) kind() neighbour {
	folders := 0
	for dir := range c.pictures {
		if dir != "" {
			folders++
		}
	}
	for _, k := range []neighbour{cifar100Python, cifar100Binary, cifar10Python, cifar10Binary, cifar10Unnamed, idx,
		tfrecord, npz, npy, parquet, hdf5, cifar10Matlab} {
		if slices.Contains(c.kinds, k) {
			return k
		}
	}
	switch {
	case folders > 1:
		n := classFolders
		var names []string
		for _, dir := range slices.Sorted(maps.Keys(c.pictures)) {
			if base := path.Base(dir); dir != "" && !slices.Contains(names, base) {
				names = append(names, base)
			}
		}
		if len(names) > 3 {
			names = append(names[:3:3], "…")
		}
		n.what += fmt.Sprintf(" (%s)", strings.Join(names, ", "))
		return n
	case len(c.pictures) > 0:
		return pictures
	case len(c.kinds) > 0:
		return c.kinds[0]
	}
	return neighbour{}
}

// recogniseFolder looks at the files of a folder and those of the folders in it.
func recogniseFolder(dir string) neighbour {
	c := newContent()
	left := mostEntries
	var look func(within string, depth int)
	look = func(within string, depth int) {
		entries, err := os.ReadDir(filepath.Join(dir, within))
		if err != nil {
			return
		}
		looked := 0
		for _, e := range entries {
			if left--; left < 0 {
				return
			}
			name := path.Join(within, e.Name())
			full := filepath.Join(dir, filepath.FromSlash(name))
			info, err := os.Stat(full) // of what a link points to
			switch {
			case err != nil || strings.HasPrefix(e.Name(), "."):
			case info.IsDir() && depth < mostDepth: // which also ends loops of links
				look(name, depth+1)
			case info.Mode().IsRegular():
				if looked++; looked <= 50 || isBatch(e.Name()) { // the first ones tell of the others
					c.add(name, recogniseFile(full, info.Size()))
				}
			}
		}
	}
	look("", 0)
	return c.kind()
}

func recogniseZip(f io.ReaderAt, size int64) neighbour {
	z, err := zip.NewReader(f, size)
	if err != nil {
		return neighbour{}.in("a zip archive")
	}
	if slices.ContainsFunc(z.File, func(f *zip.File) bool { return path.Base(f.Name) == "data.pkl" }) {
		return weightsFile
	}
	if len(z.File) > 0 && !slices.ContainsFunc(z.File, func(f *zip.File) bool { return path.Ext(f.Name) != ".npy" }) {
		return npz
	}
	c := newContent()
	for i, entry := range z.File {
		if i == mostEntries {
			break
		}
		if entry.FileInfo().IsDir() {
			continue
		}
		r, err := entry.Open()
		if err != nil {
			c.add(entry.Name, neighbour{})
			continue
		}
		kind := recogniseStream(r, int64(entry.UncompressedSize64), 1)
		r.Close()
		if c.add(entry.Name, kind); kind.pickled() {
			break
		}
	}
	return c.archived("a zip archive")
}

func recogniseTar(r io.Reader) neighbour {
	c := newContent()
	t := tar.NewReader(io.LimitReader(r, 2*mostSearch))
	for range mostEntries {
		h, err := t.Next()
		if err != nil {
			break
		}
		if h.Typeflag != tar.TypeReg {
			continue
		}
		kind := recogniseStream(t, h.Size, 1)
		if c.add(h.Name, kind); kind.pickled() {
			break
		}
	}
	return c.archived("a tar archive")
}

// archived is what an archive is by its content.
func (c *content) archived(what string) neighbour { return c.kind().in(what) }
