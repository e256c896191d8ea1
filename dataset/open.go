package dataset

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Open opens what a path names, as the first of the formats that it is of. Data of no format are a *FileError that says
// what they are, where that is known.
func Open(path string, formats []Format, o Options) (*Set, error) {
	if _, err := os.Stat(path); err != nil {
		hint := "--data takes a folder or a file with images; `ninvk data fetch` obtains a data set"
		problem := "cannot be read: " + Cause(err)
		if errors.Is(err, fs.ErrNotExist) {
			problem = "there is no such folder or file"
		}
		return nil, &FileError{Path: path, Offset: -1, Problem: problem, Hint: hint, Err: err}
	}
	if entries, err := os.ReadDir(path); err == nil && len(entries) == 0 {
		return nil, &FileError{Path: path, Offset: -1, Problem: "the folder is empty",
			Hint: "`ninvk data fetch` obtains a data set"}
	}
	if f, ok := formatOf(path, formats); ok {
		if o.Labels == Coarse && !f.Coarse {
			return nil, &FileError{Path: path, Offset: -1, Problem: "it has one set of labels: it is of " + f.Name,
				Hint: "coarse labels are CIFAR-100's; leave out --labels"}
		}
		return f.Open(path, o)
	}
	if inner := Inside(path, formats); inner != "" {
		return nil, &FileError{Path: path, Offset: -1, Problem: "this is a folder above that of the data",
			Hint: "give the folder itself: --data " + inner}
	}
	names := make([]string, len(formats))
	for i, f := range formats {
		names[i] = f.Name
	}
	return nil, Unread(path, "holds no data that can be trained on", "--data takes "+strings.Join(names, ", "), nil)
}

// formatOf is the first of the formats that a path is of.
func formatOf(path string, formats []Format) (Format, bool) {
	if i := slices.IndexFunc(formats, func(f Format) bool { return f.Is(path) }); i >= 0 {
		return formats[i], true
	}
	return Format{}, false
}

// Inside is the one folder within another that is of one of the formats; "" where there is none or more than one.
func Inside(dir string, formats []Format) string {
	const mostDepth, mostFolders = 3, 100
	var inner []string
	var look func(dir string, depth int)
	look = func(dir string, depth int) {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return
		}
		looked := 0
		for _, e := range entries {
			name := filepath.Join(dir, e.Name())
			if info, err := os.Stat(name); err != nil || !info.IsDir() || strings.HasPrefix(e.Name(), ".") {
				continue
			}
			if looked++; looked > mostFolders || len(inner) > 1 {
				return
			}
			if _, ok := formatOf(name, formats); ok {
				inner = append(inner, name)
			} else if depth < mostDepth {
				look(name, depth+1)
			}
		}
	}
	look(dir, 0)
	if len(inner) != 1 {
		return ""
	}
	return inner[0]
}
