package folder

import (
	"cmp"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"ninvk/dataset"
)

// found is what is in a folder of images, at any depth.
type found struct {
	files  []string // what may be images, by paths with slashes, sorted
	passed []string // what is passed over, with the reason
}

// walker reads a folder and all within it. Links are followed; a folder that they lead back into is read once.
type walker struct {
	root string
	seen []fs.FileInfo // all folders so far
	found
}

// walk finds the files of a folder within root.
func walk(root, within string) (found, error) {
	w := walker{root: root}
	if err := w.read(within, false); err != nil {
		return found{}, err
	}
	slices.SortFunc(w.files, byFolder)
	return w.found, nil
}

// byFolder orders paths by their folders, then by their names, each by code point, as torchvision's ImageFolder does.
func byFolder(a, b string) int {
	return cmp.Or(strings.Compare(path.Dir(a), path.Dir(b)), strings.Compare(path.Base(a), path.Base(b)))
}

// read reads a folder, by a link where one is on the way to it.
func (w *walker) read(within string, linked bool) error {
	full := filepath.Join(w.root, filepath.FromSlash(within))
	info, err := os.Stat(full)
	if err != nil {
		return unreadable(full, err)
	}
	if linked && slices.ContainsFunc(w.seen, func(s fs.FileInfo) bool { return os.SameFile(s, info) }) {
		w.passed = append(w.passed, shown(within)+": a link back to a folder that is read already")
		return nil
	}
	w.seen = append(w.seen, info)
	entries, err := os.ReadDir(full)
	if err != nil {
		return unreadable(full, err)
	}
	for _, e := range entries {
		name := path.Join(within, e.Name())
		if hidden(e.Name()) {
			w.passed = append(w.passed, shown(name)+": "+hiddenReason)
			continue
		}
		mode, linked := e.Type(), linked
		if mode&fs.ModeSymlink != 0 {
			linked = true
			to, err := os.Stat(filepath.Join(w.root, filepath.FromSlash(name)))
			if err == nil {
				mode = to.Mode().Type()
			} else { // it leads nowhere: named when it is read
				mode = 0
			}
		}
		switch {
		case mode.IsDir():
			if err := w.read(name, linked); err != nil {
				return err
			}
		case mode.IsRegular():
			w.files = append(w.files, name)
		default:
			w.passed = append(w.passed, shown(name)+": no regular file")
		}
	}
	return nil
}

const hiddenReason = "hidden, or made by a system for itself"

// hidden says whether a name is one that systems and editors make for themselves.
func hidden(name string) bool {
	return strings.HasPrefix(name, ".") || strings.HasPrefix(name, "~$") ||
		slices.Contains([]string{"__macosx", "thumbs.db", "desktop.ini", "$recycle.bin", "@eadir"}, strings.ToLower(name))
}

func unreadable(name string, err error) error {
	return &dataset.FileError{Path: name, Offset: -1, Problem: "cannot be read: " + dataset.Cause(err), Err: err}
}

// list are the entries of a folder that are not hidden: the folders in it, also those that links lead to, and files.
func list(dir string) (folders, files, passed []string, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, nil, nil, unreadable(dir, err)
	}
	for _, e := range entries { // sorted by code point
		if hidden(e.Name()) {
			passed = append(passed, shown(e.Name())+": "+hiddenReason)
			continue
		}
		info, err := os.Stat(filepath.Join(dir, e.Name()))
		if err == nil && info.IsDir() {
			folders = append(folders, e.Name())
		} else {
			files = append(files, e.Name())
		}
	}
	return folders, files, passed, nil
}
