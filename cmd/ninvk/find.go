package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"

	"ninvk/picture"
)

// mostImages is how many images of one folder are looked at.
const mostImages = 1_000_000

// input is an image to read, or what is wrong with an argument.
type input struct {
	path string
	err  error
}

// findImages lists files as they were given, and those with an image's extension below the folders given, in the order
// of their names. Links are followed; what is passed over, say is told, a line a folder.
func findImages(names []string, say func(string)) []input {
	var all []input
	for _, name := range names {
		if name == stdin {
			all = append(all, input{path: name})
			continue
		}
		name = fromURL(name)
		info, err := os.Stat(name)
		switch {
		case err != nil:
			all = append(all, input{name, reason(err)})
		case info.IsDir():
			s := &search{seen: map[string]bool{}, passed: map[string]int{}}
			s.folder(name)
			all = append(all, s.result(name)...)
			if line := s.line(); line != "" {
				say(shown(name) + ": " + line)
			}
		default:
			all = append(all, input{path: name})
		}
	}
	return all
}

// search gathers the images below a folder.
type search struct {
	found  []input
	seen   map[string]bool // folders, by where links to them lead
	passed map[string]int  // files passed over, by why
	hidden int
}

// folder looks through one. The names of what is in it are in order; a file named on the command line may be hidden,
// one that is found may not.
func (s *search) folder(path string) {
	real, err := filepath.EvalSymlinks(path)
	if err == nil {
		real, err = filepath.Abs(real)
	}
	if err != nil {
		s.found = append(s.found, input{path, reason(err)})
		return
	}
	if s.seen[real] {
		s.passed["links to folders that were seen already"]++
		return
	}
	s.seen[real] = true
	entries, err := os.ReadDir(path)
	if err != nil {
		s.found = append(s.found, input{path, reason(err)})
	}
	for _, e := range entries {
		if len(s.found) > mostImages {
			return
		}
		name := filepath.Join(path, e.Name())
		info, err := os.Stat(name)
		switch {
		case strings.HasPrefix(e.Name(), "."):
			s.hidden++
		case err == nil && info.IsDir():
			s.folder(name)
		case err != nil && picture.HasExtension(name):
			s.found = append(s.found, input{name, reason(err)})
		case err != nil:
			s.passed["links that lead nowhere"]++
		case !info.Mode().IsRegular():
			s.passed[strings.TrimPrefix(picture.Irregular(info.Mode()), "a ")+"s"]++
		case picture.HasExtension(name):
			s.found = append(s.found, input{path: name})
		default:
			extension := strings.ToLower(filepath.Ext(name))
			if extension == "" || extension == "." {
				extension = "without extension"
			}
			s.passed[shown(extension)]++
		}
	}
}

// result is what was found below a folder, or why nothing was.
func (s *search) result(name string) []input {
	switch {
	case len(s.found) == 0:
		return []input{{name, fmt.Errorf("no images (%s) are in this folder", picture.Formats())}}
	case len(s.found) > mostImages:
		return []input{{name, fmt.Errorf("more than %d images are in this folder; give its parts one by one", mostImages)}}
	}
	return s.found
}

// line says what was passed over: how many files, and why, the most frequent reason first; "" where there is nothing to
// say.
func (s *search) line() string {
	var reasons []string
	all := 0
	for r, n := range s.passed {
		reasons = append(reasons, r)
		all += n
	}
	slices.Sort(reasons)
	sort.SliceStable(reasons, func(i, j int) bool { return s.passed[reasons[i]] > s.passed[reasons[j]] })
	const most = 10
	var parts []string
	for i, r := range reasons {
		if i == most {
			rest := 0
			for _, r := range reasons[most:] {
				rest += s.passed[r]
			}
			parts = append(parts, fmt.Sprintf("others %d", rest))
			break
		}
		parts = append(parts, fmt.Sprintf("%s %d", r, s.passed[r]))
	}
	var line string
	if all > 0 {
		line = fmt.Sprintf("%s passed over: %s", count(all, "file"), strings.Join(parts, ", "))
	}
	if s.hidden > 0 {
		if line != "" {
			line += "; "
		}
		line += count(s.hidden, "hidden file or folder", "hidden files and folders") + " passed over"
	}
	return line
}

// count is a number with its word.
func count(n int, one string, many ...string) string {
	if n == 1 {
		return "1 " + one
	}
	if len(many) > 0 {
		return fmt.Sprintf("%d %s", n, many[0])
	}
	return fmt.Sprintf("%d %ss", n, one)
}

// reason is an error of the file system without operation and path.
func reason(err error) error {
	if e := (*fs.PathError)(nil); errors.As(err, &e) {
		return e.Err
	}
	return err
}
