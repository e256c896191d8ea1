package idx

import (
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"ninvk/dataset"
)

// name matches the names of a set's files, as train-images-idx3-ubyte, t10k-labels.idx1-ubyte.gz and
// emnist-letters-test-images-idx3-ubyte: what set, which split, and what is in it.
var name = regexp.MustCompile(`(?i)^(.*?)(train|t10k|test|validation|valid|val)[-_. ]?(images?|labels?)(?:[-_. ].*)?$`)

// part is one of the four files of a set.
type part struct{ test, labels bool }

func (p part) String() string {
	split, what := "train", "images-idx3-ubyte"
	if p.test {
		split = "t10k"
	}
	if p.labels {
		what = "labels-idx1-ubyte"
	}
	return split + "-" + what
}

// files are those of one set.
type files struct {
	dir    string
	prefix string // of the names, as "emnist-letters-"
	paths  map[part]string
	notes  []string
}

// partOf says which part of which set a file is by its name.
func partOf(base string) (prefix string, p part, ok bool) {
	m := name.FindStringSubmatch(base)
	if m == nil {
		return "", part{}, false
	}
	return strings.ToLower(m[1]), part{!strings.EqualFold(m[2], "train"), strings.EqualFold(m[3][:1], "l")}, true
}

// in finds the sets that lie in a folder, by their prefixes.
func in(dir string) (map[string]*files, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	sets := map[string]*files{}
	for _, e := range entries { // sorted: a name without .gz comes before the same with it
		prefix, p, ok := partOf(e.Name())
		path := filepath.Join(dir, e.Name())
		if !ok || strings.HasPrefix(e.Name(), ".") {
			continue
		}
		if _, ok := peek(path); !ok && !(strings.Contains(strings.ToLower(e.Name()), "idx") && regular(path)) {
			continue
		}
		s := sets[prefix]
		if s == nil {
			s = &files{dir: dir, prefix: prefix, paths: map[part]string{}}
			sets[prefix] = s
		}
		if taken := s.paths[p]; taken != "" {
			if e.Name() != filepath.Base(taken)+".gz" {
				return nil, &dataset.FileError{Path: dir, Offset: -1, Problem: fmt.Sprintf("both %s and %s could be its %s",
					filepath.Base(taken), e.Name(), p), Hint: "leave one of them"}
			}
			s.notes = append(s.notes, fmt.Sprintf("%s is read, the same compressed beside it is not", taken))
			continue
		}
		s.paths[p] = path
	}
	return sets, nil
}

func regular(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// mostDepth is how far below a folder its files are looked for, as torchvision has them in MNIST/raw.
const mostDepth = 2

// find finds the set of a folder, or that of one of its files.
func find(path string) (*files, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		prefix, _, ok := partOf(filepath.Base(path))
		if !ok {
			return nil, fs.ErrNotExist
		}
		sets, err := in(filepath.Dir(path))
		if err != nil {
			return nil, err
		}
		if s := sets[prefix]; s != nil {
			return s, nil
		}
		return nil, fs.ErrNotExist
	}
	level := []string{path}
	for range mostDepth + 1 {
		var found []*files
		var next []string
		for _, dir := range level {
			sets, err := in(dir)
			if err != nil {
				if dir == path || !os.IsPermission(err) {
					return nil, err
				}
				continue
			}
			for _, prefix := range slices.Sorted(maps.Keys(sets)) {
				found = append(found, sets[prefix])
			}
			next = append(next, folders(dir)...)
		}
		switch {
		case len(found) == 1:
			return found[0], nil
		case len(found) > 1:
			return nil, several(path, found)
		}
		level = next
	}
	return nil, fs.ErrNotExist
}

// folders are those in a folder, not those that are hidden; the first of very many.
func folders(dir string) (list []string) {
	const most = 100
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		if info, err := os.Stat(path); err == nil && info.IsDir() && !strings.HasPrefix(e.Name(), ".") {
			if list = append(list, path); len(list) == most {
				break
			}
		}
	}
	return list
}

// several is the error about a folder with more than one set.
func several(path string, found []*files) error {
	var names []string
	first := ""
	for _, s := range found {
		one := s.any()
		if first == "" {
			first = one
		}
		if names = append(names, filepath.Base(one)); s.dir != path {
			names[len(names)-1] = one
		}
	}
	return &dataset.FileError{Path: path, Offset: -1,
		Problem: fmt.Sprintf("it holds %d sets in MNIST's format: those of %s", len(found), strings.Join(names, ", ")),
		Hint:    "name one by any of its files: --data " + first}
}

// any is a file of the set.
func (s *files) any() string {
	for _, p := range []part{{}, {labels: true}, {test: true}, {true, true}} {
		if path := s.paths[p]; path != "" {
			return path
		}
	}
	return ""
}
